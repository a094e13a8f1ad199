"""How long a run trains: epochs, steps or seconds; where in it a schedule is; when it reached its target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.schema.training import Trainer
from bench.train.clock import Clock

TICKS = 1_000_000  # that a budget in seconds is cut into for a schedule


class Budget:
    """When training ends.

    Args:
        settings: of the run.
        sizes: images in each batch of an epoch.

    Attributes:
        clock: that of the training; without one nothing has been done yet.
        total: steps of the whole training, or `TICKS`.
    """

    def __init__(self, settings: Trainer, sizes: Sequence[int]) -> None:
        self.each, self.seconds = len(sizes), settings.seconds
        self.clock: Clock | None = None
        self.total = TICKS if settings.seconds is not None else settings.steps or settings.epochs * self.each

    def over(self, epoch: int, number: int = 0) -> bool:
        """Whether training ends before the batch `number` of `epoch`, both from 0. There is always one step."""
        done = epoch * self.each + number
        return done > 0 and self.place(done) >= self.total

    def epochs(self, begun: int) -> Iterator[int]:
        """The epochs (from 0) that are still to be trained; the last one may be cut short."""
        epoch = begun
        while not self.over(epoch):
            yield epoch
            epoch += 1

    def place(self, step: int) -> int:
        """Where in 0..total a step is, for a schedule: in a budget of seconds the clock says it, not the step."""
        if self.seconds is None:
            return step
        return 0 if self.clock is None else min(TICKS, int(TICKS * self.clock.seconds() / self.seconds))


def to_target(settings: Trainer, history: Sequence[dict[str, float]], each: int, steps: int) -> dict[str, float]:
    """What it cost to reach `trainer.target`; nothing without one.

    Counted as AlgoPerf does (Dahl et al. 2023, arXiv:2306.07179), at the first look at val that is as good.

    Args:
        history: as `bench.train.selection.row`.
        each, steps: steps of a whole epoch, and of all that was trained.

    Returns:
        `cost/target_reached` 1, and `cost/target_seconds`, `cost/target_epochs`, `cost/target_steps`; 0 alone for a run
        that never was as good.
    """
    if settings.aim is None:
        return {}
    name, wanted = settings.aim
    for row in history:
        nll = row.get("val_loss", row.get("val_nll", float("inf")))
        # The row's accuracy went through 32 bits: 90 of 100 is 0.8999999762 there.
        if (row["val_accuracy"] >= wanted - 1e-6) if name == "val/accuracy" else (nll <= wanted):
            return {
                "cost/target_reached": 1.0,
                "cost/target_seconds": row["seconds"],
                "cost/target_epochs": row["epoch"],
                "cost/target_steps": min(row["epoch"] * each, float(steps)),
            }
    return {"cost/target_reached": 0.0}
