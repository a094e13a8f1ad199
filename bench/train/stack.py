"""Runs that differ only in numbers, trained as one program: each its own seed, order, draws, selection and Result.

Such a run agrees with the same run alone within rounding, and exactly in initialisation, data order and augmentation
(on a CPU also in dropout). It costs what the program costs divided by the number of runs.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from bench.data.imagedata import ImageData
from bench.schema.errors import OutOfTime, RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.train import stacked_checkpoint
from bench.train.alike import compatible
from bench.train.engine import switches
from bench.train.program import OnEpoch, Program
from bench.train.result import Result
from bench.train.stacked import can_stack

PAYS = 0.9  # of the time of the runs one by one


def fit(
    exps: Sequence[Experiment], data: ImageData, nets: Sequence[nn.Module], on_epoch: OnEpoch | None = None,
    checkpoints: Sequence[Path | None] = (),
) -> list[Result | RunFailed]:  # fmt: skip
    """What `bench.train.fit.fit` gives for each of the runs; one that fails does not disturb the others.

    `cost/fit_seconds` is a run's share of the whole, `cost/peak_memory_mb` the whole program's. Where memory
    is too small for all of them, halves of them are trained one after the other; a run that it is too small for by
    itself has failed.

    Args:
        checkpoints: a file for each run, to write its state to and to go on from. Runs that an interruption left at
            different epochs are trained apart.

    Raises:
        RequestError: when the runs differ in more than `together` allows.
    """
    if not all(compatible(exps[0], exp) for exp in exps) or not can_stack(nets):
        raise RequestError("These runs differ in more than seed, lr, weight decay and dropout: they cannot be stacked.")
    files = list(checkpoints) or [None] * len(exps)
    begun: dict[int, list[int]] = {}
    for s, (exp, file) in enumerate(zip(exps, files, strict=True)):
        begun.setdefault(epochs_done(exp, file), []).append(s)
    results: dict[int, Result | RunFailed] = {}
    with switches(exps[0].trainer):
        for runs in begun.values():
            told = None if on_epoch is None else lambda s, found, runs=runs: on_epoch(runs[s], found)
            found = _fit([exps[s] for s in runs], data, [nets[s] for s in runs], told, [files[s] for s in runs])
            results.update(zip(runs, found, strict=True))
    return [results[s] for s in range(len(exps))]


def epochs_done(exp: Experiment, checkpoint: Path | None) -> int:
    """How many epochs of a run its checkpoint holds that a program of several runs has written; 0 for no such."""
    return int(stacked_checkpoint.read(exp, checkpoint).get("epoch", 0))


def _fit(
    exps: Sequence[Experiment], data: ImageData, nets: Sequence[nn.Module], on_epoch: OnEpoch | None,
    files: Sequence[Path | None],
) -> list[Result | RunFailed]:  # fmt: skip
    try:
        return Program(exps, data, nets).fit(on_epoch, files)
    except OutOfTime as error:
        return [error] * len(exps)
    except torch.OutOfMemoryError as error:
        if len(exps) == 1:
            return [RunFailed(f"out of memory: {str(error).splitlines()[0]}")]
    torch.cuda.empty_cache()  # outside the handler, whose traceback holds on to the tensors
    half = len(exps) // 2
    later = None if on_epoch is None else lambda s, found: on_epoch(s + half, found)
    first = _fit(exps[:half], data, nets[:half], on_epoch, files[:half])
    return first + _fit(exps[half:], data, nets[half:], later, files[half:])


def pays(exps: Sequence[Experiment], data: ImageData, nets: Sequence[nn.Module], steps: int = 4) -> bool:
    """Whether the runs as one program take less time on this device than one after the other, by a few steps of both.

    The networks are not touched.
    """
    if not all(compatible(exps[0], exp) for exp in exps) or not can_stack(nets):
        return False
    with switches(exps[0].trainer):
        alone = Program(exps[:1], data, copy.deepcopy(nets[:1])).seconds_a_step(steps)
        whole = Program(exps, data, copy.deepcopy(nets)).seconds_a_step(steps)
    return whole < PAYS * len(exps) * alone
