"""Experiments for the tests of the models."""

import dataclasses

import numpy as np
from torch import nn

from bench import models
from bench.compose import compose
from bench.data.imagedata import ImageData
from bench.schema.experiment import Experiment, experiment

MNIST = (1, 28, 28)
PARTS = [
    f.name
    for f in dataclasses.fields(Experiment)
    if f.default is dataclasses.MISSING and f.name not in ("dataset", "model", "norm_layer")
]
RESIDUAL = (
    *("model=resnet20", "model.depth=8", "model.width=4", "model.drop_path=0.5", "model.dropout=0.3"),
    "transfer.weights=run:source",
)


def make(model: dict, norm_layer: dict | str = "native", seed: int = 0) -> Experiment:
    """An Experiment with this model, all else at its default."""
    norm_layer = {"name": norm_layer} if isinstance(norm_layer, str) else norm_layer
    parts = {name: {} for name in PARTS}
    return experiment(
        {"dataset": {"source": "mnist5k"}, "model": model, "norm_layer": norm_layer, "seed": seed, **parts}
    )


def composed(*overrides: str) -> Experiment:
    """An Experiment on digits, as these overrides compose it."""
    return experiment(compose(["dataset=digits", *overrides]))


def residual(*overrides: str, classes: int = 10) -> tuple[Experiment, nn.Module]:
    """A small residual network with batch norm, dropout and stochastic depth, for images [1, 8, 8]."""
    exp = composed(*RESIDUAL, *overrides)
    return exp, models.build(exp, (1, 8, 8), classes)


def picture(image: np.ndarray) -> ImageData:
    """ImageData of one image, uint8 [H, W, C]."""
    one = np.zeros(1, np.int64)
    images = np.ascontiguousarray(image.transpose(2, 0, 1))[None]
    return ImageData(images, one, ("a",), one, one, one, "none")
