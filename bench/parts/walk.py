"""Every file below a folder, whether a folder on the way is a link or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def below(folder: Path) -> Iterator[Path]:
    """Its files, sorted; links are followed, and one that leads back to a folder above it is walked only once."""
    for here, folders, files in os.walk(folder, followlinks=True):
        above = {os.path.realpath(p) for p in (Path(here), *Path(here).parents)}
        folders[:] = sorted(f for f in folders if f != "__pycache__" and os.path.realpath(Path(here, f)) not in above)
        yield from (Path(here, name) for name in sorted(files))
