"""From stored images to a network's input: the weights' own preprocessing, or the experiment's pixel_norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.data import pixel_norm
from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.model import Timm, Torchvision

# (mean, std) per channel in 0..1, pixels a side, interpolation
Published = tuple[tuple[float, ...], tuple[float, ...], int, str]


class Preprocess(nn.Module):
    """Images uint8 [B, C, H, W] -> float32 [B, channels, size, size].

    In this order: the shorter side is resized to `size` (antialiased) and the centre square is cut out; pixels are
    scaled; one grey channel is repeated three times, which is what a photograph's three equal channels are.

    Args:
        scale: uint8 or float in 0..255 -> float32, same shape; on the images' own channels, or on `channels`.
        size: pixels a side, None to keep height and width.
        repeat: scale after the grey channel was repeated (the weights' own mean and std have three channels).
    """

    def __init__(self, scale: nn.Module, channels: int, size: int | None, interpolation: str, repeat: bool) -> None:
        super().__init__()
        self.scale, self.channels, self.size = scale, channels, size
        self.interpolation, self.repeat = interpolation, repeat

    def extra_repr(self) -> str:
        """Everything that decides the output, beside the buffers of `scale`."""
        return f"channels={self.channels}, size={self.size}, {self.interpolation}, repeat={self.repeat}"

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, channels, size, size]."""
        x = images.float()
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            x = resized(x, self.size, self.interpolation)
        if self.repeat:
            x = x.expand(-1, self.channels, -1, -1)
        x = self.scale(x)
        return x.expand(-1, self.channels, -1, -1)


def resized(x: Tensor, size: int, interpolation: str) -> Tensor:
    """The shorter side at `size` pixels, then the centre square: float [B, C, H, W] -> [B, C, size, size], 0..255."""
    h, w = x.shape[-2:]
    high, wide = (size, max(size, round(w * size / h))) if h <= w else (max(size, round(h * size / w)), size)
    x = interpolate(x, (high, wide), mode=interpolation, antialias=True, align_corners=False)
    top, left = (high - size) // 2, (wide - size) // 2
    # Bicubic filters overshoot; pixels do not.
    return x[..., top : top + size, left : left + size].clamp(0, 255)


def make(exp: Experiment, data: ImageData) -> nn.Module:
    """The module that makes the network's input of an Experiment: images uint8 [B, C, H, W] -> float32.

    With weights=bundled or timm and preprocess=weights: the published size, interpolation, mean and std. Otherwise
    pixel_norm, at the images' size or `transfer.size`, with the images' channels or `transfer.channels`.
    """
    channels, height, width = input_shape(exp, data.shape)
    known = published(exp)
    size = height if (height, width) != data.shape[1:] else None
    if known is None:
        if exp.transfer.mode == "scratch" and (channels, height, width) == data.shape:
            return pixel_norm.make(exp.pixel_norm, data)
        return Preprocess(pixel_norm.make(exp.pixel_norm, data), channels, size, "bicubic", repeat=False)
    mean, std, _, interpolation = known
    scale = pixel_norm.Scale(255 * torch.tensor(mean).double().numpy(), 255 * torch.tensor(std).double().numpy())
    return Preprocess(scale, channels, size, interpolation, repeat=True)


def input_shape(exp: Experiment, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(C, H, W) of the network's input, for images of `shape`.

    Raises:
        RequestError: when colour images meet weights for grey ones.
    """
    transfer = exp.transfer
    known = published(exp)
    hub = transfer.mode != "scratch" and transfer.weights in ("bundled", "timm")
    channels = transfer.channels or (3 if hub else shape[0])
    if channels != shape[0] and shape[0] != 1:
        takes = "the weights take" if transfer.mode != "scratch" else "transfer.channels says"
        raise RequestError(f"Images have {shape[0]} channels, {takes} {channels}. Only grey becomes three.")
    side = transfer.size or (known[2] if known else None)
    return (channels, side, side) if side else (channels, *shape[1:])


def published(exp: Experiment) -> Published | None:
    """The preprocessing that timm publishes with a model's weights, where these are used with it."""
    transfer = exp.transfer
    if transfer.mode == "scratch" or transfer.preprocess == "own" or transfer.weights not in ("bundled", "timm"):
        return None
    if not isinstance(exp.model, Timm):
        name: str = exp.model.family
        fetch = ""
        if isinstance(exp.model, Torchvision):
            from torchvision.models import get_model_weights

            name = exp.model.name
            fetch = f"; torchvision publishes {get_model_weights(name).DEFAULT.url}"  # type: ignore[attr-defined]
        raise RequestError(
            f"transfer.weights={transfer.weights} are weights of timm's models (model=timm model.name=...), "
            f"not of '{name}'. For that one: transfer.weights=run:ID or file:PATH{fetch}."
        )
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(exp.model.name)
    if config is None:
        raise RequestError(f"timm publishes no preprocessing for '{exp.model.name}': transfer.preprocess=own.")
    # interpolate() knows fewer filters than Pillow; lanczos, the one published besides, is nearest to bicubic.
    interpolation = "bilinear" if config.interpolation == "bilinear" else "bicubic"
    return tuple(config.mean), tuple(config.std), int(config.input_size[-1]), interpolation
