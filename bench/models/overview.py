"""What `bench models` says of a model, without training it or giving it memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bench.models import cost
from bench.models.build import network
from bench.models.heads import head_names
from bench.models.norms import norms_of, tally
from bench.models.stages import stages
from bench.schema.errors import RequestError
from bench.schema.model import Model, NormLayer, OwnModel, Timm, Torchvision


@dataclass(frozen=True)
class Counts:
    """Counts for one input and number of classes.

    Attributes:
        parameters: 0 for models without a network.
        flops: per image; None for models without a network.
        norm_layers: which it takes.
        norms: kind -> how many it has with its native norm_layer.
        stages: (name, parameters), from input to head.
        heads: layers that make logits; of several the mean counts, in training and after.
    """

    parameters: int
    flops: int | None
    norm_layers: tuple[str, ...]
    norms: dict[str, int]
    stages: tuple[tuple[str, int], ...]
    heads: tuple[str, ...]


def count(model: Model, shape: tuple[int, int, int], classes: int) -> Counts:
    """The counts of a model with its native norm_layer for images of `shape` (C, H, W).

    Raises:
        RequestError: it does not take such images.
    """
    with torch.device("meta"):
        native = NormLayer(name=model.native_norm)  # type: ignore[arg-type]
        net = network(model, native, shape, classes)
    if net is None:
        return Counts(0, None, ("native", *model.norm_layers), {}, (), ())
    return Counts(
        cost.parameters(net),
        cost.flops(net, shape),
        ("native", *_norm_layers(model, net, shape, classes)),
        tally(norms_of(net).values()),
        tuple((s.name, sum(p.numel() for p in s.parameters)) for s in stages(net)),
        head_names(net),
    )


def smallest_useful_input(model: Timm | Torchvision) -> int:
    """The smallest square image worth giving a model that has no entry in the registry."""
    from bench.models.zoo import raise_to_stride, smallest_input

    side = smallest_input(model, NormLayer())
    with torch.device("meta"):
        net = network(model, NormLayer(), (3, max(side, 32), max(side, 32)), 2)
    assert net is not None
    return raise_to_stride(net, side)


def least_own(model: OwnModel | Timm, channels: int) -> int | None:
    """The smallest of the powers of two whose square images a network of somebody's own takes; None up to 256."""
    for side in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        try:
            with torch.device("meta"):
                network(model, NormLayer(name=model.native_norm), (channels, side, side), 2)  # type: ignore[arg-type]
        except RequestError:
            continue
        return side
    return None


def _norm_layers(model: Model, net: nn.Module, shape: tuple[int, int, int], classes: int) -> tuple[str, ...]:
    if not isinstance(model, Timm | Torchvision):
        return model.norm_layers
    from bench.models.swap import supported_norms

    return tuple(n for n in supported_norms(net) if n != "instance" or _takes_instance(model, shape, classes))


def _takes_instance(model: Model, shape: tuple[int, int, int], classes: int) -> bool:
    """Not where a norm stands behind a global pooling (attention to channels), which only a pass through it tells."""
    try:
        with torch.device("meta"):
            network(model, NormLayer(name="instance"), shape, classes)
    except RequestError:
        return False
    return True
