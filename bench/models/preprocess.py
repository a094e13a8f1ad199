"""From stored images to a network's input: the weights' own preprocessing, or the experiment's pixel_norm."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.data import pixel_norm
from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.model import Timm, Torchvision
from bench.schema.transfer import Input


class Preprocess(nn.Module):
    """Images uint8 [B, C, H, W] -> float32 [B, channels, *size].

    In this order: the image is resized to cover `size` (antialiased) and its centre is cut out; pixels are scaled; one
    grey channel is repeated three times, which is what a photograph's three equal channels are.

    Args:
        scale: uint8 or float in 0..255 -> float32, same shape; on the images' own channels, or on `channels`.
        size: height and width in pixels, None to keep those of the images.
        repeat: scale after the grey channel was repeated (the weights' own mean and std may have three channels).
    """

    def __init__(
        self,
        scale: pixel_norm.Scale,
        channels: int,
        size: tuple[int, int] | None,
        interpolation: Literal["bilinear", "bicubic"],
        repeat: bool,
    ) -> None:
        super().__init__()
        self.scale, self.channels, self.size = scale, channels, size
        self.interpolation, self.repeat = interpolation, repeat

    def extra_repr(self) -> str:
        """Everything that decides the output, beside the buffers of `scale`."""
        return f"channels={self.channels}, size={self.size}, {self.interpolation}, repeat={self.repeat}"

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, channels, *size]."""
        x = images.float()
        if self.size is not None and x.shape[-2:] != self.size:
            x = resize_crop(x, self.size, self.interpolation)
        if self.repeat:
            x = x.expand(-1, self.channels, -1, -1)
        x = self.scale(x)
        return x.expand(-1, self.channels, -1, -1)


def resize_crop(x: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """As small as covers `size` (height, width), then its centre: float [B, C, H, W] -> [B, C, *size], 0..255."""
    (h, w), (height, width) = x.shape[-2:], size
    fits_height = height * w >= width * h
    high = height if fits_height else max(height, round(h * width / w))
    wide = max(width, round(w * height / h)) if fits_height else width
    x = interpolate(x, (high, wide), mode=interpolation, antialias=True, align_corners=False)
    top, left = (high - height) // 2, (wide - width) // 2
    # Bicubic filters overshoot; pixels do not.
    return x[..., top : top + height, left : left + width].clamp(0, 255)


def make(exp: Experiment, data: ImageData) -> nn.Module:
    """The module that makes the network's input of an Experiment: images uint8 [B, C, H, W] -> float32.

    With preprocess=weights: the size, interpolation, mean and std that `trained_input` finds. Otherwise pixel_norm,
    at the images' size or `transfer.size`, with the images' channels or `transfer.channels`.
    """
    channels, height, width = input_shape(exp, data.shape)
    trained_on = trained_input(exp)
    size = (height, width) if (height, width) != data.shape[1:] else None
    if trained_on is None:
        if exp.transfer.mode == "scratch" and (channels, height, width) == data.shape:
            return pixel_norm.make(exp.pixel_norm, data)
        return Preprocess(pixel_norm.make(exp.pixel_norm, data), channels, size, "bicubic", repeat=False)
    mean, std = (255 / trained_on.range * torch.tensor(v).double().numpy() for v in (trained_on.mean, trained_on.std))
    return Preprocess(pixel_norm.Scale(mean, std), channels, size, trained_on.interpolation, repeat=True)


def as_input(prepare: nn.Module, shape: tuple[int, int, int]) -> Input:
    """What a module of `make` does, for those who take the weights over: its numbers to the last bit.

    Args:
        shape: (C, H, W) of the network's input.
    """
    scale = prepare.scale if isinstance(prepare, Preprocess) else prepare
    assert isinstance(scale, pixel_norm.Scale)
    mean, std = (tensor.expand(1, shape[0], 1, 1).flatten().tolist() for tensor in (scale.shift, scale.scale))
    filters = prepare.interpolation if isinstance(prepare, Preprocess) else "bicubic"
    return Input(mean=tuple(mean), std=tuple(std), range=255, size=shape[1:], interpolation=filters)


def input_shape(exp: Experiment, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(C, H, W) of the network's input, for images of `shape`.

    Raises:
        RequestError: when colour images meet weights for grey ones, or transfer.channels is not the weights'.
    """
    transfer = exp.transfer
    trained_on = trained_input(exp)
    hub = transfer.mode != "scratch" and transfer.weights in ("bundled", "timm")
    channels = transfer.channels or (len(trained_on.mean) if trained_on else 3 if hub else shape[0])
    if trained_on is not None and channels != len(trained_on.mean):
        raise RequestError(
            f"transfer.channels={channels}, but the weights were trained on images of {len(trained_on.mean)}: leave it "
            "out, or scale the pixels by pixel_norm with transfer.preprocess=own."
        )
    if channels != shape[0] and shape[0] != 1:
        takes = "the weights take" if transfer.mode != "scratch" else "transfer.channels says"
        raise RequestError(f"Images have {shape[0]} channels, {takes} {channels}. Only grey becomes three.")
    if transfer.size is not None:
        return channels, transfer.size, transfer.size
    return channels, *(trained_on.size if trained_on is not None and trained_on.size else shape[1:])


def trained_input(exp: Experiment) -> Input | None:
    """The weights' own preprocessing, where it is to be used: as transfer.input says it, else as timm publishes it.

    That of a file or an earlier run is in transfer.input already (`bench.models.origin.resolve`).
    """
    transfer = exp.transfer
    if transfer.mode == "scratch" or transfer.preprocess == "own":
        return None
    if transfer.input is not None or transfer.weights not in ("bundled", "timm"):
        return transfer.input
    if not isinstance(exp.model, Timm):
        name: str = exp.model.family
        fetch = ""
        if isinstance(exp.model, Torchvision):
            from torchvision.models import get_model_weights

            name = exp.model.name
            fetch = f"; torchvision publishes {get_model_weights(name).DEFAULT.url}"
        raise RequestError(
            f"transfer.weights={transfer.weights} are weights of timm's models (model=timm model.name=...), "
            f"not of '{name}'. For that one: transfer.weights=run:ID or file:PATH{fetch}."
        )
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(exp.model.name)
    if config is None:
        raise RequestError(f"timm publishes no preprocessing for '{exp.model.name}': transfer.preprocess=own.")
    # interpolate() knows fewer filters than Pillow; lanczos, the one published besides, is nearest to bicubic.
    return Input(
        mean=tuple(config.mean),
        std=tuple(config.std),
        size=(int(config.input_size[-1]),) * 2,
        interpolation="bilinear" if config.interpolation == "bilinear" else "bicubic",
    )
