"""What each stage of a network makes of one image."""

from __future__ import annotations

import numpy as np

from bench.explain.architecture import input_shape
from bench.explain.picture import NotFor, Picture, cells, label, show, style
from bench.explain.subject import Subject
from bench.explain.trace import layers, outputs, spatial

STAGES, CHANNELS = 5, 8


def draw(subject: Subject) -> list[Picture]:
    """A row of maps for each stage, the strongest channels first."""
    net = subject.trained.net
    found = [] if net is None else spatial(layers(net, input_shape(subject)), STAGES)
    if net is None or not found:
        raise NotFor("it has no layers whose outputs are maps.")
    images, titles = subject.examples
    maps = [out[0].float().cpu().numpy() for out in outputs(net, found, subject.prepare(images[:1]))]
    with style():
        figure, made = cells(len(found) + 1, CHANNELS, 0.95, left=1.3)
        show(made[0][0], images[0], titles[0].splitlines()[0])
        for row, layer, out in zip(made[1:], found, maps, strict=True):
            label(row[0], f"{layer.name}\n{layer.maps[1]} x {layer.maps[2]}")
            strongest = np.argsort(-np.abs(out).mean((1, 2)), kind="stable")[:CHANNELS]
            for cell, channel in zip(row, strongest, strict=False):
                cell.imshow(out[channel], cmap="magma")
    caption = (
        "One image on its way through the network: for each stage the channels that answer most, each on its own "
        "scale, bright where the answer is strong. Early maps still look like the image, late ones say where something "
        "is, in ever fewer pixels."
    )
    return [Picture("activations", "What each stage sees in an image", caption, figure)]
