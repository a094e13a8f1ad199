"""Importing a user's file, anew where it has changed, and only if its code is the one that was asked for."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.parts.code import ADDED, code, search_path
from bench.parts.declare import MARK, Declared
from bench.parts.listing import folders, listed
from bench.schema.errors import RequestError
from bench.schema.offered import REGISTERED, Listed, parts_of
from bench.schema.own import Own

PREFIX = "imagebench_own_"
SOURCES: dict[str, dict[str, str]] = {}  # code -> files of what was run in this process
_loaded: dict[Path, tuple[str, types.ModuleType]] = {}  # file -> (state of the folder's code, module)
_lock = threading.RLock()


def function(kind: str, own: Own) -> Callable[..., Any]:
    """The function of an Experiment's own part, whose code is the one that the Experiment was planned with.

    Raises:
        RequestError: when the file is gone, does not import, or has other code by now.
    """
    part = _placed(kind, own)
    try:
        found = code(part)
    except (SyntaxError, OSError) as error:
        raise _unreadable(part, error) from None
    now = found.hash
    if now != own.code:
        raise RequestError(
            f"{kind} '{own.name}' has changed since this was planned ({own.code[:12]} then, {now[:12]} now, "
            f"{part.where}). The same command plans it anew."
        )
    SOURCES[own.code] = found.files
    return load(part)


def load(part: Listed) -> Callable[..., Any]:
    """The function or class of a part; its file is imported where it was not, or has changed.

    Raises:
        RequestError: naming file, line and reason, when it does not import.
    """
    with _lock:
        module = _package(part) if part.package else _module(part)
    made: Any = getattr(module, part.name, None)
    if part.kind != REGISTERED.name and not isinstance(getattr(made, MARK, None), Declared):
        raise RequestError(
            f"{part.where}: '{part.name}' is no {part.kind} any more when the file is imported. "
            f"The decorator must be the outermost one: @{part.kind}."
        )
    return made


def _placed(kind: str, own: Own) -> Listed:
    """Where the code of an Experiment's part is on this machine."""
    found = [p for p in listed() if (p.kind, p.name) == (kind, own.name)]
    if own.place:
        file = Path(own.place)
        if not own.place.startswith("=") and file.is_file():
            found = [p for p in parts_of(file, file.stat().st_mtime_ns, "") if (p.kind, p.name) == (kind, own.name)]
    if not found:
        raise RequestError(
            f"{kind} '{own.name}' (code {own.code[:12]}) is not on this machine: expected in {own.place or 'parts/'}. "
            "A shared folder, or a copy of it at the same place, serves several machines."
        )
    return found[0]


def _package(part: Listed) -> types.ModuleType:
    if part.ours:
        return importlib.import_module(f"bench.shipped.{part.file.stem}")
    try:
        for entry in importlib.metadata.entry_points(group="imagebench.parts"):
            module = importlib.import_module(entry.value.partition(":")[0])
            if module.__file__ and Path(module.__file__).resolve() == part.file:
                return module
    except Exception as error:
        raise _broken(part, error) from error
    raise RequestError(f"{part.kind} '{part.name}' of {part.package}: its entry point is gone.")


