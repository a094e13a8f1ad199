"""Folds: one search among all images serves every fold, every seed and every k.

Each image's neighbours are searched among all images, a few more than needed. For a fold those that are not in its
training set are then struck out. The few images that are left with less than k are searched again, more widely. So the
result is that of a search in the fold's training set alone, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
