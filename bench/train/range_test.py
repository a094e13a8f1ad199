"""The lr range test (Smith 2017, arXiv:1506.01186, section 3.3): a short training in which lr rises until it breaks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.train.clock import Clock
from bench.train.examples import of_images
from bench.train.fabric import launch, switches
from bench.train.single import Single

SMOOTH = 0.9  # of a running mean over steps
BROKEN = 2.0  # times the first loss: nothing more is learned from going on
BACK = 0.1  # of the way back from the lowest smoothed loss to the first one: no longer stable


@dataclass(frozen=True)
class Found:
    """What a range test shows.

    Attributes:
        lrs, losses: of each step; the loss is that of its batch, before the step.
        smooth: running mean of the losses.
        lowest: lr with the lowest smoothed loss.
        stable: the largest lr up to which the smoothed loss has not come back by a tenth of what it had fallen.
        ended: whether it was found; False where the loss was still falling at the largest lr that was tried.
    """

    lrs: list[float]
    losses: list[float]
    smooth: list[float]
    lowest: float
    stable: float
    ended: bool


class _Rising(Single):
    """One network whose lr rises from step to step, by equal factors from `low` to `high`."""

    def __init__(self, exp: Experiment, *rest: Any, high: float) -> None:
        super().__init__(exp, *rest)
        rise, steps = high / exp.optim.lr, self.budget.total
        self.rising = LambdaLR(self.optimizer, lambda step: rise ** (min(step, steps - 1) / max(1, steps - 1)))
        self.schedule = self.rising
        self.lrs: list[float] = []  # what optim.lr would be; layers may have a share or a multiple of it
        self.losses: list[float] = []

    def _gradient(self, rows: Tensor, targets: Tensor, epoch: int, number: int) -> Tensor:
        again = self.counted  # an optimizer may look twice
        loss = super()._gradient(rows, targets, epoch, number)
        if not again:
            factor = self.rising.lr_lambdas[0]
            self.lrs.append(self.exp.optim.lr * float(factor(self.rising.last_epoch)))
            self.losses.append(float(loss))
            if not math.isfinite(self.losses[-1]) or running_mean(self.losses)[-1] > BROKEN * self.losses[0]:
                raise _Broken
        return loss


class _Broken(Exception):
    """The loss has left."""


def range_test(exp: Experiment, data: ImageData, net: nn.Module, low: float, high: float, steps: int) -> Found:
    """Train `net` for `steps` steps on the training images, lr rising from `low` to `high`, or until the loss breaks.

    Augmentation, loss, batch size and optimizer are the Experiment's; schedule and warm-up are not used. Neither val
    nor test is looked at.

    Raises:
        RequestError: for a model that is not trained, several devices, or an order of lr that is none.
    """
    if not exp.trains:
        raise RequestError(f"{exp.model_name} is not trained by gradient steps: it has no lr.")
    if not 0 < low < high or steps < 2:
        raise RequestError(f"expected 0 < --from < --to and at least two steps, got {low:g}, {high:g} and {steps}.")
    if exp.trainer.devices * exp.trainer.num_nodes > 1:
        raise RequestError(
            "The range test runs on one device: set trainer.devices=1. batch_size is the global one anyway."
        )
    if exp.schedule is not None:
        exp = dataclasses.replace(exp, schedule=None)
    exp = dataclasses.replace(
        exp,
        optim=dataclasses.replace(exp.optim, lr=low, schedule="constant", warmup=0.0),
        trainer=dataclasses.replace(exp.trainer, steps=steps, seconds=None, target=None, gradients=False),
    )
    fabric = launch(exp.trainer)
    with switches(exp.trainer):
        learner = _Rising(exp, net, of_images(exp, data, fabric.device), fabric, high=high)
        clock = learner.budget.clock = Clock(exp.trainer, 1)
        try:
            for epoch in learner.budget.epochs(0):
                learner.train(epoch, clock)
        except _Broken:
            pass
    return read_curve(learner.lrs, learner.losses)


def running_mean(losses: Sequence[float]) -> list[float]:
    """Running mean, its start corrected as Adam's is (Kingma & Ba 2015, section 3)."""
    out, mean = [], 0.0
    for i, loss in enumerate(losses, start=1):
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        out.append(mean / (1 - SMOOTH**i))
    return out


def read_curve(lrs: Sequence[float], losses: Sequence[float]) -> Found:
    """What a curve says; see `Found`.

    Raises:
        RequestError: when the very first steps break.
    """
    ended = not math.isfinite(losses[-1])
    fine = [i for i, loss in enumerate(losses) if math.isfinite(loss)]
    if not fine or fine[-1] < 1:
        raise RequestError(f"The loss is not finite at lr {lrs[0]:g} already: begin lower, --from {lrs[0] / 1000:g}.")
    lrs, losses = list(lrs[: fine[-1] + 1]), list(losses[: fine[-1] + 1])
    smooth = running_mean(losses)
    at = min(range(len(smooth)), key=smooth.__getitem__)
    limit = smooth[at] + BACK * max(0.0, smooth[0] - smooth[at])
    after = next((i for i in range(at, len(smooth)) if smooth[i] > limit), None)
    return Found(lrs, losses, smooth, lrs[at], lrs[after - 1 if after else -1], ended or after is not None)
