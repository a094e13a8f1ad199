"""A few steps of runs as one program and alone: whether every bit is the same, and which is faster.

Sums are made in an order that depends on the sizes of what is summed and on where it lies in memory, not on its
values. So the trial meets what the training will meet: each size of a batch, each size of a block of scored images, and
the very parameters.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.training import Trainer
from bench.train.budget import Budget
from bench.train.clock import Clock
from bench.train.examples import Examples, of_images
from bench.train.fabric import launch, switches
from bench.train.learner import Learner
from bench.train.parts import sizes
from bench.train.scoring import at_once
from bench.train.single import Single
from bench.train.stacked.learner import Program

PAYS = 0.9  # of the time of the runs one by one
LEAST_STEPS = 100  # shorter runs are over before a trial has paid
EPOCHS = 2  # of the trial, of two or three steps; the second one is timed


def reason_alone(exps: Sequence[Experiment], data: ImageData, nets: Sequence[nn.Module], begun: bool = False) -> str:
    """Why runs that could be one program are not to be, by a trial that leaves the networks alone; "" where they are.

    With `trainer.last_digits=same` the bits have to be the same, whichever is faster.

    Args:
        begun: whether they were one program already, so that only the bits count.
    """
    exp = exps[0]
    steps = Budget(exp.trainer, sizes(len(data.train), exp.trainer.batch_size)).total
    if steps < LEAST_STEPS and not begun:
        return f"runs of {steps} steps are shorter than a trial is worth"
    exact = exp.trainer.last_digits == "same"
    if exact and any(isinstance(module, nn.Conv2d) for module in nets[0].modules()):
        return "convolutions of several runs at once round differently (trainer.last_digits=free allows that)"
    if begun and not exact:
        return ""
    try:
        same, faster = compare_both_ways(exps, data, nets, exact)
    except RequestError:
        raise
    except Exception as error:  # alone, each run meets it by itself, if at all
        return f"a trial of them as one program failed ({type(error).__name__})"
    if exact and not same:
        return "as one program their last digits differ here (trainer.last_digits=free allows that)"
    return "" if faster or begun else "as one program they are no faster here"


def compare_both_ways(
    exps: Sequence[Experiment], data: ImageData, nets: Sequence[nn.Module], exact: bool
) -> tuple[bool, bool]:
    """Whether every bit is the same (looked at where `exact` asks for it), and whether one program is faster."""
    settings = dataclasses.replace(exps[0].trainer, max_minutes=None)
    fabric = launch(settings)
    examples = shorten(of_images(exps[0], data, fabric.device), settings.batch_size)
    with switches(settings), torch.random.fork_rng([]):
        program = Program(exps, copy.deepcopy(nets), examples, fabric)
        losses, seconds = _train(program, settings)
        splits = ("val", "test", *(["of train"] if exps[0].metrics.train else []))
        scores = {split: program.scores(split) for split in splits} if exact else {}  # once, of all runs
        one_by_one = 0.0
        for s, (run, net) in enumerate(zip(exps, nets, strict=True)):
            single = Single(run, copy.deepcopy(net), examples, fabric)
            its, taken = _train(single, settings)
            if not exact:
                one_by_one = taken * len(exps)
                break
            one_by_one += taken
            same = _equal_numbers(torch.tensor(its[0]), torch.tensor(losses[s]))
            if not (same and _same_bits(program, scores, single, s)):
                return False, False
    return True, seconds < PAYS * one_by_one


def shorten(examples: Examples, batch_size: int) -> Examples:
    """The examples with as few of each split as have the same sizes of batches and of scored blocks."""
    block = at_once(examples.size)
    train = examples.splits["train"]
    splits = {"train": train if len(train) < 3 * batch_size else train[: 2 * batch_size + len(train) % batch_size]}
    for name in ("val", "test"):
        rows = examples.splits[name]
        splits[name] = rows if len(rows) < 2 * block else rows[: block + len(rows) % block]
    splits["of train"] = train if len(train) < 2 * block else train[: block + len(train) % block]
    return dataclasses.replace(examples, splits=splits)


def _train(learner: Learner, settings: Trainer) -> tuple[list[float], float]:
    """Each run's last loss, and seconds of the last epoch of a trial."""
    for epoch in range(EPOCHS):
        started = time.perf_counter()
        losses = learner.train(epoch, Clock(settings, 1))
        seconds = time.perf_counter() - started
    return losses, seconds


def _same_bits(program: Program, scores: Mapping[str, Tensor], single: Single, s: int) -> bool:
    """Whether run s has the same weights, statistics and scores in both.

    Args:
        scores: of all runs in the program, [S, n, K], by split.
    """
    mine, its = program.weights(s), single.weights(0)
    pairs: list[tuple[Tensor, Tensor]] = [(mine[name], its[name]) for name in its]
    pairs += [(found[s], single.scores(split)[0]) for split, found in scores.items()]
    return all(_equal_numbers(one, other) for one, other in pairs)


def _equal_numbers(one: Tensor, other: Tensor) -> bool:
    """The same numbers; not finite in the same places, where a run diverges."""
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num())
