"""Label-error candidates by confident learning (Northcutt et al. 2021, arXiv:1911.00068)."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from bench.explain.picture import NotFor, Picture, grid, name
from bench.explain.subject import Subject

SHOWN = 24


def draw(subject: Subject) -> list[Picture]:
    """The images whose label the model doubts most."""
    if max(subject.trained.shape[1:]) < 4:
        raise NotFor("points of the plane have no labels that somebody gave.")
    probabilities = np.exp(subject.scores.astype(np.float64))
    found = candidates(probabilities, subject.labels)
    if not len(found):
        raise NotFor(f"no label in {subject.split} is in doubt.")
    shown = found[:SHOWN]
    titles = []
    for i in shown:
        given, said = subject.labels[i], subject.chosen[i]
        titles.append(
            f"label {name(subject.classes, given)} ({probabilities[i, given]:.0%})\n"
            f"{name(subject.classes, said)}? ({probabilities[i, said]:.0%})"
        )
    caption = (
        f"{len(found)} of {len(subject.labels)} labels of {subject.split} are in doubt: another class is more probable "
        "than that class usually is where it is right, while the label's own is not. The model was not trained on "
        "these images. Most of them may be mistakes of the model: somebody has to look."
    )
    rows = [
        (int(subject.rows[i]), subject.classes[subject.labels[i]], subject.classes[subject.chosen[i]],
         f"{probabilities[i, subject.labels[i]]:.4f}", f"{probabilities[i, subject.chosen[i]]:.4f}")
        for i in found
    ]  # fmt: skip
    head = ("image", "label", "suggested", "P(label)", "P(suggested)")
    return [Picture("label-errors", "Labels in doubt", caption, grid(list(subject.images(shown)), titles), head, rows)]


def candidates(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places whose label is in doubt (cleanlab's prune by noise rate), the least likely one first."""
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes without an image in a small split
        found = find_label_issues(labels, probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1)
    return np.asarray(found, np.int64)
