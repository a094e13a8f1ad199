"""Which runs may be trained as one program. Needs no torch, as a sweep's plan asks it."""

from __future__ import annotations

import json

from bench.schema.experiment import Experiment, flat

MOST = 16  # runs in one program: beyond, a CPU's caches are full and nothing is gained
# Numbers in the step, which may differ from run to run.
FREE = ("seed", "optim.lr", "optim.weight_decay")
ELEMENTWISE = ("sgd", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "radam", "rmsprop")
# What the one program does not do; runs that ask for it are trained alone.
ALONE = {
    "precision": "32",
    "accumulate": 1,
    "clip": None,
    "compile": False,
    "devices": 1,
    "num_nodes": 1,
    "gradients": False,
}


def together(exp: Experiment) -> str | None:
    """`form`, where the run asks to be stacked."""
    return None if exp.trainer.stack == "off" else form(exp)


def form(exp: Experiment) -> str | None:
    """A text that is equal for runs that may be stacked; None for one that must be trained alone.

    Runs may differ in the seed, the lr, the weight decay and the rate of dropout (not in whether there is dropout).
    """
    trainer = exp.trainer
    if exp.model.family not in ("linear", "dnn", "cnn") or exp.transfer.mode != "scratch":
        return None
    if exp.corrupt.names or exp.corrupt.own or exp.augment.test_time:  # further evaluations of each network by itself
        return None
    # Other optimizers look at whole tensors; a penalty needs the weights of each run.
    if exp.optim.name not in ELEMENTWISE or exp.optim.l1 or exp.optim.l2:
        return None
    if exp.norm_layer.name in ("weight", "selu", "own") or any(getattr(trainer, k) != v for k, v in ALONE.items()):
        return None
    settings = {name: value for name, value in flat(exp).items() if name not in FREE}
    if "model.dropout" in settings:
        settings["model.dropout"] = settings["model.dropout"] > 0
    return json.dumps(settings, sort_keys=True)


def most(exp: Experiment) -> int:
    """How many runs one program may take."""
    return exp.trainer.stack if isinstance(exp.trainer.stack, int) else MOST


def compatible(one: Experiment, other: Experiment) -> bool:
    """Whether two runs may be trained as one program."""
    return form(one) is not None and form(one) == form(other)
