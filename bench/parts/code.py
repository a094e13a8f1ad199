"""The hash of a part's code: what it is made of, transitively, and nothing else of the files that hold it.

Taken from the syntax: the definition, and every function, class, constant and import of the user's own files whose
name it uses, from file to file. Comments, docstrings, layout and the names of files' folders do not count. What the
syntax cannot tell apart counts as used: a statement at the top of a file that may change something, a module that is
imported as a whole, and all files of the folder where code is looked up by computed names (importlib, eval, exec).
A file that a constant text of the code names (`"weights.json"`) counts with its content.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.parts.listing import Listed, installed

VERSION = 1  # raise when the same code would get another hash
COMPUTED = {"importlib", "__import__", "eval", "exec", "globals", "locals", "vars", "runpy"}
# Decorators that leave nothing behind outside of what they decorate.
HARMLESS = ("functools.", "dataclass", "staticmethod", "classmethod", "property", "torch.", "typing.", "contextmanager",
            "contextlib.", "override", "cache", "lru_cache", "wraps", "no_grad", "bench.", "parts.")  # fmt: skip
LARGEST = 64 * 2**20  # bytes of a data file that the code names


@dataclass(frozen=True)
class Code:
    """The code of a part.

    Attributes:
        hash: SHA-256 (hex), or "distribution==version".
        files: the user's own files that it is in: path relative to the part's folder -> text.
    """

    hash: str
    files: dict[str, str] = field(default_factory=dict)


def code(part: Listed) -> Code:
    """The code of a part; computed anew where one of the files has changed.

    Raises:
        SyntaxError: when a file that it uses is no Python.
    """
    if part.package:
        return Code(part.package)
    made = _code(part.file, part.name)
    if made is None or any(_state(Path(path)) != state for path, state in made[1]):
        _code.cache_clear()
        made = _code(part.file, part.name)
        assert made is not None
    return made[0]


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=256)
def _code(file: Path, name: str) -> tuple[Code, tuple[tuple[str, Any], ...]]:
    use = _Use(file.parent)
    states = []
    use.definition(file, name)
    for path in use.seen_files:
        states.append((str(path), _state(path)))
    text = "\n".join(f"{label}\n{dump}" for label, dump in sorted(use.found.items()))
    digest = hashlib.sha256(f"imagebench code {VERSION}\n{text}".encode()).hexdigest()
    sources = {use.label(path): module.text for path, module in sorted(use.modules.items())}
    return Code(digest, sources), tuple(states)


class _Module:
    """One of the user's files, by the names that it defines at its top."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes()
        self.text = content.decode("utf-8", errors="replace")
        self.tree = ast.parse(content, str(path))
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, ast.Import | ast.ImportFrom] = {}
        self.stars: list[ast.ImportFrom] = []
        self.effects: list[ast.stmt] = []
        for statement in self.tree.body:
            self._sort(statement)

    def _sort(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(statement)
                return
            for alias in statement.names:
                bound = alias.asname or alias.name.split(".")[0]
                self.imports[bound] = statement
            return
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.definitions.setdefault(statement.name, []).append(statement)
            if not all(_harmless(d) for d in statement.decorator_list):
                self.effects.append(statement)
            return
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            bound_names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
            plain = all(isinstance(t, ast.Name | ast.Tuple) for t in targets)
            for name in bound_names:
                self.definitions.setdefault(name, []).append(statement)
            if not plain or any(isinstance(n, ast.Call) for n in ast.walk(statement)):
                self.effects.append(statement)
            return
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return  # a docstring
        if isinstance(statement, ast.If) and ast.unparse(statement.test) in (
            "TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'",
        ):  # fmt: skip
            return
        self.effects.append(statement)  # if, for, try, with, a call, ...: it may bind names and change anything
        for inner in ast.walk(statement):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                for alias in inner.names:
                    self.imports.setdefault(alias.asname or alias.name.split(".")[0], inner)


def _harmless(decorator: ast.expr) -> bool:
    text = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    from bench.parts.declare import KINDS

    return text.startswith(HARMLESS) or text in KINDS


class _Use:
    """Collects what a definition uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, str] = {}  # label -> canonical text
        self.modules: dict[Path, _Module] = {}
        self.seen_files: set[Path] = set()

    def label(self, path: Path) -> str:
        """A file's name as the hash and the kept source have it: relative to the folder, wherever that is."""
        for root in (self.folder, self.folder.parent):
            if root in path.parents:
                return path.relative_to(root).as_posix()
        return path.name

    def module(self, path: Path) -> _Module:
        """A file of the user's, read once; what changes something when it is imported counts at once."""
        if path not in self.modules:
            self.seen_files.add(path)
            made = self.modules[path] = _Module(path)
            for i, statement in enumerate(made.effects):
                self._add(f"{self.label(path)}: effect {i}", statement, made)
            for star in made.stars:
                self._import(star, "*", made)
        return self.modules[path]

    def definition(self, path: Path, name: str) -> None:
        """What a file binds to `name`, and all that it uses."""
        module = self.module(path)
        if name in module.definitions:
            for i, statement in enumerate(module.definitions[name]):
                self._add(f"{self.label(path)}: {name} {i}", statement, module)
        elif name in module.imports:
            self._import(module.imports[name], name, module)

    def everything(self, path: Path) -> None:
        """All that a file defines."""
        module = self.module(path)
        for name in (*module.definitions, *module.imports):
            self.definition(path, name)

    def _add(self, label: str, node: ast.AST, module: _Module) -> None:
        if label in self.found:
            return
        self.found[label] = canonical(node)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                if inner.id in COMPUTED:
                    for other in sorted(self.folder.glob("**/*.py")):
                        self.everything(other)
                if inner.id in module.definitions or inner.id in module.imports:
                    self.definition(module.path, inner.id)
            elif isinstance(inner, ast.Import | ast.ImportFrom):  # inside a function
                for alias in inner.names:
                    self._import(inner, alias.asname or alias.name.split(".")[0], module)
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                self._named(inner.value)

    def _import(self, statement: ast.Import | ast.ImportFrom, bound: str, module: _Module) -> None:
        for alias in statement.names:
            if bound not in ("*", alias.asname or alias.name.split(".")[0]):
                continue
            if isinstance(statement, ast.Import):
                places = list(self._resolve(alias.name, 0, module.path))
                wanted = None
            else:
                inside = f"{statement.module}.{alias.name}" if statement.module else alias.name
                submodule = list(self._resolve(inside, statement.level, module.path)) if alias.name != "*" else []
                parent = list(self._resolve(statement.module or "", statement.level, module.path))
                places, wanted = (submodule, None) if submodule else (parent, alias.name)
            if not places:  # of a package: what is imported counts, the package does not
                if bound != "*" or isinstance(statement, ast.ImportFrom):
                    self.found[f"{self.label(module.path)}: import {bound}"] = f"{ast.unparse(statement)} {alias.name}"
                continue
            if alias.asname:
                self.found[f"{self.label(module.path)}: import {bound}"] = f"{alias.name} as {alias.asname}"
            for place in places:
                if wanted is None or wanted == "*":
                    self.everything(place)
                else:
                    self.definition(place, wanted)

    def _resolve(self, dotted: str, level: int, importer: Path) -> Iterator[Path]:
        """The user's own files that importing a module runs; none for an installed one."""
        words = [w for w in dotted.split(".") if w]
        if level:
            roots = [importer.parents[level - 1]]
        else:
            if not words or words[0] in sys.stdlib_module_names or words[0] == "bench":
                return
            roots = [self.folder, self.folder.parent, *_elsewhere(words[0])]
        for root in roots:
            path = root.joinpath(*words)
            for candidate in (path.with_suffix(".py") if words else path / "__init__.py", path / "__init__.py"):
                if candidate.is_file() and not installed(candidate):
                    yield candidate
                    for package in candidate.parents:  # a package's __init__ is run too
                        start = package / "__init__.py"
                        if package == root or package not in root.joinpath(*words).parents:
                            break
                        if start != candidate and start.is_file():
                            self.module(start)
                    return

    def _named(self, text: str) -> None:
        """A file that the code names by a constant, with its content."""
        if not 2 < len(text) < 200 or "\n" in text or "." not in text[1:]:
            return
        for root in (self.folder, self.folder.parent):
            path = root / text
            try:
                if path.is_file() and path.suffix != ".py" and path.stat().st_size <= LARGEST:
                    self.seen_files.add(path)
                    self.found[f"file {text}"] = hashlib.sha256(path.read_bytes()).hexdigest()
                    return
            except (OSError, ValueError):
                return


@functools.cache
def _elsewhere(top: str) -> tuple[Path, ...]:
    """Where a module of the user's lies that is neither in the folder nor installed: on PYTHONPATH, or editable."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None or not spec.origin or not Path(spec.origin).is_file() or installed(Path(spec.origin)):
        return ()
    origin = Path(spec.origin)
    return (origin.parent.parent if origin.name == "__init__.py" else origin.parent,)


def canonical(node: ast.AST) -> str:
    """A syntax tree as text that is the same in every version of Python: no positions, docstrings or empty fields."""
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            value = _without_docstring(value)
        if value is None or value == [] or name in ("type_comment", "kind", "type_ignores", "ctx"):
            continue
        parts.append(f"{name}={_text(value)}")
    return f"{type(node).__name__}({', '.join(parts)})"


def _text(value: Any) -> str:
    if isinstance(value, ast.AST):
        return canonical(value)
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    return f"{type(value).__name__}:{value!r}"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body
