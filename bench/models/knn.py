"""k nearest neighbours (Cover & Hart 1967): votes of the neighbours as class scores.

Rules for ties: of training samples at the same distance the lower index is nearer (`bench.models.search`);
classes with the same vote share their places (`bench.train.metrics`); asked for one class, an image gets the lower
one, as in scikit-learn.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.models.neighbour_cache import cached_neighbours
from bench.schema.errors import RequestError
from bench.schema.model import Knn

Weights = Literal["uniform", "distance"]


def votes(
    distances: NDArray[np.float64],
    labels: NDArray[np.int64],
    k: int,
    weights: Weights = "uniform",
    classes: int = 10,
) -> NDArray[np.float32]:
    """Class probabilities by the votes of the k nearest neighbours.

    Args:
        distances: [Q, k or more], ascending; used by weights="distance" only.
        labels: int64 [Q, k or more], the neighbours' classes.
        weights: uniform: one vote each. distance: 1/distance; where neighbours are at distance zero, only
            those vote (both as in scikit-learn's KNeighborsClassifier).
        classes: K.

    Returns:
        float32 [Q, K], rows sum to one.
    """
    return next(iter(curve(distances, labels, [k], weights, classes).values()))


def curve(
    distances: NDArray[np.float64],
    labels: NDArray[np.int64],
    ks: Sequence[int],
    weights: Weights = "uniform",
    classes: int = 10,
) -> dict[int, NDArray[np.float32]]:
    """`votes` for every k of `ks` from one set of neighbours: k -> float32 [Q, K].

    Raises:
        RequestError: when a k is below one or above the number of neighbours given.
    """
    wrong = [k for k in ks if not 1 <= k <= labels.shape[1]]
    if wrong:
        raise RequestError(f"k={wrong[0]} asked, but {labels.shape[1]} neighbours were searched.")
    vote = _weights(distances, weights)
    tally = np.zeros((len(labels), classes))
    rows, out, wanted = np.arange(len(labels)), {}, set(ks)
    for j in range(max(wanted)):
        tally[rows, labels[:, j]] += vote[:, j]
        if j + 1 in wanted:
            out[j + 1] = (tally / tally.sum(1, keepdims=True)).astype(np.float32)
    return out


def _weights(distances: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    if weights == "uniform":
        return np.ones_like(distances, dtype=np.float64)
    zero = distances == 0
    with np.errstate(divide="ignore"):
        inverse = 1.0 / distances
    return np.where(zero.any(1, keepdims=True), zero, inverse)


def log_scores(probabilities: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Log-probabilities of votes, smoothed: (k p + 1/K) / (k + 1), [Q, K].

    A class without a vote has probability zero, and one such sample makes the mean negative log-likelihood
    infinite. So every query gets one more vote, shared equally by the K classes. The order of the classes,
    and with it the prediction, stays; NLL and calibration are those of the smoothed votes.
    """
    classes = probabilities.shape[1]
    smoothed = (k * probabilities.astype(np.float64) + 1 / classes) / (k + 1)
    return np.log(smoothed).astype(np.float32)


def scores(
    model: Knn,
    train_x: NDArray[np.float32],
    train_y: NDArray[np.int64],
    queries: NDArray[np.float32],
    classes: int,
    device: str = "cpu",
    *,
    keep: bool = False,
) -> tuple[NDArray[np.float32], float]:
    """Class scores of `queries`: float32 [Q, K], log-probabilities (see `log_scores`); and the seconds they cost.

    Args:
        train_x: float32 [N, D], pixels or features; images are flattened by the caller.
        train_y: int64 [N], in 0..classes-1.
        queries: float32 [Q, D], scaled like `train_x`.
        keep: share the search with other runs (`bench.models.neighbour_cache`); its seconds count all the same.
    """
    distances, indices, seconds = cached_neighbours(train_x, queries, model.k, model.metric, device, keep=keep)
    started = time.perf_counter()
    out = log_scores(votes(distances, train_y[indices], model.k, model.weights, classes), model.k)
    return out, seconds + time.perf_counter() - started
