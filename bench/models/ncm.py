"""Nearest class mean (Mensink et al. 2013, doi:10.1109/TPAMI.2013.83, with their W the identity)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import RequestError
from bench.schema.model import Ncm


def scores(
    model: Ncm,
    train_x: NDArray[np.float32],
    train_y: NDArray[np.int64],
    queries: NDArray[np.float32],
    classes: int,
) -> NDArray[np.float32]:
    """Class scores of `queries`: float32 [Q, K], log-probabilities.

    p(c | x) is proportional to exp(-|x - mean_c|^2 / (2 s^2)), where s^2 is the training samples' variance about
    their own class's mean, over all values: equally frequent classes, each a Gaussian of that one width. The
    most probable class is the nearest mean, at equal distance the lower class. For metric="cosine" all vectors,
    the means too, are first brought to length one, so that |x - mean|^2 = 2 - 2 cos.

    Args:
        train_x: float32 [N, D], pixels or features.
        train_y: int64 [N], in 0..classes-1.
        queries: float32 [Q, D], scaled like `train_x`.

    Raises:
        RequestError: when a class has no training sample, or the vectors are not equally long.
    """
    if train_x.shape[1:] != queries.shape[1:]:
        raise RequestError(f"Training rows have {train_x.shape[1]} values, queries {queries.shape[1]}: not comparable.")
    means, counts = class_means(train_x, train_y, classes, unit=model.metric == "cosine")
    squared = _squared_distances(queries, means, unit=model.metric == "cosine")
    own = _squared_distances(train_x, means, unit=model.metric == "cosine")[np.arange(len(train_y)), train_y]
    # Unbiased: each class's mean was fitted to its samples.
    freedom = (int(counts.sum()) - classes) * train_x.shape[1]
    variance = float(own.sum()) / freedom if freedom else 0.0
    everything = float(_unit(train_x, model.metric == "cosine").var(0, dtype=np.float64).mean())
    if variance <= 1e-12 * everything:  # each answer would be certain, and a wrong one infinitely wrong
        variance = everything or 1.0
    from scipy.special import log_softmax  # slow to import

    return log_softmax(-squared / (2 * variance), axis=1).astype(np.float32)


def class_means(
    x: NDArray[np.float32], y: NDArray[np.int64], classes: int, unit: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of each class, float64 [K, D], and how many samples it has, int64 [K].

    Raises:
        RequestError: when a class has no sample.
    """
    counts = np.bincount(y, minlength=classes)
    if (counts == 0).any():
        missing = ", ".join(str(c) for c in np.flatnonzero(counts == 0)[:5])
        raise RequestError(f"Nearest class mean needs a training image of every class; there is none of {missing}.")
    means = np.stack([_unit(x[y == c], unit).mean(0, dtype=np.float64) for c in range(classes)])
    return _unit(means, unit), counts


def _unit(x: NDArray, wanted: bool) -> NDArray:
    if not wanted:
        return x
    length = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))[:, None]
    return x / np.where(length == 0, 1, length)


def _squared_distances(x: NDArray[np.float32], means: NDArray[np.float64], unit: bool) -> NDArray[np.float64]:
    """[N, K], from the differences, class by class and in blocks of rows: |x|^2 - 2xm + |m|^2 cancels."""
    out = np.empty((len(x), len(means)))
    for start in range(0, len(x), 1024):
        block = _unit(x[start : start + 1024].astype(np.float64), unit)
        for c, mean in enumerate(means):
            difference = block - mean
            out[start : start + 1024, c] = np.einsum("nd,nd->n", difference, difference)
    return out
