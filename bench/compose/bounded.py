"""YAML files that somebody else wrote: read within limits, so that none fills the memory or runs for hours.

A few lines of aliases to aliases are a million million entries once they are followed; a number of a million digits
takes minutes to print.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from bench.schema.errors import RequestError

LARGEST = 2**20  # bytes of a file
ENTRIES = 50_000  # with aliases followed
BITS = 4000  # of a number


class NotRead(RequestError):
    """A file is no YAML, or cannot be read."""


def read_yaml(path: Path, loader: type[Any] = yaml.SafeLoader) -> Any:
    """The content of a YAML file.

    Raises:
        RequestError: naming the file and the limit, or where it is no YAML.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise RequestError(f"{path.name} has {path.stat().st_size:,} bytes; {LARGEST:,} are the most.")
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (yaml.YAMLError, ValueError) as error:  # no UTF-8, a number of thousands of digits, the 40th of January
        endless = isinstance(error, ValueError) and "integer string conversion" in str(error)
        raise (RequestError if endless else NotRead)(f"{path.name} is not YAML: {error}") from None
    except RecursionError:
        raise RequestError(f"{path.name} is nested too deeply.") from None
    except OSError as error:
        raise NotRead(f"{path}: cannot be read ({error.strerror}).") from None
    _refuse_unbounded(data, path.name)
    return data


def _refuse_unbounded(data: Any, where: str) -> None:
    """Refuse what grows beyond all bounds when its aliases are followed.

    Raises:
        RequestError: for more than `ENTRIES` entries, each counted as often as it is named, or an endless number.
    """
    count, waiting = 0, [data]
    while waiting:
        part = waiting.pop()
        count += 1
        if count > ENTRIES:
            raise RequestError(f"{where} has more than {ENTRIES:,} entries, aliases followed.")
        if isinstance(part, int) and part.bit_length() > BITS:
            raise RequestError(f"{where} has a number of more than a thousand digits.")
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def check_folder(folder: Path, groups: Iterable[str]) -> None:
    """See that every YAML file of somebody's own settings is within the limits: config.yaml, and those of the groups.

    Raises:
        RequestError: for the first that is not. What is no YAML, or cannot be read, is left to whoever reads it.
    """
    for path in [
        folder / "config.yaml",
        *(path for group in groups for path in sorted((folder / group).rglob("*.yaml"))),
    ]:
        try:
            about = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode):
            _check(path, about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=1000)
def _check(path: Path, size: int, changed: int) -> None:
    """The same for one file, in this state."""
    with suppress(NotRead):
        read_yaml(path)
