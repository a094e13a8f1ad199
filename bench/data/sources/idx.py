"""The IDX format of MNIST and its descendants, with checksums."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import RequestError


def read_idx(path: Path, md5: str | None = None) -> NDArray[np.uint8]:
    """The uint8 array in an IDX file, gzipped or not.

    Args:
        md5: expected MD5 (hex) of the *uncompressed* content: distributions compress the same files anew.

    Raises:
        RequestError: naming the file, where it is missing, not IDX, truncated, or not the expected one.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError as error:
        raise RequestError(f"{path}: expected a file here, there is none.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path}: cannot be read ({error}). Fetch the file again.") from error
    if md5 is not None:
        found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if found != md5:
            raise RequestError(f"{path}: MD5 of the content is {found}, expected {md5}. Fetch the file again.")
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":  # two zeros, then the type: 8 is unsigned byte
        raise RequestError(f"{path}: expected an IDX file of unsigned bytes, the first bytes are {raw[:4]!r}.")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise RequestError(f"{path}: the IDX header is cut off.")
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    if len(raw) != start + math.prod(shape):
        raise RequestError(f"{path}: the header promises {math.prod(shape)} bytes {shape}, {len(raw) - start} follow.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
