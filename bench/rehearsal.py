"""A small pass through somebody's own code before any training: what is wrong is told now, not in epoch 3 of run 17.

Each own part that an Experiment uses is called as the run will call it, on a handful of training images and on val in
the place of test, which nobody looks at here. Experiments without own parts are not touched.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import data as images
from bench import models
from bench.data import augment, corrupt, pixel_norm
from bench.data.imagedata import ImageData
from bench.data.sources import SOURCES
from bench.models import preprocess
from bench.parts.load import error_of, forget_modules, places_in_key
from bench.parts.reads import watch_reads
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.schema.own import Own, kind_of, own_parts
from bench.train import lightning
from bench.train.fit import fit
from bench.train.lightning import Brought
from bench.train.own_metrics import own_metrics

FEW = 16  # training images
BATCH = 8
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
                found.append(_rehearse(exp))
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
        with watch_reads(_those(exp), files, names=names, tell=True):
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
        return _rehearse_training(exp, few, batch)
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
    """Call with the same draws (or images, scores) and another global random state: the result must be the same."""
    found, moved = [], False
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the one that their code may use)
        before = _random_state()
        try:
            found.append(call())
        except RequestError:
            raise
        except Exception as error:
            raise error_of(f"{named} fails", error) from error
        moved = moved or _random_state() != before
    if not torch.equal(*found):
        raise RequestError(
            f"{named} gives another result for the same {given}: it uses the global random state, and no run could be "
            f"repeated. {remedy}."
        )
    if moved and given == "draws":  # in the midst of training
        raise RequestError(
            f"{named} draws from the global random state or seeds it, by which the rest of the training draws too. "
            f"{remedy}."
        )


def _rehearse_training(exp: Experiment, few: ImageData, batch: Tensor) -> Brought | None:
    """One epoch on a handful of images, by the loop that trains, twice and on another day: the same must come out.

    On a GPU, which adds in another order each time, only the networks that are built are compared: Adam makes a step of
    the noise in a gradient that is zero.
    """
    found: list[dict[str, Tensor]] = []
    gpu = exp.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    for seed, days in ((1, 0), (2, 400)):
        forget_modules()
        torch.manual_seed(seed)  # the run seeds them, before it builds and before it trains
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the one that their code may use)
        with _clock_ahead(days):
            net = models.build(exp, few.shape, len(few.classes))
            built = {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
            if not gpu or not found:
                brought = _train_briefly(exp, few, batch, net)
        found.append(built if gpu else {name: value.detach().cpu() for name, value in net.state_dict().items()})
    for name, value in found[0].items():
        again = found[1].get(name)
        same = again is not None and again.shape == value.shape
        # Threads may add in another order too.
        if not same or not torch.allclose(value.double(), again.double(), rtol=0.01, atol=1e-4, equal_nan=True):  # type: ignore[union-attr]
            raise RequestError(
                f"{_those(exp)}: two trainings with one seed end with other weights ({name}), and no run could be "
                "repeated: something is drawn from a generator that no seed of the run reaches, or from the clock. "
                "Draw from torch's, NumPy's or random's global generator, which the run seeds, or from one with a "
                "seed: numpy.random.default_rng(0)."
            )
    return brought


@contextmanager
def _clock_ahead(days: int) -> Iterator[None]:
    """Inside, `time.time` and `date.today`, which asks it, are so many days ahead."""
    now, now_ns = time.time, time.time_ns
    if days:
        time.time, time.time_ns = lambda: now() + 86400 * days, lambda: now_ns() + 86400 * 10**9 * days
    try:
        yield
    finally:
        time.time, time.time_ns = now, now_ns


def _train_briefly(exp: Experiment, few: ImageData, batch: Tensor, net: nn.Module) -> Brought | None:
    named = f"model '{exp.model_name}'"
    prepare = preprocess.make(exp, few)
    net.eval()
    held: list[set[str]] = []
    with torch.no_grad():
        try:
            for _ in range(2):
                logits = net(prepare(batch))
                held.append({*net.state_dict()})
        except Exception as error:
            raise error_of(
                f"{_those(exp)} cannot take {len(batch)} images of {'x'.join(map(str, few.shape))}", error
            ) from error
        if more := sorted(held[1] - held[0]):
            raise RequestError(f"{named} makes a layer, parameter or buffer anew in each forward ({more[0]}): make all "
                               "of them in __init__.")  # fmt: skip
        if logits.device != batch.device:
            raise RequestError(f"{named} gives logits on {logits.device} for images on {batch.device}: make tensors on "
                               "the images' device, device=x.device.")  # fmt: skip
        if not torch.isfinite(logits).all():
            raise RequestError(f"{named} gives NaN or infinite logits before any training: look at its initialisation.")
    if not _learns(net, prepare(batch)):
        raise RequestError(f"{named} gives logits without a gradient, so that nothing is learnt: no detach(), numpy() "
                           "or torch.no_grad() may lie on the way.")  # fmt: skip
    before = {name: value.clone() for name, value in net.state_dict().items()}
    small = dataclasses.replace(
        exp.trainer, epochs=1, steps=None, seconds=None, target=None, batch_size=BATCH, select="last", max_minutes=None,
        devices=1, num_nodes=1,
        strategy="ddp", accumulate=1, compile=False, stack="off", gradients=False,
    )  # fmt: skip
    try:
        fit(dataclasses.replace(exp, trainer=small), few, net)
        if exp.optim.own is not None and all(torch.equal(before[n], v.cpu()) for n, v in net.state_dict().items()):
            raise RequestError(f"optim '{exp.optim.own.name}' moves no weight in two steps. Its step(closure) "
                               "calls the closure, which makes the gradient, then moves the parameters.")  # fmt: skip
        return lightning.brought(exp, net)
    except RequestError:
        raise
    except RunFailed as error:
        if isinstance(error.__cause__, Exception):  # what the own code raised, in which file and line
            raise error_of(f"{_those(exp)} cannot be trained{_uncalled(net)}", error.__cause__) from error
        raise RequestError(
            f"{_those(exp)}: two steps on {FEW} images fail already: {error.reason}. Look at the initialisation, or "
            "lower optim.lr."
        ) from error
    except Exception as error:
        raise error_of(f"{_those(exp)} cannot be trained{_uncalled(net)}", error) from error


def _learns(net: nn.Module, inputs: Tensor) -> bool:
    """Whether logits in training have a gradient, as far as there is anything to learn; the loop tells what fails."""
    net.train()
    try:
        with torch.enable_grad():
            return net(inputs).requires_grad or not any(p.requires_grad for p in net.parameters())
    except Exception:
        return True


def _uncalled(net: nn.Module) -> str:
    """What a LightningModule may miss: hooks that nobody calls here."""
    names = [name for name in lightning.unused(net) if not name.startswith(("val", "test", "predict"))]
    return f" (not called here: {', '.join(names)})" if names else ""


def _those(exp: Experiment) -> str:
    return ", ".join(f"{group} '{own.name}'" for group, own in own_parts(exp))


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
