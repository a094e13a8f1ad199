"""Importing a user's file, anew where it has changed, and only if its code is the one that was asked for."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.hashing import FIXED, SEED, is_drawn
from bench.parts.code import code
from bench.parts.declare import MARK, Declared
from bench.parts.finders import HASHED, package_of
from bench.parts.listing import all_parts, entry_modules, folders, is_installed
from bench.parts.loaders import import_loaders
from bench.parts.named import named_files, places_named
from bench.parts.patches import note, note_settings, same_draws, take_back, threads_noted
from bench.parts.reads import watch_reads
from bench.parts.signature import forget_settings
from bench.parts.use import ADDED, search_path
from bench.parts.walk import State, state_of
from bench.schema.errors import RequestError
from bench.schema.offered import REGISTERED, Listed, parts_of
from bench.schema.own import Own

SOURCES: dict[str, dict[str, str]] = {}  # code -> files of what was run in this process
_loaded: dict[Path, types.ModuleType] = {}  # file of a part -> its module
_codes: dict[tuple[Path, str], str] = {}  # (file, part) -> the code that was imported
_before: set[tuple[Path, str]] = set()  # (file, code) that was imported in this process
_used: dict[Path, State] = {}  # files that were imported, as they were then
_of_code: set[str] = set()  # entries of sys.path that the files which are loaded have added
_lock = threading.RLock()


def function(kind: str, own: Own) -> Callable[..., Any]:
    """The function of an Experiment's own part, whose code is the one that the Experiment was planned with.

    Raises:
        RequestError: when the file is gone, does not import, has other code by now, or goes through a set in a
            process that hashes texts in its own way.
    """
    part = _place_of(kind, own)
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
    if changed := [n for n, digest in json.loads(own.named).items() if named_files(part, own.values).get(n) != digest]:
        raise RequestError(f"{kind} '{own.name}': the file that {changed[0]} names has changed since this was planned. "
                           "The same command plans it anew.")  # fmt: skip
    if found.unordered and is_drawn():
        raise RequestError(
            f"{kind} '{own.name}' goes through a set or calls hash() ({found.unordered}), which differs from "
            "process to process: no run could be repeated. Put the elements in order (sorted(names), or a list, or a "
            f"dict), or start Python with {SEED}={FIXED} in its environment, as the command bench does by itself."
        )
    SOURCES[own.code] = found.files
    return load(part)


def places_in_key(kind: str, own: Own) -> tuple[frozenset[Path], frozenset[tuple[Path, str]]]:
    """The files that the key of an Experiment's own part knows, of its code and of settings, and the names in them."""
    part = _place_of(kind, own)
    named = (path for path, _ in places_named(part, own.values).values()) if own.named != "{}" else ()
    found = code(part)
    return found.paths.union(named), found.names


def load(part: Listed) -> Callable[..., Any]:
    """The function or class of a part; its file is imported where it was not, or has changed.

    Raises:
        RequestError: naming file, line and reason, when it does not import.
    """
    with _lock:
        module = _package(part) if part.package else _module(part)
    made: Any = getattr(module, part.name, None)
    mark = getattr(made, MARK, None)
    if isinstance(mark, Declared) and mark.kind != part.kind and part.kind != REGISTERED.name:
        raise RequestError(f"{part.where}: '{part.name}' is the name of a {part.kind} and of a {mark.kind} in this "
                           "file, of which Python keeps the last. Rename one of the two.")  # fmt: skip
    if part.kind != REGISTERED.name and not isinstance(mark, Declared):
        raise RequestError(
            f"{part.where}: '{part.name}' is no {part.kind} any more when the file is imported. "
            f"The decorator must be the outermost one: @{part.kind}."
        )
    return made


def _place_of(kind: str, own: Own) -> Listed:
    """Where the code of an Experiment's part is on this machine."""
    found = [p for p in all_parts() if (p.kind, p.name) == (kind, own.name)]
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
        for name, file in entry_modules():  # of others nothing is imported
            if file == part.file:
                return importlib.import_module(name)
    except Exception as error:
        raise _import_error(part, error) from error
    raise RequestError(f"{part.kind} '{part.name}' of {part.package}: its entry point is gone.")


def forget_modules() -> None:
    """Let go of all that was imported of users' files: a run begins with modules as their code makes them, torch's too.

    What an earlier run of this process left in them (a counter, a cache, a value that another part's file changed)
    would otherwise be in its numbers, and not in its key.
    """
    with _lock:
        _forget(set(), set(_used))
        forget_settings()
        note_settings()


