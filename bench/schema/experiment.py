"""Experiment: one fully resolved configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.schema.dataset import Dataset, Split
from bench.schema.model import Knn, Model, NormLayer
from bench.schema.own import Metrics
from bench.schema.part import build, part
from bench.schema.pixels import Augment, Corrupt, PixelNorm
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
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0  # of initialisation, order of the images, augmentation and dropout

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


def experiment(config: Mapping[str, Any]) -> Experiment:
    """The Experiment for a composed configuration (plain nested data).

    Raises:
        RequestError: with one line for each setting that is unknown, missing, of the wrong type or out of range.
    """
    return build(Experiment, config)
