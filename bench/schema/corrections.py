"""What was wrong at first, and for which runs: their keys are new, so that no old number answers for what they say now.

Each correction adds one setting to the run key of the experiments that it concerns and of no other, so that all other
runs keep theirs. Whoever mends a number adds a function here and a line to CHANGELOG.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.schema.experiment import Experiment
from bench.schema.model import Cnn, Knn, Model, OwnModel, Resnet, Timm, Torchvision
from bench.schema.own import own_parts

Concerns = Callable[[Experiment], bool]


@dataclass(frozen=True)
class Correction:
    """One entry of the run key, `setting: version`, of the experiments that `concerns` is true for."""

    setting: str
    version: int
    concerns: Concerns


CORRECTIONS: list[Correction] = []

# Families of timm whose batch norm holds the activation.
FUSED_NORM = ("densenet", "efficientnet", "tf_efficientnet", "mobilenet", "tf_mobilenet", "vgg")

# Families of timm that have a batch norm inside their classifier; frozen, it belongs to the backbone.
NORM_IN_HEAD = ("levit", "efficientvit_m", "repvit", "shvit", "iformer")

# Families of timm that can have dropout inside their classifier.
DROPS_IN_HEAD = ("caformer", "convformer")

# Families of timm that drop by themselves.
DROPPED_BY_THEMSELVES = (
    "swin", "focalnet", "nest", "nextvit", "ghostnet", "repghostnet", "rexnet", "legacy_se", "cpubone", "fasternet",
    "tiny_vit", "efficientformerv2", "coatnet_rmlp", "maxvit_rmlp", "maxxvit", "vit_relpos", "vit_srelpos",
    "test_vit_relpos", "bat_resnext",
)  # fmt: skip


def corrected(exp: Experiment) -> dict[str, int]:
    """What corrections add to the settings of a run key."""
    return {each.setting: each.version for each in CORRECTIONS if each.concerns(exp)}


def correction(
    setting: str, version: int = 2
) -> Callable[[Callable[[Experiment], bool]], Callable[[Experiment], bool]]:
    """Register the experiments that a correction concerns; of two with one setting the later one counts."""

    def register(concerns: Concerns) -> Concerns:
        CORRECTIONS.append(Correction(setting, version, concerns))
        return concerns

    return register


# ---------------------------------------------------------------------------------------------------------- networks


@correction("norm_layer.removal")
def removes_norms(exp: Experiment) -> bool:
    """An activation after a norm that was taken out wrote over what a shortcut had kept (resnetv2)."""
    return isinstance(exp.model, Timm | Torchvision) and exp.norm_layer.name in ("none", "weight", "selu")


@correction("norm_layer.group_rule")
def has_more_groups_than_channels(exp: Experiment) -> bool:
    """A layer of few channels got groups of a single one, which is instance norm."""
    return exp.norm_layer.name == "group" and exp.norm_layer.groups >= _fewest_channels(exp.model)


@correction("trainer.sync_rule")
def synchronises_fused_norms(exp: Experiment) -> bool:
    """Synchronised batch norm lost the activation that timm fuses with it."""
    several = exp.trainer.devices * exp.trainer.num_nodes > 1
    return several and _is(exp, FUSED_NORM) and exp.trainer.sync_batchnorm and exp.norm_layer.name == "native"


@correction("model.drop_rule")
def drops_by_itself(exp: Experiment) -> bool:
    """A network of timm dropped where `model.dropout` and `model.drop_path` say 0."""
    model = exp.model
    if not isinstance(model, Timm) or model.own is not None or exp.transfer.mode == "frozen":
        return False
    return _is(exp, DROPPED_BY_THEMSELVES) and not (model.dropout and model.drop_path)


@correction("transfer.head_rule")
def freezes_a_norm_in_the_head(exp: Experiment) -> bool:
    """This norm was trained with the head."""
    return exp.transfer.mode == "frozen" and _is(exp, NORM_IN_HEAD)


@correction("transfer.head_mode")
def trains_a_head_that_drops(exp: Experiment) -> bool:
    """Dropout and batch norm of a head slept wherever the frozen backbone ran in every epoch."""
    return exp.transfer.mode == "frozen" and exp.trains and drops_in_head(exp.model)


# ----------------------------------------------------------------------------------------------------------- training


@correction("optim.class_weights_rule")
def mixes_class_weights(exp: Experiment) -> bool:
    """A mixed image counted by its mean weight for both of its labels alike."""
    return exp.trains and exp.optim.class_weights == "balanced" and bool(exp.augment.mixup or exp.augment.cutmix)


@correction("optim.step_rule")
def drops_once_too_often(exp: Experiment) -> bool:
    """There was one drop more, at the very end: with the default of 0.33 a third one in the last percent."""
    steps = exp.trains and exp.optim.schedule == "step"
    return steps and exp.optim.drops < math.ceil(1 / exp.optim.step_every) - 1


@correction("optim.decayed_rule")
def decays_what_is_excepted(exp: Experiment) -> bool:
    """Patterns among what timm excepts ("pos_embed.*") were taken for names, and so excepted nothing; nor were scales
    and shifts of more axes than one, which own networks and norms may have."""
    own = any(group in ("model", "norm_layer") for group, _ in own_parts(exp))
    return exp.trains and exp.optim.decayed == "weights" and (_is(exp, ("xcit",)) or own)


@correction("trainer.layout_rule")
def skips_pixels_of_few_channels(exp: Experiment) -> bool:
    """On a CPU with channels last, the gradient of a 1x1 convolution with a stride and fewer than 8 input channels was
    written past its memory: such a run crashed, or some of its numbers were wrong."""
    model = exp.model
    if _is(exp, ("fastvit", "mobileone")):  # whose first block has one at the pixels
        return exp.trains and exp.transfer.mode != "frozen"
    if isinstance(model, Resnet):
        return model.shortcut == "B" and model.width < 8 and exp.norm_layer.name != "group"
    if not isinstance(model, Cnn) or model.stride == 1 or exp.norm_layer.name == "group":
        return False
    inputs = (1, *model.filters)  # images have few channels, whatever their number
    return any(side == 1 and channels < 8 for side, channels in zip(model.kernels, inputs, strict=False))


# ------------------------------------------------------------------------------------------------------------ scores


@correction("model.tie_rule")
def votes(exp: Experiment) -> bool:
    """Classes with the same vote stood in the order of their numbers, in top5 as torch happened to."""
    return bool(exp.neighbours) and isinstance(exp.model, Knn)


@correction("transfer.tie_rule")
def votes_on_features(exp: Experiment) -> bool:
    """Likewise."""
    return bool(exp.neighbours) and not isinstance(exp.model, Knn)


@correction("trainer.tie_rule")
def scores_in_16_bits(exp: Experiment) -> bool:
    """Likewise for scores of 16 bits, where two classes often have the same."""
    return exp.trains and exp.trainer.precision in ("16-mixed", "bf16-mixed")


@correction("trainer.precision_rule")
def has_more_in_16_bits(exp: Experiment) -> bool:
    """More than the network was in 16 bits: blurred images, softened targets, mse.

    Views at test and corrupted images, in turn, were scored in 32 bits.
    """
    augment, corrupt = exp.augment, exp.corrupt
    softened = exp.optim.label_smoothing or augment.mixup or augment.cutmix
    soft = exp.optim.loss == "mse" or (exp.optim.loss == "bce" and bool(softened))
    reached = augment.blur or augment.own or augment.test_time or corrupt.names or corrupt.own or soft
    return scores_in_16_bits(exp) and bool(reached)


@correction("trainer.precision_rule", 3)
def corrupts_for_a_frozen_head_in_16_bits(exp: Experiment) -> bool:
    """Corrupted images met the head of a frozen backbone in 32 bits for longer."""
    corrupted = exp.corrupt.names or exp.corrupt.own
    return scores_in_16_bits(exp) and exp.transfer.mode == "frozen" and bool(corrupted)


@correction("model.width_rule")
def takes_means_of_single_images(exp: Experiment) -> bool:
    """A single image's spread about itself, none, was taken for that of its class."""
    return "ncm" in (exp.model.family, exp.transfer.head) and exp.split.train_per_class == 1


def drops_in_head(model: Model) -> bool:
    """Whether the head may act otherwise in training; of a network of somebody's own nobody knows."""
    if isinstance(model, Timm):
        return model.name.startswith(DROPS_IN_HEAD) and model.dropout > 0
    return isinstance(model, OwnModel)


def _is(exp: Experiment, families: tuple[str, ...]) -> bool:
    return str(getattr(exp.model, "name", "")).startswith(families)


def _fewest_channels(model: Model) -> float:
    """Of a convolution that a norm follows, in a model of these settings; 1 where only the built network knows."""
    if isinstance(model, Timm | Torchvision):
        return 1
    if isinstance(model, Resnet):
        return model.width
    return min(getattr(model, "filters", ()), default=math.inf)
