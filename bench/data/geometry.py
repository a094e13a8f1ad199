"""Flips, shifts and affine maps on a batch, each image by an amount of its own.

Images are [B, C, H, W], uint8 or float in 0..255; amounts are tensors [B] on the same device.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Fill = Literal["zero", "reflect", "edge"]


def flip(images: Tensor, which: Tensor, axis: int = -1) -> Tensor:
    """Mirror the images with which[b]: axis -1 swaps left and right, axis -2 top and bottom."""
    # Copying whole images is several times faster than choosing pixel by pixel.
    row = torch.arange(len(images), device=images.device)
    return torch.cat([images, images.flip(axis)]).index_select(0, row + len(images) * which)


def shift(images: Tensor, offsets: Tensor, largest: int, fill: Fill = "zero") -> Tensor:
    """Move image b by offsets[b] = (down, right) pixels: a random crop of the padded image.

    Args:
        offsets: int64 [B, 2], in [-largest, largest].
        fill: what comes in at the edges.
    """
    count, channels, height, width = images.shape
    device = images.device
    if fill == "zero":
        padded = F.pad(images, (largest,) * 4)
    else:
        across = [_outside(side, largest, fill).to(device) for side in (height, width)]
        padded = images.index_select(2, across[0]).index_select(3, across[1])
    tall, wide = padded.shape[-2:]
    down, right = (largest - offsets).unbind(1)
    # Rows of the result lie in one piece in the padded image: copy each of them from where it starts.
    plane = torch.arange(count * channels, device=device).view(count, channels, 1) * tall
    rows = plane + down[:, None, None] + torch.arange(height, device=device)
    starts = rows * wide + right[:, None, None]
    return padded.reshape(-1).unfold(0, width, 1).index_select(0, starts.view(-1)).view(images.shape)


def _outside(side: int, pad: int, fill: Fill) -> Tensor:
    """The indices that continue 0..side-1 by `pad` on both ends."""
    at = torch.arange(-pad, side + pad)
    if fill == "edge":
        return at.clamp(0, side - 1)
    return side - 1 - (side - 1 - at.abs()).abs()


def affine(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Each output pixel p shows the input at matrix[b] p + offset[b], both from the image's centre; float32.

    Bilinear; zero outside.

    Args:
        matrix: [B, 2, 2], rows (x, y).
        offset: [B, 2], (x, y) in pixels.
    """
    height, width = images.shape[-2:]
    # From pixels to grid_sample's -1..1, one part by the point's column plus one part by its row: this is all that
    # affine_grid's matrix product comes to, several times faster.
    size = torch.tensor([width, height], dtype=torch.float32, device=images.device)
    x, y = ((2 * torch.arange(side, device=images.device) - side + 1).float() for side in (width, height))
    by_column = torch.addcmul(2 * offset[:, :, None], matrix[:, :, :1], x).div_(size[:, None])  # [B, 2, W]
    by_row = (matrix[:, :, 1:] * y).div_(size[:, None])  # [B, 2, H]
    grid = (by_column[:, :, None, :] + by_row[:, :, :, None]).permute(0, 2, 3, 1)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def rotation(degrees: Tensor, scale: Tensor | None = None) -> Tensor:
    """Matrices [B, 2, 2] for `affine`: turn counter-clockwise by degrees[b], enlarge by scale[b]."""
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    return matrix if scale is None else matrix / scale[:, None, None]


def rectangles(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """bool [B, 1, H, W]: inside the rectangle of each image, in pixels; parts outside the image are cut off."""
    row = torch.arange(images.shape[-2], device=images.device)[None, :]
    column = torch.arange(images.shape[-1], device=images.device)[None, :]
    inside_rows = (row >= top[:, None]) & (row < (top + height)[:, None])
    inside_columns = (column >= left[:, None]) & (column < (left + width)[:, None])
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
