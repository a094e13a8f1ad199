"""RandAugment and TrivialAugment on a batch: every image draws operations of its own.

Each operation is applied once, to all the images that drew it; the affine ones share one resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.data import colour
from bench.data.geometry import affine, rotation

LEVELS = 30  # magnitudes are 0..LEVELS
AFFINE = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
OPERATIONS = (
    "identity", *AFFINE, "brightness", "saturation", "contrast", "sharpness", "posterize", "solarize", "autocontrast",
    "equalize",
)  # fmt: skip

# Amounts at the largest magnitude. Translations: fraction of the side (RandAugment), pixels (TrivialAugment).
RAND = {"shear": 0.3, "translate": 150 / 331, "rotate": 30.0, "enhance": 0.9, "posterize": 4}
TRIVIAL = {"shear": 0.99, "translate": 32.0, "rotate": 135.0, "enhance": 0.99, "posterize": 6}


def randaugment(images: Tensor, drawn: Sequence[Tensor], magnitude: float) -> Tensor:
    """N of 14 operations an image, one after the other, at a fixed magnitude (Cubuk et al. 2019, arXiv:1909.13719).

    Ranges as in torchvision's RandAugment.

    Args:
        drawn: N tensors [B, 2] in 0..1: which operation, which sign.
        magnitude: 0..30.
    """
    place = None
    for step in drawn:
        share = torch.full_like(step[:, 0], magnitude / LEVELS)
        images, place = _apply(images, place, step, share, RAND, side=float(images.shape[-1]))
    return images if place is None else images.index_select(0, place)


def trivialaugment(images: Tensor, drawn: Tensor) -> Tensor:
    """One of 14 operations an image at a random magnitude (Müller & Hutter 2021, arXiv:2103.10158, wide ranges).

    Args:
        drawn: [B, 3] in 0..1: which operation, which sign, which magnitude.
    """
    share = (drawn[:, 2] * (LEVELS + 1)).floor() / LEVELS
    images, place = _apply(images, None, drawn, share, TRIVIAL, side=1.0)
    return images.index_select(0, place)


def _apply(
    images: Tensor, place: Tensor | None, drawn: Tensor, share: Tensor, most: dict[str, float], side: float
) -> tuple[Tensor, Tensor]:
    """One operation an image; hands back the images in another order, and where each image is in it.

    Args:
        place: int64 [B], where image b is in `images`; None: at b.
        share: [B], magnitude as a fraction of the largest.
        side: scales translations.
    """
    chosen = (drawn[:, 0] * len(OPERATIONS)).long().clamp(max=len(OPERATIONS) - 1)
    sign = torch.where(drawn[:, 1] < 0.5, -1.0, 1.0)
    # In the order of what they drew, so that each operation has its images in one piece.
    chosen, order = chosen.sort(stable=True)
    sign, share = sign[order], share[order]
    enhance = 1 + sign * share * most["enhance"]
    bits = 8 - (share * most["posterize"]).round()
    ends = torch.searchsorted(chosen, torch.arange(len(OPERATIONS) + 1, device=chosen.device)).tolist()
    pieces = {name: slice(*ends[i : i + 2]) for i, name in enumerate(OPERATIONS)}
    moved = slice(pieces[AFFINE[0]].start, pieces[AFFINE[-1]].stop)
    operations: list[tuple[slice, Callable[[Tensor, slice], Tensor]]] = [
        (moved, lambda x, i: _move(x, chosen[i], (sign * share)[i], most, side)),
        (pieces["brightness"], lambda x, i: colour.brightness(x, enhance[i], out=x)),
        (pieces["saturation"], lambda x, i: colour.saturation(x, enhance[i], out=x)),
        (pieces["contrast"], lambda x, i: colour.contrast(x, enhance[i], out=x)),
        (pieces["sharpness"], lambda x, i: colour.sharpness(x, enhance[i], out=x)),
        (pieces["posterize"], lambda x, i: colour.posterize(x, bits[i], out=x)),
        (pieces["solarize"], lambda x, i: colour.solarize(x, 255 * (1 - share[i]), out=x)),
        (pieces["autocontrast"], lambda x, i: colour.autocontrast(x, out=x)),
        (pieces["equalize"], lambda x, i: colour.equalize(x)),
    ]
    out = images.index_select(0, order if place is None else place[order]).float()
    for piece, operation in operations:
        if piece.start < piece.stop:
            mine = out[piece]
            if (made := operation(mine, piece)) is not mine:
                mine.copy_(made)
    return out, order.argsort()


def _move(images: Tensor, chosen: Tensor, amount: Tensor, most: dict[str, float], side: float) -> Tensor:
    """Shear, translate or rotate image b by amount[b] in -1..1 of the largest."""
    far = most["translate"] * side
    largest = torch.tensor([most["shear"], most["shear"], far, far, most["rotate"]]).diag().to(amount.device)
    # [n, 5], zero but for the operation that an image drew.
    parts = largest[chosen - OPERATIONS.index(AFFINE[0])] * amount[:, None]
    matrix = rotation(parts[:, 4])
    matrix[:, 0, 1] += parts[:, 0]
    matrix[:, 1, 0] += parts[:, 1]
    return affine(images, matrix, parts[:, 2:4])
