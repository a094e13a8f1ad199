"""resnet and plain: residual and plain networks of depth 6n+2 for small images (He et al. 2015, section 4.2)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.functional import pad

from bench.models.activation import new_head
from bench.models.layers import DropPath, Layers, silence
from bench.schema.model import Resnet


def resnet(model: Resnet, layers: Layers, channels: int, classes: int) -> nn.Sequential:
    """A 3x3 convolution, three stages of n two-convolution blocks, global average pooling, the head.

    The second and third stage start with stride 2 and double the filters (arXiv:1512.03385, section 4.2).
    Image [B, channels, H, W] -> logits [B, classes]. Without a norm (none, weight, selu) a residual block
    starts as the identity (`silence`).
    """
    blocks_per_stage = (model.depth - 2) // 6
    width, done = model.width, 0
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv1=_conv_norm(layers, channels, width, act=True))
    inputs = width
    for stage in (1, 2, 3):
        blocks = []
        for i in range(blocks_per_stage):
            done += 1
            # Survival falls linearly from the first block to the last (arXiv:1603.09382, eq. 4).
            drop = model.drop_path * done / (3 * blocks_per_stage)
            blocks.append(Block(layers, inputs, width, 2 if stage > 1 and i == 0 else 1, model.shortcut, drop))
            inputs = width
        parts[f"stage{stage}"] = nn.Sequential(*blocks)
        width *= 2
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    if model.dropout:
        parts["dropout"] = layers.dropout(model.dropout)
    parts["head"] = new_head(inputs, classes)
    return nn.Sequential(parts)


class Block(nn.Module):
    """relu(x + f(x)) with f two 3x3 convolutions with norm_layer; relu(f(x)) in the plain network.

    Args:
        shortcut: how x fits where f changes its shape. A: every second pixel, new channels zero;
            B: a 1x1 convolution with norm_layer; none: no shortcut at all.
        drop_path: how often f is left out in training.
    """

    def __init__(self, layers: Layers, inputs: int, filters: int, stride: int, shortcut: str, drop_path: float) -> None:
        super().__init__()
        self.conv1 = _conv_norm(layers, inputs, filters, stride, act=True)
        self.conv2 = _conv_norm(layers, filters, filters)
        self.act = layers.act()
        self.plain = shortcut == "none"
        self.drop_path = DropPath(drop_path)
        if layers.bare and not self.plain:
            silence(self.conv2.get_submodule("conv"))
        same = stride == 1 and inputs == filters
        self.shortcut: nn.Module = nn.Identity()
        if shortcut == "A" and not same:
            self.shortcut = Subsample(stride, filters - inputs)
        elif shortcut == "B" and not same:
            self.shortcut = _conv_norm(layers, inputs, filters, stride, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, filters, H/stride, W/stride], rounded up."""
        out = self.conv2(self.conv1(x))
        return self.act(out if self.plain else self.shortcut(x) + self.drop_path(out))


class Subsample(nn.Module):
    """Shortcut A: every stride-th pixel, and zeros for the new channels. No parameters."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride, self.new_channels = stride, new_channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C + new_channels, H/stride, W/stride], rounded up."""
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def _conv_norm(
    layers: Layers, inputs: int, filters: int, stride: int = 1, kernel: int = 3, act: bool = False
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, norm_layer, and the activation where wanted."""
    parts = OrderedDict(conv=layers.conv(inputs, filters, kernel, stride, kernel // 2), norm=layers.norm(filters))
    if act:
        parts["act"] = layers.act()
    return nn.Sequential(parts)
