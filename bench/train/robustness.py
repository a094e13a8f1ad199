"""Accuracy under corruption: the selected model, measured again on changed test images."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from bench.data import corrupt
from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError
from bench.schema.pixels import Corrupt
from bench.train.metrics import metrics
from bench.train.result import Classify

AT_ONCE = 1024  # images


def robustness(settings: Corrupt, data: ImageData, classify: Classify | None) -> dict[str, float]:
    """`corrupt/<name>/<severity>/accuracy` and `.../nll` on the test split, for each name and severity asked for.

    Args:
        classify: the trained model, uint8 [B, C, H, W] -> log-probabilities [B, K].

    Raises:
        RequestError: where the model has no way from images to scores.
    """
    if not settings.names and not settings.own:
        return {}
    if classify is None:
        raise RequestError(
            "corrupt.names: neighbours and class means among features are measured on clean images only. "
            "Use transfer.head=linear or dnn, or corrupt=none."
        )
    out = {}
    labels = data.labels[data.test]
    mine = {own.name: own for own in settings.own}
    for name, severity in itertools.product((*settings.names, *mine), settings.severities):
        draws = (corrupt.own_generator if name in mine else corrupt.generator)(settings.seed, name, severity)
        scores: list[Tensor] = []
        for part in torch.from_numpy(data.test).split(AT_ONCE):
            images = torch.from_numpy(data.images[part.numpy()])
            if name in mine:
                changed = corrupt.apply_own(images, mine[name], severity, draws)
            else:
                changed = corrupt.apply(images, name, severity, draws)
            scores.append(classify(changed).cpu())
        found = metrics(torch.cat(scores).numpy(), labels)
        out[f"corrupt/{name}/{severity}/accuracy"] = found["accuracy"]
        out[f"corrupt/{name}/{severity}/nll"] = found["nll"]
    return out
