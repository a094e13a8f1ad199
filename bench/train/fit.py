"""One run: its network on its images, by the loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.data.imagedata import ImageData
from bench.models import preprocess
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.train import distributed, loop
from bench.train.examples import of_images
from bench.train.fabric import launch, switches
from bench.train.learner import Learner
from bench.train.result import Result
from bench.train.scoring import autocast_of, classifier
from bench.train.single import Single

Told = Callable[[dict[str, float]], None]  # a row of the history


def fit(
    exp: Experiment,
    data: ImageData,
    net: nn.Module,
    on_epoch: Told | None = None,
    checkpoint: Path | None = None,
) -> Result:
    """Train `net`, select an epoch on val, score val and test at that epoch.

    Args:
        on_epoch: called after every epoch with its row of the history.
        checkpoint: file that keeps the state of the training, see `bench.train.loop.fit`.

    Raises:
        RunFailed: when the loss becomes NaN or infinite, memory runs out or `trainer.max_minutes` pass.
        RequestError: when this machine lacks what `trainer` asks for.
    """
    if not distributed.uses_several_devices(exp.trainer):
        return train(exp, data, net, on_epoch, checkpoint)
    if exp.transfer.unfreeze_every:
        raise RequestError("transfer.unfreeze_every works on one device: set trainer.devices=1.")
    result = distributed.run(train, exp, data, net, on_epoch, checkpoint)
    prepare, device = preprocess.make(exp, data), torch.device("cpu")
    return dataclasses.replace(result, classify=classifier(net, prepare, device, autocast_of(exp.trainer.precision)))


def train(exp: Experiment, data: ImageData, net: nn.Module, on_epoch: Told | None, checkpoint: Path | None) -> Result:
    """`fit`, on this process' device."""
    fabric = launch(exp.trainer)
    return fit_one(exp, lambda: Single(exp, net, of_images(exp, data, fabric.device), fabric), on_epoch, checkpoint)


def fit_one(exp: Experiment, make: Callable[[], Learner], on_epoch: Told | None, checkpoint: Path | None) -> Result:
    """The loop for one run, under torch's switches for it.

    Raises:
        RunFailed: see `fit`.
    """
    told = None if on_epoch is None else lambda _, row: on_epoch(row)
    with switches(exp.trainer):
        (found,) = loop.fit([exp], lambda _: make(), told, [checkpoint])
    if isinstance(found, RunFailed):
        raise found
    return found
