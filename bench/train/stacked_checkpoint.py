"""The state of runs that are trained as one program, taken apart into a checkpoint a run.

So a program that was killed goes on whatever is left of it: all its runs, some of them, or a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from bench.schema.experiment import Experiment
from bench.train.checkpoint import content, identity, part_of, settle

Slots = list[dict[str, Any]]  # an optimizer's state of each parameter of one run


def write(exp: Experiment, path: Path, state: dict[str, Any]) -> None:
    """Write a run's state: `epoch` (finished ones) and whatever else the program needs."""
    torch.save({"stacked": identity(exp), **state}, part_of(path))
    settle(path)


def read(exp: Experiment, path: Path | None) -> dict[str, Any]:
    """A run's state; nothing where there is none of this experiment, written with the same versions."""
    found = content(path)
    return found if found.get("stacked") == identity(exp) else {}


def slots(optimizers: Sequence[Optimizer], s: int) -> Slots:
    """The optimizer's state of run `s`: its slice, or that of its own optimizer where each run has one."""
    if len(optimizers) > 1:
        return [dict(optimizers[s].state[p]) for p in _parameters(optimizers[s])]
    (whole,) = optimizers
    return [
        {name: value[s].clone() if _stacked(value, p) else value for name, value in whole.state[p].items()}
        for p in _parameters(whole)
    ]


def load_slots(optimizers: Sequence[Optimizer], runs: Sequence[Slots]) -> None:
    """Give optimizers the state of all runs, as `slots` took it apart."""
    if len(optimizers) > 1:
        for optimizer, mine in zip(optimizers, runs, strict=True):
            _load(optimizer, mine)
        return
    together = []
    for alike in zip(*runs, strict=True):  # the same parameter of each run
        first = alike[0]
        together.append({n: torch.stack([one[n] for one in alike]) if _sliced(v) else v for n, v in first.items()})
    _load(optimizers[0], together)


def load_schedule(schedule: LambdaLR | None, steps: int) -> None:
    """Set a schedule to where it is after `steps` steps."""
    if schedule is None:
        return
    schedule.last_epoch = steps
    for group, base, factor in zip(
        schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(steps)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _load(optimizer: Optimizer, state: Slots) -> None:
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": dict(enumerate(state)), "param_groups": groups})


def _stacked(value: Any, parameter: Tensor) -> bool:
    """Whether a value has a slice for each run; the number of steps is the same for all."""
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _sliced(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0
