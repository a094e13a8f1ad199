"""Where a network's first weights come from, and which of them are trained."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from bench.schema.part import part

Positive = Annotated[int, Field(gt=0)]


@part
class Input:
    """What weights were trained on: images of `size`, each channel scaled as (x - mean) / std, x in 0..`range`.

    A run leaves it beside its weights (preprocessing.json); `mean` and `std` have one number a channel.
    """

    mean: Annotated[tuple[float, ...], Field(min_length=1)]  # of each channel
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]  # of each channel
    range: Literal[1, 255] = 1  # of the pixels that mean and std are for: the value of white
    size: tuple[Positive, Positive] | None = None  # height and width in pixels; None: the images' own
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"  # where images have another size

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std need a number a channel, got {len(self.mean)} and {len(self.std)}.")


@part
class Transfer:
    """Training from other weights than random ones. Every default means: from scratch.

    frozen: only the head is trained, on features that never change. finetune: everything is trained.
    partial: everything from stage `trainable_from` to the head is trained (`bench models NAME --stages`).
    The head is always a new one; weights are those of the backbone.
    """

    mode: Literal["scratch", "frozen", "finetune", "partial"] = "scratch"  # what is trained
    # bundled: tf_efficientnet_lite0 from an installed package. timm: the published weights of the model's name.
    # file:PATH: a state dict (.pt, .pth, .safetensors). run:ID: an earlier run of this store.
    weights: str = "bundled"
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""  # of the weights' file; needed for file:
    entry: str | None = None  # file: which of several state dicts in it, by a part of its name: teacher
    trainable_from: str | None = None  # partial: name of the first trained stage
    unfreeze_every: Annotated[int, Field(ge=0)] = 0  # epochs a stage, trained from the head down; 0: all at once
    lr_backbone: Annotated[float, Field(gt=0)] = 1.0  # the backbone's lr is optim.lr times this
    # weights: what they were trained with. timm and bundled: as published. run:ID: as that run did. file:PATH: as the
    # file, or one beside it, says (`bench.models.origin` has the rule); where nothing does, as `own`, with a warning.
    # own: the images' size or `size`, and pixel_norm.
    preprocess: Literal["weights", "own"] = "weights"
    input: Input | None = None  # says it in place of the weights, as for a file whose authors published it elsewhere
    # What the network sees, from scratch too, so that the same network is compared with and without weights.
    size: Positive | None = None  # pixels a side; None: what the weights were trained with, or the images' own
    channels: Literal[1, 3] | None = None  # None: 3 for bundled and timm, otherwise the images' own

    head: Literal["linear", "dnn", "knn", "ncm"] = "linear"  # what stands behind the features
    hidden: tuple[Positive, ...] = (256,)  # dnn: widths between features and logits, each followed by ReLU
    k: Positive = 5  # knn
    metric: Literal["l1", "l2", "cosine"] = "l2"  # knn; ncm takes l2 and cosine
    votes: Literal["uniform", "distance"] = "uniform"  # knn

    views: Annotated[int, Field(ge=0)] = 0  # frozen with augmentation: augmented views kept an image; 0: none are kept
    cache: bool = True  # keep on disk what runs share: features of a frozen backbone, neighbours found by kNN

    def __post_init__(self) -> None:
        if not re.fullmatch(r"bundled|timm|file:.+|run:.+", self.weights):
            raise ValueError(f"weights: expected bundled, timm, file:PATH or run:ID, got '{self.weights}'.")
        if self.entry is not None and not self.weights.startswith("file:"):
            raise ValueError(f"entry names one of several state dicts of file:PATH, and weights is {self.weights}.")
        if self.input is not None and self.preprocess == "own":
            raise ValueError("input is for preprocess=weights; with preprocess=own pixels are scaled by pixel_norm.")
        if (self.mode == "partial") != (self.trainable_from is not None):
            raise ValueError(
                "trainable_from names the first trained stage of mode=partial, and of nothing else; "
                "'bench models NAME --stages' lists the stages."
            )
        if self.head in ("knn", "ncm") and self.mode != "frozen":
            raise ValueError(f"head={self.head} trains nothing and needs mode=frozen, got mode={self.mode}.")
        if self.head == "ncm" and self.metric == "l1":
            raise ValueError("head=ncm takes metric l2 or cosine, got l1.")
        if self.unfreeze_every and self.mode not in ("finetune", "partial"):
            raise ValueError(f"unfreeze_every needs mode finetune or partial, got mode={self.mode}.")

    @property
    def asks_file(self) -> str | None:
        """The weights' file, where it or what lies beside it is to say what it was trained with."""
        kind, _, path = self.weights.partition(":")
        asks = self.mode != "scratch" and self.preprocess == "weights" and self.input is None
        return path if asks and kind == "file" else None
