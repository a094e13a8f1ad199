"""cnn: the teaching network, convolutions with pooling and then dense layers."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from bench.models.activation import new_head
from bench.models.layers import Layers
from bench.schema.errors import RequestError
from bench.schema.model import Cnn


def cnn(model: Cnn, layers: Layers, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network for images of `shape` (C, H, W): [B, C, H, W] -> logits [B, classes].

    Each convolution is followed by norm_layer, activation and pooling; each dense layer by norm_layer
    (but instance, which needs space), activation and dropout.

    Raises:
        RequestError: the image is used up before the last convolution.
    """
    channels, height, width = shape
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (filters, kernel) in enumerate(zip(model.filters, model.kernels, strict=True), 1):
        sides = [_after_block(model, side, kernel) for side in (height, width)]
        if min(sides) < 1:
            raise RequestError(
                f"cnn: convolution {i} (kernel {kernel}, stride {model.stride}, padding {model.padding}, pooling "
                f"{model.pooling}) is left with {height}x{width} pixels of the {shape[1]}x{shape[2]} image, too few. "
                "Use model.padding=same, model.pooling=none, smaller model.kernels or fewer model.filters."
            )
        parts[f"conv{i}"] = _block(model, layers, channels, filters, kernel, (height, width))
        channels, (height, width) = filters, sides
    parts["flatten"] = nn.Flatten()
    inputs = channels * height * width
    for i, units in enumerate(model.dense, 1):
        parts[f"dense{i}"] = layers.dense(inputs, units, model.dropout)
        inputs = units
    parts["head"] = new_head(inputs, classes)
    return nn.Sequential(parts)


def _block(model: Cnn, layers: Layers, inputs: int, filters: int, kernel: int, size: tuple[int, int]) -> nn.Sequential:
    """Convolution, norm_layer, activation, pooling on images of `size` (H, W)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    padding = 0
    if model.padding == "same":
        (top, bottom), (left, right) = (_same_padding(side, kernel, model.stride) for side in size)
        if top == bottom == left == right:
            padding = top
        else:  # even kernels need one pixel more on the far side, which Conv2d alone cannot do with a stride
            parts["pad"] = nn.ZeroPad2d((left, right, top, bottom))
    parts["conv"] = layers.conv(inputs, filters, kernel, model.stride, padding)
    parts["norm"] = layers.norm(filters)
    parts["act"] = layers.act()
    if model.pooling != "none":
        parts["pool"] = (nn.MaxPool2d if model.pooling == "max" else nn.AvgPool2d)(model.pool_size)
    return nn.Sequential(parts)


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, so that a convolution makes ceil(side / stride) of `side` pixels."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _after_block(model: Cnn, side: int, kernel: int) -> int:
    """Pixels along one side after convolution and pooling; below 1 where nothing is left."""
    if model.padding == "same":
        side = -(-side // model.stride)
    else:
        side = (side - kernel) // model.stride + 1
    return side if model.pooling == "none" else side // model.pool_size
