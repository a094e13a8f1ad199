"""Images that look the same to a frozen backbone: larger crops, rotations and other exposures, which no hash finds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench import models
from bench.data.imagedata import ImageData
from bench.data.leaks import hashes_of
from bench.data.near import Pair, pair
from bench.models import preprocess, transfer
from bench.models.heads import Backbone
from bench.models.search import neighbours
from bench.schema.experiment import Experiment

# Overrides of an Experiment whose backbone comes with an installed package.
BACKBONE = ("model=efficientnet_lite0", "transfer=frozen", "transfer.weights=bundled")
ALIKE = 0.85  # cosine of two images' features
AT_ONCE = 32


def similar_pairs(
    exp: Experiment, data: ImageData, where: NDArray[np.int8], chosen: NDArray[np.int64], least: float = ALIKE
) -> list[Pair]:
    """Pairs among `chosen` whose features' cosine is `least` or more; those of exactly the same pixels are left out.

    For each image its two nearest other ones at most, as it is and mirrored.

    Raises:
        RequestError: where the backbone's weights are missing.
    """
    net = models.build(exp, data.shape, len(data.classes))
    transfer.initialise(exp, net)
    inside, prepare = Backbone(net).eval(), preprocess.make(exp, data)
    rows: list[list[NDArray[np.float32]]] = [[], []]
    with torch.inference_mode():
        for start in range(0, len(chosen), AT_ONCE):
            x = prepare(torch.from_numpy(np.asarray(data.images[chosen[start : start + AT_ONCE]])))
            for view, seen in enumerate((x, x.flip(3))):
                rows[view].append(inside(seen).flatten(1).numpy())
    straight, flipped = (np.concatenate(view) for view in rows)
    hashes = hashes_of(data)[chosen]
    found: dict[tuple[int, int], None] = {}
    for queries in (straight, flipped):
        distances, others = neighbours(straight, queries, min(3, len(chosen)), "cosine")
        for i, (row, near) in enumerate(zip(distances.tolist(), others.tolist(), strict=True)):
            for distance, j in zip(row, near, strict=True):
                if j != i and distance <= 1 - least and hashes[i] != hashes[j]:
                    found[min(i, j), max(i, j)] = None
    return [pair(data, where, int(chosen[a]), int(chosen[b])) for a, b in sorted(found, key=lambda p: (p[1], p[0]))]
