"""A small training through own code: what the network gives before it, and whether it can be repeated and resumed."""

from __future__ import annotations

import dataclasses
import pickle
import random
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench import models
from bench.data.imagedata import ImageData
from bench.models import preprocess
from bench.parts.load import error_of, forget_modules
from bench.rehearsal.elsewhere import elsewhere
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.schema.own import own_parts
from bench.train import checkpoint, lightning
from bench.train.fit import fit
from bench.train.lightning import Brought

BATCH = 8


def rehearse_training(exp: Experiment, few: ImageData, batch: Tensor) -> Brought | None:
    """Two epochs on a handful of images, by the loop that trains, and again on another day and machine: the same.

    The second time it is stopped after an epoch and goes on from its checkpoint, as after a kill.

    On a GPU, which adds in another order each time, only the networks that are built are compared: Adam makes a step of
    the noise in a gradient that is zero.
    """
    gpu = exp.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    _look_at(exp, few, batch, _build_anew(exp, few, 1))  # by being called it may change
    net = _build_anew(exp, few, 1)
    built = _numbers(net.state_dict())
    found, brought = _train_briefly(exp, few, net)
    with elsewhere():
        again = _numbers(_build_anew(exp, few, 2).state_dict()) if gpu else _train_in_two(exp, few)
    found = built if gpu else found
    name = other = _first_other(found, again)
    if not name:
        return brought
    if gpu or _first_other(found, _train_shortly(exp, few, _build_anew(exp, few, 1))):
        other = _first_other(found, again, rtol=0.01, atol=1e-4)  # threads may add in another order too
        if not other:
            return brought
    else:
        with elsewhere():
            other = _first_other(found, _train_shortly(exp, few, _build_anew(exp, few, 2)))
    if other:
        raise RequestError(
            f"{those(exp)}: two trainings with one seed end with other weights ({other}), and no run could be "
            "repeated: something is drawn from a generator that no seed of the run reaches, or depends on the clock, "
            "sys.argv, or the machine's name or processors. Draw from torch's, NumPy's or random's global generator, "
            "which the run seeds, or from one with a seed: numpy.random.default_rng(0)."
        )
    raise RequestError(
        f"{those(exp)}: a training that is stopped after an epoch and goes on from its checkpoint ends with other "
        f"numbers ({name}): what it counts or draws from is in no checkpoint. Keep it in a buffer of the network "
        "(register_buffer), in the state of the optimizer, or in an attribute of a class with @training: not in a "
        "global, a closure, another attribute or a generator of its own."
    )


def _build_anew(exp: Experiment, few: ImageData, seed: int) -> nn.Module:
    """The network by files that are imported anew, in a process whose generators stand anywhere."""
    forget_modules()
    torch.manual_seed(seed)  # the run seeds them, before it builds and before it trains
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the one that their code may use)
    return models.build(exp, few.shape, len(few.classes))


def _numbers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _first_other(found: dict[str, Tensor], again: dict[str, Tensor], rtol: float = 0.0, atol: float = 0.0) -> str:
    """The first name whose numbers differ; "" for none."""
    for name, value in found.items():
        other = again.get(name)
        if other is None or other.shape != value.shape:
            return name
        if not torch.allclose(value.double(), other.double(), rtol=rtol, atol=atol, equal_nan=True):
            return name
    return ""


class _Stopped(Exception):
    """After an epoch, as by a kill."""


def _train_shortly(
    exp: Experiment, few: ImageData, net: nn.Module, file: Path | None = None, stop: int = 0
) -> dict[str, Tensor]:
    """What two epochs end with: weights, and scores of val.

    Args:
        stop: the epoch in which it is stopped.
    """
    small = dataclasses.replace(
        exp.trainer, epochs=2, steps=None, seconds=None, target=None, batch_size=BATCH, select="last", max_minutes=None,
        devices=1, num_nodes=1,
        strategy="ddp", accumulate=1, compile=False, stack="off", gradients=False,
    )  # fmt: skip

    def told(row: dict[str, float]) -> None:
        if row["epoch"] == stop:
            raise _Stopped

    result = fit(dataclasses.replace(exp, trainer=small), few, net, told, file)
    return _numbers({**(result.state or {}), "scores": torch.from_numpy(result.val_scores)})


