"""Decoding ahead of training: a DataLoader whose worker processes turn files into pixels, in order."""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data.stream import Streamed
from bench.schema.errors import RequestError, RunFailed

CHUNK = 16  # images that a worker decodes at a time: all workers share one batch, and none holds a large piece of it
AHEAD = 64 * 2**20  # bytes decoded ahead of the batch that is asked for, at most (and no less than two chunks a worker)


def ahead(images: Streamed, parts: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
    """`images[part]` for each part, in order, while workers decode up to two parts ahead.

    What comes does not depend on the number of workers, and no random state but the loader's own is touched. One
    thread may read several in turns. Two threads may not: a worker forked while another thread ends its own was seen
    to exit without a word.

    Raises:
        RequestError: naming the file, where one cannot be decoded any more.
        RunFailed: where the system ended a worker.
    """
    pieces = [[part[i : i + CHUNK] for i in range(0, len(part), CHUNK)] for part in parts]
    chunks = [chunk for piece in pieces for chunk in piece]
    found = iter(_loader(images, chunks, max(map(len, parts), default=0)))
    for part, piece in zip(parts, pieces, strict=True):
        batch = np.empty((len(part), *images.shape[1:]), np.uint8)
        start = 0
        for chunk in piece:
            batch[start : start + len(chunk)] = _take(found)
            start += len(chunk)
        yield batch


class _Chunks(Dataset[Tensor | str]):
    """Decodes one chunk: uint8 [n, C, H, W], or what is wrong with one of its files."""

    def __init__(self, images: Streamed, chunks: Sequence[NDArray[np.int64]]) -> None:
        self.images, self.chunks = images, chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, which: int) -> Tensor | str:
        try:
            return torch.from_numpy(np.stack([self.images.decode_image(i) for i in self.chunks[which].tolist()]))
        except RequestError as error:  # as text: torch would hide an exception's message behind a traceback
            return str(error)


def _loader(images: Streamed, chunks: Sequence[NDArray[np.int64]], largest: int) -> DataLoader[Tensor | str]:
    count = min(torch.get_num_threads() if images.workers is None else images.workers, len(chunks))
    if multiprocessing.current_process().daemon:  # which may not have children
        count = 0
    one = CHUNK * math.prod(images.shape[1:])
    wanted = min(2 * largest * math.prod(images.shape[1:]), AHEAD)
    return DataLoader(
        _Chunks(images, chunks),
        batch_size=None,
        num_workers=count,
        prefetch_factor=max(2, -(-wanted // (one * count))) if count else None,
        # A fork shares the list of files and starts in milliseconds; elsewhere whatever Python's default is.
        multiprocessing_context="fork" if count and sys.platform == "linux" else None,
        generator=torch.Generator(),  # the global one would go on by a step, and with it dropout's draws
    )


def _take(found: Iterator[Tensor | str]) -> NDArray[np.uint8]:
    """The next chunk."""
    try:
        chunk = next(found)
    except RuntimeError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunFailed(f"a process that decodes images ended ({reason}); dataset.workers=0 does without") from error
    if isinstance(chunk, str):
        raise RequestError(chunk)
    return chunk.numpy()
