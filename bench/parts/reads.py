"""What a user's code reads while it is imported and tried: refused where its key does not know the file.

The syntax tells which modules a part imports and which files it names (`bench.parts.code`). Where it does not tell, as
of a name that is computed or a folder that the code puts on sys.path, a changed file would leave the key as it was, and
an old number would answer for new code. So Python's own audit events are listened to: which file is opened, and by
whose code.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.schema.errors import RequestError

BENCH = str(Path(__file__).resolve().parents[1]) + os.sep
# What is not the user's: Python and what is installed, the system, what libraries keep for themselves.
_PLACES = (
    *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")),
    *("/proc", "/sys", "/dev", "/etc", "/usr"),
    *(os.environ.get(name) or "/dev" for name in ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")),
    *(os.path.expanduser(f"~/{name}") for name in (".cache", ".triton", ".nv")),
)
ELSEWHERE = (
    *(place.rstrip(os.sep) + os.sep for place in _PLACES),
    os.path.join(tempfile.gettempdir(), "torchinductor_"),
)
SOURCES = tuple(f"{os.sep}{name}.py" for name in ("linecache", "tokenize"))
_watches: list[_Watch] = []
_hooked = False


class _Watch:
    """The files that were opened for reading: path -> where from; and those that were written."""

    def __init__(self) -> None:
        self.read: dict[Path, str] = {}
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
    for path, where in watch.read.items():
        fine = path in watch.written or not path.is_file() or any(place in known for place in (path, *path.parents))
        if fine or not path.name.endswith(only):
            continue
        raise RequestError(
            f"{what} reads {path} ({where}), and the hash of its code does not see that: when the file changes, "
            "nothing would run again. Put it into the part's folder and write its name as a text, or import it from "
            "there; or make its name a setting (weights: str = 'first.pt')."
        )


def _opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _watches:
        return
    name, mode, flags = arguments
    if not isinstance(name, str | bytes | os.PathLike):
        return
    text = os.fsdecode(name)
    if text.endswith(".pyc"):
        try:
            text = importlib.util.source_from_cache(text)
        except ValueError:
            return
    text = os.path.abspath(text)
    if text.startswith((*ELSEWHERE, BENCH)) or f"{os.sep}site-packages{os.sep}" in text:
        return
    if (isinstance(mode, str) and set(mode) & set("wax+")) or (
        isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        for watch in _watches:
            watch.written.add(Path(text))
    elif where := _whose(sys._getframe(1)):
        for watch in _watches:
            watch.read.setdefault(Path(text), where)


def of_user(file: str) -> bool:
    """Whether a file of code is the user's: neither Python's, nor of what is installed, nor ours."""
    return not file.startswith(("<", BENCH, *ELSEWHERE)) and f"{os.sep}site-packages{os.sep}" not in file


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