def _module(part: Listed) -> types.ModuleType:
    """The module of a part's file; parts of one run share what they import, so that a class is the same for all."""
    folder, found = part.file.parent, code(part)
    stale = any(state_of(path) != state for path, state in _used.items())
    if stale or _codes.get((part.file, part.name), found.hash) != found.hash:
        _forget({folder}, {*_used, *found.paths})
    _codes[part.file, part.name] = found.hash
    if part.file in _loaded:
        return _loaded[part.file]
    _one_of_each_name(part)
    _none_of_timm(part.file)
    _look_in(search_path(folder))
    importlib.invalidate_caches()
    package = package_of(folder)
    HASHED.update(found.paths)
    note(found.files.values())
    import_loaders(found.files.values())
    before, path = set(sys.modules), set(sys.path)
    writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a file written twice in one second is two files
    try:
        # What a dataset reads is in its images, which are in the key.
        only = ".py" if part.kind == "dataset" else ""
        watched = watch_reads(f"{part.kind} '{part.name}'", found.paths, only, found.names)
        with warnings.catch_warnings(), threads_noted(), same_draws(), watched:
            warnings.filterwarnings("ignore", "Overwriting .* in registry")  # by itself, imported anew
            module = importlib.import_module(f"{package}.{part.file.stem}")
    except (Exception, SystemExit) as error:  # exit() in a file ends the file, not the command with status 0
        for name in sys.modules.keys() - before:  # so that the next attempt says the same
            file = getattr(sys.modules[name], "__file__", None)
            if isinstance(file, str) and not is_installed(Path(file)):
                _drop(name)
        again = (part.file, found.hash) in _before
        raise error if isinstance(error, RequestError) else _import_error(part, error, again) from error
    finally:
        sys.dont_write_bytecode = writing
        _of_code.update(place for place in sys.path if place not in path)
        ADDED.update(_of_code)
    if code(part).hash != found.hash:
        _forget({folder}, {*_used, *found.paths})
        raise RequestError(f"{part.kind} '{part.name}' ({part.where}) was changed while it was imported. Say it again.")
    _loaded[part.file] = module
    _before.add((part.file, found.hash))
    _used.update({path: state_of(path) for path in found.paths})
    return module


def _look_in(places: list[str]) -> None:
    """Let imports look in places, and in those that code which is loaded has added itself."""
    ADDED.update(place for place in places if place not in sys.path)
    sys.path[:] = [place for place in sys.path if place not in ADDED or place in _of_code]
    sys.path += [place for place in places if place not in sys.path]


def _one_of_each_name(part: Listed) -> None:
    """Let go of modules that are other files than those which the part's code was hashed with.

    Raises:
        RequestError: where two folders that are both in use have a module of one name.
    """
    for name, path in code(part).modules.items():
        if name not in sys.modules:
            continue
        file = getattr(sys.modules[name], "__file__", None)
        if file is None:  # a folder without __init__.py, which it has by now
            _drop(name)
            continue
        if Path(file) == path:
            continue
        live = [place.joinpath(*name.split(".")) for folder in folders() for place in (folder, folder.parent)]
        if Path(file) in [p for place in live for p in (place.with_suffix(".py"), place / "__init__.py")]:
            raise RequestError(f"{part.where}: '{name}' is {path} here, and {file} of another part that is in use. "
                               "Rename one of the two files.")  # fmt: skip
        _drop(name)


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


def _drop(name: str) -> None:
    """Take a module out, of its package too: `from . import layers` asks that first, and would get the old one."""
    module = sys.modules.pop(name, None)
    package, _, last = name.rpartition(".")
    if module is not None and vars(sys.modules.get(package, module)).get(last) is module:
        delattr(sys.modules[package], last)


def _of(module: Any, root: Path) -> bool:
    """Whether a module is one of the user's own below `root`."""
    name, file = getattr(module, "__name__", None), getattr(module, "__file__", None)
    if not isinstance(name, str) or not isinstance(file, str) or name.split(".")[0] in ("bench", "tests", "__main__"):
        return False
    path = Path(file)
    return root in path.parents and "site-packages" not in path.parts


def _forget(places: set[Path], files: set[Path]) -> None:
    """Let go of users' modules of before, so that what is imported now is what is there now."""
    take_back()
    sys.path[:] = [place for place in sys.path if place not in _of_code]
    _of_code.clear()
    places = places | {path.parent for path in _loaded}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if any(_of(module, place) for place in places) or (isinstance(file, str) and Path(file) in files):
            _drop(name)
            while name := name.rpartition(".")[0]:  # of the folders around it those that have no file
                if getattr(sys.modules.get(name), "__file__", "") is None:
                    _drop(name)
    for kept in (_loaded, _used):
        for path in [p for p in kept if p in files or places & {*p.parents}]:
            del kept[path]


def _import_error(part: Listed, error: Exception | SystemExit, again: bool = False) -> RequestError:
    """What to say of a file that does not import: file, line and reason."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if Path(f.filename).parent in (part.file.parent, *part.file.parent.parents[:1])]
    line = getattr(error, "lineno", None) or (inside[-1].lineno if inside else None)
    file = inside[-1].filename if inside else str(part.file)
    place = f"{Path(file).parent.name}/{Path(file).name}" + (f", line {line}" if line else "")
    reason = (str(error) or "no message").splitlines()[0]
    if again:
        return RequestError(
            f"{part.kind} '{part.name}' cannot be imported a second time in one process: {place}: "
            f"{type(error).__name__}: {reason}\nEach run imports it anew. Guard what can be registered only once (an "
            "operator of torch.library, a resolver of OmegaConf, a colormap) by "
            f"'try: ... except {type(error).__name__}: pass'."
        )
    return RequestError(
        f"{part.kind} '{part.name}' cannot be imported: {place}: {type(error).__name__}: {reason}\n"
        f"'python {part.file.parent.name}/{part.file.name}' shows the whole traceback."
    )


def error_of(what: str, error: Exception | SystemExit) -> RequestError:
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
