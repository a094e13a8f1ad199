"""What a definition uses: statements of the user's own files, the files that they name, compiled modules."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path, PurePath

from bench.parts.data_files import DataFiles
from bench.parts.hints import BLIND, HINTS, reads
from bench.parts.listing import folders, is_installed
from bench.parts.quoted import file_names, quoted_names
from bench.parts.syntax import Module, is_computed, reads_text, run_nodes
from bench.parts.walk import digest, state_of

ADDED: set[str] = set()  # entries of sys.path that own parts brought


class Use:
    """Collects what a definition uses.

    Attributes:
        modules: the user's files that are imported on the way.
        used: file -> indices of its statements that count.
        compiled: modules without a text, name and hash.
        data: the files that it names.
        states: of every file and folder that was looked at, so that a change is noticed.
        verbatim: whether it works with its own text, so that comments and docstrings count.
        reads_hints: whether something may read type hints.
        asks_for_name: whether it asks for the name of a file.
        computed: whether it may go through the names of a file, in their order.
    """

    def __init__(self, folder: Path, cwd: Path, is_dataset: bool = False, hints: bool = True) -> None:
        self.folder = folder
        self.path = search_path(folder)
        self.modules: dict[Path, Module] = {}
        self.used: dict[Path, set[int]] = {}
        self.imported: dict[str, Path] = {}
        self.compiled: set[str] = set()
        self.data = DataFiles(folder, cwd, is_dataset)
        self.states = {place: state_of(place) for place in (folder, folder.parent)}  # where a module may come
        self._named: dict[Path, set[str]] = {}  # folder of files of code -> what they name
        self.verbatim, self.reads_hints, self.asks_for_name, self.computed = False, False, False, False
        self._folders: dict[str, list[Path]] = {}  # package -> where its modules are
        self._runs: dict[int, list[Module]] = {}  # id of an import -> the user's files that it runs, in order
        self._whole: set[Path] = set()  # folders of packages of which any module may be asked for, by `package.module`
        self._hints = hints
        self._todo: list[tuple[Module, ast.stmt, bool]] = []  # the last: whether it is used, or only run

    def module(self, path: Path, name: str, package: str) -> Module:
        """One of the user's files, read once; what is run when it is imported counts."""
        if path not in self.modules:
            self.states[path] = state_of(path)
            inside = self.folder in path.parents
            start = "/__init__" if path.name == "__init__.py" else ""
            label = path.relative_to(self.folder).as_posix() if inside else f"../{name.replace('.', '/')}{start}.py"
            made = self.modules[path] = Module(path, label, package, self._hints)
            self.used[path] = set()
            for i in made.effects:
                self._add(made, i)
            self._todo += [(made, s, False) for s in made.statements if isinstance(s, ast.Import | ast.ImportFrom)]
        return self.modules[path]

    def names(self, module: Module, names: Iterable[str]) -> None:
        """What a file binds to names; all of the file where it may come by another way."""
        for name in names:
            for i in module.binds.get(name, ()):
                self._add(module, i)
            for i in module.binds.get("*", ()):
                if self._brings(module, i, name, ()):
                    self._add(module, i)
            if name not in module.binds and module.open:
                self.everything(module)

    def _brings(self, module: Module, index: int, name: str, above: tuple[Path, ...]) -> bool:
        """Whether an import by a star may bind a name, as `__all__` of what it imports decides."""
        star = module.statements[index]
        own = self._chain(_join(module.package, star.level, star.module)) if isinstance(star, ast.ImportFrom) else []
        if not own or own[-1].path in above:
            return not own
        other = own[-1]
        stars = (self._brings(other, i, name, (*above, other.path)) for i in other.binds.get("*", ()))
        return name in other.binds or "__getattr__" in other.binds or any(stars)

    def everything(self, module: Module) -> None:
        """All that a file holds."""
        for i in range(len(module.statements)):
            self._add(module, i)

    def _add(self, module: Module, index: int) -> None:
        if index not in self.used[module.path]:
            self.used[module.path].add(index)
            self._todo.append((module, module.statements[index], True))

    def follow(self) -> None:
        """Go on from what was added until nothing is new."""
        while self._todo or self._add_whole():
            module, statement, used = self._todo.pop()
            for node in ast.walk(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    own = [*self._imported(node, module, used)]
                    for imported, wanted in own if used else ():
                        self.everything(imported) if wanted is None else self.names(imported, [wanted])
                    self.reads_hints = self.reads_hints or (used and not own and not _is_blind(node))
                if not used:
                    continue
                if isinstance(node, ast.Name):
                    self.names(module, [node.id])
                self.names(module, quoted_names(node))
                if id(node) not in module.written:
                    self._named.setdefault(module.path.parent, set()).update(file_names(node))
                if is_computed(node):
                    self._all_files()
                    self.reads_hints = self.asks_for_name = self.computed = True
                self.computed = self.computed or (isinstance(node, ast.Attribute) and node.attr == "__dict__")
                self.reads_hints = self.reads_hints or reads(node, HINTS)
                self.asks_for_name = self.asks_for_name or module.asks_for_name(node)
                self.verbatim = self.verbatim or reads_text(node) or module.asks_for_path(node)

    def order(self, first: Module) -> list[Module]:
        """The files that do something when they are imported, in the order in which Python runs them; [] for one alone.

        One stands there again where it goes on after another: `L.append(1)`, then `import other`, then `L.append(2)`.
        """
        found: list[Module] = []
        seen: set[Path] = set()

        def run(module: Module) -> None:
            seen.add(module.path)
            effects = {*module.effects}
            for i, statement in enumerate(module.statements):
                for imported in (m for node in run_nodes(statement) for m in self._runs.get(id(node), ())):
                    if imported.path not in seen:
                        run(imported)
                if i in effects and found[-1:] != [module]:
                    found.append(module)

        run(first)
        return found if len(found) > 1 else []

    def _add_whole(self) -> bool:
        """Take all of the modules that are imported anywhere, of packages that are used as a whole; whether any is new.

        `package.layers` is there once anybody has imported it.
        """
        for path, module in list(self.modules.items()):
            if not self._whole.isdisjoint(path.parents):
                self.everything(module)
        return bool(self._todo)

    def _imported(
        self, node: ast.Import | ast.ImportFrom, importer: Module, used: bool
    ) -> Iterator[tuple[Module, str | None]]:
        """(file, name that is taken from it or None for all) of the user's own files that an import runs."""
        self._runs[id(node)] = runs = []
        if isinstance(node, ast.Import):
            for alias in node.names:
                runs += (chain := self._chain(alias.name))
                yield from ((module, None) for module in chain)
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                self._whole.update(self._folders.get(bound, ()) if used else ())
            return
        origin = _join(importer.package, node.level, node.module)
        parents = self._chain(origin)
        runs += parents
        for alias in node.names:
            name = _join(origin, 1, alias.name)
            if alias.name != "*" and (inside := self._chain(name)):
                runs += inside
                yield inside[-1], None  # a module
            self._whole.update(self._folders.get(name, ()) if used else ())
            if parents:
                yield parents[-1], None if alias.name == "*" else alias.name

    def _chain(self, dotted: str) -> list[Module]:
        """The user's files that importing a module runs: of its packages, then its own; none of what is installed.

        A name that starts with a dot is meant from the part's folder.
        """
        words = dotted.strip(".").split(".")
        relative = dotted.startswith(".")
        if not words[0] or (not relative and (words[0] in sys.stdlib_module_names or words[0] == "bench")):
            return []
        chain: list[Module] = []
        places: list[str] | None = [str(self.folder)] if relative else self.path
        for depth in range(1, len(words) + 1):
            name = ".".join(words[:depth])
            # By the last name: a package without __init__.py would look for what is above it in sys.modules.
            spec = PathFinder.find_spec(words[depth - 1], places)
            if spec is None and depth == 1 and not relative:
                spec = _find_hooked(name)
            if spec is None:
                return []
            inside = spec.submodule_search_locations
            places = list(inside or [])
            self.states |= {Path(place): state_of(Path(place)) for place in places}
            if inside is not None:
                self._folders["." * relative + name] = [p for p in map(Path, places) if not is_installed(p)]
            if spec.origin is not None and spec.has_location:
                path = Path(spec.origin).absolute()
                if is_installed(path):
                    return []
                if path.suffix != ".py" or not path.is_file():  # compiled, or in an archive: its packages can be read
                    self._compiled(next(p for p in (path, *path.parents) if p.exists()), name)
                    return chain
                if not relative:
                    self.imported[name] = path
                package = name if inside is not None else name.rpartition(".")[0]
                chain.append(self.module(path, name, f".{package}" if relative or not package else package))
        return chain

    def _compiled(self, path: Path, name: str) -> None:
        self.states[path] = state = state_of(path)
        if state is not None:
            self.compiled.add(f"module {name.strip('.')}: {digest(path, state)}")

    def _all_files(self) -> None:
        """Every Python file, compiled or not, of the part's folder, and of the modules and packages beside it."""
        roots = [(self.folder, "**/*.py"), (self.folder.parent, "*.py")]
        for start in self.folder.parent.glob("*/__init__.py"):
            if start.parent != self.folder and start.parent.name != "bench":
                roots.append((self.folder.parent, f"{start.parent.name}/**/*.py"))
        for root, pattern in roots:
            for file in sorted(root.glob(pattern)):
                self.states[file.parent] = state_of(file.parent)
                if file.is_file() and not is_installed(file):
                    words = file.relative_to(root).with_suffix("").parts
                    package = ".".join(words[:-1])
                    name = package if file.name == "__init__.py" else ".".join(words)
                    self.everything(self.module(file, name, f".{package}" if root == self.folder else package))
            for file in sorted(root.glob(pattern.removesuffix(".py") + EXTENSION_SUFFIXES[-1])):
                if not is_installed(file):
                    self._compiled(file, file.relative_to(root).as_posix())

    def count_files(self) -> None:
        """Count the files that the code names, once it is followed."""
        labels = {module.path.parent: PurePath(module.label).parent.as_posix() for module in self.modules.values()}
        self.data.count(self._named, labels)


def _is_blind(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether what an import brings reads no type hints."""
    if isinstance(node, ast.Import):
        return all(alias.name.partition(".")[0] in BLIND for alias in node.names)
    return not node.level and (node.module or "").partition(".")[0] in BLIND


def _join(package: str, level: int, name: str | None) -> str:
    """The dotted name that a relative import means: `_join(".", 1, "layers")` is ".layers", `("a.b", 2, "c")` "a.c"."""
    if not level:
        return name or ""
    for _ in range(level - 1):
        package = package.rpartition(".")[0] or ("." if package.startswith(".") else "")
    return f"{package if package != '.' else ''}.{name}" if name else package


def _find_hooked(name: str) -> ModuleSpec | None:
    """A module that is found by a hook, as packages that are installed editable are."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def search_path(folder: Path) -> list[str]:
    """Where a part's imports are looked for: its folder and the one around it last, so that none hides a package."""
    own = [str(place) for chosen in (folder, *folders()) for place in (chosen, chosen.parent)]
    return list(dict.fromkeys([*(place for place in sys.path if place not in ADDED), *own]))
