"""From (scores, labels) to every metric: the one function that measures all model families.

Classes with the same score have no order, and how they are numbered says nothing about an image. So wherever a rank
counts, it is the expectation over all orders of the tied classes (McSherry & Najork 2008,
doi:10.1007/978-3-540-78646-7_38): where the true class shares the first place with two others, a third of the image is
right. It is the rule for every family; votes of neighbours are full of ties.

So whatever counts images shares them among tied classes: accuracy, top5, F1, recall, kappa, calibration, the confusion
matrix, McNemar's test. Only where one class has to be named (`bench predict`, predictions.npz, the vote of seeds in
images.md, pictures of single images) is it the one with the lowest number, and `bench predict` says that it is tied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ECE_BINS = 15  # of equal width, as in Guo et al. 2017


def metrics(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, top5, macro F1, NLL and ECE of class scores.

    Args:
        scores: log-probabilities [N, K].
        labels: int64 [N] in 0..K-1.

    Returns:
        `accuracy`, `top5` (with fewer than five classes: all of them, so 1), `macro_f1` (of the expected confusion
        matrix; a class that occurs neither in the labels nor in the predictions does not count), `nll` in nats, `ece`
        with 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599). All but `nll` are fractions in 0..1.

    Raises:
        ValueError: when the shapes do not fit or a score is NaN.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"expected scores [N, K] and labels [N], got {scores.shape} and {labels.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN")
    logp, target = torch.from_numpy(scores), torch.from_numpy(np.ascontiguousarray(labels))
    return {
        "accuracy": float(among_first(logp, target).mean()),
        "top5": float(among_first(logp, target, 5).mean()),
        "macro_f1": macro_f1(torch.from_numpy(confusion(scores, labels))),
        "nll": float(-logp.double().gather(1, target[:, None]).mean()),
        "ece": ece(logp, target),
    }


def among_first(scores: Tensor, labels: Tensor, places: int = 1) -> Tensor:
    """How probably the true class has one of the first places, equal scores in a random order: float64 [N].

    Of `tied` classes with the true one's score, it among them, behind `ahead` greater ones, `places - ahead` have such
    a place.

    Args:
        scores: [N, K].
        labels: int64 [N].
    """
    own = scores.gather(1, labels[:, None])
    ahead, tied = (scores > own).sum(1), (scores == own).sum(1)
    return ((places - ahead).double() / tied.clamp(min=1)).clamp(0, 1)


def macro_f1(matrix: Tensor) -> float:
    """Mean over classes of 2 tp / (2 tp + fn + fp) from a confusion matrix [K, K]; see `metrics`."""
    right, asked, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    occurs = (asked + said > 0).float()
    return float((2 * right / (asked + said).clamp(min=1) * occurs / occurs.sum()).sum())


def ece(logp: Tensor, target: Tensor) -> float:
    """Expected calibration error of log-probabilities [N, K]: mean |accuracy - confidence| of bins, by their size.

    The arithmetic is torchmetrics', to the last digit, but for two things: a confidence of exactly 1 is not in a bin of
    its own, above the last one (its issue 3510), and one that rounding has made greater than 1 is 1, and not a reason
    to take all scores for logits.
    """
    confidence = _confidence(logp)
    place = _bins(confidence)
    count, sure, right = (
        torch.zeros(ECE_BINS + 1).scatter_add_(0, place, values)
        for values in (torch.ones_like(confidence), confidence, among_first(logp, target).float())
    )
    mean_right, mean_sure = (torch.nan_to_num(total / count) for total in (right, sure))
    return float(((mean_right - mean_sure).abs() * (count / count.sum())).sum())


def _confidence(logp: Tensor) -> Tensor:
    """The greatest probability of each row, below 1."""
    return logp.exp().clamp(max=1 - 2**-24).max(1).values


def _bins(confidence: Tensor) -> Tensor:
    """The bin of each confidence; one on an edge is in the upper bin."""
    return torch.bucketize(confidence, torch.linspace(0, 1, ECE_BINS + 1), right=True) - 1


def confusion(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.generic]:
    """Confusion matrix [K, K]: row = true class, column = predicted class.

    int64; float64 where classes are tied: the image counts in equal parts in the columns of all that share the greatest
    score.
    """
    classes = scores.shape[1]
    first = scores == scores.max(axis=1, keepdims=True)
    tied = first.sum(1) > 1
    said = labels * classes + scores.argmax(1)
    matrix = np.bincount(said[~tied], minlength=classes**2).reshape(classes, classes)
    if not tied.any():
        return matrix
    shared = matrix.astype(np.float64)
    np.add.at(shared, labels[tied], first[tied] / first[tied].sum(1, keepdims=True))
    return shared


def reliability(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, list[Any]]:
    """What a reliability diagram draws: for each of the ECE's bins, count, mean confidence, accuracy.

    Empty bins have confidence and accuracy None.
    """
    confidence = np.exp(scores.max(axis=1))
    right = among_first(torch.from_numpy(scores), torch.from_numpy(np.ascontiguousarray(labels))).numpy()
    place = _bins(_confidence(torch.from_numpy(scores))).numpy()
    out: dict[str, list[Any]] = {"edges": [i / ECE_BINS for i in range(ECE_BINS + 1)]}
    counts = [int((place == b).sum()) for b in range(ECE_BINS)]
    out["count"] = counts
    out["confidence"] = [float(confidence[place == b].mean()) if n else None for b, n in enumerate(counts)]
    out["accuracy"] = [float(right[place == b].mean()) if n else None for b, n in enumerate(counts)]
    return out
