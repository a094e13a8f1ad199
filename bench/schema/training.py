"""How a model is trained and where the record of it goes."""

from __future__ import annotations

import math
import os
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bench.schema.errors import chosen_on_test
from bench.schema.own import Own, own_or_named
from bench.schema.part import part

NonNegative = Annotated[float, Field(ge=0)]


def _refuse_test(metric: object) -> object:
    if isinstance(metric, str) and metric.startswith(("test", "corrupt")):
        raise chosen_on_test("trainer.select", metric)
    return metric


Selection = Annotated[Literal["val/accuracy", "val/nll", "last"], BeforeValidator(_refuse_test)]

# Whoever writes 32 without quotation marks, as everybody does, has a number.
Precision = Annotated[
    Literal["32", "tf32", "16-mixed", "bf16-mixed"],
    BeforeValidator(lambda v: "32" if type(v) is int and v == 32 else v),
]

TARGET = re.compile(r"(val/accuracy\s*>=|val/nll\s*<=)\s*(\d*\.?\d+(?:[eE][-+]?\d+)?)")


def _target(text: str) -> str:
    if text.startswith(("test", "corrupt")):
        raise chosen_on_test("trainer.target", text)
    found = TARGET.fullmatch(text.strip())
    if found is None or (">=" in text and not 0 < float(found[2]) <= 1):
        raise ValueError(f"expected val/accuracy>=0.9 (a fraction) or val/nll<=0.3, got {text!r}.")
    return text.replace(" ", "")


# torch's names in small letters; the others are timm's (those that need one gradient a step and no further package).
# fmt: off
Optimizer = Literal[
    "sgd", "adam", "adamw", "adadelta", "adagrad", "adamax", "asgd", "nadam", "radam", "rmsprop", "rprop",
    "adabelief", "adafactor", "adafactorbv", "adafactorbvc", "adamp", "adamuon", "adan", "adanw", "adopt", "adoptw",
    "lamb", "lambc", "laprop", "larc", "lars", "lion", "madgrad", "madgradw", "mars", "muon", "nadamw", "nadamuon",
    "nesterov", "nlarc", "nlars", "nmuon", "novograd", "radabelief", "rmsproptf", "sgdp", "sgdw",
    "cadamw", "clion", "clamb", "cadoptw", "own",
]
# fmt: on
NESTEROV = ("nesterov", "nlarc", "nlars", "sgdw")  # which look ahead along their momentum
Schedule = Literal[
    "constant", "cosine", "step", "multistep", "onecycle", "linear", "poly", "exponential", "tanh", "restarts", "wsd"
]
Beta = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


@part
class Optim:
    """Optimizer, schedule and loss. `lr` is per step, at the global `trainer.batch_size`."""

    name: Optimizer = "adam"  # torch's optimizers and some of timm's
    lr: Annotated[float, Field(gt=0)] = 1e-3  # largest lr of the schedule
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # where the optimizer has one; not adam's betas
    weight_decay: NonNegative = 0.0  # as the optimizer means it: in the gradient, or decoupled (adamw and its kind)
    # What decays: everything, as torch does it; or weights only, not norms, biases and what timm's models except.
    decayed: Literal["all", "weights"] = "all"
    # Each layer's lr is that of the layer behind it times this (Clark et al. 2020, arXiv:2003.10555, section 3.3); the
    # head has lr. Layers are those of timm's models, stages of other networks.
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    betas: tuple[Beta, Beta] | None = None  # of adam and its kind; None: the optimizer's own
    eps: Annotated[float, Field(gt=0)] | None = None  # None: the optimizer's own
    # A running average of the weights and running statistics, updated after each step: average = ema * average +
    # (1 - ema) * weights. It is what is scored, selected and kept.
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    schedule: Schedule = "constant"  # how lr goes over all steps
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0  # fraction of all steps with a linearly rising lr
    step_every: Fraction = 0.33  # step, exponential: fraction of all steps between drops
    step_factor: Fraction = 0.1  # step, multistep, exponential: lr is multiplied by this at each drop
    milestones: tuple[Fraction, ...] = (0.5, 0.75)  # multistep: when lr drops, as fractions of all steps
    power: Annotated[float, Field(gt=0)] = 1.0  # poly
    cycles: Annotated[int, Field(gt=0)] = 4  # restarts
    cooldown: Fraction = 0.2  # wsd: fraction of all steps in which lr falls
    loss: Literal["cross_entropy", "mse", "bce"] = "cross_entropy"  # mse on softmax and one-hot, bce for each class
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of a label that all classes get alike
    # balanced: an image of class k of K counts n / (K n_k), n_k of the n training images being of it, so 1 on average
    # where each class has images.
    class_weights: Literal["none", "balanced"] = "none"
    l1: NonNegative = 0.0  # added to the loss: l1 * sum |w| and
    l2: NonNegative = 0.0  # l2 * sum w^2, over the weights of convolutions and affine layers

    own: Own | None = None

    def __post_init__(self) -> None:
        own_or_named(self.name, self.own, "optim")
        if self.name in NESTEROV and not self.momentum:
            raise ValueError(
                f"optim.momentum=0: {self.name} looks ahead along its momentum, and has none then. Use optim.name=sgd."
            )
        if self.schedule == "onecycle" and self.warmup:
            raise ValueError(
                "schedule=onecycle has a warm-up of its own, over the first 30 % of the steps, and would climb twice: "
                "leave warmup out, or choose schedule=cosine."
            )
        if self.schedule == "wsd" and self.warmup + self.cooldown > 1:
            raise ValueError(
                f"warmup={self.warmup:g} and cooldown={self.cooldown:g} are shares of all steps and overlap: lower one."
            )

    @property
    def drops(self) -> int:
        """step: how often lr drops; not where less than a tenth of an interval would be left, so 0.33 means twice."""
        return math.floor(1 / self.step_every - 0.1)


