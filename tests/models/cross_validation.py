"""k-fold cross-validation from the parts that kNN runs are made of, to be held against scikit-learn's grid search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.models.folds import neighbours_inside, search_width
from bench.models.knn import Weights, curve
from bench.models.search import Metric, neighbours


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
    most, classes = max(ks), int(y.max()) + 1
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
