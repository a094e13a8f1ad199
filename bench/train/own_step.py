"""A training step of somebody's own: a class with `@training` in parts/; that of a LightningModule is beside it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.own import own_parts
from bench.train import lightning
from bench.train.loss import Loss
from bench.train.step import Averaged, TrainingStep, scalar

HOOKS = ("start", "begin", "loss", "end", "scored", "state_dict", "load_state_dict")


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
    brought = lightning.defines(net, "training_step")
    if exp.optim.ema is not None and (brought or exp.training is not None):
        raise RequestError("optim.ema averages what the usual training step trains; a training of one's own does it.")
    if brought:
        if exp.training is None:
            return lightning.LightningStep(exp, net, criterion)
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
