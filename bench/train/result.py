"""Result: what training, or a nearest-neighbour search, hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.schema.transfer import Input

Classify = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Class scores and how they came about.

    Attributes:
        val_scores, test_scores: float32 [N, K], log-probabilities, at the selected epoch. Test is scored once.
        train_scores: the same of the training images, where `metrics.train` asks for them.
        history: one mapping a finished epoch: "train_loss", "val_loss", "val_accuracy", "lr", ...
        costs: see `bench.track.record.Record.costs`.
        gradients: one mapping an epoch, 0 before training: "epoch" and each layer's gradient norm; [] unless asked for.
        selected_epoch: 1-based; 0 for a model that is not trained.
        classify: the selected model on other images: uint8 [B, C, H, W] -> log-probabilities float32 [B, K].
        state: the selected epoch's weights, or None (kNN).
        trained_on: what the network's images were like, for those who take `state` over.
        started_from: SHA-256 (hex) of the weights that it began with (`bench.models.transfer.initialise`), or "".
    """

    val_scores: NDArray[np.float32]
    test_scores: NDArray[np.float32]
    history: list[dict[str, float]]
    costs: dict[str, float]
    selected_epoch: int
    train_scores: NDArray[np.float32] | None = None
    gradients: list[dict[str, float]] = field(default_factory=list)
    classify: Classify | None = field(default=None, repr=False, compare=False)
    state: dict[str, Any] | None = field(default=None, repr=False)
    trained_on: Input | None = None
    started_from: str = ""