def _module(part: Listed) -> types.ModuleType:
    folder = part.file.parent
    state = _state(folder)
    before = _loaded.get(part.file)
    if before is not None and before[0] == state:
        return before[1]
    _forget(folder)
    _one_of_each_name(part)
    _none_of_timm(part.file)
    places = search_path(folder)
    ADDED.update(place for place in places if place not in sys.path)
    sys.path[:] = places
    importlib.invalidate_caches()
    package = PREFIX + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    if package not in sys.modules:
        made = types.ModuleType(package)
        made.__path__ = [str(folder)]
        sys.modules[package] = made
    name = f"{package}.{part.file.stem}"
    spec = importlib.util.spec_from_file_location(name, part.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a file written twice in one second is two files
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Overwriting .* in registry")  # by itself, imported anew
            spec.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(name, None)
        raise _broken(part, error) from error
    finally:
        sys.dont_write_bytecode = writing
    _loaded[part.file] = (state, module)
    return module


def _one_of_each_name(part: Listed) -> None:
    """Let go of modules that are other files than those which the part's code was hashed with.

    Raises:
        RequestError: where two folders that are both in use have a module of one name.
    """
    for name, path in code(part).modules.items():
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or Path(file) == path:
            continue
        live = [place.joinpath(*name.split(".")) for folder in folders() for place in (folder, folder.parent)]
        if Path(file) in [p for place in live for p in (place.with_suffix(".py"), place / "__init__.py")]:
            raise RequestError(f"{part.where}: '{name}' is {path} here, and {file} of another part that is in use. "
                               "Rename one of the two files.")  # fmt: skip
        del sys.modules[name]


def _none_of_timm(file: Path) -> None:
    """Hold the networks that a file registers with timm to names that timm itself does not have.

    Raises:
        RequestError: for one that would take the place of timm's, for every run of this process.
    """
    names = [p for p in parts_of(file, file.stat().st_mtime_ns, "") if p.kind == REGISTERED.name]
    if names:
        import timm

        for part in names:
            if timm.is_model(part.name) and timm.model_entrypoint(part.name).__module__.startswith("timm."):
                raise RequestError(f"{part.where}: timm has a '{part.name}' already. Rename the function.")


def _state(folder: Path) -> str:
    """Of the Python files that a part may be made of: those of its folder, and those beside it that are imported."""
    digest = hashlib.sha256()
    beside = [Path(m.__file__) for m in list(sys.modules.values()) if _of(m, folder.parent)]  # type: ignore[arg-type]
    for file in sorted({*folder.glob("**/*.py"), *beside}):
        if file.is_file():
            digest.update(f"{file}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _of(module: Any, root: Path) -> bool:
    """Whether a module is one of the user's own below `root`."""
    name, file = getattr(module, "__name__", None), getattr(module, "__file__", None)
    if not isinstance(name, str) or not isinstance(file, str) or name.split(".")[0] in ("bench", "tests", "__main__"):
        return False
    path = Path(file)
    return root in path.parents and "site-packages" not in path.parts


def _forget(folder: Path) -> None:
    """Let go of the user's modules of before, so that what is imported now is what is there now."""
    for name, module in list(sys.modules.items()):
        if _of(module, folder) or (_of(module, folder.parent) and name.startswith(PREFIX)):
            del sys.modules[name]
    for file in [f for f in _loaded if folder in f.parents]:
        del _loaded[file]


def _broken(part: Listed, error: Exception) -> RequestError:
    """What to say of a file that does not import: file, line and reason."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if Path(f.filename).parent in (part.file.parent, *part.file.parent.parents[:1])]
    line = getattr(error, "lineno", None) or (inside[-1].lineno if inside else None)
    file = inside[-1].filename if inside else str(part.file)
    place = f"{Path(file).parent.name}/{Path(file).name}" + (f", line {line}" if line else "")
    reason = (str(error) or "no message").splitlines()[0]
    return RequestError(
        f"{part.kind} '{part.name}' cannot be imported: {place}: {type(error).__name__}: {reason}\n"
        f"'python {part.file.parent.name}/{part.file.name}' shows the whole traceback."
    )


def raised(what: str, error: Exception) -> RequestError:
    """What to say when the user's code raised: the reason, and the line of theirs that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if "/bench/" not in f.filename and "site-packages" not in f.filename]
    place = f" ({theirs[-1].filename.rpartition('/')[2]}, line {theirs[-1].lineno})" if theirs else ""
    reason = (str(error).strip() or "no message").splitlines()[0]
    return RequestError(f"{what}{place}: {type(error).__name__}: {reason}")


def _unreadable(part: Listed, error: Exception) -> RequestError:
    name = getattr(error, "filename", None) or part.file
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
    return RequestError(
        f"{part.kind} '{part.name}': {Path(name).parent.name}/{Path(name).name}{line} cannot be read "
        f"({getattr(error, 'msg', None) or error})."
    )
