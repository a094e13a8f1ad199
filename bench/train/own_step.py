"""A training step of somebody's own: a class with `@training` in parts/, or a LightningModule's training_step."""

from __future__ import annotations

import inspect
import random
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.own import own_parts
from bench.schema.training import Optim
from bench.train.loss import Loss
from bench.train.step import Averaged, TrainingStep

HOOKS = ("start", "begin", "loss", "end", "scored", "state_dict", "load_state_dict")
# What of a LightningModule is used; of what else it defines it is said that it is not.
LIGHTNING = ("forward", "training_step", "configure_optimizers")
OF_THE_LOSS = ("loss", "label_smoothing", "class_weights", "l1", "l2")  # settings of optim
UNUSED = (
    "validation_step", "test_step", "predict_step", "train_dataloader", "val_dataloader", "test_dataloader",
    "configure_callbacks", "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end",
    "on_train_epoch_end", "on_validation_epoch_end", "on_test_epoch_end", "optimizer_step", "backward",
    "configure_gradient_clipping", "lr_scheduler_step",
)  # fmt: skip


def seed_generators(exp: Experiment, seed: int) -> None:
    """Seed the global generators that somebody's own code may draw from; our own code draws from none of them here.

    Left alone they would go on from whatever the process has done before: one key, and another number each time.
    """
    if own_parts(exp):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the one that their code may use)


def make(exp: Experiment, net: nn.Module, criterion: Loss) -> TrainingStep:
    """The training step of an Experiment, for its network where it now lies.

    Raises:
        RequestError: where it cannot be made, or both the network and the Experiment bring one.
    """
    brought = _is_lightning(net) and _defines(net, "training_step")
    if exp.optim.ema is not None and (brought or exp.training is not None):
        raise RequestError("optim.ema averages what the usual training step trains; a training of one's own does it.")
    if brought:
        if exp.training is None:
            return LightningStep(exp, net, criterion)
        raise RequestError("The network brings a training_step, and training= another one: leave one of the two.")
    if exp.training is None:
        return TrainingStep(criterion) if exp.optim.ema is None else Averaged(criterion, net, exp.optim.ema)
    own = exp.training.own
    maker = function("training", own)
    try:
        mine = maker(**arguments(maker, own.values, "training"))
    except RequestError:
        raise
    except Exception as error:
        raise error_of(f"training '{own.name}' cannot be made", error) from error
    if not any(hasattr(mine, hook) for hook in HOOKS[:5]):
        raise RequestError(f"training '{own.name}' has none of {', '.join(HOOKS[:5])}: it would change nothing.")
    mine.experiment = exp
    return OwnStep(own.name, mine, net, criterion)


class OwnStep(TrainingStep):
    """Calls the hooks that a user's object has; the others are the usual ones.

    start(net): once, before training. begin(net, epoch): before each epoch. loss(net, inputs, targets, criterion):
    the mean loss. end(net): after each step of the optimizer. scored(net): the network that is scored and kept.
    Before `start` it is given the `experiment`. What it holds is kept in checkpoints: modules, optimizers, tensors and
    plain data, but for what starts with an underscore; or what its own state_dict gives.
    """

    def __init__(self, name: str, mine: Any, net: nn.Module, criterion: Loss) -> None:
        super().__init__(criterion)
        self.name, self.mine = name, mine
        if hasattr(mine, "start"):
            mine.start(net)

    def begin(self, net: nn.Module, epoch: int) -> None:
        """Before the first step of an epoch."""
        if hasattr(self.mine, "begin"):
            self.mine.begin(net, epoch)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a part of a batch."""
        if not hasattr(self.mine, "loss"):
            return super().loss(net, inputs, targets)
        return scalar(self.mine.loss(net, inputs, targets, self.criterion), f"training '{self.name}': loss")

    def end(self, net: nn.Module) -> None:
        """After a step of the optimizer."""
        if hasattr(self.mine, "end"):
            self.mine.end(net)

    def scored(self, net: nn.Module) -> nn.Module:
        """The user's choice, which has to be a network of the same form."""
        if not hasattr(self.mine, "scored"):
            return net
        made = self.mine.scored(net)
        if not isinstance(made, nn.Module) or made.state_dict().keys() != net.state_dict().keys():
            raise RequestError(f"training '{self.name}': scored gives back {type(made).__name__}. Expected the network "
                               "or a copy of it (copy.deepcopy), with the same weights by name.")  # fmt: skip
        return made

    def state_dict(self) -> dict[str, Any]:
        """What the object holds."""
        if hasattr(self.mine, "state_dict"):
            return {"own": self.mine.state_dict()}
        held: dict[str, Any] = {}
        for name, value in vars(self.mine).items():
            if isinstance(value, (nn.Module, torch.optim.Optimizer)):
                held[name] = value.state_dict()
            elif value is None or isinstance(value, Tensor | int | float | str | list | dict | tuple):
                held[name] = value
        return held

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        if hasattr(self.mine, "load_state_dict"):
            self.mine.load_state_dict(state["own"])
            return
        for name, value in state.items():
            before = getattr(self.mine, name, None)
            if isinstance(before, nn.Module | torch.optim.Optimizer):
                before.load_state_dict(value)
            else:
                setattr(self.mine, name, value)


