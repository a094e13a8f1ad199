"""Train, val and test: stratified, drawn with a seed of their own, the official ones respected.

Own code where scikit-learn has `train_test_split`: planning a sweep needs membership in milliseconds (importing
scikit-learn takes two seconds), and the membership is part of the run key, so it may not change with a library's
version. NumPy promises that of RandomState's stream (NEP 19), not of Generator's.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.imagedata import ImageData
from bench.data.sources.contract import TEST, VAL
from bench.disk import write_atomically
from bench.schema.dataset import Split
from bench.schema.errors import RequestError

Indices = NDArray[np.int64]


class Membership(NamedTuple):
    """Sorted int64 indices of each split; disjoint. A training subset leaves images in no split."""

    train: Indices
    val: Indices
    test: Indices


def split(labels: NDArray[np.int64], official: NDArray[np.int8], how: Split) -> Membership:
    """Who belongs where.

    An official test (or val) split stays what it is; what the publisher did not assign is drawn from
    the other images, the same share of each class. k-fold with an official test split rotates val,
    and takes an official val split into the rotation.

    Args:
        labels: int64 [N].
        official: int8 [N], see `bench.data.sources.contract`.

    Raises:
        RequestError: where a split would be empty.
    """
    order = np.random.RandomState(how.seed).permutation(len(labels)).astype(np.int64)
    assigned = official[order]
    test = order[assigned == TEST]
    if how.kind == "kfold":
        test, val, rest = _fold(test, order[assigned != TEST], labels, how)
    else:
        val, rest = order[assigned == VAL], order[(assigned != TEST) & (assigned != VAL)]
        if not len(test):
            test, rest = hold_out(rest, labels, how.test)
        if not len(val):
            val, rest = hold_out(rest, labels, how.val)
    made = Membership(np.sort(subset(rest, labels, how)), np.sort(val), np.sort(test))
    for name, indices in made._asdict().items():
        if not len(indices):
            raise RequestError(
                f"split: {name} would be empty ({len(labels)} images; {how.kind}, val={how.val}, "
                f"{f'folds={how.folds}' if how.kind == 'kfold' else f'test={how.test}'}). "
                "Use more images, or a larger fraction."
            )
    return made


def hold_out(indices: Indices, labels: NDArray[np.int64], fraction: float) -> tuple[Indices, Indices]:
    """(held out, the rest) of `indices`: the first round(fraction n_c) of each class, by largest remainders.

    The total is round(fraction N), or less where that would take the last image of a class from the rest.
    """
    rank, inverse, counts = _ranks(indices, labels)
    share = np.minimum(counts * fraction, counts - 1)
    quota = np.floor(share).astype(np.int64)
    missing = round(len(indices) * fraction) - int(quota.sum())
    for c in np.argsort(quota - share, kind="stable")[: max(missing, 0)]:
        quota[c] += quota[c] < counts[c] - 1
    held = rank < quota[inverse]
    return indices[held], indices[~held]


def subset(indices: Indices, labels: NDArray[np.int64], how: Split) -> Indices:
    """The training subset: the first ceil(train_fraction n_c), or the first train_per_class, of each class."""
    rank, inverse, counts = _ranks(indices, labels)
    if how.train_per_class is not None:
        return indices[rank < how.train_per_class]
    return indices[rank < np.ceil(how.train_fraction * counts - 1e-9)[inverse]]


def save(data: ImageData, path: Path) -> None:
    """Write the membership as a compressed .npz: index arrays train, val and test, and the fingerprint."""
    # By way of memory: a full disk is then told as one, whatever the library makes of it.
    np.savez_compressed(
        members := io.BytesIO(),
        train=data.train,
        val=data.val,
        test=data.test,
        fingerprint=np.array(data.fingerprint),
    )
    write_atomically(path, members.getvalue())


def _fold(test: Indices, pool: Indices, labels: NDArray[np.int64], how: Split) -> tuple[Indices, Indices, Indices]:
    """(test, val, train) of fold `how.fold`: every folds-th image of the pool in the order of its classes."""
    by_class = pool[np.argsort(labels[pool], kind="stable")]
    fold = np.zeros(len(labels), np.int64)
    fold[by_class] = np.arange(len(by_class)) % how.folds
    chosen = fold[pool] == how.fold
    if len(test):
        return test, pool[chosen], pool[~chosen]
    return (pool[chosen], *hold_out(pool[~chosen], labels, how.val))


def _ranks(indices: Indices, labels: NDArray[np.int64]) -> tuple[Indices, Indices, Indices]:
    """Rank of each image within its class in the order of `indices`; its class's position; images a class."""
    _, inverse, counts = np.unique(labels[indices], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.empty(len(indices), np.int64)
    rank[by_class] = np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank, inverse, counts