@part
class Chosen:
    """A loss, a schedule or a training of somebody's own (`bench.parts`)."""

    own: Own


@part
class Trainer:
    """Length, batch and device. `batch_size` is the global one, whatever the number of devices."""

    epochs: Annotated[int, Field(gt=0)] = 5  # passes over the training images
    # Steps of the optimizer: a budget in place of `epochs`, by which arms get equal compute; schedules follow it.
    steps: Annotated[int, Field(gt=0)] | None = None
    # Seconds of training and scoring val, a budget likewise. How many steps these are depends on the machine and its
    # load, and so do the numbers.
    seconds: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(gt=0)] = 128  # images a step, over all devices
    # balanced: in each epoch every class comes up equally often, rare images several times and some of the others not.
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    select: Selection = "val/accuracy"  # which epoch is scored on test
    # Stop when `select` has not improved for so many epochs; schedules are still those of all `epochs`.
    patience: Annotated[int, Field(gt=0)] | None = None
    # val/accuracy>=0.9 or val/nll<=0.3: seconds, epochs and steps until val is as good at the end of an epoch are
    # recorded as costs; training goes on.
    target: Annotated[str, AfterValidator(_target)] | None = None
    # A run that takes longer has failed, and goes on where a later one allows more.
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    accelerator: Literal["auto", "cpu", "gpu", "tpu"] = "auto"  # auto: a GPU where there is one
    devices: Annotated[int, Field(gt=0)] = 1  # on each node
    num_nodes: Annotated[int, Field(gt=0)] = 1  # machines
    # What each of several devices keeps: the whole network (ddp), or a share of it (fsdp: for networks too large).
    strategy: Literal["ddp", "fsdp"] = "ddp"
    sync_batchnorm: bool = True  # batch norm over the global batch, not over each device's share
    accumulate: Annotated[int, Field(gt=0)] = 1  # parts that a device's share of a batch is cut into, to save memory
    clip: Annotated[float, Field(gt=0)] | None = None  # largest L2 norm of the gradient of all parameters
    # Of the arithmetic; the parameters stay 32 bits.
    precision: Precision = "32"
    channels_last: Literal["auto", "always", "never"] = "auto"  # how images lie; auto: on a GPU, and where a CPU gains
    # torch.compile: a minute of start-up, for runs of hours. Dropout and drop_path draw other masks then.
    compile: bool = False
    # Runs of a sweep that differ only in numbers as one program. auto: where a short trial shows that it pays, and that
    # every bit is that of the runs alone or last_digits=free. A number: up to so many, untried, as if that were said.
    stack: Literal["auto", "off"] | Annotated[int, Field(gt=0)] = "auto"
    # free: the last digits may depend on which runs were trained side by side, so differ from launch to launch.
    last_digits: Literal["same", "free"] = "same"
    threads: Annotated[int, Field(gt=0)] | None = None  # CPU threads of one run; None: all, or a worker's share
    deterministic: bool = True  # only algorithms that give the same numbers again
    gradients: bool = False  # record each layer's gradient norm after each epoch

    def __post_init__(self) -> None:
        if self.steps is not None and self.seconds is not None:
            raise ValueError("steps and seconds are two budgets: leave one of them out.")
        if self.seconds is not None and self.devices * self.num_nodes > 1:
            raise ValueError("seconds is a budget for one device: several would not stop at the same step. Say steps.")
        if self.patience is not None and self.select == "last":
            raise ValueError("patience waits for an improvement on val: select=val/accuracy or val/nll, not last.")
        if self.strategy == "fsdp" and self.devices * self.num_nodes == 1:
            raise ValueError("strategy 'fsdp' shares a network out over devices: say trainer.devices=2 or more.")

    @property
    def node(self) -> int:
        """Which of the machines of a run this is; the first one, 0, records it."""
        return int(os.environ.get("NODE_RANK", os.environ.get("SLURM_NODEID", "0"))) if self.num_nodes > 1 else 0

    @property
    def whole_epochs(self) -> int | None:
        """How many epochs a run has; None where another budget decides."""
        return self.epochs if self.steps is None and self.seconds is None else None

    @property
    def aim(self) -> tuple[str, float] | None:
        """The target as a name and a number: ("val/accuracy", 0.9), to be reached from below, or ("val/nll", 0.3)."""
        if self.target is None:
            return None
        name, _, number = re.split(r"(>=|<=)", self.target)
        return name, float(number)


@part
class Tracking:
    """The MLflow store. None: $MLFLOW_TRACKING_URI, else SQLite, `mlflow.db` in the working directory."""

    uri: str | None = None  # SQLite, PostgreSQL or a server
    experiment: str = "runs"  # MLflow experiment of single runs; a sweep uses its own name
    log_model: bool = False  # single runs: log and register the model for `mlflow models serve` (extra `deploy`)
