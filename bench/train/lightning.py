"""A LightningModule as it is: its training_step, optimizer and lr scheduler in our loop. Validation is ours."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.parts.load import error_of
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.training import Optim
from bench.train.budget import TICKS
from bench.train.loss import Loss
from bench.train.step import TrainingStep, scalar

# What of a LightningModule is used; of what else it defines it is said that it is not.
USED = ("forward", "training_step", "configure_optimizers", "log", "log_dict", "print", "trainer", "hparams")
OF_THE_LOSS = ("loss", "label_smoothing", "class_weights", "l1", "l2")  # settings of optim


class Trainer:
    """What a module may ask `self.trainer` for: where the training is, and how long it is.

    Attributes:
        current_epoch: from 0.
        global_step: steps of the optimizer that are done.
        num_training_batches: of an epoch.
    """

    is_global_zero, global_rank, local_rank, node_rank, world_size, num_devices, num_nodes = True, 0, 0, 0, 1, 1, 1
    training, validating, testing, predicting, sanity_checking, fast_dev_run = True, False, False, False, False, False
    logger, progress_bar_callback, datamodule, accumulate_grad_batches, gradient_clip_val = None, None, None, 1, None

    def __init__(self, name: str, exp: Experiment, batches: int, steps: int) -> None:
        self._name, self._steps = name, steps
        self.current_epoch = self.global_step = 0
        self.num_training_batches, self.max_epochs = batches, exp.trainer.epochs
        self.max_steps = exp.trainer.steps or -1
        self.loggers: list[Any] = []
        self.callbacks: list[Any] = []

    @property
    def estimated_stepping_batches(self) -> int:
        """Steps of the whole training."""
        if self._steps == TICKS:
            raise AttributeError(f"{self._name} asks for the number of steps, which trainer.seconds leaves open.")
        return self._steps

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.__dict__.get('_name')} asks for self.trainer.{name}, which there is not here.")


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
        self.module, self.number, self.epoch = net, 0, 0
        takes = inspect.signature(net.training_step).parameters.values()
        self.numbered = len([p for p in takes if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]) > 1 or any(
            p.kind == p.VAR_POSITIONAL for p in takes
        )

    def begin(self, net: nn.Module, epoch: int) -> None:
        """Batches are counted anew in each epoch."""
        self.number, trainer = 0, self.module._trainer
        trainer.current_epoch, trainer.global_step = epoch, epoch * trainer.num_training_batches

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """What training_step makes of (inputs, targets) and the batch's number."""
        made = self.module.training_step((inputs, targets), *([self.number] if self.numbered else []))
        made = made.get("loss") if isinstance(made, dict) else made
        return scalar(made, f"{type(self.module).__name__}.training_step")

    def end(self, net: nn.Module) -> None:
        """The next batch, and the next step."""
        self.number += 1
        self.module._trainer.global_step += 1


class Steps:
    """The lr scheduler of a LightningModule, called after each step of the optimizer.

    Args:
        every: steps between two of its own.
    """

    def __init__(self, scheduler: Any, every: int) -> None:
        self.scheduler, self.every, self.done = scheduler, every, 0

    def step(self) -> None:
        """One step of the optimizer is done."""
        self.done += 1
        if self.done % self.every == 0:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"done": self.done, "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From one."""
        self.done = state["done"]
        self.scheduler.load_state_dict(state["scheduler"])


def attach(exp: Experiment, net: Any, batches: int, steps: int) -> None:
    """Give a LightningModule a `trainer` of ours; what it logs is kept nowhere."""
    if _base(net) is None:
        return
    net._fabric, net._trainer = None, Trainer(type(net).__name__, exp, batches, steps)
    net.log = net.log_dict = _ignore


def _ignore(*given: Any, **named: Any) -> None:
    """In the place of `self.log`."""


@dataclass(frozen=True)
class Brought:
    """What a LightningModule brings besides its network.

    Attributes:
        module: its class.
        optimizer: "SGD at lr 0.05, StepLR", "" where it configures none.
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
        return f"{used} Not used: {', '.join(self.unused)}. Validation, test and what is logged are the benchmark's."


def brought(exp: Experiment, net: nn.Module) -> Brought | None:
    """That of an Experiment's network; None where it is no LightningModule, or there is nothing to say of it."""
    if _base(net) is None:
        return None
    made, scheduler, _ = _configured(net)
    named = f"{type(made).__name__} at lr {made.param_groups[0]['lr']:g}" if made is not None else ""
    named += f", {type(scheduler).__name__}" if scheduler is not None else ""
    found = Brought(type(net).__name__, named, defines(net, "training_step"), unused(net))
    return found if found.step or named or found.unused else None


