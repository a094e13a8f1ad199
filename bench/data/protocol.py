"""Protocol lint: what would make a benchmark's numbers mean less than they seem to, found before compute is spent.

Pure functions over Experiments and their data. `bench check` prints the findings; an error stops a run, a warning is
stamped onto the table, and a sweep file may allow a finding by name with a written reason (`allow: {name: reason}`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from bench.data.finding import Finding
from bench.data.imagedata import ImageData
from bench.data.label_changes import label_changes
from bench.data.leaks import splits
from bench.data.reading import reading
from bench.schema.experiment import Experiment

SMALL = 64  # pixels; under this side an ImageNet stem throws away most of the image
FEW = 30  # images of val
WORN = 100  # looks at one test split
# timm's families whose first convolution has stride 1, so that whatever is pooled later has been looked at in full.
# All others begin with a stride, or with patches.
FULL_RESOLUTION = re.compile("vgg|dla|(csp|se)?darknet")
SEEDS = 3  # fewer carry no claim


def lint(
    experiments: Sequence[Experiment],
    data: Mapping[str, ImageData],
    keys: Sequence[str],
    claims: int = 0,
    replicates: Sequence[str] = ("seed",),
    looks: Mapping[str, int] | None = None,
) -> list[Finding]:
    """Every finding about a set of experiments, each name and reason once.

    Args:
        experiments: those of a sweep, or a single one.
        data: fingerprint -> ImageData.
        keys: the fingerprint of each experiment.
        claims: how many claims rest on them.
        replicates: the settings whose values are drawn anew: seed, split.seed, split.fold.
        looks: fingerprint -> how often runs of the store have scored its test split.
    """
    found: list[Finding] = []
    for images in data.values():
        found += [*splits(images), *reading(images), *_val(images)]
    for key, count in (looks or {}).items():
        if key in data:
            found += worn_test_split(count, len(data[key].test))
    for exp, key in zip(experiments, keys, strict=True):
        found += single_findings(exp, data[key])
    found += together(experiments, claims, replicates)
    return list(dict.fromkeys(found))


def _val(data: ImageData) -> Iterator[Finding]:
    """About a val split that is too small to select on."""
    if 0 < len(data.val) < FEW:
        yield Finding(
            "val_small",
            "warning",
            f"val has {len(data.val)} images: one of them is {1 / len(data.val):.1%} of accuracy, and what is selected "
            "on val is selected by chance.",
            "Use more images, a larger split.val, or several folds (split=kfold).",
        )


def worn_test_split(looks: int, images: int) -> Iterator[Finding]:
    """About a test split that has been looked at often."""
    if looks >= WORN:
        yield Finding(
            "test_worn",
            "warning",
            f"Runs known here have scored this test split of {images} images {looks} times.",
            "What is still unseen are images outside this set: another split.seed would make test images of what was "
            "trained on. Choose on val only, and confirm the final choice on new images, once.",
        )


def single_findings(exp: Experiment, data: ImageData) -> Iterator[Finding]:
    """About one experiment."""
    yield from _stem(exp, data)
    yield from label_changes(exp, data)
    if exp.dataset.source.startswith("imagenette") and exp.transfer.mode != "scratch" and _from_hub(exp):
        yield Finding(
            "weights_saw_test",
            "error",
            f"Weights trained on ImageNet have seen images of {exp.dataset.source}, which is a part of it.",
            "Use transfer=scratch here, or another dataset.",
        )


def _from_hub(exp: Experiment) -> bool:
    return exp.transfer.weights in ("bundled", "timm")


def _stem(exp: Experiment, data: ImageData) -> Iterator[Finding]:
    if getattr(exp.model, "stem", "small") != "native" or FULL_RESOLUTION.match(str(getattr(exp.model, "name", ""))):
        return
    with_weights = exp.transfer.mode != "scratch" and exp.transfer.preprocess == "weights" and _from_hub(exp)
    if exp.transfer.size is None and with_weights:
        return  # resized to what the weights were trained with
    side = exp.transfer.size or min(data.shape[1:])
    if side < SMALL:
        yield Finding(
            "imagenet_stem",
            "warning",
            f"{getattr(exp.model, 'name', exp.model.family)} meets images of {side} pixels with a stem made for 224: "
            "ResNet-34 on CIFAR-100 loses 16 points of accuracy that way (timm issue 2481).",
            "Say model.stem=small, or transfer.size=224.",
        )


def together(
    experiments: Sequence[Experiment], claims: int, replicates: Sequence[str] = ("seed",)
) -> Iterator[Finding]:
    """About what only several experiments show: batch sizes and seeds."""
    trained = [exp for exp in experiments if exp.trains]
    by_lr: dict[tuple[str, float], set[int]] = defaultdict(set)
    by_batch: dict[tuple[str, int], set[float]] = defaultdict(set)
    for exp in trained:
        by_lr[exp.optim.name, exp.optim.lr].add(exp.trainer.batch_size)
        by_batch[exp.optim.name, exp.trainer.batch_size].add(exp.optim.lr)
    if any(len(sizes) > 1 for sizes in by_lr.values()) and all(len(lrs) == 1 for lrs in by_batch.values()):
        sizes = sorted({exp.trainer.batch_size for exp in trained})
        yield Finding(
            "lr_not_scaled",
            "warning",
            f"Batch sizes {', '.join(map(str, sizes))} are compared at one lr, which suits one of them.",
            "Scale lr with trainer.batch_size (Goyal et al. 2017, arXiv:1706.02677), or sweep lr at each size.",
        )
    drawn = {tuple(attrgetter(name)(exp) for name in replicates) for exp in experiments}
    if claims and len(drawn) < SEEDS:
        yield Finding(
            "few_seeds",
            "warning",
            f"{claims} claim{'s rest' if claims > 1 else ' rests'} on {len(drawn)} seed{'s'[: len(drawn) != 1]}.",
            f"Use at least {SEEDS} seeds (--seeds {SEEDS}).",
        )


def frozen_updates(net: Any) -> Iterator[Finding]:
    """Norm layers whose weights are frozen while their running statistics would still move in training.

    Args:
        net: torch module, frozen and in the mode that training will have it in.
    """
    moving = [
        name
        for name, module in net.named_modules()
        if getattr(module, "running_mean", None) is not None
        and module.training
        and (own := list(module.parameters(recurse=False)))
        and not any(p.requires_grad for p in own)
    ]
    if moving:
        yield Finding(
            "frozen_updates",
            "error",
            f"{len(moving)} frozen norm layers would still update their running statistics: {', '.join(moving[:3])}.",
            "Keep frozen layers in evaluation mode.",
        )


def single_channels(net: Any) -> Iterator[Finding]:
    """Group norms whose groups are single channels, which makes them instance norms.

    Args:
        net: torch module.
    """
    groups = {
        name: (int(module.num_groups), int(module.num_channels))
        for name, module in net.named_modules()
        if hasattr(module, "num_groups") and hasattr(module, "num_channels")
    }
    alone = [name for name, (count, channels) in groups.items() if 1 < count == channels]
    if alone:
        yield Finding(
            "groups_of_one",
            "warning",
            f"{len(alone)} of {len(groups)} group norms have as many groups as channels, {groups[alone[0]][1]} in "
            f"{alone[0]}: they are instance norms.",
            "Fewer groups, or call it norm_layer=instance.",
        )
