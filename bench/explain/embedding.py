"""The features in two dimensions (t-SNE, van der Maaten & Hinton 2008), coloured by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from bench.explain.picture import NotFor, Picture, name, style
from bench.explain.subject import Subject

MOST = 1000  # images
LEAST = 12
COLOURED = 20  # classes


def draw(subject: Subject) -> list[Picture]:
    """One scatter plot of the split."""
    trained = subject.trained
    if len(subject.rows) < LEAST or max(trained.shape[1:]) < 4:
        raise NotFor(f"{len(subject.rows)} images of {trained.shape[1]} x {trained.shape[2]} pixels make no map.")
    chosen = np.sort(np.random.RandomState(0).permutation(len(subject.rows))[:MOST])
    rows = trained.embed(torch.from_numpy(subject.images(chosen)))
    if rows.shape[1] > 50:
        rows = PCA(min(50, len(rows)), random_state=0).fit_transform(rows)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    places = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(rows)
    labels, wrong = subject.labels[chosen], (subject.chosen != subject.labels)[chosen]
    with style():
        figure = Figure(figsize=(6.4, 5.4), layout="constrained")
        axes = figure.subplots()
        colours = "tab10" if len(subject.classes) <= 10 else "tab20"
        shown: Any = {"cmap": colours, "vmin": -0.5, "vmax": (9.5 if colours == "tab10" else 19.5)}
        x, y = places.T
        axes.scatter(x, y, c=labels % COLOURED, s=11, linewidths=0, **shown)
        axes.scatter(x[wrong], y[wrong], s=34, facecolors="none", edgecolors="black", linewidths=0.8)
        for k in np.unique(labels)[:COLOURED]:
            middle = np.median(places[labels == k], 0)
            text = axes.text(
                middle[0], middle[1], name(subject.classes, int(k)), ha="center", va="center", fontsize=9, weight="bold"
            )
            text.set_bbox({"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1})
        axes.spines[:].set_visible(False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"t-SNE, perplexity {perplexity:.0f}", fontsize=8)
    where = "scaled pixels" if trained.net is None else "features before the head"
    caption = (
        f"{len(rows)} images of {subject.split} by their {where}, brought to two dimensions so that neighbours stay "
        "neighbours; circled: wrong. Clusters that are clean are told apart with ease; where colours mix, so does the "
        "model. Distances between clusters and their sizes mean nothing."
    )
    return [Picture("embedding", "The images as the model sees them", caption, figure)]
