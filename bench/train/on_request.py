"""Metrics that are measured where somebody asks for them: for unbalanced classes, and for how classes are ranked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.train.metrics import expected_confusion


def on_request(names: Sequence[str], scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Those of `bench.schema.metric.ON_REQUEST` that are named; what is not defined on these labels is left out.

    Args:
        scores: log-probabilities [N, K].
        labels: int64 [N] in 0..K-1.

    Returns:
        `balanced_accuracy`: mean recall of the classes that occur (Brodersen et al. 2010).
        `recall/k`: share of the images of class k (its number) that are said to be of it; for each class that occurs.
        `kappa`: agreement with the labels beyond that of chance, 0 for none and 1 for all (Cohen 1960).
        `auroc`: probability that an image of a class has a higher score for it than one of another class, ties half;
        mean over the classes that occur and are not all there is (Hand & Till 2001 call it one against the rest).
    """
    matrix = expected_confusion(scores, labels)  # classes that share the first place
    counts = matrix.sum(1)
    recall = {int(k): float(matrix[k, k] / counts[k]) for k in np.flatnonzero(counts)}
    found: dict[str, float] = {}
    if "balanced_accuracy" in names:
        found["balanced_accuracy"] = float(np.mean(list(recall.values())))
    if "recall" in names:
        found.update({f"recall/{k}": share for k, share in recall.items()})
    if "kappa" in names and (value := kappa(matrix)) is not None:
        found["kappa"] = value
    if "auroc" in names and (value := auroc(scores, labels)) is not None:
        found["auroc"] = value
    return found


def kappa(matrix: NDArray[np.generic]) -> float | None:
    """Cohen's kappa of a confusion matrix [K, K]; None where chance alone agrees always (one class, always said)."""
    total = matrix.sum()
    chance = float(matrix.sum(0) @ matrix.sum(1)) / float(total) ** 2
    return None if chance == 1 else (float(np.trace(matrix)) / float(total) - chance) / (1 - chance)


def auroc(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """Mean over classes of the Mann-Whitney statistic of their probabilities; None where there is but one class."""
    from scipy.stats import rankdata  # half a second to import, and few ask for it

    found = []
    for k in np.unique(labels):
        of_it = labels == k
        count, others = int(of_it.sum()), int((~of_it).sum())
        if others:
            ranks = rankdata(scores[:, k])
            found.append((float(ranks[of_it].sum()) - count * (count + 1) / 2) / (count * others))
    return float(np.mean(found)) if found else None
