"""A network of one's own: model=NAME."""

from typing import Annotated

from pydantic import Field
from torch import nn

from bench.parts import model


@model
def NAME(shape, classes, *, norm, width: Annotated[int, Field(gt=0)] = 32, depth: int = 2) -> nn.Module:
    """Two sentences that say what is new; the first paragraph is what `bench models` shows.

    shape is (channels, height, width) of an image. norm(channels) makes the layer that norm_layer=... asks for;
    leave `norm` out if the network has none. What follows the * are settings: model.width=64.
    """
    layers = [nn.Conv2d(shape[0], width, 3, padding=1), norm(width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), norm(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
