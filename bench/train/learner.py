"""What the loop drives: a learner, which trains an epoch, scores images, gives and takes a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.train.budget import Budget
from bench.train.clock import Clock
from bench.train.examples import Examples
from bench.train.result import Classify
from bench.train.selection import State


class Learner(Protocol):
    """The networks of S runs, and how they are trained; S is 1 but for programs of several runs (`stacked`).

    Attributes:
        kind: checkpoints are taken over by learners of the kind that wrote them.
        first: whether this process records; of several devices one does.
        budget: how long it trains.
        steps, images: of the last call of `train`.
        params, flops: of one network; flops for one image, None where they cannot be counted.
    """

    kind: str
    examples: Examples
    device: torch.device
    first: bool
    budget: Budget
    steps: int
    images: int
    params: int
    flops: int | None

    def train(self, epoch: int, clock: Clock) -> list[float]:
        """Train one epoch (from 0), or what the budget leaves of it; each run's mean loss over its images.

        Raises:
            OutOfTime: by `clock.check`, asked before each step.
        """
        ...

    def scores(self, split: str) -> Tensor:
        """Log-probabilities float32 [S, n, K] of a split's images, on every device."""
        ...

    def final_scores(self, split: str) -> Tensor:
        """The same for the selected weights, by as many views of an image as the run asks for."""
        ...

    def lr(self, s: int) -> float:
        """Of run s in its last step."""
        ...

    def gradients(self, s: int) -> dict[str, float]:
        """Norms of the gradient by layer, on a fixed batch; empty where nobody asked."""
        ...

    def weights(self, s: int) -> State:
        """The state_dict of network s that is scored; whole, and maybe not a copy."""
        ...

    def use(self, s: int, weights: State) -> None:
        """Put such weights back."""
        ...

    def state(self, s: int) -> dict[str, Any]:
        """All that the next epoch of run s depends on; tensors, numbers and text only."""
        ...

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over such a state for each run."""
        ...

    def classify(self, s: int) -> Classify | None:
        """Network s on other images."""
        ...

    def agree(self, due: bool) -> bool:
        """What the first of several processes says."""
        ...
