"""Runs that differ only in numbers, trained as one program: each its own seed, order, draws, selection and Result.

Such a run agrees with the same run alone within rounding, and exactly in initialisation, data order and augmentation
(on a CPU also in dropout); dense networks on a CPU agree in every bit (`bench.train.stacked.trial`). It costs what the
program costs divided by the number of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.train import loop
from bench.train.checkpoint import epochs_done
from bench.train.examples import of_images
from bench.train.fabric import launch, switches
from bench.train.learner import Learner
from bench.train.result import Result
from bench.train.stacked.learner import Program
from bench.train.stacked.network import can_stack
from bench.train.stacked.which import are_compatible


def fit(
    exps: Sequence[Experiment],
    data: ImageData,
    nets: Sequence[nn.Module],
    on_epoch: loop.OnEpoch | None = None,
    checkpoints: Sequence[Path | None] = (),
) -> list[Result | RunFailed]:
    """What `bench.train.fit.fit` gives for each of the runs; see `bench.train.loop.fit`.

    Args:
        checkpoints: a file for each run. Runs that an interruption left at different epochs are trained apart.

    Raises:
        RequestError: when the runs differ in more than `which.are_compatible` allows.
    """
    if not all(are_compatible(exps[0], exp) for exp in exps) or not can_stack(nets):
        raise RequestError("These runs differ in more than seed, lr, weight decay and dropout: they cannot be stacked.")
    files = list(checkpoints) or [None] * len(exps)
    fabric = launch(exps[0].trainer)
    examples = of_images(exps[0], data, fabric.device)
    # Where memory runs out in the middle of a training, parts of the runs start over: from what they were.
    initial = [{name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()} for net in nets]
    begun: dict[int, list[int]] = {}
    for s, (exp, file) in enumerate(zip(exps, files, strict=True)):
        begun.setdefault(epochs_done(file, exp, Program.kind), []).append(s)
    results: dict[int, Result | RunFailed] = {}
    with switches(exps[0].trainer):
        for runs in begun.values():
            told = None if on_epoch is None else lambda s, row, runs=runs: on_epoch(runs[s], row)

            def program(chosen: Sequence[int], runs: list[int] = runs) -> Learner:
                some = [runs[s] for s in chosen]
                for s in some:
                    nets[s].load_state_dict(initial[s])
                return Program([exps[s] for s in some], [nets[s] for s in some], examples, fabric)

            found = loop.fit([exps[s] for s in runs], program, told, [files[s] for s in runs])
            results.update(zip(runs, found, strict=True))
    return [results[s] for s in range(len(exps))]
