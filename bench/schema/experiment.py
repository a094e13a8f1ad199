"""Experiment: one fully resolved configuration, and its run key."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.schema.dataset import Dataset, Split
from bench.schema.model import Knn, Model, NormLayer, OwnModel, Resnet, Timm, Torchvision
from bench.schema.offered import SHIPPED
from bench.schema.own import Metrics, Own, codes_by_name, own_parts
from bench.schema.part import build, part
from bench.schema.pixels import Augment, Corrupt, PixelNorm
from bench.schema.secrets import redact
from bench.schema.training import Chosen, Optim, Tracking, Trainer
from bench.schema.transfer import Transfer


@part
class Experiment:
    """One fully resolved, validated configuration, its seed included."""

    dataset: Dataset
    split: Split
    model: Model
    norm_layer: NormLayer
    pixel_norm: PixelNorm
    augment: Augment
    corrupt: Corrupt
    optim: Optim
    trainer: Trainer
    tracking: Tracking
    transfer: Transfer = Transfer()
    metrics: Metrics = Metrics()
    # Of somebody's own; ours are settings of `optim`.
    loss: Chosen | None = None
    schedule: Chosen | None = None
    training: Chosen | None = None
    seed: Annotated[int, Field(ge=0)] = 0  # of initialisation, order of the images, augmentation and dropout

    def __post_init__(self) -> None:
        mine = ("own",) if "batch" in self.model.norm_layers else ()  # where one of ours can stand, any can
        if self.norm_layer.name not in ("native", *mine, *self.model.norm_layers):
            options = ", ".join(("native", *self.model.norm_layers))
            raise ValueError(f"norm_layer '{self.norm_layer.name}' is not for {self.model_name}; it takes {options}.")
        if self.norm_layer.name == "selu" and getattr(self.model, "activation", None) not in (None, "relu", "selu"):
            raise ValueError("norm_layer 'selu' brings its own activation: leave model.activation out or make it selu.")
        if self.loss is not None and (self.optim.loss != "cross_entropy" or self.optim.label_smoothing):
            raise ValueError(
                f"loss '{self.loss.own.name}' takes the place of optim.loss, and optim.label_smoothing is none of its "
                "settings: leave both at their defaults."
            )
        if self.optim.layer_decay != 1 and self.transfer.mode == "frozen":
            raise ValueError("transfer.mode=frozen trains the head alone: there are no layers for optim.layer_decay.")
        if self.trainer.sampling == "balanced" and self.optim.class_weights == "balanced":
            raise ValueError("trainer.sampling=balanced and optim.class_weights=balanced do one thing twice: take one.")
        if self.schedule is not None and self.optim.schedule != "constant":
            raise ValueError(f"schedule '{self.schedule.own.name}' takes the place of optim.schedule: leave it out.")
        if not self.trains and (self.loss or self.schedule or self.training):
            raise ValueError(f"{self.model_name} is not trained by gradient steps: leave loss, schedule and training.")
        if self.transfer.mode == "scratch" and not self.trains and (self.transfer.size or self.transfer.channels):
            raise ValueError(f"transfer.size and transfer.channels are for networks; {self.model.family} sees pixels.")

        if self.transfer.mode != "scratch" and self.model.family in ("knn", "ncm"):
            raise ValueError(
                f"model '{self.model.family}' has no network for transfer.mode={self.transfer.mode}: "
                f"name the network as model=... and say transfer.head={self.model.family}."
            )

    @property
    def model_name(self) -> str:
        """As people know it: resnet18, not timm."""
        return str(getattr(self.model, "name", self.model.family))

    @property
    def trains(self) -> bool:
        """False for models that are not trained by gradient steps (kNN, nearest class mean)."""
        return self.model.family not in ("knn", "ncm") and self.transfer.head not in ("knn", "ncm")

    @property
    def augment_made(self) -> bool:
        """Whether training images are changed at all."""
        augment = self.augment
        small = ("flip", "flip_vertical", "shift", "crop", "rotate", "scale", "brightness", "contrast", "saturation")
        rest = ("hue", "grey", "blur", "cutout", "erase", "mixup", "cutmix", "own")
        return augment.policy != "none" or any(getattr(augment, name) for name in (*small, *rest))

    @property
    def joins(self) -> bool:
        """Whether this machine only takes part in a run that another one records."""
        return self.trainer.node > 0 and self.trains

    @property
    def neighbours(self) -> int:
        """How many neighbours of an image are searched for, 0 where none are."""
        if isinstance(self.model, Knn):
            return self.model.k
        return self.transfer.k if self.transfer.head == "knn" else 0


# Settings that change where and how fast a run is executed but not what it finds.
# Adding a name here changes no existing key, as defaults are left out (see `science`).
NOT_SCIENCE = frozenset(
    {
        "tracking",
        "dataset.root",
        "dataset.file",
        "dataset.storage",
        "dataset.workers",
        "trainer.max_minutes",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.num_nodes",
        "trainer.strategy",
        "trainer.channels_last",
        "trainer.compile",
        "trainer.stack",
        "trainer.last_digits",
        "trainer.threads",
        "trainer.deterministic",
        "trainer.gradients",
        "augment.name",
        "transfer.cache",
    }
)

# Of the trainer: what decides how much is trained in a budget of seconds.
TIMED = ("accelerator", "compile", "threads", "channels_last", "deterministic", "gradients")

# Families of which there have been runs by both names of their norm, native and none, from the start: two keys each.
TWO_NAMES = ("dnn", "cnn")

# Families of timm whose batch norm holds the activation.
FUSED_NORM = ("densenet", "efficientnet", "tf_efficientnet", "mobilenet", "tf_mobilenet", "vgg")

# Families of timm that have a batch norm inside their classifier; frozen, it belongs to the backbone.
NORM_IN_HEAD = ("levit", "efficientvit_m", "repvit", "shvit", "iformer")

# Families of timm that can have dropout inside their classifier.
DROPS_IN_HEAD = ("caformer", "convformer")

# Of timm, some drop by themselves, which at first they did where model.dropout and model.drop_path say 0.
DROPPED_BY_THEMSELVES = (
    "swin", "focalnet", "nest", "nextvit", "ghostnet", "repghostnet", "rexnet", "legacy_se", "cpubone", "fasternet",
    "tiny_vit", "efficientformerv2", "coatnet_rmlp", "maxvit_rmlp", "maxxvit", "vit_relpos", "vit_srelpos",
    "test_vit_relpos", "bat_resnext",
)  # fmt: skip

# Raise this when a default or an algorithm changes so that old results no longer answer for new ones.
SCIENCE_VERSION = 1


def experiment(config: Mapping[str, Any]) -> Experiment:
    """The Experiment for a composed configuration (plain nested data).

    Raises:
        RequestError: with one line for each setting that is unknown, missing, of the wrong type or out of range.
    """
    return build(Experiment, config)


def flat_settings(value: Any, prefix: str = "") -> dict[str, Any]:
    """A part as one level: `{"optim.lr": 0.1, "model.hidden": [400, 100], ...}`; addresses as they may be shown."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        name, item = prefix + field.name, getattr(value, field.name)
        if name == "trainer.epochs" and value.whole_epochs is None:
            continue  # it decides nothing
        if field.name == "own":
            out.update(_own_settings(item, out, prefix))
        elif isinstance(value, Experiment) and item is None:
            continue  # a group that nobody chose from
        elif dataclasses.is_dataclass(item):
            out.update(flat_settings(item, name + "."))
        else:
            out[name] = list(item) if isinstance(item, tuple) else redact(item) if isinstance(item, str) else item
    return out


