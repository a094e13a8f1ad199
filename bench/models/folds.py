"""Folds: one search among all images serves every fold, every seed and every k.

Each image's neighbours are searched among all images, a few more than needed. For a fold those that are not in its
training set are then struck out. The few images that are left with less than k are searched again, more widely. So the
result is that of a search in the fold's training set alone, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.models.knn import Weights, curve
from bench.models.search import Metric, neighbours
from bench.schema.errors import RequestError

Ranked = tuple[NDArray[np.float64], NDArray[np.int64]]  # distances [Q, k], indices [Q, k]


def search_width(k: int, train: int, everything: int) -> int:
    """How many neighbours to search among `everything` for k in a training set of `train`: nearly always enough.

    The mean of what has to be searched to keep k besides the image itself, and three standard deviations.

    Raises:
        RequestError: when the training set has less than k images, before anything is searched.
    """
    if k > train:
        raise RequestError(f"k={k} neighbours asked of {train} training samples. Expected 1 <= k <= {train}.")
    kept = train / everything
    return min(everything, math.ceil((k + 1 + 3 * math.sqrt((k + 1) * (1 - kept))) / kept))


def neighbours_inside(
    train: NDArray[np.bool_],
    asked: NDArray[np.int64],
    k: int,
    found: Ranked,
    again: Callable[[NDArray[np.int64], int], Ranked],
) -> Ranked:
    """The k nearest training images of some images, from their neighbours among all images.

    Args:
        train: bool [N], who is in the training set; k or more.
        asked: int64 [Q], the images; none of them is in the training set.
        found: their neighbours among all N images, nearest first: distances [Q, w] and indices [Q, w] into N.
        again: (images, w) -> the same for a wider search.

    Returns:
        distances float64 [Q, k] and indices int64 [Q, k] into all N images.
    """
    assert train.sum() >= k  # see `width`; otherwise the search would widen for ever
    distances, indices = np.empty((len(asked), k)), np.empty((len(asked), k), np.int64)
    rows, wide = np.arange(len(asked)), found[1].shape[1]
    while len(rows):
        allowed = train[found[1]]
        enough = allowed.sum(1) >= k
        # Stable: those that are allowed come first, still in the order of their distance.
        first = np.argsort(~allowed[enough], axis=1, kind="stable")[:, :k]
        for out, values in zip((distances, indices), found, strict=True):
            out[rows[enough]] = np.take_along_axis(values[enough], first, 1)
        rows = rows[~enough]
        wide = min(2 * max(wide, k), len(train))
        if len(rows):
            found = again(asked[rows], wide)
    return distances, indices


def cross_validate(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: NDArray[np.int64],
    ks: Sequence[int],
    metrics: Sequence[Metric] = ("l2",),
    weights: Sequence[Weights] = ("uniform",),
    device: str = "cpu",
) -> dict[tuple[Metric, Weights, int], NDArray[np.float64]]:
    """Accuracy of every fold for every k, with one search a metric.

    Args:
        x: float32 [N, D].
        y: int64 [N].
        folds: int64 [N], the fold in which a sample is held out, 0..F-1.
        ks: numbers of neighbours, each at most the size of the smallest training set.

    Returns:
        (metric, weights, k) -> accuracies float64 [F].
    """
    sizes = np.bincount(folds)
    if len(folds) != len(x) or len(y) != len(x) or (sizes == 0).any() or len(sizes) < 2:
        raise RequestError(f"Expected {len(x)} labels and folds 0..F-1, F > 1, none empty; got folds of {sizes}.")
    most, classes = max(ks), int(y.max()) + 1
    if most > len(x) - sizes.max():
        raise RequestError(f"k={most}, but without the largest fold only {len(x) - sizes.max()} samples are left.")
    out: dict[tuple[Metric, Weights, int], NDArray[np.float64]] = {}
    for metric in metrics:
        distances, labels = _outside(x, y, folds, most, metric, device)
        for weight in weights:
            for k, p in curve(distances, labels, ks, weight, classes).items():
                right = np.bincount(folds, p.argmax(1) == y)
                out[metric, weight, k] = right / sizes
    return out


def _outside(
    x: NDArray[np.float32], y: NDArray[np.int64], folds: NDArray[np.int64], k: int, metric: Metric, device: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances and labels [N, k] of each sample's nearest in the other folds."""
    wide = search_width(k, len(x) - int(np.bincount(folds).max()), len(x))
    found = neighbours(x, x, wide, metric, device)
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        distances[rows], indices[rows] = neighbours_inside(
            folds != fold,
            rows,
            k,
            (found[0][rows], found[1][rows]),
            lambda images, w: neighbours(x, x[images], w, metric, device),
        )
    return distances, y[indices]
