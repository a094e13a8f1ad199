"""How Python finds the modules of users' files: each file is one module, made from its text as it stands."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, NamespaceLoader, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from bench.parts.listing import folders

PREFIX = "imagebench_own_"
HASHED: set[Path] = set()  # files whose text is in the hash of a part's code


def package_of(folder: Path) -> str:
    """The package that stands for a folder of parts, by whose name each of its files is imported once."""
    package = PREFIX + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    if package not in sys.modules:
        loader = NamespaceLoader(package, [str(folder)], lambda *_: None)  # as of a folder without __init__.py
        spec = ModuleSpec(package, loader, is_package=True)
        spec.submodule_search_locations = loader._path  # type: ignore[attr-defined]
        sys.modules[package] = importlib.util.module_from_spec(spec)
    for finder in (_FromText, _OneModule):
        if not any(isinstance(other, finder) for other in sys.meta_path):
            sys.meta_path.insert(0, finder())
    return package


class _OneModule(MetaPathFinder):
    """`import layers`, `from .layers import act` and `import parts.layers` of one file of the parts are one module.

    Two would have two classes of one name, of which isinstance says that they have nothing to do with each other.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """The module of the folder's package, where the name means one of its files."""
        if fullname.startswith(PREFIX):
            return None
        top, _, inside = fullname.partition(".")
        for folder in folders():
            below = fullname if top != folder.name else inside
            file = folder.joinpath(*below.split("."))
            if not below or not (file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()):
                continue
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and spec.origin and folder in Path(spec.origin).absolute().parents:
                return importlib.util.spec_from_loader(fullname, _Same(f"{package_of(folder)}.{below}"))
        return None


class _Same(Loader):
    """Gives the module of another name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        """That module, imported where it is not yet."""
        module = importlib.import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """It is run already."""
        module.__spec__ = self.spec


class _FromText(MetaPathFinder):
    """Files whose text was hashed are compiled from it.

    What Python keeps in __pycache__ it takes for a file of the same time and size, as `cp -p`, archives and version
    control leave one with other text.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """The usual one, that keeps nothing."""
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or not isinstance(spec.loader, SourceFileLoader) or Path(spec.loader.path) not in HASHED:
            return None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Compiled(fullname, spec.loader.path),
            submodule_search_locations=spec.submodule_search_locations,
        )  # fmt: skip


class _Compiled(SourceFileLoader):
    """Compiles a file whenever it is imported."""

    def get_code(self, fullname: str) -> types.CodeType:
        """Of the text."""
        made: types.CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return made