def _own_settings(item: Any, before: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Own parts among the settings of their group, as if they were its own."""
    if isinstance(item, Own):
        return _redact_values(item.flat(prefix))
    if not item:
        return {}
    return {
        f"{prefix}names": [*before.get(f"{prefix}names", []), *(own.name for own in item)],
        **codes_by_name(item, prefix),
    }


def _redact_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: redact(v) if isinstance(v, str) else v for k, v in settings.items()}


def science(exp: Experiment) -> dict[str, Any]:
    """The settings that decide a run's numbers, flat, without those at their default.

    Defaults are left out so that a setting added later does not change the key of an earlier run.
    """
    return _science(exp, "")


def _science(value: Any, prefix: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for attribute, name, default in _science_fields(type(value), prefix):  # type: ignore[arg-type]
        item = getattr(value, attribute)
        if name == "trainer.epochs" and value.whole_epochs is None:
            continue
        if attribute == "own":
            # The code of a part of an installed package is the package's version, which does not say which part it is,
            # and that of one that comes along is no code at all.
            code = str(getattr(item, "code", ""))
            named = "==" in code or code == SHIPPED
            found = (
                _redact_values(item.science(prefix)) if isinstance(item, Own) else _own_settings(item, out, prefix)
            ).items()
            out.update({k: v for k, v in found if k not in NOT_SCIENCE or (named and k == f"{prefix}name")})
        elif hasattr(item, "__dataclass_fields__"):
            out.update(_science(item, name + "."))
        elif default is dataclasses.MISSING or item != default:
            out[name] = list(item) if isinstance(item, tuple) else item
    return out


@functools.cache  # a large sweep asks for each of its points
def _science_fields(part: type, prefix: str) -> list[tuple[str, str, Any]]:
    """(attribute, full name, default) of the settings of a part that are science."""
    named = [(field.name, prefix + field.name, _default(field)) for field in dataclasses.fields(part)]
    return [entry for entry in named if entry[1] not in NOT_SCIENCE]


def _default(field: dataclasses.Field[Any]) -> Any:
    """A field's default; pydantic keeps it in a FieldInfo of its own where `Field(...)` was the default."""
    return getattr(field.default, "default", field.default)


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
    # Without a word, torchvision's networks drop as their papers do.
    drops = bool(getattr(exp.model, "dropout", 0) is None or _drops(exp.model))
    return own or drops or (not exp.trainer.sync_batchnorm and norm in ("batch", "native", "own"))


def named_norm(exp: Experiment) -> bool:
    """Whether only the network itself knows if it has the norm that is asked for already (`bench.models.native`)."""
    return isinstance(exp.model, Timm | Torchvision) and exp.norm_layer.name in ("none", "batch", "layer", "group")


def fewest_channels(model: Model) -> float:
    """Of a convolution that a norm follows, in a model of these settings; 1 where only the built network knows."""
    if isinstance(model, Timm | Torchvision):
        return 1
    if isinstance(model, Resnet):
        return model.width
    return min(getattr(model, "filters", ()), default=math.inf)


def drops_in_head(model: Model) -> bool:
    """Whether the head may act otherwise in training; of a network of somebody's own nobody knows."""
    if isinstance(model, Timm):
        return model.name.startswith(DROPS_IN_HEAD) and model.dropout > 0
    return isinstance(model, OwnModel)


def _drops(model: Model) -> bool:
    return bool(getattr(model, "dropout", 0) or getattr(model, "drop_path", 0))


def dropped_by_itself(exp: Experiment) -> bool:
    """Whether at first a network of timm dropped what its settings do not say."""
    model = exp.model
    if not isinstance(model, Timm) or model.own is not None or exp.transfer.mode == "frozen":
        return False
    return model.name.startswith(DROPPED_BY_THEMSELVES) and not (model.dropout and model.drop_path)


def dropped_in_backbone(exp: Experiment) -> tuple[str, ...]:
    """What of a model's settings drops in the backbone only, where that is frozen."""
    if exp.transfer.mode != "frozen" or drops_in_head(exp.model) or isinstance(exp.model, OwnModel):
        return ()
    return tuple(name for name in ("dropout", "drop_path") if hasattr(exp.model, name))


def mixes_class_weights(exp: Experiment) -> bool:
    """Whether images of two labels are weighed by their classes."""
    return exp.trains and exp.optim.class_weights == "balanced" and bool(exp.augment.mixup or exp.augment.cutmix)


def reached_by_16_bits(exp: Experiment) -> bool:
    """Whether a run in 16 bits had at first more of them than the network: blurred images, softened targets, mse.

    Views at test and corrupted images, in turn, were scored in 32 bits.
    """
    augment, corrupt = exp.augment, exp.corrupt
    softened = exp.optim.label_smoothing or augment.mixup or augment.cutmix
    soft = exp.optim.loss == "mse" or (exp.optim.loss == "bce" and bool(softened))
    return bool(augment.blur or augment.own or augment.test_time or corrupt.names or corrupt.own or soft)


def run_key(exp: Experiment, data_fingerprint: str) -> str:
    """SHA-256 (hex) of the canonical JSON of the scientific settings and the dataset's fingerprint.

    Args:
        data_fingerprint: of images, labels and split membership (`bench.data`).
    """
    settings = science(exp)
    if exp.norm_layer.name == exp.model.native_norm != "native" and exp.model.family not in TWO_NAMES:
        kept = ("norm_layer.groups",) if exp.norm_layer.name == "group" else ()
        settings = {n: value for n, value in settings.items() if not n.startswith("norm_layer.") or n in kept}
    if isinstance(exp.model, Timm | Torchvision) and exp.norm_layer.name in ("none", "weight", "selu"):
        # At first an activation after a norm that was taken out wrote over what a shortcut had kept (resnetv2).
        settings["norm_layer.removal"] = 2
    if "metrics.names" in settings:
        settings["metrics.names"] = sorted(settings["metrics.names"])  # in whatever order they were asked for
    if exp.transfer.mode != "scratch" and exp.transfer.weights.startswith(("run:", "file:")):
        # At first these weights always met pixel_norm: runs of then do not answer for what the default means now.
        settings.setdefault("transfer.preprocess", exp.transfer.preprocess)
    if devices_matter(exp):
        settings["trainer.devices"] = exp.trainer.devices * exp.trainer.num_nodes
    if exp.neighbours:
        # At first classes with the same vote stood in the order of their numbers, in top5 as torch happened to.
        settings["model.tie_rule" if isinstance(exp.model, Knn) else "transfer.tie_rule"] = 2
    if "ncm" in (exp.model.family, exp.transfer.head) and exp.split.train_per_class == 1:
        # At first a single image's spread about itself, none, was taken for that of its class.
        settings["model.width_rule"] = 2
    if exp.trains and exp.trainer.precision in ("16-mixed", "bf16-mixed"):
        # Likewise for scores of 16 bits, where two classes often have the same.
        settings["trainer.tie_rule"] = 2
        if reached_by_16_bits(exp):
            # Corrupted images met the head of a frozen backbone in 32 bits for longer.
            corrupted = exp.corrupt.names or exp.corrupt.own
            settings["trainer.precision_rule"] = 3 if exp.transfer.mode == "frozen" and corrupted else 2
    if mixes_class_weights(exp):
        # At first a mixed image counted by its mean weight for both of its labels alike.
        settings["optim.class_weights_rule"] = 2
    if exp.trains and exp.trainer.seconds is not None:
        # How far a clock lets training come hangs on what otherwise only says where and how fast.
        timed = {name: getattr(exp.trainer, name) for name in TIMED}
        timed |= {name: getattr(exp.dataset, name, None) for name in ("storage", "workers")}
        settings.update({f"clock.{name}": value for name, value in timed.items()})
    several = exp.trainer.devices * exp.trainer.num_nodes > 1
    fused = str(getattr(exp.model, "name", "")).startswith(FUSED_NORM)
    if several and fused and exp.trainer.sync_batchnorm and exp.norm_layer.name == "native":
        # At first synchronised batch norm lost the activation that timm fuses with it.
        settings["trainer.sync_rule"] = 2
    if exp.norm_layer.name == "group" and exp.norm_layer.groups >= fewest_channels(exp.model):
        # At first a layer of few channels got groups of a single one, which is instance norm.
        settings["norm_layer.group_rule"] = 2
    if exp.trains and exp.optim.schedule == "step" and exp.optim.drops < math.ceil(1 / exp.optim.step_every) - 1:
        # At first there was one drop more, at the very end: with the default of 0.33 a third one in the last percent.
        settings["optim.step_rule"] = 2
    if exp.trains and exp.optim.decayed == "weights" and str(getattr(exp.model, "name", "")).startswith("xcit"):
        # At first patterns among what timm excepts ("pos_embed.*") were taken for names, and so excepted nothing.
        settings["optim.decayed_rule"] = 2
    if exp.trains and exp.optim.decayed == "weights" and any(g in ("model", "norm_layer") for g, _ in own_parts(exp)):
        # Nor were scales and shifts of more axes than one.
        settings["optim.decayed_rule"] = 2
    if exp.transfer.mode == "frozen" and str(getattr(exp.model, "name", "")).startswith(NORM_IN_HEAD):
        # At first this norm was trained with the head.
        settings["transfer.head_rule"] = 2
    if dropped_by_itself(exp):
        settings["model.drop_rule"] = 2
    if exp.transfer.mode == "frozen" and exp.trains and drops_in_head(exp.model):
        # At first dropout and batch norm of a head slept wherever the backbone ran in every epoch.
        settings["transfer.head_mode"] = 2
    content = {"version": SCIENCE_VERSION, "data": data_fingerprint, "settings": settings}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