def _train_in_two(exp: Experiment, few: ImageData) -> dict[str, Tensor]:
    """The same, stopped in its second epoch and gone on with from the checkpoint after the first."""
    with tempfile.TemporaryDirectory() as folder, checkpoint.after_each_epoch():
        file = Path(folder) / "resume.ckpt"
        with suppress(_Stopped):
            _train_shortly(exp, few, _build_anew(exp, few, 2), file, stop=2)
        try:
            checkpoint.load(file)
        except pickle.UnpicklingError:
            raise RequestError(
                f"{those(exp)}: what it keeps between steps cannot be read back from a checkpoint. Tensors, numbers, "
                "texts, lists and dicts of these can: float(x), x.tolist() or torch.from_numpy(x) make them of NumPy's."
            ) from None
        try:
            return _train_shortly(exp, few, _build_anew(exp, few, 2), file)
        except (RequestError, RunFailed):
            raise
        except Exception as error:
            raise error_of(f"{those(exp)} cannot go on from a checkpoint after an epoch", error) from error


def _look_at(exp: Experiment, few: ImageData, batch: Tensor, net: nn.Module) -> None:
    """Hold what a network gives before any training to logits that can be trained."""
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
                f"{those(exp)} cannot take {len(batch)} images of {'x'.join(map(str, few.shape))}", error
            ) from error
        if more := sorted(held[1] - held[0]):
            raise RequestError(f"{named} makes a layer, parameter or buffer anew in each forward ({more[0]}): make all "
                               "of them in __init__.")  # fmt: skip
        if logits.device != batch.device:
            raise RequestError(f"{named} gives logits on {logits.device} for images on {batch.device}: make tensors on "
                               "the images' device, device=x.device.")  # fmt: skip
        if not torch.isfinite(logits).all():
            raise RequestError(f"{named} gives NaN or infinite logits before any training: look at its initialisation.")
        if (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(len(logits))):
            raise RequestError(f"{named} gives probabilities, which sum to 1. Expected logits: leave the softmax out, "
                               "or give their logarithm.")  # fmt: skip
        _hold_evaluation(exp, net, prepare(batch), logits)
    if not _learns(net, prepare(batch)):
        raise RequestError(f"{named} gives logits without a gradient, so that nothing is learnt: no detach(), numpy() "
                           "or torch.no_grad() may lie on the way.")  # fmt: skip


def _hold_evaluation(exp: Experiment, net: nn.Module, inputs: Tensor, logits: Tensor) -> None:
    """Hold the evaluation of an image to that image: how many are scored at once is in no key."""

    def differs(*parts: Tensor) -> bool:
        again = torch.cat([net(part) for part in parts])
        return not torch.allclose(logits, again, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))

    if differs(inputs):
        raise RequestError(
            f"{those(exp)} gives the same images other logits each time, in evaluation too: it draws, or counts, in "
            "its forward. Ask self.training there, as nn.Dropout does: functional.dropout(x, p, self.training)."
        )
    if differs(inputs[:3], inputs[3:]):
        raise RequestError(
            f"{those(exp)} gives an image other logits in another batch, in evaluation too: they would depend on how "
            "many images are scored at once. Use means over the batch in training only, and running ones in evaluation "
            "(nn.BatchNorm2d without track_running_stats=False does)."
        )


def _train_briefly(exp: Experiment, few: ImageData, net: nn.Module) -> tuple[dict[str, Tensor], Brought | None]:
    """What two epochs end with."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    try:
        found = _train_shortly(exp, few, net)
        if exp.optim.own is not None and all(torch.equal(before[n], v.cpu()) for n, v in net.state_dict().items()):
            raise RequestError(f"optim '{exp.optim.own.name}' moves no weight. Its step(closure) "
                               "calls the closure, which makes the gradient, then moves the parameters.")  # fmt: skip
        return found, lightning.brought(exp, net)
    except RequestError:
        raise
    except RunFailed as error:
        if isinstance(error.__cause__, Exception):  # what the own code raised, in which file and line
            raise error_of(f"{those(exp)} cannot be trained{_uncalled(net)}", error.__cause__) from error
        raise RequestError(
            f"{those(exp)}: the first steps on {len(few.train)} images fail already: {error.reason}. Look at the "
            "initialisation, or lower optim.lr."
        ) from error
    except Exception as error:
        raise error_of(f"{those(exp)} cannot be trained{_uncalled(net)}", error) from error


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


def those(exp: Experiment) -> str:
    """The own parts of an Experiment, in words."""
    return ", ".join(f"{group} '{own.name}'" for group, own in own_parts(exp))
