"""Settings that change nothing for the images at hand, or are other values by name: told before compute is spent."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.data.cuts import bounds
from bench.data.imagedata import ImageData
from bench.data.sources.contract import TEST, VAL
from bench.schema.equal import groups_of
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.idle import Facts
from bench.schema.model import Model, NormLayer, Timm, Torchvision


def facts(exp: Experiment, data: ImageData) -> Facts:
    """What the images say of an Experiment's settings."""
    return Facts(dict([*_split(exp, data), *_files(exp, data), *_training(exp, data)]), dict(_equal(exp, data)))


def _split(exp: Experiment, data: ImageData) -> Iterator[tuple[str, str]]:
    how, official = exp.split, data.entry.official if data.entry is not None else np.zeros(0, np.int8)
    has_test, has_val = bool((official == TEST).any()), bool((official == VAL).any())
    if has_test:
        yield "split.test", "the set brings its test images"
    if has_val and how.kind != "kfold":
        yield "split.val", "the set brings its val images"
    if has_test and how.kind == "kfold":
        yield "split.val", "the folds are val, as the set brings its test images"
    if has_test and has_val and how.kind != "kfold" and not how.label_noise and _uses_all(data):
        yield "split.seed", "the set brings its splits, and nothing of them is drawn"


def _files(exp: Experiment, data: ImageData) -> Iterator[tuple[str, str]]:
    if data.forms:
        sizes = {tuple(form.split(" ")[-3::2]) for form in data.forms}  # "JPEG RGB 640 x 480"
        if all(width == height for width, height in sizes):
            yield "dataset.fit", "all images are square"
        elif len(sizes) == 1 and getattr(exp.dataset, "size", None) is None:
            yield "dataset.fit", "all images have one size"


def _training(exp: Experiment, data: ImageData) -> Iterator[tuple[str, str]]:
    if data.shape[0] == 1:
        for name in ("saturation", "hue", "grey"):
            yield f"augment.{name}", "the images have no colours"
    counts = np.bincount(data.labels[data.train], minlength=len(data.classes))
    if exp.trains and counts.min() == counts.max():
        yield "optim.class_weights", "each class has as many training images"
    if exp.trains and (steps := exp.trainer.steps) is not None and steps <= _steps_of_epoch(exp, len(data.train)):
        yield "trainer.select", "there is one epoch"


def _equal(exp: Experiment, data: ImageData) -> Iterator[tuple[str, tuple[Any, str]]]:
    how, trainer, transfer, count = exp.split, exp.trainer, exp.transfer, len(data.train)
    everything = "each class has all of its images in the training subset"
    if how.train_per_class is not None and _uses_all(data):
        yield "split.train_per_class", (None, everything)
    if how.train_fraction < 1 and _uses_all(data):
        yield "split.train_fraction", (1.0, everything)
    if how.label_noise and not round(how.label_noise * count):
        yield "split.label_noise", (0.0, f"of {count} training images it is none")
    if exp.trains:
        if trainer.batch_size > count:
            yield "trainer.batch_size", (count, f"there are {count} training images")
        least = min(trainer.batch_size, count) // (trainer.devices * trainer.num_nodes)
        if trainer.accumulate > least > 0:
            yield "trainer.accumulate", (least, f"a device has {least} images of a batch")
        yield from _steps(exp, count)
    if exp.norm_layer.name == "group" and groups_of(exp) is None:
        largest = _largest_groups(exp.model, exp.norm_layer, transfer.size or data.shape[1], data.shape[0])
        library = isinstance(exp.model, Timm | Torchvision) and not exp.model.name.startswith("convnext")
        if largest == 1 and library:  # somebody's own network sees the name, and ConvNeXt is built for it
            yield "norm_layer.name", ("layer", "each norm has one group, which is all channels")
        elif 1 < largest < exp.norm_layer.groups:
            yield "norm_layer.groups", (largest, "no layer has channels for more")
    own = transfer.mode == "scratch" or transfer.preprocess == "own"
    if own and data.shape[1:] == (transfer.size, transfer.size):
        yield "transfer.size", (None, "the images have it")
    if transfer.mode == "scratch" and transfer.channels == data.shape[0]:
        yield "transfer.channels", (None, "the images have as many")


def _steps(exp: Experiment, count: int) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Steps that are whole epochs, and shares of them that are none."""
    optim, trainer = exp.optim, exp.trainer
    if trainer.seconds is not None:
        return
    each = _steps_of_epoch(exp, count)
    steps = trainer.steps or trainer.epochs * each
    if trainer.steps is not None and steps % each == 0:
        yield "trainer.steps", (None, f"trainer.epochs={steps // each} are as many steps")
        yield "trainer.epochs", (steps // each, "trainer.steps says it")
    warm = round(optim.warmup * steps)
    constant = optim.schedule == "constant" and exp.schedule is None
    if optim.warmup and (warm == 0 or (warm == 1 and constant)):
        yield "optim.warmup", (0.0, f"of {steps} steps it is {'none' if warm == 0 else 'one, which has the whole lr'}")
    if optim.schedule == "wsd" and exp.schedule is None and steps * optim.cooldown <= 1:
        yield "optim.schedule", ("constant", f"of {steps} steps optim.cooldown={optim.cooldown:g} is none")


def _steps_of_epoch(exp: Experiment, count: int) -> int:
    return len(bounds(count, exp.trainer.batch_size, drop_last=False)) - 1


def _uses_all(data: ImageData) -> bool:
    return len(data.train) + len(data.val) + len(data.test) == len(data.labels)


@functools.lru_cache(maxsize=256)
def _largest_groups(model: Model, kind: NormLayer, side: int, channels: int) -> int:
    """Of a group norm in the network, built without memory; 0 where there is none, or it cannot be built."""
    import torch

    from bench.models.build import network

    try:
        with torch.device("meta"):
            net = network(model, kind, (channels, side, side), 10)
    except RequestError:  # which is said where it is built
        return 0
    return max((m.num_groups for m in (net.modules() if net else ()) if isinstance(m, torch.nn.GroupNorm)), default=0)
