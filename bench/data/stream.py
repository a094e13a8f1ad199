"""Images that stay in their files and are decoded when asked for: for sets larger than the disk or the memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.sources.decode import BadImage, Rule
from bench.schema.errors import RequestError


@dataclass(frozen=True)
class Streamed:
    """Looks like the array uint8 [N, C, H, W] that decoding every file would give.

    `images[i]` is uint8 [C, H, W]; `images[indices]` is uint8 [n, C, H, W], decoded in threads: Pillow
    decodes and resizes outside Python's lock, so threads use every core and share what they read.
    """

    files: Sequence[str]
    rule: Rule
    shape: tuple[int, int, int, int]

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, which: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        if isinstance(which, int | np.integer):
            return self._one(int(which))
        chosen = np.arange(len(self))[which]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = list(pool.map(self._one, chosen.tolist()))
        return np.stack(found) if found else np.zeros((0, *self.shape[1:]), np.uint8)

    def ahead(self, parts: Sequence[NDArray[np.int64]], depth: int = 2) -> Iterator[NDArray[np.uint8]]:
        """`self[part]` for each part in order, `depth` parts being decoded while the caller works on one."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            waiting: list[list[Future[NDArray[np.uint8]]]] = []
            for part in (*parts, *[None] * depth):
                if part is not None:
                    waiting.append([pool.submit(self._one, i) for i in part.tolist()])
                if (part is None or len(waiting) > depth) and waiting:
                    yield np.stack([future.result() for future in waiting.pop(0)])

    def _one(self, i: int) -> NDArray[np.uint8]:
        from bench.data.sources.files import fetch

        place = self.files[i]
        try:
            return self.rule(fetch(place))
        except BadImage as error:
            raise RequestError(f"{place} {error}; it was readable when this set was indexed. Put it back.") from error
