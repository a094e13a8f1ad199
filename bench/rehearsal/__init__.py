"""A small pass through somebody's own code before any training: what is wrong is told now, not in epoch 3 of run 17.

Each own part that an Experiment uses is called as the run will call it, on a handful of training images and on val in
the place of test, which nobody looks at here. Experiments without own parts are not touched.

training: a small training, whole, and stopped and resumed. elsewhere: another day on another machine.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import data as images
from bench.data import augment, corrupt, pixel_norm
from bench.data.imagedata import ImageData
from bench.data.sources import SOURCES
from bench.parts.load import error_of, forget_modules, places_in_key
from bench.parts.reads import watch_reads
from bench.rehearsal.elsewhere import elsewhere
from bench.rehearsal.training import BATCH, rehearse_training, those
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.own import Own, kind_of, own_parts
from bench.train.lightning import Brought
from bench.train.own_metrics import own_metrics

FEW = 16  # training images
OF_ITS_OWN = "Draw from a generator of its own, numpy.random.default_rng(0)"


def rehearse(experiments: Sequence[Experiment]) -> list[Brought]:
    """Try the own parts of experiments, each combination of them once.

    Returns:
        What their LightningModules bring, each once.

    Raises:
        RequestError: for the first that does not do what its kind does, naming it, its line and the remedy.
    """
    seen = set()
    found: list[Brought | None] = []
    for exp in experiments:
        owns = own_parts(exp)
        what = (tuple(owns), exp.dataset, exp.model, exp.norm_layer, exp.transfer.mode, bool(exp.corrupt.names))
        if owns and what not in seen:
            seen.add(what)
            forget_modules()
            with _keep_random_state():
                try:
                    found.append(_rehearse(exp))
                except SystemExit as error:
                    raise error_of(f"{those(exp)} ends the program", error) from error
    return [one for one in dict.fromkeys(found) if one is not None]


def _rehearse(exp: Experiment) -> Brought | None:
    if exp.dataset.source == "own":
        _same_images(exp)
    data = images.load(exp.dataset, exp.split)
    owns = [(kind_of(exp, group), own) for group, own in own_parts(exp) if group != "dataset"]
    if owns:
        files, names = (
            frozenset().union(*some) for some in zip(*(places_in_key(kind, own) for kind, own in owns), strict=True)
        )
        with watch_reads(those(exp), files, names=names, tell=True):
            return _rehearse_parts(exp, data)
    return None


def _rehearse_parts(exp: Experiment, data: ImageData) -> Brought | None:
    """Every part but the dataset, as the run will call it."""
    few = dataclasses.replace(data, train=data.train[:FEW], val=data.val[:BATCH], test=data.val[:BATCH])
    batch = torch.from_numpy(np.ascontiguousarray(data.images[few.train[:BATCH]]))
    if exp.augment.own is not None:
        _draw_twice(exp, exp.augment.own, few, batch)
    if exp.pixel_norm.own is not None:
        scale = lambda: torch.cat([*pixel_norm.make(exp.pixel_norm, few).buffers()]).flatten()  # noqa: E731
        _twice(f"pixel_norm '{exp.pixel_norm.own.name}'", scale, OF_ITS_OWN, "images")
    for own in exp.corrupt.own:
        for severity in exp.corrupt.severities:
            _twice(
                f"corruption '{own.name}'",
                lambda own=own, severity=severity: corrupt.apply_own(  # type: ignore[misc]
                    batch.clone(), own, severity, corrupt.own_generator(exp.corrupt.seed, own.name, severity)
                ),
                "Draw from the generator that it is given",
            )
    if exp.metrics.own:
        stream = np.random.default_rng(0)
        scores = np.log(stream.dirichlet(np.ones(len(data.classes)), len(data.val)).astype(np.float32) + 1e-9)
        for own in exp.metrics.own:
            _twice(
                f"metric '{own.name}'",
                lambda own=own: _values(own_metrics([own], scores, data.labels[data.val], data.classes)),  # type: ignore[misc]
                OF_ITS_OWN,
                "scores",
            )
    if exp.trains and exp.transfer.mode == "scratch":
        return rehearse_training(exp, few, batch)
    return None


def _same_images(exp: Experiment) -> None:
    """Hold a dataset to giving the same images each time."""
    identity = SOURCES["own"].identity
    if identity(exp.dataset) != identity(exp.dataset):
        name = getattr(exp.dataset, "name", "")
        raise RequestError(
            f"dataset '{name}' gives other images each time it is called: no run could ever be found again. Seed its "
            "random numbers: numpy.random.default_rng(seed). What can be gone through once (a generator, an open file) "
            "is made inside the function."
        )


def _values(metrics: dict[str, float]) -> Tensor:
    return torch.tensor([metrics[name] for name in sorted(metrics)], dtype=torch.float64)


def _draw_twice(exp: Experiment, own: Own, data: ImageData, batch: Tensor) -> None:
    change = augment.make(exp.augment, data)
    assert change is not None
    labels = torch.from_numpy(data.labels[data.train[:BATCH]])

    def once() -> Tensor:
        rows, targets = change(batch.clone(), labels.clone(), augment.generator(exp.seed, 0, 0, len(batch)))
        if not torch.isfinite(rows.float()).all():
            raise RequestError(f"augmentation '{own.name}' makes pixels that are not finite.")
        soft = targets.dim() == 2 and targets.is_floating_point() and targets.shape[1] == len(data.classes)
        hard = targets.dim() == 1 and not targets.is_floating_point() and not targets.is_complex()
        if not soft and not (hard and int(targets.min()) >= 0 and int(targets.max()) < len(data.classes)):
            raise RequestError(
                f"augmentation '{own.name}' gives back targets {list(targets.shape)} of {targets.dtype}, "
                f"{targets.min():g}..{targets.max():g}. Expected whole numbers [B] in 0..{len(data.classes) - 1}, or "
                f"float [B, {len(data.classes)}], a share of each class."
            )
        return torch.cat([rows.float().flatten(), targets.float().flatten()])

    _twice(f"augmentation '{own.name}'", once, "Draw from draws.uniform(columns), [B, columns] in 0..1")


def _twice(named: str, call: Callable[[], Tensor], remedy: str, given: str = "draws") -> None:
    """Call with the same draws (or images, scores), another random state and another day: the same must come out."""
    found: list[Tensor] = []
    moved = False
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the one that their code may use)
        before = _random_state()
        try:
            with elsewhere() if found else nullcontext():
                found.append(call())
        except RequestError:
            raise
        except Exception as error:
            raise error_of(f"{named} fails", error) from error
        moved = moved or _random_state() != before
    if not torch.equal(*found):
        raise RequestError(
            f"{named} gives another result for the same {given}: it uses the global random state (or the clock, or the "
            f"machine's name), and no run could be repeated. {remedy}."
        )
    if moved and given == "draws":  # in the midst of training
        raise RequestError(
            f"{named} draws from the global random state or seeds it, by which the rest of the training draws too. "
            f"{remedy}."
        )


def _random_state() -> tuple[bytes, object, bytes]:
    _, keys, place, *_ = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), np.append(keys, place).tobytes()


@contextmanager
def _keep_random_state() -> Iterator[None]:
    before: Any = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])  # noqa: NPY002
