"""Neighbours found once and shared: by every k, vote, head and seed of a sweep, in whatever process they run.

A search for a few k more costs hardly more, so it is made for a power of two, 32 at least, and kept on disk under a
hash of what was searched (`bench.features.cached_array`: one process searches, the others wait and read). A sweep asks
for its largest k first (`bench.sweep.plan.widest_first`), and that answer holds those to all others: a curve over k
costs one search. All folds share one among all images (`bench.models.folds`).
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import cache_folder
from bench.features import cached_array
from bench.models.search import Metric, neighbours

LAYOUT = 1  # raise when the same content would give other neighbours
LEAST = 32  # neighbours searched for at least
ROW = np.dtype([("distance", "<f8"), ("index", "<i4")])


class Neighbours(NamedTuple):
    """The answer to a search.

    Attributes:
        distances: float64 [Q, k], ascending.
        indices: int64 [Q, k], into the training rows.
        seconds: that the search took when it was made, be it in another run.
    """

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]
    seconds: float


def cached_neighbours(
    train: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    metric: Metric = "l2",
    device: str = "cpu",
    *,
    keep: bool = True,
) -> Neighbours:
    """The k nearest rows of `train` [N, D] for each of `queries` [Q, D]; see `bench.models.search.neighbours`.

    Args:
        keep: look for the answer on disk, and leave it there.

    Raises:
        RequestError: as `neighbours`, and when the cache folder cannot be written.
    """
    if not keep or not 1 <= k <= len(train):  # the search says what is wrong with the k
        return _search(train, queries, k, metric, device)
    folder, name = cache_folder() / "neighbours", _name(train, queries, metric, device)
    widths = _widths(k, len(train))
    path, *wider = [folder / f"{name}-{width}.npy" for width in widths]

    def compute() -> NDArray[np.void]:
        made = _search(train, queries, widths[0], metric, device)
        path.with_suffix(".json").write_text(json.dumps({"seconds": made.seconds}))  # before the answer appears
        rows = np.empty(made.indices.shape, ROW)
        rows["distance"], rows["index"] = made.distances, made.indices
        return rows

    answer = cached_array(path, compute, instead=wider, lock=folder / f"{name}.lock")
    seconds = json.loads(Path(str(answer.filename)).with_suffix(".json").read_text())["seconds"]
    rows = answer[:, :k]
    return Neighbours(np.ascontiguousarray(rows["distance"]), rows["index"].astype(np.int64), seconds)


def _search(
    train: NDArray[np.float32], queries: NDArray[np.float32], k: int, metric: Metric, device: str
) -> Neighbours:
    started = time.perf_counter()
    distances, indices = neighbours(train, queries, k, metric, device)
    return Neighbours(distances, indices, time.perf_counter() - started)


def _widths(k: int, most: int) -> list[int]:
    """How many neighbours a search that answers `k` may have been made for: powers of two, up to all rows."""
    width, out = LEAST, []
    while width < most:
        if width >= k:
            out.append(width)
        width *= 2
    return [*out, most]


def _name(train: NDArray[np.float32], queries: NDArray[np.float32], metric: Metric, device: str) -> str:
    """A hash of what is searched, and by what."""
    kind = device.partition(":")[0]
    digest = hashlib.blake2b(f"{LAYOUT} {metric} {kind} {train.shape} {queries.shape} ".encode(), digest_size=20)
    for x in (train, queries):
        digest.update(np.ascontiguousarray(x, dtype=np.float32).data)
    return digest.hexdigest()
