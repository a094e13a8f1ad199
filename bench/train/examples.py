"""What a network is trained and scored on: images, or features of a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import augment
from bench.data.augment import Augmentation, Draws
from bench.data.batches import Images, place
from bench.data.imagedata import ImageData
from bench.models import preprocess
from bench.schema.experiment import Experiment
from bench.schema.transfer import Input

Prepare = Callable[[Tensor], Tensor]  # stored rows [B, ...] -> the network's input


@dataclass(frozen=True)
class Examples:
    """Rows that stay where they are, and what turns some of them into a batch.

    Attributes:
        rows: images uint8 [N, C, H, W], or features float32 [N, D] or [N, views, D], on the device where they fit.
        labels: int64 [N], on the device.
        splits: int64 indices of train, val and test, on the device.
        prepare: a module: rows -> float32, the network's input.
        augmentation: what training rows go through first, or None.
        shape: of one input of the network.
        trained_on: what images are like when they reach the network, for those who take its weights over.
    """

    rows: Images
    labels: Tensor
    splits: dict[str, Tensor]
    prepare: Prepare
    augmentation: Augmentation | None
    shape: tuple[int, ...]
    trained_on: Input | None = None

    @property
    def size(self) -> int:
        """Numbers in one input of the network."""
        return math.prod(self.shape)


def of_images(exp: Experiment, data: ImageData, device: torch.device) -> Examples:
    """The images of a dataset, prepared and augmented as the Experiment says."""
    prepare, shape = preprocess.make(exp, data), preprocess.input_shape(exp, data.shape)
    return Examples(
        # The whole set lies on the device as uint8: no loader, no copy per step.
        place(data, device),
        torch.from_numpy(data.labels).to(device),
        {split: torch.from_numpy(data.split(split)).to(device) for split in ("train", "val", "test")},
        prepare.to(device),
        augment.make(exp.augment, data),
        shape,
        preprocess.as_input(prepare, shape),
    )


def of_features(data: ImageData, features: Sequence[NDArray[np.float32]], device: torch.device) -> Examples:
    """Features of the images of train, val and test, in the split's order: float32 [n, D]; train maybe [n, views, D].

    Of several views of an image one is drawn at random whenever it comes up; val and test have one.
    """
    train, val, test = features
    views = train.shape[1] if train.ndim == 3 else 1
    ends = np.cumsum([len(train), len(val), len(test)])
    rows = np.zeros((ends[-1], *train.shape[1:]), dtype=np.float32)
    for start, part in zip((0, *ends), (train, val, test), strict=False):
        rows[start : start + len(part)] = part if part.ndim == train.ndim else part[:, None]
    labels = data.labels[np.concatenate([data.train, data.val, data.test])]
    first, second, last = torch.arange(ends[-1]).to(device).tensor_split(ends[:-1].tolist())
    return Examples(
        torch.from_numpy(rows).to(device),
        torch.from_numpy(labels).to(device),
        {"train": first, "val": second, "test": last},
        first_view,
        drawn_view if views > 1 else None,
        (train.shape[-1],),
    )


def first_view(rows: Tensor) -> Tensor:
    """[B, views, D] or [B, D] -> [B, D]."""
    return rows[:, 0] if rows.ndim == 3 else rows


def drawn_view(rows: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """One view of each row, drawn at random: [B, views, D] -> [B, D]."""
    chosen = (draws.uniform(1)[:, 0] * rows.shape[1]).long().to(rows.device)
    return rows[torch.arange(len(rows), device=rows.device), chosen], labels