class LightningStep(TrainingStep):
    """A LightningModule's own training_step, on batches of ours.

    Raises:
        RequestError: for what it needs of Lightning's Trainer that there is not here.
    """

    def __init__(self, exp: Experiment, net: Any, criterion: Loss) -> None:
        super().__init__(criterion)
        stated = [f"optim.{name}" for name in OF_THE_LOSS if getattr(exp.optim, name) != getattr(Optim(), name)]
        if stated := ["loss"] * (exp.loss is not None) + stated:
            raise RequestError(
                f"{type(net).__name__} makes its loss in its own training_step: leave out {', '.join(stated)}."
            )
        if not net.automatic_optimization:
            raise RequestError(
                f"{type(net).__name__} steps its optimizers itself (automatic_optimization=False). Write its step as a "
                "class with @training, or let training_step give back the loss."
            )
        if exp.trainer.devices * exp.trainer.num_nodes > 1 or exp.trainer.accumulate > 1:
            raise RequestError(f"{type(net).__name__} has a training_step of its own, which works on one device and "
                               "whole batches: trainer.devices=1 trainer.accumulate=1.")  # fmt: skip
        self.module, self.number = net, 0

    def begin(self, net: nn.Module, epoch: int) -> None:
        """Batches are counted anew in each epoch."""
        self.number = 0

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """What training_step makes of (inputs, targets) and the batch's number."""
        made = self.module.training_step((inputs, targets), self.number)
        self.number += 1
        made = made.get("loss") if isinstance(made, dict) else made
        return scalar(made, f"{type(self.module).__name__}.training_step")


@dataclass(frozen=True)
class Brought:
    """What a LightningModule brings besides its network.

    Attributes:
        module: its class.
        optimizer: "SGD at lr 0.05", "" where it configures none.
        step: whether it has a training_step.
        unused: what it defines that is not used.
    """

    module: str
    optimizer: str
    step: bool
    unused: tuple[str, ...]

    def __str__(self) -> str:
        has = [*(["its own training_step"] if self.step else []), *([self.optimizer] if self.optimizer else [])]
        used = f"{self.module}: {' and '.join(has)}." if has else f"{self.module}:"
        if not self.unused:
            return used
        return f"{used} Not used: {', '.join(self.unused)}. Validation and test are the benchmark's."


def brought(exp: Experiment, net: nn.Module) -> Brought | None:
    """That of an Experiment's network; None where it is no LightningModule, or there is nothing to say of it."""
    if not _is_lightning(net):
        return None
    made = optimizer_of(exp, net)
    named = f"{type(made).__name__} at lr {made.param_groups[0]['lr']:g}" if made is not None else ""
    unused = tuple(name for name in UNUSED if _defines(net, name))
    found = Brought(type(net).__name__, named, _defines(net, "training_step"), unused)
    return found if found.step or named or unused else None


def optimizer_of(exp: Experiment, net: nn.Module) -> torch.optim.Optimizer | None:
    """The optimizer that a LightningModule configures; None where it does not, or the network is none.

    Raises:
        RequestError: for more than one, or where `optim` asks for something that it would not do.
    """
    if not _is_lightning(net) or not _defines(net, "configure_optimizers"):
        return None
    configure: Any = net.configure_optimizers
    made: Any = configure()
    if isinstance(made, dict):
        made = made.get("optimizer"), made.get("lr_scheduler")
    schedulers: Any = None
    if isinstance(made, tuple):
        made, schedulers = made
    made = made[0] if isinstance(made, list) and len(made) == 1 else made
    if not isinstance(made, torch.optim.Optimizer):
        raise RequestError(f"{type(net).__name__}.configure_optimizers gives {type(made).__name__}. Expected one "
                           "optimizer.")  # fmt: skip
    if schedulers:
        raise RequestError(f"{type(net).__name__}.configure_optimizers brings an lr scheduler, which is not used here: "
                           "leave it out and say schedule=NAME.")  # fmt: skip
    ours = Optim(schedule=exp.optim.schedule, warmup=exp.optim.warmup)
    if exp.optim != ours:
        raise RequestError(
            f"{type(net).__name__} configures its optimizer, so that optim.* changes nothing: leave all of it but "
            "schedule and warmup at its default, or take configure_optimizers out."
        )
    return made


def scalar(value: Any, named: str) -> Tensor:
    """A loss, if it is one.

    Raises:
        RequestError: it is not.
    """
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        what = f"a tensor of {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        hint = " without a gradient" if isinstance(value, Tensor) and not value.dim() else ""
        raise RequestError(f"{named} gives back {what}{hint}. Expected the mean over the batch, one number that can be "
                           "differentiated.")  # fmt: skip
    return value


def _is_lightning(net: nn.Module) -> bool:
    """Whether the network is a LightningModule; Lightning is imported where somebody's is, and nowhere else."""
    return _base(net) is not None


def _base(net: nn.Module) -> Any:
    known = (sys.modules.get(name) for name in ("pytorch_lightning", "lightning.pytorch"))
    bases = (getattr(module, "LightningModule", None) for module in known)
    return next((base for base in bases if base is not None and isinstance(net, base)), None)


def _defines(net: nn.Module, name: str) -> bool:
    """Whether a LightningModule's class defines a method itself."""
    mine, base = getattr(type(net), name, None), getattr(_base(net), name, None)
    return mine is not None and inspect.unwrap(mine) is not base
