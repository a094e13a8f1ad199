"""Which own parts there are, read from the syntax of the files: nothing is imported and nothing is run."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.parts.declare import KINDS, REGISTERED
from bench.schema.errors import RequestError

VARIABLE = "IMAGEBENCH_PARTS"  # folders, in place of the usual ones: processes of this command look there too
ENTRY_POINTS = "imagebench.parts"


@dataclass(frozen=True)
class Listed:
    """A part that a file offers.

    Attributes:
        kind: of `bench.parts.declare.KINDS`, or REGISTERED.
        name: of the function or class.
        file: absolute path of the file.
        line: of its definition.
        package: "distribution==version" where it belongs to an installed package, else "".
        summary: the first paragraph of its docstring.
        facts: what the decorator is told, as far as the syntax tells.
        defaults: settings -> default, as far as the syntax tells; what is computed is left out.
    """

    kind: str
    name: str
    file: Path
    line: int
    package: str
    summary: str
    facts: dict[str, Any] = field(compare=False)
    defaults: dict[str, Any] = field(compare=False)

    @property
    def where(self) -> str:
        """`parts/convmixer.py, line 7`."""
        return f"{self.file.parent.name}/{self.file.name}, line {self.line}"


def folders() -> list[Path]:
    """Where own parts are looked for: those that `use` named, else parts/ in the working directory."""
    named = [Path(p).expanduser().absolute() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return list(dict.fromkeys(p for p in named or [Path.cwd() / "parts"] if p.is_dir()))


def use(folder: str) -> None:
    """Look into `folder` for parts, then into parts/ here, in this process and in those that it starts.

    Raises:
        RequestError: when there is no such folder.
    """
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise RequestError(f"--parts {folder}: there is no such folder. Expected one with Python files of own parts.")
    os.environ[VARIABLE] = os.pathsep.join([str(path), str(Path.cwd() / "parts")])


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Inside, parts are looked for in `folder` only."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def files() -> list[tuple[Path, str]]:
    """(file, package) of every file that may offer parts; package "" for the user's own."""
    own = [(file, "") for folder in folders() for file in sorted(folder.glob("*.py"))]
    return own + [place for entry in _entry_points() for place in _offered(entry)]


def stamp() -> tuple[Any, ...]:
    """Changes where a file that may offer parts came, went or was written."""
    found = []
    for file, package in files():
        stat = file.stat()
        found.append((str(file), package, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def listed() -> tuple[Listed, ...]:
    """Every part that is offered. Files that are no Python are left out; `broken` names them."""
    return tuple(part for file, package in files() for part in _parts_of(file, file.stat().st_mtime_ns, package))


def broken() -> dict[str, str]:
    """File -> reason, of the files that are no Python."""
    found = {}
    for file, _ in files():
        try:
            _tree(file, file.stat().st_mtime_ns)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            reason = getattr(error, "msg", None) or str(error)
            found[f"{file.parent.name}/{file.name}"] = f"line {line}: {reason}" if line else reason
    return found


def find(kind: str, name: str) -> Listed | None:
    """The part of this kind and name, None where there is none.

    Raises:
        RequestError: when two files offer one.
    """
    found = [part for part in listed() if (part.kind, part.name) == (kind, name)]
    if len(found) > 1:
        raise RequestError(
            f"{kind} '{name}' is offered twice: {found[0].where} and {found[1].where}. Rename one of the two."
        )
    return found[0] if found else None


def names(kind: str) -> tuple[str, ...]:
    """The names of all parts of a kind, sorted."""
    return tuple(sorted({part.name for part in listed() if part.kind == kind}))


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=ENTRY_POINTS))


def _offered(entry: importlib.metadata.EntryPoint) -> Iterator[tuple[Path, str]]:
    """The file of the module that an installed package offers, found without importing it."""
    top, *rest = entry.value.partition(":")[0].split(".")
    spec = importlib.util.find_spec(top)
    places = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    candidates = [Path(spec.origin)] if spec and spec.origin and not rest else []
    for place in places:
        path = place.joinpath(*rest)
        candidates += [path.with_suffix(".py"), path / "__init__.py"] if rest else [place / "__init__.py"]
    file = next((c for c in candidates if c.is_file()), None)
    if file is not None:
        distribution = entry.dist
        version = f"{distribution.name}=={distribution.version}" if distribution else top
        yield file.resolve(), version if installed(file) else ""


def installed(file: Path) -> bool:
    """Whether a file lies where packages are installed: its version then stands for its code."""
    places = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    path = file.resolve()
    return "site-packages" in path.parts or "dist-packages" in path.parts or any(p in path.parents for p in places)


@functools.lru_cache(maxsize=1024)
def _tree(file: Path, changed: int) -> ast.Module:
    return ast.parse(file.read_bytes(), str(file))


@functools.lru_cache(maxsize=1024)
def _parts_of(file: Path, changed: int, package: str) -> tuple[Listed, ...]:
    try:
        tree = _tree(file, changed)
    except (SyntaxError, ValueError):
        return ()
    known = decorators(tree)
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            kinds = [(k, d) for k, d in ((_kind(d, known), d) for d in node.decorator_list) if k is not None]
            if kinds:
                kind, decorator = kinds[0]
                told = decorator.keywords if isinstance(decorator, ast.Call) else []
                facts = _literals([(k.arg, k.value) for k in told if k.arg])
                summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                defaults = _defaults(node) if isinstance(node, ast.FunctionDef) else _class_defaults(node)
                found.append(Listed(kind, node.name, file, node.lineno, package, summary, facts, defaults))
    return tuple(found)


def decorators(tree: ast.Module) -> dict[str, str]:
    """Dotted name in this file -> kind: `model`, `parts.model`, `bench.parts.model`; timm's `register_model` too."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "bench.parts":
            known |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in KINDS}
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "timm":
            known |= {a.asname or a.name: REGISTERED.name for a in node.names if a.name == "register_model"}
        elif isinstance(node, ast.ImportFrom) and node.module == "bench":
            for alias in node.names:
                if alias.name == "parts":
                    known |= {f"{alias.asname or 'parts'}.{kind}": kind for kind in KINDS}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "timm" or alias.name.startswith("timm."):
                    known[f"{alias.asname or 'timm.models'}.register_model"] = REGISTERED.name
                if alias.name == "bench.parts":
                    known |= {f"{alias.asname or 'bench.parts'}.{kind}": kind for kind in KINDS}
    return known


def _kind(decorator: ast.expr, known: dict[str, str]) -> str | None:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return known.get(ast.unparse(target))


def _defaults(node: ast.FunctionDef) -> dict[str, Any]:
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    pairs = list(zip(positional[len(positional) - len(spec.defaults) :], spec.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None]
    return _literals([(argument.arg, default) for argument, default in pairs])


def _class_defaults(node: ast.ClassDef) -> dict[str, Any]:
    start = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    return _defaults(start) if start is not None else {}


def _literals(pairs: list[tuple[str, ast.expr]]) -> dict[str, Any]:
    found = {}
    for name, node in pairs:
        try:
            found[name] = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            continue
    return found
