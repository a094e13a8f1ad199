"""Mixup and CutMix: images and labels mixed within pairs of neighbours of the global batch.

The order of a batch is random already, so its neighbours are a random pairing: what a random permutation
does elsewhere, and no device needs another's images. The last image of an odd batch stays as it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.geometry import rectangles


def partner(values: Tensor) -> Tensor:
    """Each row's neighbour: row b ^ 1, or itself where there is none. values [B, ...]."""
    index = torch.arange(len(values), device=values.device) ^ 1
    return values[torch.where(index < len(values), index, index - 1)]


def beta_table(alpha: float, entries: int = 4097) -> Tensor:
    """Quantiles of Beta(alpha, alpha) at 0, 1/4096, ..., 1; `beta` reads it."""
    from scipy.special import betaincinv  # slow to import

    return torch.from_numpy(betaincinv(alpha, alpha, torch.linspace(0, 1, entries).double().numpy())).float()


def beta(uniform: Tensor, table: Tensor) -> Tensor:
    """Draws of Beta from uniform ones [B], by the table's interpolated quantiles."""
    at = uniform * (len(table) - 1)
    low = at.long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], at - low)


def mixup(images: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """own[b] image + (1 - own[b]) partner (Zhang et al. 2018, arXiv:1710.09412). One weight an image, not a batch.

    Returns:
        images float32, and the share of its own label that each keeps [B].
    """
    weight = own[:, None, None, None]
    images = images.float()
    return weight * images + (1 - weight) * partner(images), own


def cutmix(images: Tensor, own: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """A rectangle of area 1 - own[b] from the partner (Yun et al. 2019, arXiv:1905.04899, eq. 2).

    Args:
        own: [B], share of the area that stays, before the rectangle is cut at the edges.
        row, column: [B] in 0..1, the rectangle's centre.

    Returns:
        images, and the share of its own label that each keeps: the area that stayed [B].
    """
    height, width = images.shape[-2:]
    side = (1 - own).clamp(min=0).sqrt()
    tall, wide = (side * height).round().long(), (side * width).round().long()
    top = (row * height).long() - torch.div(tall, 2, rounding_mode="floor")
    left = (column * width).long() - torch.div(wide, 2, rounding_mode="floor")
    inside = rectangles(images, top, left, tall, wide)
    return torch.where(inside, partner(images), images), 1 - inside.float().mean((1, 2, 3))


def soft_targets(labels: Tensor, own: Tensor, classes: int) -> Tensor:
    """float32 [B, K]: own[b] of the image's label, the rest of its partner's. labels int64 [B] or float [B, K]."""
    hard = F.one_hot(labels, classes).float() if labels.ndim == 1 else labels
    return own[:, None] * hard + (1 - own)[:, None] * partner(hard)
