"""Activations by name, and the weight initialisation that suits each."""

from __future__ import annotations

import math

from torch import nn

from bench.schema.model import Activation

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,  # none: what a network is without
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
}


def activation(name: Activation) -> nn.Module:
    """A new module that computes the activation, elementwise."""
    return ACTIVATIONS[name]()


def initialise(layer: nn.Conv2d | nn.Linear, name: Activation) -> None:
    """Draw new weights for a layer that the activation `name` follows; its bias becomes zero.

    Weights are normal with variance gain^2 / fan_in: gain^2 = 2 before relu and its relatives (He et al. 2015,
    arXiv:1502.01852), 1 before selu (LeCun normal; Klambauer et al. 2017, arXiv:1706.02515). Before sigmoid, tanh
    and none (linear) the variance is 2 / (fan_in + fan_out) (Glorot & Bengio 2010).
    """
    if name == "selu":
        nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight[0].numel()))
    elif name in ("sigmoid", "tanh", "linear"):
        nn.init.xavier_normal_(layer.weight)
    else:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def new_head(inputs: int, classes: int) -> nn.Linear:
    """The affine layer that makes logits; no activation follows: Glorot-uniform weights, zero bias."""
    layer = nn.Linear(inputs, classes)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
