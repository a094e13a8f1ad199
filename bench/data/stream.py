"""Images that stay in their files and are decoded when asked for: for sets larger than the disk or the memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.sources.decode import BadImage, Rule
from bench.schema.errors import RequestError
from bench.schema.secrets import redact


@dataclass(frozen=True)
class Streamed:
    """Looks like the array uint8 [N, C, H, W] that decoding every file would give.

    `images[i]` is uint8 [C, H, W]; `images[indices]` is uint8 [n, C, H, W], decoded in threads (Pillow works
    outside Python's lock). Batches come from `bench.data.decoding.ahead`, which worker
    processes decode.

    Attributes:
        files: where each image lies.
        workers: processes of `decoding.ahead`; None: one for each core of the run (torch's threads), 0: none.
    """

    files: Sequence[str]
    rule: Rule
    shape: tuple[int, int, int, int]
    workers: int | None = None

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, which: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        if isinstance(which, int | np.integer):
            return self.decode_image(int(which))
        chosen = np.arange(len(self))[which]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = list(pool.map(self.decode_image, chosen.tolist()))
        return np.stack(found) if found else np.zeros((0, *self.shape[1:]), np.uint8)

    def decode_image(self, i: int) -> NDArray[np.uint8]:
        """Image `i`, uint8 [C, H, W].

        Raises:
            RequestError: where its file is gone or damaged since the set was indexed.
        """
        from bench.data.sources.fetch import fetch

        place = self.files[i]
        try:
            return self.rule(fetch(place))
        except BadImage as error:
            raise RequestError(
                f"{redact(place)} {error}; it was readable when this set was indexed. Put it back."
            ) from error
