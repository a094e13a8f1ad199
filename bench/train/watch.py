"""What happens between epochs: val is scored, the best weights are kept, a checkpoint is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor

from bench.data.batches import Images
from bench.schema.experiment import Experiment
from bench.train import checkpoint as checkpoints
from bench.train.selection import Selection, row
from bench.train.sharded import release, whole
from bench.train.task import Task, score

OnEpoch = Callable[[dict[str, float]], None]


class Watch(pl.Callback):
    """Scores val after each epoch and keeps what a resumed run needs.

    Args:
        images, labels: the whole set, on the device.
        val: int64 indices of the val split.
        on_epoch: called with each row of the history.
        checkpoint: file to write the state of the training to.
    """

    def __init__(
        self,
        exp: Experiment,
        images: Images,
        labels: Tensor,
        val: Tensor,
        on_epoch: OnEpoch | None,
        checkpoint: Path | None,
    ) -> None:
        self.exp, self.images, self.labels, self.val = exp, images, labels, val
        self.on_epoch, self.checkpoint = on_epoch, checkpoint
        self.selection = Selection(exp.trainer)
        self.seconds = 0.0  # of training before this process took over
        self.started = self.saved = time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training so far, those of an interrupted process included."""
        return self.seconds + time.monotonic() - self.started

    def on_train_start(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """The clock runs from here."""
        assert isinstance(task, Task)
        self.started = self.saved = time.monotonic()
        if self.exp.trainer.max_minutes is not None:
            task.deadline = self.started + 60 * self.exp.trainer.max_minutes - self.seconds

    def on_train_epoch_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """One row of the history; the first best epoch wins."""
        assert isinstance(task, Task)
        loss = task.loss_sum
        if trainer.world_size > 1:
            dist.all_reduce(loss)
        found = row(
            trainer.current_epoch + 1,
            float(trainer.optimizers[0].param_groups[0]["lr"]),
            float(loss) / task.count,
            scores(trainer, task, self.images, self.val),
            self.labels[self.val],
            self.elapsed(),
        )
        self.selection.add(found, lambda: whole(task.net))
        if self.on_epoch is not None and trainer.is_global_zero:
            self.on_epoch(found)
        if self.checkpoint is not None and trainer.current_epoch + 1 < self.exp.trainer.epochs:
            self._save(trainer, self.checkpoint)

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        due = torch.tensor(
            float(time.monotonic() - self.saved >= checkpoints.CHECKPOINT_SECONDS), device=trainer.strategy.root_device
        )
        if trainer.world_size > 1:
            dist.broadcast(due, 0)  # clocks differ, and saving is done together
        if not due:
            return
        trainer.save_checkpoint(checkpoints.part_of(path))
        if trainer.is_global_zero:
            checkpoints.settle(path)
        self.saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Called by Lightning for a checkpoint."""
        return {"identity": checkpoints.identity(self.exp), "seconds": self.elapsed(), **self.selection.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning when it resumes."""
        self.seconds = state_dict["seconds"]
        self.selection.load_state_dict(state_dict)


def scores(trainer: pl.Trainer, task: Task, images: Images, indices: Tensor) -> Tensor:
    """Log-probabilities float32 [len(indices), K], each image scored on exactly one device and known to all."""
    with trainer.precision_plugin.forward_context():
        if trainer.world_size == 1:
            return score(task.net, task.prepared, images, indices)
        for buffer in task.net.buffers():
            dist.broadcast(buffer, 0)  # running statistics may differ where batch norm is not synchronized
        mine = indices[trainer.global_rank :: trainer.world_size]
        # A sharded network computes on all devices or on none: where shares differ by one image, a repeated one
        # makes them equal, and its scores are dropped.
        longest = -(-len(indices) // trainer.world_size)
        part = score(task.net, task.prepared, images, torch.cat([mine, indices[: longest - len(mine)]]))
        release(task.net)
    found = torch.zeros(len(indices), part.shape[1], device=part.device)
    found[trainer.global_rank :: trainer.world_size] = part[: len(mine)]
    dist.all_reduce(found)  # a sum with zeros: exact
    return found
