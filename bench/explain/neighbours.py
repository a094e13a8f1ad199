"""The training images nearest to an image, where the model compares: pixels, or a network's features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.explain.picture import NotFor, Picture, cells, label, name, show, style
from bench.explain.subject import Subject
from bench.models.search import Metric, neighbours
from bench.schema.model import Knn
from bench.trained import Trained

SHOWN = 8
MOST = 5000  # training images compared with, where the model itself does not


def draw(subject: Subject) -> list[Picture]:
    """A row an example: the image, then its nearest training images with their distances."""
    trained = subject.trained
    if max(trained.shape[1:]) < 4:
        raise NotFor("points of the plane are seen best in the decision regions.")
    images, titles = subject.examples
    rows, labels, metric = reference(trained)
    k = min(SHOWN, len(rows))
    distances, found = neighbours(rows, trained.embed(torch.from_numpy(images)), k, metric)
    with style():
        figure, made = cells(len(images), k + 1, 0.95, left=1.3, text=0.3)
        for line, image, title, near, far in zip(made, images, titles, found, distances, strict=True):
            show(line[0], image)
            label(line[0], title)
            for cell, i, distance in zip(line[1:], near, far, strict=True):
                stored = np.asarray(trained.data.images[int(trained.data.train[i])])
                show(cell, stored, f"{name(trained.classes, int(labels[i]))}\n{distance:.3g}")
    where = "scaled pixels" if trained.net is None else "the features before the network's head"
    voting = f" The first {trained.nearest.k} of them vote." if isinstance(trained.nearest, Knn) else ""
    caption = (
        f"Left an image, then the training images nearest to it in {where}, with their class and {metric} distance."
        f"{voting} Neighbours of another class show what the model cannot tell apart."
    )
    return [Picture("neighbours", "The nearest training images", caption, figure)]


def reference(trained: Trained, most: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64], Metric]:
    """Training rows [N, D] to be compared with, their labels [N], and the metric of the model.

    Args:
        most: the first so many of train; None: all where the model itself compares with all, else MOST.
    """
    metric: Metric = trained.nearest.metric if trained.nearest is not None else "l2"
    if trained.nearest is not None and most is None:
        return (*trained.reference, metric)
    rows = trained.embed_split("train", most or MOST)
    return rows, trained.data.labels[trained.data.train[: len(rows)]], metric