def unused(net: nn.Module) -> tuple[str, ...]:
    """What a LightningModule defines for Lightning's Trainer, and is not called here."""
    base = _base(net)
    names = dir(base) if base is not None else []
    return tuple(n for n in names if n[0] != "_" and n not in USED and not hasattr(nn.Module, n) and defines(net, n))


def optimizer_of(exp: Experiment, net: nn.Module, batches: int) -> tuple[torch.optim.Optimizer | None, Steps | None]:
    """The optimizer and lr scheduler that a LightningModule configures; None where it does not, or it is none.

    Args:
        batches: of an epoch.

    Raises:
        RequestError: for more than one, or where `optim` asks for something that it would not do.
    """
    made, scheduler, every = _configured(net)
    if made is None:
        return None, None
    ours = Optim(schedule=exp.optim.schedule, warmup=exp.optim.warmup)
    if exp.optim != ours:
        raise RequestError(
            f"{type(net).__name__} configures its optimizer, so that optim.* changes nothing: leave all of it but "
            "schedule and warmup at its default, or take configure_optimizers out."
        )
    if scheduler is None:
        return made, None
    if exp.optim != Optim() or exp.schedule is not None:
        raise RequestError(f"{type(net).__name__}.configure_optimizers brings an lr scheduler, and the command another "
                           "schedule or warmup: leave one of the two out.")  # fmt: skip
    return made, Steps(scheduler, every or batches)


def _configured(net: Any) -> tuple[Any, Any, int]:
    """(optimizer, scheduler, steps between two of the scheduler, 0 for an epoch); None for what there is not."""
    if _base(net) is None or not defines(net, "configure_optimizers"):
        return None, None, 0
    named = f"{type(net).__name__}.configure_optimizers"
    try:
        made: Any = net.configure_optimizers()
    except Exception as error:
        raise error_of(f"{named} fails", error) from error
    made = made[0] if isinstance(made, list | tuple) and len(made) == 1 else made
    schedulers: Any = None
    if isinstance(made, dict):
        made, schedulers = made.get("optimizer"), made.get("lr_scheduler")
    elif isinstance(made, tuple | list) and len(made) == 2 and isinstance(made[0], list | tuple):
        made, schedulers = made
    made = made[0] if isinstance(made, list | tuple) and len(made) == 1 else made
    if not isinstance(made, torch.optim.Optimizer):
        several = isinstance(made, list | tuple) and ", ".join(type(one).__name__ for one in made)
        raise RequestError(f"{named} gives {several or type(made).__name__}. Expected one optimizer.")
    schedulers = schedulers if isinstance(schedulers, list | tuple) else [schedulers] * (schedulers is not None)
    if len(schedulers) > 1:
        raise RequestError(f"{named} gives {len(schedulers)} lr schedulers. Expected one: torch.optim.lr_scheduler."
                           "SequentialLR or ChainedScheduler make one of several.")  # fmt: skip
    if not schedulers:
        return made, None, 0
    told = schedulers[0] if isinstance(schedulers[0], dict) else {"scheduler": schedulers[0]}
    scheduler, by_step, frequency = told.get("scheduler"), told.get("interval") == "step", int(told.get("frequency", 1))
    if not all(callable(getattr(scheduler, name, None)) for name in ("step", "state_dict", "load_state_dict")):
        raise RequestError(
            f"{named} gives {type(scheduler).__name__} as lr scheduler. Expected one of torch.optim.lr_scheduler, or "
            "an object with step, state_dict and load_state_dict."
        )
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise RequestError(f"{named} brings ReduceLROnPlateau, which watches a number that the module logs and that is "
                           "kept nowhere here: leave it out and say schedule=NAME.")  # fmt: skip
    if not by_step and frequency != 1:
        raise RequestError(f"{named}: an lr scheduler of every {frequency} epochs is not known here. Expected "
                           "frequency 1, or interval 'step'.")  # fmt: skip
    return made, scheduler, frequency if by_step else 0


def _base(net: nn.Module) -> Any:
    """Lightning's class that a network inherits; None where it is no LightningModule. Nothing is imported for it."""
    known = (sys.modules.get(name) for name in ("pytorch_lightning", "lightning.pytorch"))
    bases = (getattr(module, "LightningModule", None) for module in known)
    return next((base for base in bases if base is not None and isinstance(net, base)), None)


def defines(net: nn.Module, name: str) -> bool:
    """Whether a network is a LightningModule of which a class that is not Lightning's defines a method."""
    base = _base(net)
    where = next((c for c in type(net).__mro__ if name in vars(c)), None)
    return base is not None and where is not None and where not in base.__mro__
