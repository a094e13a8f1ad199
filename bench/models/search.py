"""Exact nearest-neighbour search: faiss on the CPU, torch on a GPU, one answer from both.

Fast kernels round (|x|^2 + |y|^2 - 2xy in float32), so near ties come out in an order that depends on the
processor. Here they only propose candidates, a few more than k. The candidates' distances are then computed
from the differences and summed in float64, and sorted by (distance, index). A query whose last candidate is
too close to its k-th neighbour for the rounding to be ruled out is searched without the fast kernels.
Hence the tie rule: **of training samples at the same distance, the one with the lower index comes first.**
"""

from __future__ import annotations

import functools
import os
import sys
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController, threadpool_info

from bench.schema.errors import RequestError

Metric = Literal["l1", "l2", "cosine"]

SPARE = 8  # candidates beyond k
QUERY_BLOCK = 4096  # queries a search; bounds the block of distances on a GPU
UNIT_BLOCK = 4096  # rows brought to length one at once
TRAIN_BLOCK = 16384  # training rows a block, on a GPU and in the exact search
REFINE_BLOCK = 16  # queries whose candidates are gathered at once; small enough for the processor's cache
ROUNDING = 1e-5  # bound on the fast kernels' error, relative to the size of the numbers that they add


def neighbours(
    train: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    metric: Metric = "l2",
    device: str = "cpu",
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest rows of `train` for each query, nearest first; ties by the lower index.

    Args:
        train: float32 [N, D].
        queries: float32 [Q, D].
        k: 1..N.
        metric: l1 (sum of absolute differences), l2 (Euclidean, not squared), cosine (1 - cos, 0..2; a zero
            vector is at distance 1 from everything, as in scikit-learn).
        device: "cpu" for faiss, a torch device such as "cuda" for torch. Memory beyond the arguments is
            bounded by the block sizes above, and for cosine by a copy of both; on a GPU `train` is held there as a
            whole.

    Returns:
        distances float64 [Q, k] and indices int64 [Q, k] into `train`.

    Raises:
        RequestError: for arrays that do not fit together, k out of range, or values that are not finite.
    """
    train, queries = _rows(train, "train"), _rows(queries, "queries")
    if train.shape[1] != queries.shape[1]:
        raise RequestError(f"Training rows have {train.shape[1]} values, queries {queries.shape[1]}: not comparable.")
    if not 1 <= k <= len(train):
        raise RequestError(f"k={k} neighbours asked of {len(train)} training samples. Expected 1 <= k <= {len(train)}.")
    if metric == "cosine":
        train, queries = _unit(train, queries)
    distances = np.empty((len(queries), k))
    indices = np.empty((len(queries), k), dtype=np.int64)
    resident = torch.from_numpy(train).to(device)
    for start in range(0, len(queries), QUERY_BLOCK):
        rows = slice(start, start + QUERY_BLOCK)
        block = torch.from_numpy(queries[rows]).to(device)
        found, order, safe = _search(resident, block, k, "l1" if metric == "l1" else "l2")
        for row in np.flatnonzero(~safe):
            found[row], order[row] = _exact_search(resident, block[row], k, 1 if metric == "l1" else 2)
        distances[rows], indices[rows] = found, order
    if metric == "cosine":
        distances = distances**2 / 2  # |x - y|^2 = 2 - 2 cos for unit vectors
    return distances, indices


def _rows(x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if x.ndim != 2:
        raise RequestError(f"Expected {name} as [rows, values], got an array of shape {list(x.shape)}.")
    return np.ascontiguousarray(x, dtype=np.float32)


def _unit(train: NDArray[np.float32], queries: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows at length one. Zero rows become unit vectors along axes of their own, orthogonal to everything."""
    sizes = [_lengths(x) for x in (train, queries)]
    extra = 2 if any((size == 0).any() for size in sizes) else 0
    units = []
    for i, (x, size) in enumerate(zip((train, queries), sizes, strict=True)):
        unit = np.zeros((len(x), x.shape[1] + extra), dtype=np.float32)
        divisor = np.where(size == 0, 1, size)[:, None]
        for start in range(0, len(x), UNIT_BLOCK):  # divided in float64, which would be twice the set at once
            rows = slice(start, start + UNIT_BLOCK)
            unit[rows, : x.shape[1]] = x[rows] / divisor[rows]
        if extra:
            unit[:, x.shape[1] + i] = size == 0
        units.append(unit)
    return units[0], units[1]


def _lengths(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean length of each row, summed in float64."""
    return np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))


def _search(
    train: torch.Tensor, queries: torch.Tensor, k: int, metric: Literal["l1", "l2"]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Distances [Q, k], indices [Q, k], and whether rounding can be ruled out for the row [Q]."""
    wide = min(k + SPARE, len(train))
    candidates = _faiss if train.device.type == "cpu" else _torch
    rough, index = candidates(train, queries, wide, metric)
    if not bool(torch.isfinite(rough).all()):
        raise RequestError("The search met values that are not finite (NaN, infinite or beyond float32's range).")
    fine = torch.empty(index.shape, dtype=torch.float64, device=train.device)
    step = REFINE_BLOCK if train.device.type == "cpu" else 16 * REFINE_BLOCK
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        i = index[rows]
        difference = train.index_select(0, i.reshape(-1)).view(*i.shape, -1)
        difference -= queries[rows, None]
        fine[rows] = torch.linalg.vector_norm(difference, 1 if metric == "l1" else 2, dim=-1, dtype=torch.float64)
    # Sorting by index first makes the stable sort by distance break ties by the lower index.
    index, by_index = index.sort(dim=1)
    fine, by_distance = fine.gather(1, by_index).sort(dim=1, stable=True)
    index = index.gather(1, by_distance)
    safe = torch.ones(len(queries), dtype=torch.bool, device=train.device)
    if wide < len(train):
        kth, last = fine[:, k - 1], rough.amax(dim=1).double()
        if metric == "l1":
            safe = last - kth > ROUNDING * (last + kth)
        else:
            # The kernel adds |x|^2, |y|^2 and 2xy; nothing as near as the k-th is longer than |y| + its distance.
            length = torch.linalg.vector_norm(queries, dim=1, dtype=torch.float64)
            safe = last - kth.square() > ROUNDING * (length**2 + (length + kth) ** 2)
    return fine[:, :k].cpu().numpy(), index[:, :k].cpu().numpy(), safe.cpu().numpy()


def _faiss(
    train: torch.Tensor, queries: torch.Tensor, k: int, metric: Literal["l1", "l2"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates by faiss' exhaustive search, on as many threads as torch is set to; l2 is squared."""
    faiss = import_faiss()
    kind = faiss.METRIC_L1 if metric == "l1" else faiss.METRIC_L2
    # faiss brings an OpenMP and a BLAS of its own, which do not hear torch.set_num_threads.
    with _pools().limit(limits=torch.get_num_threads()):
        rough, index = faiss.knn(queries.numpy(), train.numpy(), k, metric=kind)
    if (index < 0).any():
        raise RequestError("The search met values that are not finite (NaN, infinite or beyond float32's range).")
    return torch.from_numpy(rough), torch.from_numpy(index)


@functools.cache
def _pools() -> ThreadpoolController:
    """The thread pools loaded so far, faiss' among them; finding them takes milliseconds."""
    return ThreadpoolController()


def _torch(
    train: torch.Tensor, queries: torch.Tensor, k: int, metric: Literal["l1", "l2"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates by blocks of distances on the tensors' device; l2 is squared, unsorted."""
    # A training may have allowed 10-bit products (TF32), whose rounding is far beyond `ROUNDING`.
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return _blocks(train, queries, k, metric)
    finally:
        torch.set_float32_matmul_precision(allowed)


def _blocks(
    train: torch.Tensor, queries: torch.Tensor, k: int, metric: Literal["l1", "l2"]
) -> tuple[torch.Tensor, torch.Tensor]:
    rough = torch.empty(len(queries), 0, device=train.device)
    index = torch.empty(len(queries), 0, dtype=torch.int64, device=train.device)
    size = queries.square().sum(1, keepdim=True)
    for start in range(0, len(train), TRAIN_BLOCK):
        block = train[start : start + TRAIN_BLOCK]
        if metric == "l1":
            distance = torch.cdist(queries, block, p=1)
        else:
            distance = torch.addmm(block.square().sum(1), queries, block.T, alpha=-2).add_(size)
        near, where = distance.topk(min(k, len(block)), largest=False, sorted=False)
        rough, index = torch.cat([rough, near], 1), torch.cat([index, where + start], 1)
        if rough.shape[1] > k:
            rough, keep = rough.topk(k, largest=False, sorted=False)
            index = index.gather(1, keep)
    return rough, index


def _exact_search(
    train: torch.Tensor, query: torch.Tensor, k: int, order: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest of one query from differences summed in float64; ties by the lower index."""
    distance = torch.cat(
        [torch.linalg.vector_norm(b - query, order, dim=1, dtype=torch.float64) for b in train.split(TRAIN_BLOCK)]
    )
    found, index = distance.sort(stable=True)
    return found[:k].cpu().numpy(), index[:k].cpu().numpy()


def import_faiss() -> ModuleType:
    """faiss, with its BLAS told which processor this is.

    The wheel carries an OpenBLAS of 2021 that takes newer processors for one without AVX; NumPy's newer
    OpenBLAS knows better. On a Sapphire Rapids Xeon this makes the search about five times faster.
    OPENBLAS_CORETYPE is read once, when the library is loaded, and a value set by the user is left alone.
    """
    name = "OPENBLAS_CORETYPE"
    if "faiss" in sys.modules or name in os.environ:
        import faiss

        return faiss
    known = [str(p.get("architecture")) for p in threadpool_info() if p.get("internal_api") == "openblas"]
    core = known[0] if known else None
    # AVX-512 processors that the older library has no name for run its SkylakeX kernels.
    core = "SkylakeX" if core in ("SapphireRapids", "Cooperlake") else core
    if core:
        os.environ[name] = core
    try:
        import faiss
    finally:
        os.environ.pop(name, None)
    return faiss
