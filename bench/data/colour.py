"""Brightness, colour and sharpness on a batch, each image by an amount of its own.

Images are [B, C, H, W], uint8 or float in 0..255, C 1 or 3; amounts are tensors [B] on the same device; results are
float32 in 0..255, in `out` where that is given (which float `images` themselves may be). The operations are those of
Pillow's ImageEnhance and ImageOps, without rounding between steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as in Pillow


def blend(first: Tensor, second: Tensor, amount: Tensor, out: Tensor | None = None) -> Tensor:
    """first + amount[b] (second - first), cut to 0..255."""
    return torch.lerp(first, second, amount[:, None, None, None], out=out).clamp_(0, 255)


def brightness(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """0 is black, 1 leaves it."""
    return torch.mul(images.float(), factor[:, None, None, None], out=out).clamp_(0, 255)


def contrast(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """0 is the image's mean grey, 1 leaves it."""
    images = images.float()
    mean = images.mean((2, 3))  # before the channels are added up: the same sum in a third of the time
    if images.shape[1] == 3:
        mean = (mean * torch.tensor(LUMA, device=images.device)).sum(1)
    return blend(mean.view(-1, 1, 1, 1), images, factor, out)


def saturation(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """0 is grey, 1 leaves it."""
    images = images.float()
    return blend(grey(images), images, factor, out)


def grey(images: Tensor) -> Tensor:
    """Luminance in every channel, [B, C, H, W]."""
    images = images.float()
    if images.shape[1] == 1:
        return images
    luma = images[:, :1] * LUMA[0]
    for channel in (1, 2):
        luma.add_(images[:, channel : channel + 1], alpha=LUMA[channel])
    return luma.expand_as(images)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by turn[b], where 1 is the whole circle (HSV). Grey images have none."""
    images = images.float()
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    value, spread = images.amax(1), images.amax(1) - images.amin(1)
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    # In sixths of the circle, from the channel that is largest.
    of_blue = torch.where(value == green, blue - red + 2 * safe, red - green + 4 * safe)
    angle = torch.where(value == red, green - blue, of_blue).div_(safe).add_(6 * turn[:, None, None])
    # Each channel of HSV's inverse is value minus a trapezoid of the angle.
    channels = []
    for start in (5.0, 3.0, 1.0):
        k = (angle + start).remainder_(6)
        channels.append(torch.addcmul(value, spread, torch.minimum(k, 4 - k).clamp_(0, 1), value=-1))
    return torch.stack(channels, 1)


def solarize(images: Tensor, threshold: Tensor, out: Tensor | None = None) -> Tensor:
    """Invert the values that are at least threshold[b]."""
    images = images.float()
    inverted = (images >= threshold[:, None, None, None]).float()
    # Exact at 0 and 1, and several times faster than torch.where.
    return torch.lerp(images, 255 - images, inverted, out=out)


def posterize(images: Tensor, bits: Tensor, out: Tensor | None = None) -> Tensor:
    """Keep the bits[b] highest of eight bits."""
    step = torch.pow(2.0, 8 - bits.float())[:, None, None, None]
    return torch.div(images.float(), step, out=out).floor_().mul_(step)


def autocontrast(images: Tensor, out: Tensor | None = None) -> Tensor:
    """Stretch each channel to 0..255; a constant one stays."""
    images = images.float()
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    varied = high > low
    low = torch.where(varied, low, torch.zeros_like(low))
    spread = torch.where(varied, high - low, torch.full_like(low, 255.0))
    return torch.sub(images, low, out=out).mul_(255).div_(spread).clamp_(0, 255)


def equalize(images: Tensor) -> Tensor:
    """Make each channel's histogram flat, as Pillow's ImageOps.equalize: a table of 256 entries a channel."""
    count, channels, height, width = images.shape
    values = images.float().round().reshape(count * channels, -1)
    levels = values.long()
    histogram = torch.zeros(count * channels, 256, device=images.device)
    histogram.scatter_add_(1, levels, torch.ones_like(values))
    last = torch.gather(histogram, 1, values.amax(1, keepdim=True).long())  # how often the brightest level occurs
    # All are whole numbers, so the floor of a quotient is exact, and several times faster than floor division.
    step = ((height * width - last) / 255).floor_()
    before = histogram.cumsum(1).sub_(histogram)
    table = before.add_((step / 2).floor_()).div_(step.clamp(min=1)).floor_().clamp_(0, 255)
    table = torch.where(step > 0, table, torch.arange(256.0, device=images.device))
    return torch.gather(table, 1, levels).reshape(images.shape)


def sharpness(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """0 is smoothed by the kernel (1 1 1; 1 5 1; 1 1 1) / 13, 1 leaves it; the outermost pixels stay."""
    images = images.float()
    out = images.clone() if out is None else out.copy_(images)
    if min(images.shape[-2:]) > 2:
        inner = images[:, :, 1:-1, 1:-1]
        # Sums of three rows, then of three columns: several times faster on a CPU than pooling.
        rows = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
        around = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])
        change = around.sub_(inner, alpha=9)  # 13 (smooth - image), as the kernel's centre is 1 + 4
        out[:, :, 1:-1, 1:-1].addcmul_(change, ((1 - factor) / 13)[:, None, None, None])
    return out.clamp_(0, 255)


def blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Gaussian of sigma[b] <= largest pixels as two one-dimensional convolutions, edges repeated; 0 leaves it.

    The kernel ends at 3 largest, whatever the draws are: the sums are the same however a batch is shared out.
    """
    images = images.float()
    count, channels, height, _ = images.shape
    reach = max(1, round(3 * largest))
    at = torch.arange(-reach, reach + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma.clamp(min=1e-3)[:, None]) ** 2)  # [B, 2 reach + 1]
    kernel = kernel / kernel.sum(1, keepdim=True)
    kernel = kernel.repeat_interleave(channels, 0)
    flat = F.pad(images, (reach,) * 4, mode="replicate").reshape(1, count * channels, height + 2 * reach, -1)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=count * channels)
    return F.conv2d(flat, kernel[:, None, None, :], groups=count * channels).reshape(images.shape)
