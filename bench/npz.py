"""Reading NumPy's files, which somebody may have sent, and a disk or a kill may have damaged."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNPACKED = 2**30  # bytes that an .npz may become: one of zeros is a thousandth of them


class Damaged(ValueError):
    """Not the file that was written."""


def read_npz(file: Path | io.BytesIO, most: float | None = None) -> dict[str, NDArray[np.generic]]:
    """All arrays of an .npz.

    Args:
        most: bytes that they may have, UNPACKED where nothing is said: files that nobody else wrote may be larger.

    Raises:
        Damaged: for what is none, holds Python objects, or would take more.
        OSError: for a file that cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if (size := sum(entry.file_size for entry in archive.infolist())) > (UNPACKED if most is None else most):
                raise Damaged(f"{size:,} bytes unpacked")
        if isinstance(file, io.BytesIO):
            file.seek(0)
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, Damaged):
        raise
    except Exception as error:  # readers of zip, zlib, struct and of Python's own syntax let theirs through
        raise Damaged(str(error)) from error
