"""The run key: one for experiments whose numbers are the same."""

from __future__ import annotations

import hashlib
import json

from bench.schema.corrections import corrected
from bench.schema.experiment import Experiment
from bench.schema.model import Timm, Torchvision
from bench.schema.own import own_parts
from bench.schema.science import science

# Raise this when a default or an algorithm changes so that old results no longer answer for new ones.
SCIENCE_VERSION = 1


# Of the trainer: what decides how much is trained in a budget of seconds.
TIMED = ("accelerator", "compile", "threads", "channels_last", "deterministic", "gradients")

# Families of which there have been runs by both names of their norm, native and none, from the start: two keys each.
TWO_NAMES = ("dnn", "cnn")


def run_key(exp: Experiment, data_fingerprint: str) -> str:
    """SHA-256 (hex) of the canonical JSON of the scientific settings and the dataset's fingerprint.

    Args:
        data_fingerprint: of images, labels and split membership (`bench.data`).
    """
    settings = science(exp)
    if exp.norm_layer.name == exp.model.native_norm != "native" and exp.model.family not in TWO_NAMES:
        kept = ("norm_layer.groups",) if exp.norm_layer.name == "group" else ()
        settings = {n: value for n, value in settings.items() if not n.startswith("norm_layer.") or n in kept}
    if "metrics.names" in settings:
        settings["metrics.names"] = sorted(settings["metrics.names"])  # in whatever order they were asked for
    if exp.transfer.mode != "scratch" and exp.transfer.weights.startswith(("run:", "file:")):
        # At first these weights always met pixel_norm: runs of then do not answer for what the default means now.
        settings.setdefault("transfer.preprocess", exp.transfer.preprocess)
    if devices_matter(exp):
        settings["trainer.devices"] = exp.trainer.devices * exp.trainer.num_nodes
    if compiling_matters(exp):
        settings["trainer.compile"] = True
    if exp.trains and exp.trainer.seconds is not None:
        # How far a clock lets training come hangs on what otherwise only says where and how fast.
        timed = {name: getattr(exp.trainer, name) for name in TIMED}
        timed |= {name: getattr(exp.dataset, name, None) for name in ("storage", "workers")}
        settings.update({f"clock.{name}": value for name, value in timed.items()})
    content = {"version": SCIENCE_VERSION, "data": data_fingerprint, "settings": settings | corrected(exp)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def devices_matter(exp: Experiment) -> bool:
    """Whether the number of devices is part of the experiment: each would normalise by its own share of a batch.

    A network of timm or torchvision with its own norms may have batch norm, and so may a norm_layer of one's own. What
    drops out is drawn on each device, and what somebody's own network, loss, optimizer or training does on a share of a
    batch nobody knows; an augmentation draws from what is the same on any number of devices.
    """
    if exp.trainer.devices * exp.trainer.num_nodes == 1 or not exp.trains:
        return False
    norm = exp.model.native_norm if exp.norm_layer.name == "native" else exp.norm_layer.name
    own = any(group in ("model", "loss", "optim", "training") for group, _ in own_parts(exp))
    return own or _drops(exp) or (not exp.trainer.sync_batchnorm and norm in ("batch", "native", "own"))


def compiling_matters(exp: Experiment) -> bool:
    """Whether torch.compile is part of the experiment: what it compiles draws other numbers from the same seed."""
    own = any(group in ("model", "norm_layer") for group, _ in own_parts(exp))
    return exp.trainer.compile and exp.trains and (own or _drops(exp))


def _drops(exp: Experiment) -> bool:
    """Whether training leaves units or blocks out; torchvision's networks do without a word, as their papers do."""
    return getattr(exp.model, "dropout", 0) != 0 or getattr(exp.model, "drop_path", 0) != 0


def named_norm(exp: Experiment) -> bool:
    """Whether only the network itself knows if it has the norm that is asked for already (`bench.models.native`)."""
    return isinstance(exp.model, Timm | Torchvision) and exp.norm_layer.name in ("none", "batch", "layer", "group")
