"""What is tried, family by family, from cheap to dear. Each candidate is overrides on top of the folder's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.imagedata import ImageData

BACKBONE = ("model=efficientnet_lite0", "transfer.weights=bundled")  # ImageNet, comes with an installed package
SMALL = 64  # side that the small network sees larger images at
PIXELS = 2**26  # values of all train images together, up to which pixels are compared
TUNED = 160  # side at which the backbone is fine-tuned


@dataclass(frozen=True)
class Candidate:
    """One thing to try.

    Attributes:
        name: for people.
        overrides: on top of the folder's.
        epochs: 0 where nothing is trained by steps.
    """

    name: str
    overrides: tuple[str, ...]
    epochs: int = 0


@dataclass(frozen=True)
class Family:
    """Candidates that cost alike and are compared after equally many epochs.

    Attributes:
        backbone: how often the backbone runs over a train image, forwards and backwards, in an epoch, in units of one
            pass at the published size; 0 where its features are computed already, or it has none.
        features: needs the features of all images, computed once.
        of: the overrides that name the backbone.
    """

    name: str
    candidates: tuple[Candidate, ...]
    backbone: float = 0.0
    features: bool = False
    of: tuple[str, ...] = BACKBONE


def families(data: ImageData, others: Sequence[Family] = ()) -> list[Family]:
    """What suits these images; `others` come before fine-tuning."""
    side = max(data.shape[1:])
    smallest = min(len(data.train), 15)
    frozen = (*BACKBONE, "transfer=frozen")
    nearest = [
        Candidate("nearest mean of features", (*frozen, "transfer.head=ncm", "transfer.metric=cosine")),
        *(
            Candidate(
                f"{k} nearest features",
                (*frozen, "transfer.head=knn", f"transfer.k={k}", "transfer.metric=cosine", "transfer.votes=distance"),
            )
            for k in (1, 5, 15)
            if k <= smallest
        ),
    ]
    # What takes no time worth speaking of, so that there is an answer in any case.
    pixels = [
        Candidate("nearest mean of pixels", ("model=ncm",)),
        Candidate("nearest pixels", ("model=knn", "model.k=1")),
    ]
    small = len(data.train) * math.prod(data.shape) <= PIXELS
    heads = [
        Candidate(f"linear head on features, lr {lr:g}", (*frozen, "optim=adam", f"optim.lr={lr}"), 30)
        for lr in (0.003, 0.001, 0.01)
    ]
    # Small and square, so that its two poolings leave something; grey stays grey.
    seen = (f"transfer.size={SMALL}",) if side > SMALL else ()
    scratch = ("model=cnn", "norm_layer=batch", "model.filters=[32,64]", "model.kernels=[5,3]", *seen)
    cnns = [
        Candidate(
            f"small CNN from scratch, {said}lr {lr:g}",
            (*scratch, *more, "optim=adam", f"optim.lr={lr}", "optim.schedule=cosine"),
            20,
        )
        for lr, said, more in (
            (0.003, "shifts, ", ("augment=shift", f"augment.shift={max(1, side // 14)}")),
            (0.003, "", ()),
            (0.0005, "shifts, ", ("augment=shift", f"augment.shift={max(1, side // 14)}")),
        )
        if side >= 8
    ]
    tuned = [
        Candidate(
            f"fine-tuned backbone, lr {lr:g}",
            (*BACKBONE, "transfer=finetune", f"transfer.size={TUNED}", "optim=adamw", f"optim.lr={lr}",
             "transfer.lr_backbone=0.3", "optim.schedule=cosine", "trainer.batch_size=32"),
            8,
        )
        for lr in (0.001, 0.003)
    ]  # fmt: skip
    return [
        *([Family("neighbours and means on pixels", tuple(pixels))] if small else []),
        Family("neighbours and means on frozen features", tuple(nearest), features=True),
        Family("linear heads on frozen features", tuple(heads), features=True),
        Family("small CNN from scratch", tuple(cnns)),
        *others,
        Family("fine-tuning", tuple(tuned), backbone=3 * (TUNED / 224) ** 2),
    ]
