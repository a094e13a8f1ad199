"""Every file below a folder, whether a folder on the way is a link or not."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path


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
