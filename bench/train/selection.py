"""Which epoch counts: chosen on val, the first best one wins; a run that diverged ends here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from bench.schema.errors import RunFailed
from bench.schema.training import Trainer

State = dict[str, Tensor]  # a network's state_dict


class Selection:
    """The history of one run and the weights of its best epoch so far.

    Attributes:
        history: a row a finished epoch: `epoch` (from 1), `lr`, `train_loss`, `val_loss`, `val_accuracy`, `seconds`.
        selected: the best epoch, from 1; 0 before the first.
        best: its weights.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.criterion = trainer.select
        self.history: list[dict[str, float]] = []
        self.selected, self.value = 0, -math.inf
        self.best: State = {}

    def add(self, row: dict[str, float], state: Callable[[], State]) -> None:
        """Note a finished epoch; `state` is called when it is the best one.

        Raises:
            RunFailed: when a loss is not finite.
        """
        bad = next((k for k in ("train_loss", "val_loss") if not math.isfinite(row[k])), None)
        if bad:
            raise RunFailed(f"diverged: {bad} is {row[bad]} in epoch {row['epoch']:.0f}; try a smaller optim.lr")
        self.history.append(row)
        value = {"val/accuracy": row["val_accuracy"], "val/nll": -row["val_loss"], "last": row["epoch"]}[self.criterion]
        if value > self.value:
            self.value, self.selected = value, int(row["epoch"])
            self.best = {name: tensor.detach().clone() for name, tensor in state().items()}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"history": self.history, "selected": self.selected, "value": self.value, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.history, self.selected = list(state["history"]), state["selected"]
        self.value, self.best = state["value"], state["best"]


def row(epoch: int, lr: float, train_loss: float, scores: Tensor, truth: Tensor, seconds: float) -> dict[str, float]:
    """A row of the history from the val split's log-probabilities [N, K] and labels [N]."""
    return {
        "epoch": float(epoch),
        "lr": lr,
        "train_loss": train_loss,
        "val_loss": float(-scores.gather(1, truth[:, None]).mean()),
        "val_accuracy": float((scores.argmax(1) == truth).float().mean()),
        "seconds": seconds,
    }
