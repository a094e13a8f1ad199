"""Precision, recall and F1 of each class, and which threshold gives a wanted precision."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from bench.explain.picture import Picture, name, style
from bench.explain.subject import Subject
from bench.train.metrics import confusion

CURVES = 12  # classes in one picture


def draw(subject: Subject) -> list[Picture]:
    """A table with a curve for each class."""
    labels, classes = subject.labels, subject.classes
    probabilities = np.exp(subject.scores.astype(np.float64))
    # An image between tied classes counts in parts, as in the run's own F1.
    matrix = confusion(subject.scores, labels)
    right, count, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    f1 = 2 * right / np.maximum(count + said, 1)
    precision, recall = (np.divide(right, of, out=np.zeros(len(classes)), where=of > 0) for of in (said, count))
    rows: list[tuple[Any, ...]] = []
    for k, class_ in enumerate(classes):
        at = threshold(labels == k, probabilities[:, k], subject.precision)
        wanted = ("never", "") if at is None else (shortest(at[0], probabilities[:, k]), f"{at[1]:.1%}")
        rows.append((class_, int(count[k]), f"{precision[k]:.1%}", f"{recall[k]:.1%}", f"{f1[k]:.1%}", *wanted))
    occurs = count + said > 0
    means = (f"{of[occurs].mean():.1%}" for of in (precision, recall, f1))
    rows.append(("mean", len(labels), *means, "", ""))
    hardest = np.argsort(f1, kind="stable")[:CURVES]
    asked = f"{100 * subject.precision:g}%"
    with style():
        figure = Figure(figsize=(6.6, 4.2), layout="constrained")
        axes = figure.subplots()
        lines: list[Line2D] = []
        for place, k in enumerate(sorted(hardest)):
            if not count[k]:
                continue
            p, r, _ = precision_recall_curve(labels == k, probabilities[:, k])
            area = average_precision_score(labels == k, probabilities[:, k])
            dash = "-" if place < 10 else "--"
            said_of = f"{name(classes, int(k))}  AP {area:.3f}"
            lines += axes.plot(r, p, dash, color=f"C{place % 10}", lw=1.3, label=said_of)
        axes.axhline(subject.precision, color="#777777", lw=0.8, ls=":")
        axes.text(1.02, subject.precision, f"wanted: {asked}", va="center", fontsize=7, color="#555555")
        axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
        # Named one by one: of itself a legend leaves out a class that begins with an underscore.
        axes.legend(handles=lines, fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    of = f" (the {CURVES} hardest classes)" if len(classes) > CURVES else ""
    caption = (
        f"On {len(labels)} images of {subject.split}{of}. Precision: of what was called a class, how much is one; "
        "recall: how much of the class was found. Whoever says a class only above a threshold of its probability "
        f"trades recall for precision: the table has the lowest threshold with a precision of {asked}, "
        "and the recall there."
    )
    head = ("class", "images", "precision", "recall", "F1", f"threshold for {asked}", "recall there")
    return [Picture("precision-recall", "Precision and recall of each class", caption, figure, head, rows)]


def threshold(truth: NDArray[np.bool_], probability: NDArray[np.float64], wanted: float) -> tuple[float, float] | None:
    """(lowest threshold whose precision is at least `wanted`, recall there); None where there is none."""
    if not truth.any():
        return None
    precision, recall, thresholds = precision_recall_curve(truth, probability)
    enough = np.flatnonzero(precision[:-1] >= wanted)  # the last point is no threshold
    if not len(enough):
        return None
    first = int(enough[0])
    return float(thresholds[first]), float(recall[first])


def shortest(at: float, probability: NDArray[np.float64]) -> str:
    """A threshold with as many digits, rounded down, as it takes to choose the same images."""
    for digits in range(3, 17):
        text = str(Decimal(repr(at)).quantize(Decimal(1).scaleb(-digits), ROUND_DOWN))
        if ((probability >= float(text)) == (probability >= at)).all():
            return text
    return repr(at)
