"""The first convolution's filters as small images."""

from __future__ import annotations

import numpy as np
from torch import nn

from bench.explain.picture import NotFor, Picture, cells, draw_weights, style
from bench.explain.subject import Subject

MOST = 64


def draw(subject: Subject) -> list[Picture]:
    """One picture of all filters."""
    net = subject.trained.net
    first = None if net is None else next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise NotFor("it has no convolution.")
    if max(first.kernel_size) == 1:
        raise NotFor("its first convolution sees single pixels.")
    weights = first.weight.detach().cpu().numpy()  # [F, C, k, k]
    order = np.argsort(-np.linalg.norm(weights.reshape(len(weights), -1), axis=1), kind="stable")[:MOST]
    columns = min(8, len(order))
    with style():
        figure, made = cells(-(-len(order) // columns), columns, 0.8)
        for cell, i in zip(made.flat, order, strict=False):
            # Each on its own scale: what matters is the pattern.
            draw_weights(cell, weights[i], float(np.abs(weights[i]).max()))
    grey = weights.shape[1] != 3
    how = "red is positive, blue negative" if grey else "colours are about mid-grey"
    many = f"{len(order)} of the {len(weights)}" if len(order) < len(weights) else f"The {len(weights)}"
    caption = (
        f"{many} filters of the first convolution, {first.kernel_size[0]} x {first.kernel_size[1]} pixels, "
        f"strongest first; {how}. Stripes answer to edges of their direction, blobs to spots and colours. Noise means "
        "that a filter is hardly used, or that training was short."
    )
    return [Picture("filters", "The first layer's filters", caption, figure)]
