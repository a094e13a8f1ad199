"""Which images and patches excite a unit most (Zeiler & Fergus 2014, arXiv:1311.2901): the feature hierarchy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.explain.architecture import input_shape
from bench.explain.picture import NotFor, Picture, cells, label, show, style
from bench.explain.subject import Subject
from bench.explain.trace import Layer, layers, outputs, spatial

STAGES, UNITS, PATCHES = 3, 3, 8
IMAGES = 600  # of train


def draw(subject: Subject) -> list[Picture]:
    """For some units of early, middle and late layers, the patches of train images that excite them most."""
    net = subject.trained.net
    shape = input_shape(subject) if net is not None else (0, 0, 0)
    found = [] if net is None else spatial(layers(net, shape), STAGES, fill=False)
    if net is None or not found:
        raise NotFor("it has no layers whose outputs are maps.")
    data = subject.trained.data
    rows = np.sort(np.random.RandomState(0).permutation(data.train)[:IMAGES])
    best, where = _strongest(subject, found, rows)
    with style():
        figure, made = cells(len(found) * UNITS, PATCHES, 0.8, left=1.5)
        for s, layer in enumerate(found):
            # Units that tell images apart: the largest answer against the usual one.
            telling = best[s].max(0) - np.median(best[s], 0)
            for u, unit in enumerate(np.argsort(-telling, kind="stable")[:UNITS]):
                line = made[s * UNITS + u]
                label(line[0], f"{layer.name}\nunit {unit}")
                for cell, i in zip(line, np.argsort(-best[s][:, unit], kind="stable"), strict=False):
                    image = np.asarray(data.images[int(rows[i])])
                    show(cell, patch(image, layer, int(where[s][i, unit]), shape))
    caption = (
        f"Of {len(rows)} training images the patches that excite a unit most, strongest first: the square that the "
        "unit can see (its receptive field), around the place where it answered. Early units want edges and spots, "
        "late ones parts and whole things. Patches of one row that look alike tell what the unit stands for."
    )
    return [Picture("exciting", "What excites single units", caption, figure)]


def _strongest(
    subject: Subject, found: list[Layer], rows: NDArray[np.int64]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
    """For each layer the largest answer of each unit in each image, [n, C], and the place of it in the flat map."""
    best: list[list[NDArray[np.float32]]] = [[] for _ in found]
    where: list[list[NDArray[np.int64]]] = [[] for _ in found]
    net = subject.trained.net
    assert net is not None
    for start in range(0, len(rows), 32):
        x = subject.prepare(np.asarray(subject.trained.data.images[rows[start : start + 32]]))
        for s, out in enumerate(outputs(net, found, x)):
            value, place = torch.max(out.flatten(2), 2)
            best[s].append(value.float().cpu().numpy())
            where[s].append(place.cpu().numpy())
    return [np.concatenate(b) for b in best], [np.concatenate(w) for w in where]


def patch(image: NDArray[np.uint8], layer: Layer, place: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """What a unit sees of a stored image [C, H, W], from its place in the flat map of a layer.

    Args:
        shape: of the network's input, whose pixels the receptive field is counted in.
    """
    height, width = image.shape[1:]
    if layer.field is None or layer.window is None or layer.field >= max(shape[1:]):
        return image
    start, jump, places = layer.window.start, layer.window.jump, divmod(place, layer.maps[2])
    corner, side, beyond = [0, 0], [0, 0], [(0, 0), (0, 0), (0, 0)]
    for axis, length in enumerate((height, width)):
        scale = length / shape[1 + axis]
        half = max(1.0, layer.field * scale / 2)
        corner[axis], side[axis] = round((start[axis] + places[axis] * jump) * scale - half), round(2 * half)
        beyond[1 + axis] = max(0, -corner[axis]), max(0, corner[axis] + side[axis] - length)
    padded = np.pad(image, beyond, constant_values=128)
    top, left = (at + before for at, (before, _) in zip(corner, beyond[1:], strict=True))
    return padded[:, top : top + side[0], left : left + side[1]]
