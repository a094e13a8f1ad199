"""Which epoch counts: chosen on val, the first best one wins; a run that diverged ends here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from bench.schema.errors import RunFailed
from bench.schema.experiment import Experiment
from bench.schema.training import Trainer
from bench.train.loss import minimises_nll
from bench.train.metrics import among_first

State = dict[str, Tensor]  # a network's state_dict


class Selection:
    """The history of one run and the weights of its best epoch so far.

    Attributes:
        history: a row a finished epoch, see `row`.
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
        nll = "val_loss" if "val_loss" in row else "val_nll"
        bad = next((k for k in ("train_loss", nll) if not math.isfinite(row[k])), None)
        if bad:
            raise RunFailed(f"diverged: {bad} is {row[bad]} in epoch {row['epoch']:.0f}; try a smaller optim.lr")
        self.history.append(row)
        value = {"val/accuracy": row["val_accuracy"], "val/nll": -row[nll], "last": row["epoch"]}[self.criterion]
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


def row(
    exp: Experiment, epoch: int, lr: float, train_loss: float, scores: Tensor, truth: Tensor, seconds: float
) -> dict[str, float]:
    """A row of the history from the val split's log-probabilities [N, K] and labels [N].

    `epoch` (from 1), `lr` of its last step, `train_loss` (what was minimised, mean over the images), `val_loss`,
    `val_accuracy`, `seconds` since the training began. On val the negative log-likelihood is measured. Where something
    else is minimised (label smoothing, penalties, mixed labels, another loss) the two have different scales, and the
    column is called `val_nll`.
    """
    return {
        "epoch": float(epoch),
        "lr": lr,
        "train_loss": train_loss,
        "val_loss" if minimises_nll(exp) else "val_nll": float(-scores.gather(1, truth[:, None]).mean()),
        "val_accuracy": float(among_first(scores, truth).float().mean()),
        "seconds": seconds,
    }
