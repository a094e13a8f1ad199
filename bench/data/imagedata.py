"""ImageData: what every source of images hands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import Entry
from bench.data.sources.contract import Note
from bench.data.stream import Streamed


@dataclass(frozen=True)
class ImageData:
    """Images in memory or in a memory map, labels, and who belongs to which split.

    Attributes:
        images: uint8 [N, C, H, W]: a copy-on-write memory map shared by processes, or `Streamed`, which decodes
            what it is asked for; `images[indices]` is an array either way.
        labels: int64 [N], in 0..K-1.
        classes: K class names.
        train, val, test: int64 index arrays into N; disjoint.
        fingerprint: hex digest of images, labels and split membership; part of the run key.
        test_fingerprint: of the test split alone, which subsets of the train split share; for the ledger of looks.
        skipped: "file reason" of every file that was left out, where the user allowed that.
        hashes: uint64 [N], the same for images of the same pixels; None where nobody computed them.
        groups: int64 [N], which group each image belongs to; None where the split asks for none.
        notes: (name, reason, remedy) of what is doubtful about what was read.
        remarks: what is worth a line, and no doubt.
        entry: where the names of files are found.
    """

    images: NDArray[np.uint8] | Streamed
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    fingerprint: str
    test_fingerprint: str = ""
    skipped: tuple[str, ...] = ()
    hashes: NDArray[np.uint64] | None = None
    groups: NDArray[np.int64] | None = None
    notes: tuple[Note, ...] = ()
    remarks: tuple[str, ...] = ()
    entry: Entry | None = None

    @property
    def paths(self) -> Sequence[str] | None:
        """The name of each image's file, [N]; None where a set holds no files."""
        return None if self.entry is None else self.entry.listing["paths"]

    @property
    def forms(self) -> Sequence[str] | None:
        """Format, mode and size of each image before it was decoded, [N]; None where nobody knows."""
        return None if self.entry is None else self.entry.listing["forms"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        c, h, w = self.images.shape[1:]
        return c, h, w

    def split(self, name: str) -> NDArray[np.int64]:
        """The indices of split `name`: train, val or test."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    @property
    def used(self) -> NDArray[np.int64]:
        """The indices of all three splits, ascending: int64 [n]. The same for every fold, but for a training subset."""
        return np.sort(np.concatenate([self.train, self.val, self.test]))
