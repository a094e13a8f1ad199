"""Settings whose value is another one's by another name: the same experiment under two keys, and why."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from bench.schema.experiment import Experiment
from bench.schema.model import Cnn, Dnn, Fractal, Resnet, Timm, Torchvision
from bench.schema.pixels import CorruptionName
from bench.schema.run_key import TWO_NAMES

# Without weight decay these are those; `lars` and its kind then adapt no layer's step (but for rounding).
WITHOUT_DECAY = {
    "adamw": "adam", "adafactorbvc": "adafactorbv", "adanw": "adan", "adoptw": "adopt", "lambc": "lamb",
    "madgradw": "madgrad", "larc": "sgd", "lars": "sgd", "nlarc": "nesterov", "nlars": "nesterov", "sgdw": "nesterov",
}  # fmt: skip

# What optimizers of torch take for `eps` and `betas` by themselves; torch is not asked, as plans are made without it.
ADAMS = ("adam", "adamw", "adamax", "nadam", "radam")
EPS = dict.fromkeys((*ADAMS, "rmsprop"), 1e-8) | {"adagrad": 1e-10, "adadelta": 1e-6}
BETAS = dict.fromkeys(ADAMS, (0.9, 0.999))
DROPOUT = {"alexnet": 0.5, "squeezenet1_1": 0.5, "googlenet": 0.2}  # torchvision's own

# Setting, the value that gives the same numbers, why.
Equal = Iterator[tuple[str, Any, str]]


def equal_values(exp: Experiment) -> dict[str, tuple[Any, str]]:
    """Setting -> the plainer value that gives the same numbers here, and why."""
    found = [*(_optim(exp) if exp.trains else ()), *_model(exp), *_lists(exp)]
    return {name: (value, reason) for name, value, reason in found}


def groups_of(exp: Experiment) -> list[int] | None:
    """How many groups each norm of a network has (`bench.models.norm_layer`); None where only the built one knows."""
    model = exp.model
    if isinstance(model, Dnn):
        channels = [*model.hidden]
    elif isinstance(model, Cnn):
        channels = [*model.filters, *model.dense]
    elif isinstance(model, Resnet):
        channels = [model.width * 2**stage for stage in range(3)]
    elif isinstance(model, Fractal):
        channels = [*model.filters]
    else:
        return None
    return [fitting_groups(count, exp.norm_layer.groups) for count in channels]


def fitting_groups(channels: int, most: int) -> int:
    """The largest number of groups, of two channels or more, that divides the channels: norm_layer=group."""
    # A group of one channel is instance norm, and without space to average over it is zero.
    return max(g for g in range(1, min(most, max(1, channels // 2)) + 1) if channels % g == 0)


def _optim(exp: Experiment) -> Equal:
    optim = exp.optim
    if optim.own is None and not optim.weight_decay and optim.name in WITHOUT_DECAY:
        yield "optim.name", WITHOUT_DECAY[optim.name], "optim.weight_decay is 0"
    if optim.eps is not None and optim.eps == EPS.get(optim.name):
        yield "optim.eps", None, f"it is {optim.name}'s own"
    if optim.betas is not None and optim.betas == BETAS.get(optim.name):
        yield "optim.betas", None, f"they are {optim.name}'s own"
    epochs, patience = exp.trainer.whole_epochs, exp.trainer.patience
    if epochs is not None and patience is not None and patience >= epochs - 1:
        yield "trainer.patience", None, f"it is never over before the last of trainer.epochs={epochs}"
    unfreeze = exp.transfer.unfreeze_every
    if epochs is not None and unfreeze > epochs:
        yield "transfer.unfreeze_every", epochs, "the head alone is trained in all epochs"
    if exp.schedule is not None:
        return
    if optim.schedule == "poly" and optim.power == 1:
        yield "optim.schedule", "linear", "optim.power is 1"
    if optim.schedule == "restarts" and optim.cycles == 1:
        yield "optim.schedule", "cosine", "optim.cycles is 1"
    if optim.schedule == "multistep" and not optim.milestones:
        yield "optim.schedule", "constant", "optim.milestones is empty"
    if optim.schedule == "step" and not optim.drops:
        yield "optim.schedule", "constant", f"optim.step_every={optim.step_every:g} leaves no step for a lower lr"


def _model(exp: Experiment) -> Equal:
    model = exp.model
    if exp.norm_layer.name == "group" and (groups := groups_of(exp)):
        largest = max(groups)
        if largest == 1:
            yield "norm_layer.name", "layer", "no layer has channels for two groups, and one group is all channels"
        elif largest < exp.norm_layer.groups:
            yield "norm_layer.groups", largest, "no layer has channels for more"
    if isinstance(model, Dnn | Cnn) and model.activation != "selu" and exp.norm_layer.name == "selu":
        yield "model.activation", "selu", "norm_layer=selu brings its own activation"
    if isinstance(model, Dnn) and not model.hidden:
        yield "model.family", "linear", "model.hidden has no layers"
    if isinstance(model, Cnn) and not model.filters:
        yield "model.family", "dnn" if model.dense else "linear", "model.filters has no convolutions"
    if isinstance(model, Cnn) and model.filters:
        if model.pool_size == 1 and model.pooling != "none":
            yield "model.pooling", "none", "model.pool_size is 1"
        if set(model.kernels) == {1} and model.padding != "same":
            yield "model.padding", "same", "kernels of one pixel need none"
    if exp.norm_layer.name == model.native_norm == "none" and model.family in TWO_NAMES:
        yield "norm_layer.name", "native", f"{model.family} has none by itself"
    if isinstance(model, Torchvision) and model.dropout is not None and model.dropout == DROPOUT[model.name]:
        yield "model.dropout", None, f"it is {model.name}'s own"
    published = exp.transfer.mode != "scratch" and exp.transfer.weights == "timm"
    if isinstance(model, Timm) and model.own is None and "." in model.name and not published:
        yield "model.name", model.name.partition(".")[0], "what follows the dot are weights, and none are loaded"


def _lists(exp: Experiment) -> Equal:
    """Lists whose order, or what of them is said twice, changes nothing."""
    if exp.optim.schedule == "multistep":
        yield from _sorted("optim.milestones", exp.optim.milestones, tuple(sorted(exp.optim.milestones)))
    order = typing.get_args(CorruptionName)
    names, severities = exp.corrupt.names, exp.corrupt.severities
    yield from _sorted("corrupt.names", names, tuple(sorted(set(names), key=order.index)))
    yield from _sorted("corrupt.severities", severities, tuple(sorted(set(severities))))


def _sorted(name: str, values: tuple[Any, ...], plain: tuple[Any, ...]) -> Equal:
    if values != plain:
        yield name, list(plain), "each counts once, whatever their order"
