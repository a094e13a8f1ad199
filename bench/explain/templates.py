"""What a linear or dense first layer looks for: its weights as images."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from bench.explain.architecture import input_shape
from bench.explain.picture import NotFor, Picture, cells, draw_weights, name, style
from bench.explain.subject import Subject

MOST = 40  # units
VARIATION = 1000  # training images


def draw(subject: Subject) -> list[Picture]:
    """The weights of each class (linear), or of the first layer's units (dnn)."""
    if max(subject.trained.shape[1:]) < 4:
        raise NotFor("points of the plane are seen best in the decision regions.")
    net = subject.trained.net
    first = None if net is None else next((m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)), None)
    shape = input_shape(subject) if net is not None else (0, 0, 0)
    if not isinstance(first, nn.Linear) or first.in_features != np.prod(shape):
        raise NotFor("only a layer that sees all pixels at once has weights that are an image.")
    weights = first.weight.detach().cpu().numpy().reshape(-1, *shape)
    classes = subject.classes
    linear = subject.trained.exp.model.family == "linear"
    if linear:
        order, titles = np.arange(len(classes))[:MOST], [name(classes, k) for k in range(len(classes))]
        title = "The template of each class"
        caption = (
            "The weights of each class as an image: red pixels speak for the class, blue ones against it. The score of "
            "a class is the image times its template, summed over all pixels."
        )
    else:
        # Strong units first: those that were hardly used still look like the noise that they began with.
        order = np.argsort(-np.linalg.norm(weights.reshape(len(weights), -1), axis=1), kind="stable")[:MOST]
        titles = [f"unit {i}" for i in range(len(weights))]
        title = "What the first layer's units look for"
        caption = (
            f"The weights of {len(order)} of the first layer's {len(weights)} units as images, the strongest first: "
            "red pixels excite the unit, blue ones quiet it. Noise means that training has not shaped a unit yet."
        )
    # Where a pixel is always the same, as in the corners, its weight stays as it began and never matters.
    images = np.asarray(subject.trained.data.images[subject.trained.data.train[:VARIATION]])
    varies = subject.prepare(images).std(0).cpu().numpy()
    seen = (
        "The same weights, each times the standard deviation of its pixel over training images: what is left is what "
        "moves the decision, without the noise of pixels that hardly change."
    )
    return [
        Picture("templates", title, caption, _drawn(weights[order], [titles[i] for i in order], linear)),
        Picture("templates-seen", "...and what of it matters", seen, _drawn(
            (weights * varies)[order], [titles[i] for i in order], linear
        )),
    ]  # fmt: skip


def _drawn(weights: NDArray[np.float32], titles: list[str], linear: bool) -> Figure:
    most = float(np.percentile(np.abs(weights), 99.5))
    columns = min(5 if linear else 10, len(weights))
    with style():
        figure, made = cells(-(-len(weights) // columns), columns, 1.1, text=0.16)
        for cell, one, title in zip(made.flat, weights, titles, strict=False):
            draw_weights(cell, one, most, title)
    return figure
