"""From (scores, labels) to every metric: the one function that measures all model families."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

ECE_BINS = 15  # of equal width, as in Guo et al. 2017


def metrics(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, top5, macro F1, NLL and ECE of class scores.

    Args:
        scores: log-probabilities [N, K].
        labels: int64 [N] in 0..K-1.

    Returns:
        `accuracy`, `top5` (with fewer than five classes: all of them, so 1), `macro_f1` (a class that occurs
        neither in the labels nor in the predictions does not count), `nll` in nats, `ece` with 15 bins of equal
        width (Guo et al. 2017, arXiv:1706.04599). All but `nll` are fractions in 0..1.

    Raises:
        ValueError: when the shapes do not fit or a score is NaN.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"expected scores [N, K] and labels [N], got {scores.shape} and {labels.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN")
    logp, target = torch.from_numpy(scores), torch.from_numpy(np.ascontiguousarray(labels))
    classes = scores.shape[1]
    # torchmetrics puts a confidence of exactly 1 into a bin of its own, above the last one (its issue 3510); just
    # below 1 it falls where it belongs, and all other numbers stay what they are.
    probabilities = logp.exp().clamp(max=1 - 2**-24)
    return {
        # Counted, not by torchmetrics: its float32 makes 0.927 a 0.92699999.
        "accuracy": float(np.mean(scores.argmax(axis=1) == labels)),
        "top5": float((logp.topk(min(5, classes)).indices == target[:, None]).any(1).double().mean()),
        "macro_f1": float(multiclass_f1_score(logp, target, classes, average="macro")),
        "nll": float(-logp.double().gather(1, target[:, None]).mean()),
        "ece": float(multiclass_calibration_error(probabilities, target, classes, n_bins=ECE_BINS, norm="l1")),
    }


def confusion(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Confusion matrix int64 [K, K]: row = true class, column = predicted class."""
    matrix = multiclass_confusion_matrix(torch.from_numpy(scores), torch.from_numpy(labels), scores.shape[1])
    return matrix.numpy()


def reliability(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, list[Any]]:
    """What a reliability diagram draws: for each of the ECE's bins, count, mean confidence, accuracy.

    Empty bins have confidence and accuracy None.
    """
    confidence = np.exp(scores.max(axis=1))
    right = scores.argmax(axis=1) == labels
    place = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    out: dict[str, list[Any]] = {"edges": [i / ECE_BINS for i in range(ECE_BINS + 1)]}
    counts = [int((place == b).sum()) for b in range(ECE_BINS)]
    out["count"] = counts
    out["confidence"] = [float(confidence[place == b].mean()) if n else None for b, n in enumerate(counts)]
    out["accuracy"] = [float(right[place == b].mean()) if n else None for b, n in enumerate(counts)]
    return out
