"""Protocol lint: what would make a benchmark's numbers mean less than they seem to, found before compute is spent.

Pure functions over Experiments and their data. `bench check` prints the findings; an error stops a run, a warning is
stamped onto the table, and a sweep file may allow a finding by name with a written reason (`allow: {name: reason}`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.imagedata import ImageData
from bench.schema.experiment import Experiment

SMALL = 64  # pixels; under this side an ImageNet stem throws away most of the image
WORN = 100  # looks at one test split
SEEDS = 3  # fewer carry no claim
LEAK = 0.01  # of the test images; more duplicates than this in train is an error

DIGITS = ("digits", "mnist5k", "mnist", "svhn")
WRITTEN = (*DIGITS, "kmnist", "emnist_letters")


@dataclass(frozen=True)
class Finding:
    """One doubt about a protocol.

    Attributes:
        name: what a sweep file allows it by.
        level: an error stops, a warning is stamped onto the table.
        reason: what is the matter, with numbers.
        remedy: what to do about it.
    """

    name: str
    level: Literal["error", "warning"]
    reason: str
    remedy: str

    def row(self) -> dict[str, Any]:
        """Plain data, as the report's context and `--json` want it; `message` is reason and remedy in one."""
        return {**asdict(self), "message": f"{self.reason} {self.remedy}"}


def lint(
    experiments: Sequence[Experiment],
    data: Mapping[str, ImageData],
    keys: Sequence[str],
    claims: int = 0,
    looks: Mapping[str, int] | None = None,
) -> list[Finding]:
    """Every finding about a set of experiments, each name and reason once.

    Args:
        experiments: those of a sweep, or a single one.
        data: fingerprint -> ImageData.
        keys: the fingerprint of each experiment.
        claims: how many claims rest on them.
        looks: fingerprint -> how often runs of the store have scored its test split.
    """
    found: list[Finding] = []
    for images in data.values():
        found += splits(images)
    for key, count in (looks or {}).items():
        if key in data:
            found += worn(count, len(data[key].test))
    for exp, key in zip(experiments, keys, strict=True):
        found += single(exp, data[key])
    found += together(experiments, claims)
    return list(dict.fromkeys(found))


def splits(data: ImageData) -> Iterator[Finding]:
    """About who belongs to which split, by index and by content."""
    parts = {name: data.split(name) for name in ("train", "val", "test")}
    for name in ("val", "test"):
        repeats = len(parts[name]) - len(np.unique(parts[name]))
        if repeats:
            yield Finding(
                "padded_evaluation",
                "error",
                f"{repeats} of {len(parts[name])} images of {name} are scored more than once.",
                "Score every image exactly once; do not pad the last batch.",
            )
    for one, other in (("val", "test"), ("train", "test"), ("train", "val")):
        shared = len(np.intersect1d(parts[one], parts[other]))
        if shared and one == "val" and shared == len(np.unique(parts["test"])) == len(np.unique(parts["val"])):
            yield _val_is_test(f"val and test are the same {shared} images.")
        elif shared:
            yield Finding(
                f"{one}_overlaps_{other}",
                "error",
                f"{shared} images are in {one} and in {other}.",
                "Split anew so that each image is in one split.",
            )
        else:
            yield from duplicates(data, one, other)
    yield from classes_missing(data)


def duplicates(data: ImageData, one: str, other: str) -> Iterator[Finding]:
    """Images of `other` whose exact pixels are in `one` too, under another index."""
    hashes = hashes_of(data)
    first, second = hashes[data.split(one)], hashes[data.split(other)]
    count = int(np.isin(second, first).sum())
    if not count:
        return
    share = count / len(second)
    if (one, other) == ("val", "test") and share > 0.5 and np.isin(first, second).mean() > 0.5:
        yield _val_is_test(f"{count} of {len(second)} test images are in val with exactly the same pixels.")
        return
    grave = other == "test" and share > LEAK
    yield Finding(
        f"{one}_duplicates_in_{other}",
        "error" if grave else "warning",
        f"{count} of {len(second)} images of {other} ({share:.2%}) are in {one} with exactly the same pixels.",
        "'bench data NAME' lists them; remove the copies, or keep them in one split.",
    )


def hashes_of(data: ImageData) -> NDArray[np.uint64]:
    """One number an image, the same for the same pixels; computed where the data did not bring them."""
    if data.hashes is not None:
        return data.hashes
    from bench.data.sources.contract import pixel_hash

    return np.array([pixel_hash(data.images[i]) for i in range(len(data.images))], np.uint64)


def classes_missing(data: ImageData) -> Iterator[Finding]:
    """Classes without an image in a split."""
    for name in ("train", "val", "test"):
        absent = np.setdiff1d(np.arange(len(data.classes)), data.labels[data.split(name)])
        if len(absent):
            named = ", ".join(data.classes[i] for i in absent[:5]) + (", ..." if len(absent) > 5 else "")
            yield Finding(
                "class_missing",
                "warning",
                f"{len(absent)} of {len(data.classes)} classes have no image in {name}: {named}.",
                "Use more images, a larger split fraction, or leave the class out.",
            )


