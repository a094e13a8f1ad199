"""Decision regions in the plane, for sets of points (dataset=plane)."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from bench.data.preview import COLOURS
from bench.explain.picture import NotFor, Picture, style
from bench.explain.subject import Subject

STEPS = 128  # grid points a side


def draw(subject: Subject) -> list[Picture]:
    """The probability of the second class over the whole square, with the split's points on it."""
    trained = subject.trained
    if trained.shape != (1, 1, 2) or len(trained.classes) != 2:
        raise NotFor("decision regions are drawn for points of the plane: dataset=plane.")
    values = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    x, y = np.meshgrid(values, values)
    points = np.stack([x.ravel(), y.ravel()], 1)[:, None, None]
    second = np.exp(trained.classify(torch.from_numpy(points)).numpy()[:, 1]).reshape(STEPS, STEPS)
    with style():
        figure = Figure(figsize=(5.2, 5.2), layout="constrained")
        axes = figure.subplots()
        colours = LinearSegmentedColormap.from_list("two", [COLOURS[0], "white", COLOURS[1]])
        drawn = axes.imshow(
            second, origin="lower", extent=(0, 255, 0, 255), cmap=colours, vmin=0, vmax=1, alpha=0.6,
            interpolation="bilinear",
        )  # fmt: skip
        if second.min() < 0.5 < second.max():
            axes.contour(values, values, second, levels=[0.5], colors="black", linewidths=1)
        shown = subject.images(np.arange(len(subject.rows)))[:, 0, 0]
        for k, word in enumerate(trained.classes):
            x, y = shown[subject.labels == k].T
            axes.scatter(x, y, s=10, color=COLOURS[k], edgecolors="white", linewidths=0.3, label=word)
        axes.set(xlabel="first pixel", ylabel="second pixel", xlim=(0, 255), ylim=(0, 255), box_aspect=1)
        axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), markerscale=2)
        figure.colorbar(drawn, shrink=0.7, label=f"P({trained.classes[1]})")
    caption = (
        f"What the model would say at every point of the square, and the {len(subject.rows)} points of "
        f"{subject.split}. On the black line both classes are equally probable. A linear model's line is straight, "
        "whatever the points."
    )
    return [Picture("regions", "Decision regions", caption, figure)]
