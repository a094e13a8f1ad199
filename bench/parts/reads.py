"""What a user's code reads while it is imported and tried: refused where its key does not know the file.

The syntax tells which modules a part imports and which files it names (`bench.parts.code`). Where it does not tell, as
of a name that is computed or a folder that the code puts on sys.path, a changed file would leave the key as it was, and
an old number would answer for new code. So Python's own audit events are listened to: which file is opened, and by
whose code. What a library opens by itself, in C or in another program, raises no such event (safetensors,
`torch.jit.load`, `torchvision.io.read_image`, a subprocess), but for SQLite: such a file counts where the code or a
setting names it, and is not noticed where its name is computed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
import tempfile
import urllib.parse
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.schema.errors import RequestError

BENCH = str(Path(__file__).resolve().parents[1]) + os.sep
# What is not the user's: Python and what is installed, the system, what libraries keep for themselves.
_VARIABLES = (
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME", "HF_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"),
    *("TRITON_CACHE_DIR", "NUMBA_CACHE_DIR"),
)
_PLACES = (
    *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")),
    *("/proc", "/sys", "/dev", "/etc", "/usr"),
    *(os.path.expanduser(f"~/{name}") for name in (".cache", ".config", ".triton", ".nv")),
)
ELSEWHERE = (
    *(place.rstrip(os.sep) + os.sep for name in _PLACES for place in {name, os.path.realpath(name)}),
    os.path.join(tempfile.gettempdir(), "torchinductor_"),
)
INSTALLED = re.compile(r"/(site-packages|[^/]+\.(egg|dist)-info)/")
SOURCES = tuple(f"{os.sep}{name}.py" for name in ("linecache", "tokenize"))
_watches: list[_Watch] = []
_hooked = False


class _Watch:
    """The files that were opened for reading: path as it was given -> where from; and those that were written."""

    def __init__(self) -> None:
        self.read: dict[str, str] = {}
        self.written: set[Path] = set()


@contextmanager
def watch_reads(what: str, known: Collection[Path], only: str = "") -> Iterator[None]:
    """Inside, users' code may read the files and folders that are known.

    Args:
        what: whose code it is, for the message.
        only: ending of the names that count; "" for all.

    Raises:
        RequestError: after it, for the first other file that users' code has read.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_opened)  # it cannot be taken out again; without a watch it does nothing
        _hooked = True
    watch = _Watch()
    _watches.append(watch)
    try:
        yield
    finally:
        _watches[:] = [other for other in _watches if other is not watch]
    # One file has several names: by a link, by "..", from a folder that is a link.
    own = {name for path in known for name in (os.path.abspath(path), os.path.realpath(path))} if watch.read else set()
    for text, where in watch.read.items():
        path, real = Path(os.path.abspath(text)), Path(os.path.realpath(text))
        fine = path in watch.written or not real.is_file() or not path.name.endswith(only)
        if fine or any(str(place) in own for one in (path, real) for place in (one, *one.parents)):
            continue
        raise RequestError(
            f"{what} reads {path} ({where}), and the hash of its code does not see that: when the file changes, "
            "nothing would run again. Put it into the part's folder and write its name as a text, or import it from "
            "there; or make its name a setting (weights: str = 'first.pt')."
        )


def _opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("open", "sqlite3.connect") or not _watches:
        return
    name, mode, flags = arguments if event == "open" else (_database(arguments[0]), None, None)
    if not isinstance(name, str | bytes | os.PathLike):
        return
    text = os.fsdecode(name)
    if text.endswith(".pyc"):
        try:
            text = importlib.util.source_from_cache(text)
        except ValueError:
            return
    text = os.path.join(os.getcwd(), text)
    path = os.path.abspath(text)
    if _is_elsewhere(path):
        return
    if (isinstance(mode, str) and set(mode) & set("wax+")) or (
        isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        for watch in _watches:
            watch.written.add(Path(path))
    elif where := _whose(sys._getframe(1)):
        for watch in _watches:
            watch.read.setdefault(text, where)


def _database(name: Any) -> Any:
    """The file that SQLite is asked for, which it opens itself; None where it is none, or comes only now."""
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    text = urllib.parse.unquote(text[5:].partition("?")[0]) if text.startswith("file:") else text
    return text if os.path.isfile(text) else None


def _is_elsewhere(path: str) -> bool:
    """Whether a file is Python's, ours, of what is installed, or what libraries keep for themselves."""
    if path.startswith((BENCH, *ELSEWHERE)) or INSTALLED.search(path):
        return True
    return path.startswith(tuple(_kept_by_libraries()))


def _kept_by_libraries() -> list[str]:
    """Folders that variables give to libraries for settings and caches of theirs; never one with the user's own."""
    found = [place for name in _VARIABLES if (place := os.environ.get(name))]
    both = {place for name in found for place in (os.path.abspath(name), os.path.realpath(name))}
    return [place for name in both if not f"{os.getcwd()}{os.sep}".startswith(place := name.rstrip(os.sep) + os.sep)]


def of_user(file: str) -> bool:
    """Whether a file of code is the user's: neither Python's, nor of what is installed, nor ours."""
    return not file.startswith("<") and not _is_elsewhere(file)


def _whose(frame: Any) -> str:
    """`net.py, line 7` where a user's code asked for it, be it through a library; "" where it was bench."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.endswith(SOURCES):  # for a message or a decorator: of code that has been imported
            return ""
        if file.startswith(BENCH) and not file.startswith(f"{BENCH}parts{os.sep}reads"):
            return ""
        if of_user(file):
            return f"{os.path.basename(file)}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