def worn(looks: int, images: int) -> Iterator[Finding]:
    """About a test split that has been looked at often."""
    if looks >= WORN:
        yield Finding(
            "test_worn",
            "warning",
            f"Runs of this store have scored this test split of {images} images {looks} times.",
            "Choose on val only, and confirm the final choice on images that no run has seen (another split.seed).",
        )


def single(exp: Experiment, data: ImageData) -> Iterator[Finding]:
    """About one experiment."""
    yield from _stem(exp, data)
    yield from _labels_changed(exp)
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
    if getattr(exp.model, "stem", "small") != "native":
        return
    side = min(data.shape[1:])
    if exp.transfer.mode != "scratch":
        if exp.transfer.size is None and exp.transfer.preprocess == "weights" and _from_hub(exp):
            return  # resized to what the weights were trained with
        side = exp.transfer.size or side
    if side < SMALL:
        yield Finding(
            "imagenet_stem",
            "warning",
            f"{getattr(exp.model, 'name', exp.model.family)} meets images of {side} pixels with a stem made for 224: "
            "ResNet-34 on CIFAR-100 loses 16 points of accuracy that way (timm issue 2481).",
            "Say model.stem=small, or transfer.size=224.",
        )


def _labels_changed(exp: Experiment) -> Iterator[Finding]:
    """Augmentations that turn an image of one class into one of another."""
    if not exp.trains:
        return
    a, source = exp.augment, exp.dataset.source
    label = getattr(exp.dataset, "label", None)
    policy = a.policy != "none"
    spatial = label in ("orientation", "position")
    if (a.flip or a.flip_vertical) and (source in WRITTEN or spatial):
        what = "handwriting" if source in WRITTEN and source != "svhn" else "numbers" if source == "svhn" else label
        yield _changes("flip", f"A mirrored image of {source} may be of another class or of none: the label is {what}.")
    if (a.rotate >= 90 and source in WRITTEN) or (label == "orientation" and (a.rotate > 22.5 or policy)):
        yield _changes(
            "rotation", f"Rotations turn one class of {source} into another (a 6 into a 9, 0 into 45 degrees)."
        )
    if label == "position" and (max(a.shift, a.crop) > exp.dataset.side / 8 or policy):  # type: ignore[union-attr]
        yield _changes("shift", "Shifts move the object out of the position that is its label.")
    if label == "size" and a.scale > 0.15:
        yield _changes("scale", "Scaling changes the size that is the label.")
    if label == "colour" and (a.hue > 0.05 or a.grey or a.saturation > 0.5 or policy):
        yield _changes("colour", "Hue, saturation and grey change the colour that is the label.")
    if label == "brightness" and (a.brightness > 0.2 or a.contrast > 0.2 or policy):
        yield _changes("brightness", "Brightness and contrast change what is the label.")


def _changes(what: str, reason: str) -> Finding:
    return Finding(f"{what}_changes_label", "warning", reason, "Leave this augmentation out for these labels.")


def together(experiments: Sequence[Experiment], claims: int) -> Iterator[Finding]:
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
    seeds = {exp.seed for exp in experiments}
    if claims and len(seeds) < SEEDS:
        yield Finding(
            "few_seeds",
            "warning",
            f"{claims} claim{'s rest' if claims > 1 else ' rests'} on {len(seeds)} seed{'s'[: len(seeds) != 1]}.",
            f"Use at least {SEEDS} seeds (--seeds {SEEDS}).",
        )


def frozen_updates(net: Any) -> Iterator[Finding]:
    """Norm layers whose weights are frozen while their running statistics would still move in training.

    Args:
        net: torch module, frozen as training will freeze it; its mode is put back.
    """
    before = net.training
    net.train()
    moving = [
        name
        for name, module in net.named_modules()
        if getattr(module, "running_mean", None) is not None
        and module.training
        and (own := list(module.parameters(recurse=False)))
        and not any(p.requires_grad for p in own)
    ]
    net.train(before)
    if moving:
        yield Finding(
            "frozen_updates",
            "error",
            f"{len(moving)} frozen norm layers would still update their running statistics: {', '.join(moving[:3])}.",
            "Keep frozen layers in evaluation mode.",
        )


def stops(findings: Iterable[Finding], allowed: Mapping[str, str]) -> list[Finding]:
    """The errors among the findings that no written reason allows."""
    return [f for f in findings if f.level == "error" and f.name not in allowed]


def _val_is_test(reason: str) -> Finding:
    return Finding(
        "val_is_test",
        "error",
        f"{reason} What is selected on val is then selected on test.",
        "Give val images of its own: remove the official val split, and split.val draws one from train.",
    )
