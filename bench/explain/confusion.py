"""The confusion matrix."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bench.explain.picture import Picture, name, style
from bench.explain.subject import Subject
from bench.train.metrics import confusion

NUMBERED = 30  # classes, above which cells are too small for numbers and names


def draw(subject: Subject) -> list[Picture]:
    """One picture: each row's colours are shares of its class, the numbers count images."""
    matrix = confusion(subject.scores, subject.labels)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    classes, count = subject.classes, len(subject.classes)
    side = min(11.0, 2.2 + 0.42 * count)
    with style():
        figure = Figure(figsize=(side, side - 0.4), layout="constrained")
        axes = figure.subplots()
        drawn = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.spines[:].set_visible(True)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true class")
        if count <= NUMBERED:
            names = [name(classes, k) for k in range(count)]
            turned = max(map(len, names)) > 3
            axes.set_xticks(range(count), names, rotation=45 if turned else 0, ha="right" if turned else "center")
            axes.set_yticks(range(count), names)
            for (i, j), n in np.ndenumerate(matrix):
                if n:
                    colour = "white" if share[i, j] > 0.6 else "black"
                    axes.text(
                        j, i, f"{n:.2f}".rstrip("0").rstrip("."), ha="center", va="center", fontsize=8, color=colour
                    )
        figure.colorbar(drawn, shrink=0.7, label="share of the true class")
    accuracy = float(np.trace(matrix) / matrix.sum())
    caption = (
        f"What the {len(subject.labels)} images of {subject.split} were taken for; {accuracy:.1%} are on the diagonal, "
        "that is, right. A row is a true class, a column what was said."
    ) + (" An image between two classes that tie counts in parts." if (matrix % 1).any() else "")
    return [Picture("confusion", "What is taken for what", caption, figure)]
