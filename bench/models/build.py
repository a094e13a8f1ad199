"""build: the network that an Experiment describes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bench.models.blank import blank_output
from bench.models.cnn import cnn
from bench.models.dense import dnn, linear
from bench.models.fractal import FractalNet
from bench.models.layers import Layers
from bench.models.own import own
from bench.models.preprocess import input_shape
from bench.models.resnet import resnet
from bench.models.transfer import with_head
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.model import Cnn, Dnn, Fractal, Linear, Model, NormLayer, OwnModel, Resnet, Timm, Torchvision


def build(exp: Experiment, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network for images of `shape` (C, H, W): float32 [B, C, H, W] -> logits [B, classes].

    With transfer it takes what `bench.models.preprocess` makes of such images, and has the head asked for; the
    weights are still random (`bench.models.transfer.initialise`).
    The same seed gives the same weights in every process; the global random state is left as it was.

    Raises:
        RequestError: the model cannot be built for these images or with this norm_layer.
    """
    with random_seed(exp.seed):
        net = network(exp.model, resolve_native(exp), input_shape(exp, shape), classes)
        if net is None:
            raise RequestError(f"model '{exp.model.family}' has no network: it is not trained by gradient steps.")
        return with_head(net, exp.transfer, classes)


def network(model: Model, kind: NormLayer, shape: tuple[int, int, int], classes: int) -> nn.Module | None:
    """The network with weights from the current random state; None for models without one (kNN).

    Under `torch.device("meta")` it has shapes but no weights, and costs no memory.

    Raises:
        RequestError: as `build`.
    """
    pixels = shape[0] * shape[1] * shape[2]
    layers = Layers(kind, getattr(model, "activation", None) or "relu")
    match model:
        case Linear():
            return linear(pixels, classes)
        case Dnn():
            return dnn(model, layers, pixels, classes)
        case Cnn():
            return check_pixels_left(cnn(model, layers, shape, classes), shape)
        case Resnet():
            return check_pixels_left(resnet(model, layers, shape[0], classes), shape)
        case Fractal():
            return check_pixels_left(FractalNet(model, layers, shape[0], classes), shape)
        case OwnModel():
            return check_pixels_left(own(model, kind, shape, classes), shape)
        case Timm() | Torchvision():
            from bench.models.zoo import zoo  # timm and torchvision cost seconds to import

            return zoo(model, kind, shape, classes)
    return None


def resolve_native(exp: Experiment) -> NormLayer:
    """The norm_layer, with `native` replaced by what the family's paper has; it stays for timm and torchvision."""
    if exp.norm_layer.name != "native":
        return exp.norm_layer
    return dataclasses.replace(exp.norm_layer, name=exp.model.native_norm)  # type: ignore[arg-type]


def check_pixels_left(net: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """The network, unless a norm in it would see a single value of an image, whose deviation from itself is zero.

    An instance norm does where one pixel is left, a group norm where a group then has one channel.

    Raises:
        RequestError: it would.
    """
    if any(isinstance(m, nn.InstanceNorm2d | nn.GroupNorm) for m in net.modules()):
        try:
            blank_output(net, shape)
        except ValueError as error:
            instance = any(isinstance(m, nn.InstanceNorm2d) for m in net.modules())
            kind, remedy = ("instance", "") if instance else ("group", "fewer norm_layer.groups, ")
            raise RequestError(
                f"norm_layer '{kind}' is left with one pixel of the {shape[1]}x{shape[2]} image ({error}). "
                f"Use another norm_layer, {remedy}or larger images (transfer.size) and fewer pooling steps where "
                "it does not stand behind a global pooling."
            ) from None
    return net


@contextmanager
def random_seed(seed: int) -> Iterator[None]:
    """Draw CPU random numbers from `seed` within, and put the global state back after."""
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(state)
