"""One network, one run key: a norm_layer that asks for what a network has already is norm_layer=native."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import nn

from bench.models.norms import norm_kind
from bench.schema.experiment import Experiment
from bench.schema.model import NormLayer, Timm, Torchvision
from bench.schema.run_key import named_norm


def as_native(exp: Experiment) -> Experiment:
    """The Experiment, with norm_layer=native where what it asks for is the same network of timm or torchvision.

    Of other families `bench.schema.run_key` knows.
    """
    if not named_norm(exp) or not _are_same(exp.model, exp.norm_layer):
        return exp
    return dataclasses.replace(exp, norm_layer=NormLayer())


@functools.lru_cache(maxsize=256)  # a sweep asks for each of its points
def _are_same(model: Timm | Torchvision, kind: NormLayer) -> bool:
    """Whether both are built, and layer for layer alike; without memory, at the size that the model was made for."""
    from bench.models import zoo  # timm and torchvision cost seconds to import

    try:
        side = max(zoo.own_sides(model), default=224)
        with torch.device("meta"):
            one, other = (zoo.zoo(model, k, (3, side, side), 10) for k in (NormLayer(), kind))
    except Exception:  # whatever keeps it from being built is said where it is built
        return False
    return layers(one) == layers(other)


def layers(net: nn.Module) -> list[str]:
    """Every layer with its settings, in order; how norms are called and framed does not count."""
    out = []
    for module in net.modules():
        kind = norm_kind(module)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            out.append(f"{kind} {nn.modules.batchnorm._BatchNorm.extra_repr(module)}")
        elif next(module.children(), None) is None or next(iter(module._parameters.values()), None) is not None:
            held = [(name, tuple(p.shape)) for name, p in module.named_parameters(recurse=False)]
            settings = module.extra_repr().replace("inplace=True", "")  # where it writes is no number
            out.append(f"{type(module).__name__} {settings} {held}")
    return out
