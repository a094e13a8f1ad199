"""Nearest neighbours and nearest class mean on pixels: no training, the same Result."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import pixel_norm
from bench.data.imagedata import ImageData
from bench.models import folds, knn, ncm
from bench.models.neighbour_cache import cached_neighbours
from bench.models.search import neighbours
from bench.schema.experiment import Experiment
from bench.schema.model import Knn, Ncm
from bench.schema.pixels import PixelNorm
from bench.train.memory import peak_memory_mb, reset_peak_memory
from bench.train.result import Result


def score_by_distance(exp: Experiment, data: ImageData) -> Result:
    """Score val and test by the votes of their nearest train images, or by the nearest class mean, in scaled pixels.

    The search is shared with other runs of a sweep (`bench.models.neighbour_cache`); its seconds count in each. All
    folds of the same images share one where their pixels can be compared (`shared_scale`), and count their part of it.
    `cost/params` is 0 for neighbours, and counts the means; `cost/flops` counts the distances of one query: for
    each train image (or mean) and pixel a subtraction, a multiplication (or absolute value) and an addition.
    """
    assert isinstance(exp.model, Knn | Ncm)
    device = device_of(exp)
    reset_peak_memory(device)
    started = time.perf_counter()
    scale = pixel_norm.make(exp.pixel_norm, data)
    train = pixels(exp, data, data.train)
    labels, classes = data.labels[data.train], len(data.classes)
    fitted = time.perf_counter()  # "fit" is nothing but laying out the train images
    keep, count = exp.transfer.cache, len(data.val) + len(data.test)
    common = shared_scale(exp, data) if keep and exp.split.kind == "kfold" else None
    if common is not None and exp.split.folds_share_images:
        everything = rows_of(common, data, data.used)
        scores, seconds = score_folds(exp.model, everything, data, device)
    else:
        # Where nothing is shared either, the same pixels: rounded otherwise, equal distances would not stay equal.
        rows, val, test = (rows_of(common or scale, data, part) for part in (data.train, data.val, data.test))
        both = np.concatenate([val, test])
        scores, seconds = score_queries(exp.model, rows, labels, both, classes, device, keep)
    own = score_queries(exp.model, train, labels, train, classes, device, keep)[0] if exp.metrics.train else None
    params, compared = (0, len(train)) if isinstance(exp.model, Knn) else (classes * train.shape[1], classes)

    def classify(images: Tensor) -> Tensor:
        rows = scale(images).flatten(1).numpy()
        # Not kept: these images are asked about once.
        return torch.from_numpy(score_queries(exp.model, train, labels, rows, classes, device, keep=False)[0])

    return Result(
        val_scores=scores[: len(data.val)],
        test_scores=scores[len(data.val) :],
        train_scores=own,  # each of them is its own nearest neighbour
        history=[],
        costs={
            "cost/params": float(params),
            "cost/flops": 3.0 * compared * train.shape[1],
            "cost/fit_seconds": fitted - started,
            "cost/images_per_second": count / seconds,
            "cost/peak_memory_mb": peak_memory_mb(device),
        },
        selected_epoch=0,
        classify=classify,
    )


def score_queries(
    model: Any,
    train: NDArray[np.float32],
    labels: NDArray[np.int64],
    queries: NDArray[np.float32],
    classes: int,
    device: torch.device,
    keep: bool,
) -> tuple[NDArray[np.float32], float]:
    """Log-probabilities [Q, K] of queries [Q, D] among the train rows [N, D], and the seconds they cost.

    Args:
        keep: share the search with runs of the same content; its seconds count in each of them.
    """
    if isinstance(model, Knn):
        return knn.scores(model, train, labels, queries, classes, str(device), keep=keep)
    started = time.perf_counter()
    return ncm.scores(model, train, labels, queries, classes), time.perf_counter() - started


def score_folds(
    model: Any, everything: NDArray[np.float32], data: ImageData, device: torch.device
) -> tuple[NDArray[np.float32], float]:
    """`score_queries` of val and test by a search among all images, kept for all folds, seeds and k.

    Args:
        model: a Knn.
        everything: float32 [N, D], the rows of `data.used`; the same for all folds, or nothing is shared.

    Returns:
        Log-probabilities [Q, K], and the seconds of these Q of the N images.
    """
    train = np.isin(data.used, data.train)
    asked = np.searchsorted(data.used, np.concatenate([data.val, data.test]))
    answer = cached_neighbours(
        everything, everything, folds.search_width(model.k, len(data.train), len(train)), model.metric, str(device)
    )
    started = time.perf_counter()
    distances, indices = folds.neighbours_inside(
        train,
        asked,
        model.k,
        (answer.distances[asked], answer.indices[asked]),
        lambda images, wide: neighbours(everything, everything[images], wide, model.metric, str(device)),
    )
    votes = knn.votes(distances, data.labels[data.used][indices], model.k, model.weights, len(data.classes))
    seconds = answer.seconds * len(asked) / len(train) + time.perf_counter() - started
    return knn.log_scores(votes, model.k), seconds


def shared_scale(exp: Experiment, data: ImageData) -> pixel_norm.Scale | None:
    """A scaling that is the same for all folds and leaves the neighbours and their votes as they are; None without.

    `standardize` depends on the fold. With one channel it divides all differences by one number, so the order of
    distances and the ratios of votes are those of the pixels; an angle (cosine) moves with the mean.
    """
    assert isinstance(exp.model, Knn | Ncm)
    if isinstance(exp.model, Ncm):
        return None  # searches nothing
    if exp.pixel_norm.name == "own":
        return None  # it may look at the fold
    if exp.pixel_norm.name != "standardize":
        return pixel_norm.make(exp.pixel_norm, data)
    if data.shape[0] > 1 or exp.model.metric == "cosine":
        return None
    return pixel_norm.make(PixelNorm(name="none"), data)


def pixels(exp: Experiment, data: ImageData, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scaled pixels of some images as rows: float32 [n, C * H * W]."""
    return rows_of(pixel_norm.make(exp.pixel_norm, data), data, indices)


def rows_of(scale: pixel_norm.Scale, data: ImageData, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Pixels of some images, scaled, as rows: float32 [n, C * H * W]."""
    images = scale(torch.from_numpy(data.images[indices]))
    return images.flatten(1).numpy()


def device_of(exp: Experiment) -> torch.device:
    """Where the search runs: the first GPU where `trainer.accelerator` allows it and one is there, else the CPU."""
    wanted = exp.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    return torch.device("cuda" if wanted else "cpu")
