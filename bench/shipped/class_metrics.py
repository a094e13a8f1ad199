"""Metrics for unbalanced classes, and for how classes are ranked; measured where somebody asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.parts import metric
from bench.train.metrics import confusion

Scores: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]


@metric(range=(0, 1))
def balanced_accuracy(scores: Scores, labels: Labels, classes: Sequence[str]) -> float:
    """Mean recall of the classes that occur (Brodersen et al. 2010)."""
    return float(np.mean(list(recall(scores, labels, classes).values())))


@metric(range=(0, 1))
def recall(scores: Scores, labels: Labels, classes: Sequence[str]) -> dict[int, float]:
    """Share of the images of class k (its number) that are said to be of it; for each class that occurs."""
    matrix = confusion(scores, labels)
    counts = matrix.sum(1)
    return {int(k): float(matrix[k, k] / counts[k]) for k in np.flatnonzero(counts)}


@metric(range=(-1, 1), words="Cohen's kappa")
def kappa(scores: Scores, labels: Labels, classes: Sequence[str]) -> float | None:
    """Agreement with the labels beyond that of chance, 0 for none and 1 for all (Cohen 1960).

    None where chance alone agrees always (one class, always said).
    """
    matrix = confusion(scores, labels)
    total = matrix.sum()
    chance = float(matrix.sum(0) @ matrix.sum(1)) / float(total) ** 2
    return None if chance == 1 else (float(np.trace(matrix)) / float(total) - chance) / (1 - chance)


@metric(range=(0, 1), words="AUROC")
def auroc(scores: Scores, labels: Labels, classes: Sequence[str]) -> float | None:
    """Probability that an image of a class has a higher score for it than one of another class, ties half.

    Mean over the classes that occur and are not all there is (Hand & Till 2001 call it one against the rest), None
    where there is but one.
    """
    from scipy.stats import rankdata  # half a second to import, and few ask for it

    found = []
    for k in np.unique(labels):
        of_it = labels == k
        count, others = int(of_it.sum()), int((~of_it).sum())
        if others:
            ranks = rankdata(scores[:, k])
            found.append((float(ranks[of_it].sum()) - count * (count + 1) / 2) / (count * others))
    return float(np.mean(found)) if found else None
