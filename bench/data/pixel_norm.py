"""pixel_norm: how input pixels are scaled, as the first layer that a batch meets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.imagedata import ImageData
from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.schema.errors import RequestError
from bench.schema.own import Own
from bench.schema.pixels import PixelNorm

CHUNK_BYTES = 64 * 2**20


class Scale(nn.Module):
    """(x - shift) / scale per channel: uint8 (or float in 0..255) [B, C, H, W] -> float32, same shape."""

    shift: Tensor  # [1, C, 1, 1], in units of 0..255
    scale: Tensor

    def __init__(self, shift: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Scaled images, float32."""
        return (images.float() - self.shift) / self.scale


def make(pixel_norm: PixelNorm, data: ImageData) -> Scale:
    """The module for a setting. `standardize` takes its statistics from the train split only."""
    channels = data.shape[0]
    zero, one = np.zeros(channels), np.ones(channels)
    if pixel_norm.name == "none":
        return Scale(zero, one)
    if pixel_norm.name == "unit":
        return Scale(zero, 255 * one)
    if pixel_norm.name == "symmetric":
        return Scale(127.5 * one, 127.5 * one)
    if pixel_norm.own is not None:
        return _own(pixel_norm.own, data)
    mean, std = statistics(data, data.train)
    # A constant channel carries nothing to scale: centre it and leave it at zero.
    return Scale(mean, np.where(std > 0, std, 1.0))


def _own(own: Own, data: ImageData) -> Scale:
    """The scale that a function of somebody's own says, from the training images.

    Raises:
        RequestError: where it is not a number a channel, or divides by nothing.
    """
    make_own = function("pixel_norm", own)
    try:
        mean, std = make_own(data.images[data.train], **arguments(make_own, own.values, "pixel_norm"))
        shift, scale = (np.broadcast_to(np.asarray(v, np.float64), (data.shape[0],)) for v in (mean, std))
    except RequestError:
        raise
    except Exception as error:
        raise error_of(f"pixel_norm '{own.name}': expected (mean, std), a number a channel each", error) from error
    if not np.isfinite(shift).all() or not np.isfinite(scale).all() or (scale <= 0).any():
        raise RequestError(f"pixel_norm '{own.name}': mean {shift.tolist()}, std {scale.tolist()}. Expected std > 0.")
    return Scale(shift, scale)


def statistics(data: ImageData, indices: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and (population) standard deviation of each channel [C] over `indices`, in units of 0..255. Exact."""
    channels = data.shape[0]
    # Whole numbers, so exact; squares of bytes fit in 16 bits. A third of the time of a histogram.
    sums, squares = [0] * channels, [0] * channels
    step = max(1, CHUNK_BYTES // max(1, int(np.prod(data.shape))))
    for start in range(0, len(indices), step):
        chunk = data.images[indices[start : start + step]]
        for c in range(channels):
            values = chunk[:, c]
            sums[c] += int(values.sum(dtype=np.uint64))
            squares[c] += int(np.multiply(values, values, dtype=np.uint16).sum(dtype=np.uint64))
    total = len(indices) * data.shape[1] * data.shape[2]
    variance = [(total * squares[c] - sums[c] ** 2) / total**2 for c in range(channels)]
    return np.array([s / total for s in sums]), np.sqrt(np.array(variance))
