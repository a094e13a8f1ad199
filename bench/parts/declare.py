"""The decorators that offer a function (or class) as a part. They import nothing and change nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar, overload

from bench.schema.pixels import Augment
from bench.schema.training import Optim

MARK = "__imagebench_part__"
F = TypeVar("F", bound=Callable[..., Any])


# A group's other settings, which stand beside an own part and which its function cannot have.
BESIDE = {
    "augment": tuple(f.name for f in fields(Augment) if f.name not in ("name", "own")),
    "norm_layer": ("groups",),
    "optim": tuple(f.name for f in fields(Optim) if f.name not in ("name", "own")),
}


@dataclass(frozen=True)
class Declared:
    """What a decorator notes on its function.

    Attributes:
        facts: what the decorator was told (JSON): plain data, needed without the code.
    """

    kind: str
    facts: str


def _decorator(kind: str, facts: dict[str, Any], function: F | None) -> Any:
    mark = Declared(kind, json.dumps({k: v for k, v in facts.items() if v is not None}, sort_keys=True))

    def note(function: F) -> F:
        setattr(function, MARK, mark)
        return function

    return note if function is None else note(function)


@overload
def model(function: F, /) -> F: ...
@overload
def model(
    *, norm_layers: tuple[str, ...] | None = ..., native: str | None = ..., head: str | None = ..., paper: str = ...
) -> Callable[[F], F]: ...
def model(
    function: Any = None,
    /,
    *,
    norm_layers: tuple[str, ...] | None = None,
    native: str | None = None,
    head: str | None = None,
    paper: str | None = None,
) -> Any:
    """Offer `function(shape, classes, *, settings) -> nn.Module` as `model=NAME`.

    `shape` is (C, H, W) of an image. A parameter called `norm` gets a factory, `norm(channels, dim=2)` (`dim=0` for
    [B, channels]), which makes the layer that `norm_layer` asks for; without one the network takes
    norm_layer=native only.

    The network may be a LightningModule: its `training_step` and `configure_optimizers` (one optimizer, without a
    scheduler) are used, on one device and whole batches; of what else it defines it is said that it is not used.

    Args:
        norm_layers: those that the network takes; default all that a factory can make.
        native: the one that norm_layer=native means; default batch.
        head: dotted name of the layer that makes the logits, for transfer; default the last affine layer.
        paper: where it was published, for `bench models`; default the first line of the docstring.
    """
    return _decorator("model", {"norm_layers": norm_layers, "native": native, "head": head, "paper": paper}, function)


@overload
def dataset(function: F, /) -> F: ...
@overload
def dataset(*, reads: tuple[str, ...] = ..., packages: tuple[str, ...] = ...) -> Callable[[F], F]: ...
def dataset(
    function: Any = None, /, *, reads: tuple[str, ...] | None = None, packages: tuple[str, ...] | None = None
) -> Any:
    """Offer `function(*, settings) -> Images` as `dataset=NAME`.

    Args:
        reads: settings that name the files and folders it reads. The images are then read once and kept while those
            are as they were; without it they are read anew by each command, so that none is ever stale.
        packages: installed packages that hold the images: they are likewise kept while the versions are the same.
    """
    return _decorator("dataset", {"reads": reads, "packages": packages}, function)


def augmentation(function: F) -> F:
    """Offer `function(images, targets, draws, *, settings) -> (images, targets)` as `augment=NAME`.

    `images` are [B, C, H, W] in 0..255, `targets` int64 [B] or float [B, classes]. Every random number comes from
    `draws.uniform(columns)`, [B, columns] in 0..1: it is the same on every number of devices.
    """
    return _decorator("augmentation", {}, function)


def corruption(function: F) -> F:
    """Offer `function(images, severity, generator) -> images` for `corrupt.names=[NAME]`.

    `images` are uint8 [B, C, H, W], `severity` is 1..5, `generator` a torch.Generator on the CPU.
    """
    return _decorator("corruption", {}, function)


def pixel_norm(function: F) -> F:
    """Offer `function(train, *, settings)` as `pixel_norm=NAME`.

    It is called once with the training images, uint8 [N, C, H, W], and gives back (mean, std) a channel: pixels
    are scaled as (x - mean) / std, x in 0..255.
    """
    return _decorator("pixel_norm", {}, function)


def norm_layer(function: F) -> F:
    """Offer `function(channels, dim, *, settings) -> nn.Module` as `norm_layer=NAME`.

    `dim` is 2 for activations [B, channels, H, W], 0 for [B, channels].
    """
    return _decorator("norm_layer", {}, function)


@overload
def metric(function: F, /) -> F: ...
@overload
def metric(
    *,
    higher_is_better: bool = ...,
    unit: str = ...,
    range: tuple[float | None, float | None] = ...,
    words: str = ...,
) -> Callable[[F], F]: ...
def metric(
    function: Any = None,
    /,
    *,
    higher_is_better: bool = True,
    unit: str = "",
    range: tuple[float | None, float | None] = (None, None),
    words: str | None = None,
) -> Any:
    """Offer `function(scores, labels, classes) -> float` for `metrics.names=[NAME]`, as val/NAME and test/NAME.

    `scores` are log-probabilities float32 [N, K], `labels` int64 [N], both numpy; `classes` are the K names.

    Args:
        higher_is_better: its direction, by which tables mark the best.
        unit: as axes and tables write it; a fraction (range 0..1) without a unit is written in percent.
        range: smallest and largest possible value, None for no bound.
        words: what people call it; default the name with spaces.
    """
    ends = [end for end in range if end is not None] if isinstance(range, tuple | list) and len(range) == 2 else [1, 0]
    if sorted(set(ends)) != ends:
        raise ValueError(f"metric: range={range!r}. Expected (smallest, largest), None for no bound.")
    facts = {"higher_is_better": higher_is_better, "unit": unit, "range": list(range), "words": words}
    return _decorator("metric", facts, function)


def loss(function: F) -> F:
    """Offer `function(logits, targets, *, settings) -> Tensor` as `loss=NAME`: the mean over the batch.

    `targets` are int64 [B], or float [B, K] where an augmentation mixes images.
    """
    return _decorator("loss", {}, function)


def optimizer(function: F) -> F:
    """Offer `function(parameters, *, settings)` or a torch.optim.Optimizer class as `optim=NAME`.

    `lr`, `momentum` and `weight_decay` among its settings are those of `optim`. Its `step` gets a closure.
    """
    return _decorator("optimizer", {}, function)


def schedule(function: F) -> F:
    """Offer `function(done, *, settings) -> float` as `schedule=NAME`; `done` is the share of the run, 0..1."""
    return _decorator("schedule", {}, function)


def training(function: F) -> F:
    """Offer a class as `training=NAME`: how a step is made, and what is kept between steps.

    Its objects have some of these, the others are the usual ones: `start(net)` once before training,
    `begin(net, epoch)` before each epoch, `loss(net, inputs, targets, criterion)` for the mean loss of a batch,
    `end(net)` after each step of the optimizer, `scored(net)` for the network that is scored and kept.
    Its settings are those of `__init__`.
    """
    return _decorator("training", {}, function)
