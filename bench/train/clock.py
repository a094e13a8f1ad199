"""The clock of a training."""

from __future__ import annotations

import time

from bench.schema.errors import OutOfTime
from bench.schema.training import Trainer


class Clock:
    """Seconds of training, those of an interrupted process included, and the end of what `trainer.max_minutes` allows.

    Args:
        runs: that are trained together; each of them has the minutes.
        before: seconds before this process took over.
    """

    def __init__(self, settings: Trainer, runs: int, before: float = 0.0) -> None:
        self.minutes, self.started = settings.max_minutes, time.perf_counter() - before
        self.end = float("inf") if self.minutes is None else self.started + 60 * self.minutes * runs

    def seconds(self) -> float:
        """Until now."""
        return time.perf_counter() - self.started

    def check(self, epoch: int) -> None:
        """Stop a training that takes too long.

        Raises:
            OutOfTime: when the minutes have passed.
        """
        if time.perf_counter() > self.end:
            raise OutOfTime(f"stopped after trainer.max_minutes={self.minutes:g}, in epoch {epoch + 1}")
