"""What a source of images owes: an identity that is cheap to ask for, and a reading of all its images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.data.sources.decode import Rule

# Values of `Contents.official`.
UNASSIGNED, TRAIN, VAL, TEST = 0, 1, 2, 3


Write = Callable[[NDArray[np.uint8]], None]  # takes [n, C, H, W]; every call the same C, H, W


Note = tuple[str, str, str]  # a finding's name, reason and remedy


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What belongs to the images that a source has written.

    Attributes:
        labels: int64 [N], in the order in which the images were written.
        classes: K names.
        official: int8 [N], the split that the publisher assigned: UNASSIGNED, TRAIN, VAL or TEST.
        skipped: "file: reason" for every file that was left out, where the user asked for that.
        digest: hex digest of the content where the source computes one itself, as from the bytes of its files;
            otherwise the cache computes it from pixels and labels.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    official: NDArray[np.int8]
    skipped: tuple[str, ...] = field(default=())
    digest: str | None = None
    files: tuple[str, ...] | None = None  # set for a stream: where each image lies; nothing was written then
    rule: Rule | None = None  # how files are decoded
    shape: tuple[int, int, int] | None = None  # C, H, W of a stream's images
    hashes: NDArray[np.uint64] | None = None  # [N], `pixel_hash` of a stream's images
    origins: NDArray[np.uint64] | None = None  # [N], of the bytes of each image's file
    paths: tuple[str, ...] | None = None  # how messages name each image; None: by its number
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name -> N values, for groups
    forms: tuple[str, ...] | None = None  # of each image, before decoding: JPEG RGB 640 x 480
    notes: tuple[Note, ...] = ()  # warnings about what was read
    remarks: tuple[str, ...] = ()  # what is worth a line, and no warning


class Source(NamedTuple):
    """One kind of origin.

    Attributes:
        identity: plain data that changes when the content would; answers without decoding anything.
        read: writes every image, in order, and returns what belongs to them.
            Raises RequestError, naming the file, for anything missing or damaged.
    """

    identity: Callable[[Any], Mapping[str, Any]]
    read: Callable[[Any, Write], Contents]


def state(path: str | Path) -> tuple[int, int, int, int]:
    """(inode, ctime, size, mtime) of a file: no change of its content leaves all of them as they were.

    ctime alone tells it, as no program sets it; the others show a file that another one took the place of.

    Raises:
        OSError: where there is no such file.
    """
    found = os.stat(path)
    return found.st_ino, found.st_ctime_ns, found.st_size, found.st_mtime_ns


def stamp(path: Path) -> list[Any]:
    """Name and state of a file as plain data: differs when the content does, without reading it.

    Raises:
        RequestError: where there is no such file.
    """
    try:
        return [path.name, *state(path)]
    except OSError as error:
        raise RequestError(f"{path}: expected a file here ({error.strerror}).") from error


def pixel_hash(image: NDArray[np.uint8]) -> int:
    """64 bits of an image's bytes; any two of a million different images agree with probability 3e-8."""
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest(), "little")
