"""Every file below a folder, whether a folder on the way is a link or not, and what is in a file."""

from __future__ import annotations

import functools
import glob
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

BELOW = 20000  # files below a folder that is named, by a setting or in the part's folder
State = tuple[int, ...] | None


class TooMany(Exception):
    """Of this folder."""


def files_below(folder: Path) -> Iterator[Path]:
    """Its files, sorted; links are followed, and one that leads back to a folder above it is walked only once."""
    for here, folders, files in os.walk(folder, followlinks=True):
        above = {os.path.realpath(p) for p in (Path(here), *Path(here).parents)}
        folders[:] = sorted(f for f in folders if f != "__pycache__" and os.path.realpath(Path(here, f)) not in above)
        yield from (Path(here, name) for name in sorted(files))


def matches(folder: Path, pattern: str, most: int | None = None) -> tuple[list[str], list[Path]]:
    """What a pattern (`t/*.txt`) means in a folder: (paths from the folder, sorted; folders whose content decides).

    With more than `most` such folders it stops, and gives no paths.
    """
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    looked = [folder.joinpath(*parts[:fixed])]
    for depth in range(fixed + 1, len(parts) + ("**" in parts[-1])):
        looked += [folder / p for p in _glob(folder, os.path.join(*parts[:depth])) if (folder / p).is_dir()]
        if most is not None and len(looked) > most:
            return [], looked
    return [p for p in _glob(folder, pattern) if "__pycache__" not in Path(p).parts], looked


def _glob(folder: Path, pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True))


def few_files_below(folder: Path) -> list[Path]:
    """Its files, without links that lead nowhere, devices and the like.

    Raises:
        TooMany: for more than BELOW.
    """
    found = [*itertools.islice(filter(Path.is_file, files_below(folder)), BELOW + 1)]
    if len(found) > BELOW:
        raise TooMany(folder)
    return found


def state_of(path: Path) -> State:
    """(inode, ctime, size, mtime): no change of a file's content leaves all of them as they were."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_ino, stat.st_ctime_ns, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=1024)
def digest(path: Path, state: State) -> str:
    """SHA-256 of a file that is as `state` says."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
