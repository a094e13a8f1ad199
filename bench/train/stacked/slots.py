"""An optimizer's state of several runs, taken apart into runs and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Slots = list[dict[str, Any]]  # an optimizer's state of each parameter of one run


def taken(optimizers: Sequence[Optimizer], s: int) -> Slots:
    """The optimizer's state of run `s`: its slice, or that of its own optimizer where each run has one."""
    if len(optimizers) > 1:
        return [dict(optimizers[s].state[p]) for p in _parameters(optimizers[s])]
    (whole,) = optimizers
    return [
        {name: value[s].clone() if _stacked(value, p) else value for name, value in whole.state[p].items()}
        for p in _parameters(whole)
    ]


def load(optimizers: Sequence[Optimizer], runs: Sequence[Slots]) -> None:
    """Give optimizers the state of all runs, as `taken` took it apart."""
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
