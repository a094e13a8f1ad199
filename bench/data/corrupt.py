"""Corruptions of test images, for the classic challenges of vision: accuracy per name and severity 1..5.

After Hendrycks & Dietterich 2019 (arXiv:1903.12261), with amounts that suit small images: lengths are fractions of
the side. Applied at evaluation only. A model meets the same corrupted images as every other model: draws depend on
the generator alone.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from bench.data import colour, geometry
from bench.parts.load import function
from bench.schema.errors import RequestError
from bench.schema.own import Own

# Amounts for severity 1..5.
SEVERITIES: dict[str, tuple[float, ...]] = {
    "translation": (0.04, 0.08, 0.12, 0.18, 0.25),  # of the side, in one of the eight compass directions
    "rotation": (5.0, 10.0, 20.0, 30.0, 45.0),  # degrees, to either side
    "scale": (1.1, 1.2, 1.35, 1.5, 2.0),  # factor, enlarged or reduced
    "brightness": (15.0, 30.0, 50.0, 75.0, 100.0),  # added or subtracted, of 255
    "contrast": (0.75, 0.6, 0.45, 0.3, 0.15),  # factor
    "noise": (10.0, 20.0, 35.0, 50.0, 75.0),  # standard deviation of Gaussian noise, of 255
    "blur": (0.02, 0.04, 0.06, 0.08, 0.12),  # sigma of a Gaussian, of the side
    "occlusion": (0.15, 0.25, 0.35, 0.45, 0.55),  # side of a grey square, of the side
    "clutter": (1, 2, 4, 6, 9),  # rectangles in the background, where the image is dark
}
GREY = 128  # of the occluding square


def generator(seed: int, name: str, severity: int) -> torch.Generator:
    """A generator for one corruption, the same for every model and in every process."""
    words = np.random.SeedSequence([seed, sorted(SEVERITIES).index(name), severity]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def own_generator(seed: int, name: str, severity: int) -> torch.Generator:
    """The same for a corruption of somebody's own, by its name."""
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    words = np.random.SeedSequence([seed, word, severity, 1]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def apply_own(images: Tensor, own: Own, severity: int, generator: torch.Generator) -> Tensor:
    """Images that a corruption of somebody's own has changed; see `apply`.

    Raises:
        RequestError: where it gives back anything but uint8 images of the same shape.
    """
    made = function("corruption", own)(images, severity, generator)
    if not isinstance(made, Tensor) or made.shape != images.shape or made.dtype != torch.uint8:
        given = f"{made.dtype} {list(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise RequestError(f"corruption '{own.name}' gives back {given}. Expected uint8 {list(images.shape)}, 0..255.")
    return made


def apply(images: Tensor, name: str, severity: int, generator: torch.Generator) -> Tensor:
    """Corrupted images, uint8, same shape.

    Args:
        images: uint8 [B, C, H, W].
        name: one of SEVERITIES.
        severity: 1..5.
        generator: on the CPU; calls with the batches of one evaluation share it.
    """
    amount = SEVERITIES[name][severity - 1]
    drawn = torch.rand(len(images), 2, generator=generator).to(images.device)
    sign = torch.where(drawn[:, 0] < 0.5, -1.0, 1.0)
    side = min(images.shape[-2:])
    still = torch.zeros_like(drawn)
    if name == "translation":
        # Equally far in each direction: eight of them, on the pixel grid.
        pixels = max(1, round(amount * side))
        eight = torch.tensor([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)])
        offsets = eight.to(images.device)[(drawn[:, 0] * 8).long()] * pixels
        return geometry.shift(images, offsets, pixels)
    if name == "rotation":
        return _bytes(geometry.affine(images, geometry.rotation(sign * amount), still))
    if name == "scale":
        factor = torch.where(sign > 0, amount, 1 / amount)
        return _bytes(geometry.affine(images, geometry.rotation(torch.zeros_like(factor), factor), still))
    if name == "brightness":
        return _bytes(images.float() + (sign * amount)[:, None, None, None])
    if name == "contrast":
        return _bytes(colour.contrast(images, torch.full_like(sign, amount)))
    if name == "noise":
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        return _bytes(images.float() + amount * noise)
    if name == "blur":
        return _bytes(colour.blur(images, torch.full_like(sign, amount * side), amount * side))
    if name == "occlusion":
        extent = torch.full_like(sign, round(amount * side)).long()
        top = (drawn[:, 0] * (images.shape[-2] - extent + 1)).long()
        left = (drawn[:, 1] * (images.shape[-1] - extent + 1)).long()
        return images.masked_fill(geometry.rectangles(images, top, left, extent, extent), GREY)
    assert name == "clutter", name
    return _clutter(images, int(amount), generator)


def _clutter(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rectangles of random places, sizes and greys behind the object: the brighter of the two is seen.

    For images of bright objects on a dark ground, as digits, letters and clothes are; on photographs it adds
    bright patches wherever the picture is darker than they are.
    """
    height, width = images.shape[-2:]
    for _ in range(count):
        drawn = torch.rand(len(images), 5, generator=generator).to(images.device)
        tall = (1 + drawn[:, 0] * 0.25 * height).long()
        wide = (1 + drawn[:, 1] * 0.25 * width).long()
        top, left = (drawn[:, 2] * height).long(), (drawn[:, 3] * width).long()
        inside = geometry.rectangles(images, top, left, tall, wide)
        level = (60 + 140 * drawn[:, 4]).to(images.dtype)[:, None, None, None]
        images = torch.where(inside, torch.maximum(images, level), images)
    return images


def _bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)
