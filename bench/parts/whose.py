"""Whose code asked: the user's, a library's, or ours. What is not the user's among files."""

from __future__ import annotations

import os
import re
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

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
HEARING = tuple(f"{BENCH}parts{os.sep}{name}.py" for name in ("reads", "environment", "loaders", "load", "finders"))
# Modules between a user's code and what it asks for.
PASSING = ("os", "collections.abc", "subprocess", "posixpath", "ntpath", "string", "re")


def is_elsewhere(path: str) -> bool:
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
    return not file.startswith("<") and not is_elsewhere(file)


def whose_line(frame: Any) -> str:
    """`net.py, line 7` where a user's code asked for it itself, "" where a library did."""
    while frame is not None and frame.f_globals.get("__name__") in PASSING:
        frame = frame.f_back
    user = frame is not None and of_user(frame.f_code.co_filename)
    return f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}" if user else ""


def whose(frame: Any) -> str:
    """`net.py, line 7` where a user's code asked for it, be it through a library; "" where it was bench."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.endswith(SOURCES):  # for a message or a decorator: of code that has been imported
            return ""
        if file.startswith(BENCH) and not file.startswith(HEARING):
            return ""
        if of_user(file):
            return f"{os.path.basename(file)}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
