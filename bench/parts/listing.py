"""Which parts there are, ours and one's own, read from the syntax of the files: nothing is imported or run."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.schema.errors import RequestError
from bench.schema.offered import Listed, misplaced_decorators, parts_of, shipped_parts, tree

VARIABLE = "IMAGEBENCH_PARTS"  # folders, in place of the usual ones: processes of this command look there too
ENTRY_POINTS = "imagebench.parts"


def folders() -> list[Path]:
    """Where own parts are looked for: those that `use` named, else parts/ in the working directory."""
    named = [Path(os.path.expanduser(p)).absolute() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return list(dict.fromkeys(p for p in named or [Path.cwd() / "parts"] if p.is_dir()))


def use(folder: str) -> None:
    """Look into `folder` for parts, then into parts/ here, in this process and in those that it starts.

    Raises:
        RequestError: when there is no such folder.
    """
    path = Path(os.path.expanduser(folder)).absolute()
    if not path.is_dir():
        raise RequestError(f"--parts {folder}: there is no such folder. Expected one with Python files of own parts.")
    os.environ[VARIABLE] = os.pathsep.join([str(path), str(Path.cwd() / "parts")])


@contextmanager
def only_from(folder: Path) -> Iterator[None]:
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
    return list(dict.fromkeys(own + [place for entry in _entry_points() for place in _offers_of(entry)]))


def entry_modules() -> list[tuple[str, Path]]:
    """(module, its file) of what installed packages offer."""
    return [(_module_of(entry), file) for entry in _entry_points() for file, _ in _offers_of(entry)]


def stamp() -> tuple[Any, ...]:
    """Changes where a file that may offer parts came, went or was written."""
    found = []
    for file, package in files():
        stat = file.stat()
        found.append((str(file), package, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def own() -> tuple[Listed, ...]:
    """Every part that somebody offers. Files that are no Python are left out; `broken_files` names them."""
    return tuple(part for file, package in files() for part in parts_of(file, file.stat().st_mtime_ns, package))


def all_parts() -> tuple[Listed, ...]:
    """Every part that there is: those that come along, then `own`."""
    return (*shipped_parts(), *own())


def broken_files() -> dict[str, str]:
    """File -> reason, of the files that are no Python."""
    found = {}
    for file, _ in files():
        try:
            tree(file, file.stat().st_mtime_ns)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            reason = getattr(error, "msg", None) or str(error)
            found[f"{file.parent.name}/{file.name}"] = f"line {line}: {reason}" if line else reason
    return found


def misplaced_files() -> dict[str, str]:
    """File -> reason, of the files that use a decorator where no part is found."""
    found = {}
    for file, _ in files():
        with suppress(SyntaxError, ValueError):
            if faults := misplaced_decorators(tree(file, file.stat().st_mtime_ns)):
                found[f"{file.parent.name}/{file.name}"] = "; ".join(faults)
    return found


def find(kind: str, name: str) -> Listed | None:
    """The part of this kind and name, None where there is none.

    Raises:
        RequestError: when two files offer one.
    """
    found = [part for part in all_parts() if (part.kind, part.name) == (kind, name)]
    if len(found) > 1 and found[0].ours:
        raise RequestError(
            f"{kind} '{name}' exists already and comes along: {found[0].summary} Rename the function in "
            f"{found[1].where}."
        )
    if len(found) > 1:
        raise RequestError(
            f"{kind} '{name}' is offered twice: {found[0].where} and {found[1].where}. Rename one of the two."
        )
    return found[0] if found else None


def names(kind: str) -> tuple[str, ...]:
    """The names of all parts of a kind, sorted."""
    return tuple(sorted({part.name for part in all_parts() if part.kind == kind}))


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=ENTRY_POINTS))


def _module_of(entry: importlib.metadata.EntryPoint) -> str:
    return entry.value.partition(":")[0].strip()


def _offers_of(entry: importlib.metadata.EntryPoint) -> Iterator[tuple[Path, str]]:
    """The file of the module that an installed package offers, found without importing it."""
    top, *rest = _module_of(entry).split(".")
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
        yield file.resolve(), version if is_installed(file) else ""


def is_installed(file: Path) -> bool:
    """Whether a file lies where packages are installed: its version then stands for its code."""
    places = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    path = file.resolve()
    return "site-packages" in path.parts or "dist-packages" in path.parts or any(p in path.parents for p in places)
