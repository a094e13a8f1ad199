"""One optimizer for several runs, and its state taken apart into runs and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from bench.models import transfer
from bench.schema.experiment import Experiment
from bench.train import optim as optimizers
from bench.train.stacked.network import Stacked

FUSED = ("sgd", "adam", "adamw")  # one call for any number of tensors
Slots = list[dict[str, Any]]  # an optimizer's state of each parameter of one run


class Optimizer:
    """Torch's optimizer of all runs.

    Where they have the same settings it works on the program's parameters, a step for all runs in as many calls as for
    one. Where lr or decay differ it works on each network's views of them, in groups; sgd always, whose fused step
    rounds the last numbers of a tensor differently.

    Attributes:
        inner: torch's optimizer.
    """

    def __init__(self, exps: Sequence[Experiment], net: Stacked, nets: Sequence[nn.Module]) -> None:
        first = exps[0].optim
        self.together = all(exp.optim == first for exp in exps) and first.name not in FUSED
        wholes = {id(views[0]): whole for whole, views in net.shared}
        self.mine: list[list[nn.Parameter]] = []  # of each run, in a fixed order
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for exp, own in zip(exps, nets, strict=True):
            parts: list[dict[str, Any]] = transfer.groups(own, exp.transfer, exp.optim.lr)
            if exp.optim.decayed == "weights":
                parts = optimizers.split_by_decay(parts, own)
            self.mine.append([p for part in parts for p in part["params"]])
            for part in parts:
                rates = part.get("lr", exp.optim.lr), part.get("weight_decay", exp.optim.weight_decay)
                groups.setdefault(rates, []).extend(part["params"])
            if self.together:
                groups = {rates: [wholes[id(p)] for p in some] for rates, some in groups.items()}
                self.mine = [[wholes[id(p)] for p in self.mine[0]]]
                break
        made = [{"params": some, "lr": lr, "weight_decay": decay} for (lr, decay), some in groups.items()]
        if first.name == "rprop":  # it has no decay
            made = [{name: value for name, value in group.items() if name != "weight_decay"} for group in made]
        self.inner = optimizers.optimizer(first, made)
        self.rates = [exp.optim.lr for exp in exps]
        base = [lr for lr, _ in groups]
        self.group = [base.index(lr) for lr in self.rates]  # in which each run's lr stands

    def lrs(self) -> list[float]:
        """Of each run, as they stand."""
        return [float(self.inner.param_groups[g]["lr"]) for g in self.group]

    def slots(self, s: int) -> Slots:
        """The state of run s: of its own parameters, or its slice of everybody's."""
        if not self.together:
            return [dict(self.inner.state[p]) for p in self.mine[s]]
        return [
            {
                name: value[s].clone() if _has_run_axis(value, p) else value
                for name, value in self.inner.state[p].items()
            }
            for p in self.mine[0]
        ]

    def load(self, runs: Sequence[Slots]) -> None:
        """Take over the state of all runs, as `slots` took it apart."""
        if self.together:
            found = [_join(alike) for alike in zip(*runs, strict=True)]
            given = dict(zip(map(id, self.mine[0]), found, strict=True))
        else:
            given = {
                id(p): state
                for mine, state_of in zip(self.mine, runs, strict=True)
                for p, state in zip(mine, state_of, strict=True)
            }
        order = [p for group in self.inner.param_groups for p in group["params"]]
        groups = self.inner.state_dict()["param_groups"]
        self.inner.load_state_dict({"state": {i: given[id(p)] for i, p in enumerate(order)}, "param_groups": groups})

    def after(self, steps: int, schedule: LambdaLR) -> None:
        """Set the schedule to where it is after so many steps."""
        schedule.last_epoch = steps
        for group, base, factor in zip(self.inner.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * factor(steps)


def _join(alike: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One parameter's state in each run as one; the number of steps is the same for all."""
    return {
        name: torch.stack([one[name] for one in alike]) if isinstance(value, Tensor) and value.dim() else value
        for name, value in alike[0].items()
    }


def _has_run_axis(value: Any, parameter: Tensor) -> bool:
    """Whether a value has a slice for each run."""
    return isinstance(value, Tensor) and value.shape == parameter.shape
