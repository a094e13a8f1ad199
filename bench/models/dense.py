"""linear and dnn: affine layers on the flattened image."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from bench.models.activation import new_head
from bench.models.layers import Layers
from bench.schema.model import Dnn


def linear(inputs: int, classes: int) -> nn.Sequential:
    """Multinomial logistic regression: [B, C, H, W] with C*H*W = inputs -> logits [B, classes]."""
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), head=new_head(inputs, classes)))


def dnn(model: Dnn, layers: Layers, inputs: int, classes: int) -> nn.Sequential:
    """A fully connected network: [B, C, H, W] with C*H*W = inputs -> logits [B, classes]."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i, units in enumerate(model.hidden, 1):
        parts[f"dense{i}"] = layers.dense(inputs, units, model.dropout)
        inputs = units
    parts["head"] = new_head(inputs, classes)
    return nn.Sequential(parts)
