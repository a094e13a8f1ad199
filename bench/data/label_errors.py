"""Labels that are probably wrong: confident learning (Northcutt et al. 2021, arXiv:1911.00068, by cleanlab).

Each image's class probabilities come from a classifier that was fitted without it (out-of-fold): logistic regression
on the pixels of small copies, which is quick and needs no weights. It finds what is plainly of another class; where
classes differ in fine detail it is wrong itself, and says of too many images that their label is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.imagedata import ImageData
from bench.data.near import name
from bench.disk import write_table
from bench.schema.errors import RequestError

SIDE = 16  # of the copies
FOLDS = 5
MOST = 20_000  # images; of more, a random part


def label_errors(data: ImageData) -> list[tuple[int, int, float]]:
    """(image, the class it is probably of, probability of its own label), the most doubtful first.

    Raises:
        RequestError: where a class has too few images for out-of-fold scores.
    """
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    used = data.used
    if len(used) > MOST:
        used = np.sort(np.random.RandomState(0).choice(used, MOST, replace=False))
    names, labels = np.unique(data.labels[used], return_inverse=True)
    fewest = int(np.bincount(labels).min())
    if fewest < FOLDS:
        raise RequestError(
            f"--labels: '{data.classes[names[np.bincount(labels).argmin()]]}' has {fewest} images; out-of-fold scores "
            f"need {FOLDS} of each class."
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(model, _shrink(data, used), labels, cv=folds, method="predict_proba")
    ranked = find_label_issues(labels, scores, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [(int(used[i]), int(names[scores[i].argmax()]), float(scores[i, labels[i]])) for i in ranked.tolist()]


def save(found: list[tuple[int, int, float]], data: ImageData, path: Path) -> None:
    """A row for each doubtful label: number, split, label, the probable one, probability of the label, file."""
    where = {int(i): split for split in ("train", "val", "test") for i in data.split(split)}
    rows: list[Sequence[object]] = [["image", "split", "label", "probably", "probability_of_label", "file"]]
    for i, other, score in found:
        label = data.classes[int(data.labels[i])]
        rows.append([i, where[i], label, data.classes[other], f"{score:.4f}", name(data, i)])
    write_table(path, rows)


def _shrink(data: ImageData, used: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 [n, C * SIDE * SIDE], areas averaged."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    out = []
    for start in range(0, len(used), 256):
        block = torch.from_numpy(np.asarray(data.images[used[start : start + 256]])).float()
        side = (min(SIDE, block.shape[2]), min(SIDE, block.shape[3]))
        out.append(adaptive_avg_pool2d(block, side).flatten(1).numpy())
    return np.concatenate(out)
