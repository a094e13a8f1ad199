"""Augmentation against torchvision one image at a time and against libraries that work on batches.

`python -m tests.benchmarks.augment` prints the rows. A library takes part where it is installed (kornia is no
dependency of ours). One thread, batches of 128 images, 32 x 32 RGB, uint8 in.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import torch
import torchvision.transforms.v2 as tv
from torch import Tensor

from bench.data import ImageData, augment
from bench.schema.pixels import Augment
from bench.train.allocator import keep_freed_memory
from tests.benchmarks.row import Row, alternate

BATCH, STEPS, TURNS = 128, 20, 7
EPOCH = 50_000  # images that the rows state seconds for

# Ours, torchvision's transform for one image, kornia's for a batch (None: it has none that does the same).
CASES: dict[str, tuple[Augment, Callable[[], Any], Callable[[Any], Any] | None]] = {
    "flip": (Augment(flip=0.5), lambda: tv.RandomHorizontalFlip(), lambda k: k.RandomHorizontalFlip(p=0.5)),
    "shift": (
        Augment(shift=4),
        lambda: tv.RandomCrop(32, padding=4),
        lambda k: k.RandomCrop((32, 32), padding=4, p=1.0),
    ),
    "flip and shift": (
        Augment(flip=0.5, shift=4),
        lambda: tv.Compose([tv.RandomHorizontalFlip(), tv.RandomCrop(32, padding=4)]),
        lambda k: torch.nn.Sequential(k.RandomHorizontalFlip(p=0.5), k.RandomCrop((32, 32), padding=4, p=1.0)),
    ),
    "flip, shift, brightness": (
        Augment(flip=0.5, shift=4, brightness=0.4),
        lambda: tv.Compose([tv.RandomHorizontalFlip(), tv.RandomCrop(32, padding=4), tv.ColorJitter(brightness=0.4)]),
        lambda k: torch.nn.Sequential(
            k.RandomHorizontalFlip(p=0.5),
            k.RandomCrop((32, 32), padding=4, p=1.0),
            k.RandomBrightness((0.6, 1.4), p=1.0),
        ),
    ),
    "rotate and scale": (
        Augment(rotate=15.0, scale=0.2),
        lambda: tv.RandomAffine(15, scale=(0.8, 1.2), interpolation=tv.InterpolationMode.BILINEAR),
        lambda k: k.RandomAffine(15.0, scale=(0.8, 1.2), p=1.0),
    ),
    "colour jitter": (
        Augment(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        lambda: tv.ColorJitter(0.4, 0.4, 0.4, 0.1),
        lambda k: k.ColorJitter(0.4, 0.4, 0.4, 0.1, p=1.0),
    ),
    "blur": (
        Augment(blur=1.0),
        lambda: tv.GaussianBlur(13, (0.1, 2.0)),
        lambda k: k.RandomGaussianBlur((13, 13), (0.1, 2.0), p=1.0),
    ),
    "erase": (Augment(erase=0.5), lambda: tv.RandomErasing(), lambda k: k.RandomErasing(p=0.5)),
    "randaugment": (Augment(policy="randaugment"), lambda: tv.RandAugment(), None),
    "trivialaugment": (Augment(policy="trivialaugment"), lambda: tv.TrivialAugmentWide(), None),
    "mixup": (Augment(mixup=0.2), lambda: None, lambda k: k.RandomMixUpV2(p=1.0, data_keys=["input", "class"])),
    "cutmix": (Augment(cutmix=1.0), lambda: None, lambda k: k.RandomCutMixV2(p=1.0, data_keys=["input", "class"])),
}


def seconds_an_image(work: Callable[[int], Any], images: int) -> float:
    """CPU time of STEPS calls, for each image."""
    started = time.process_time()
    for step in range(STEPS):
        work(step)
    return (time.process_time() - started) / (STEPS * images)


def rows() -> list[Row]:
    """Every case against torchvision on single images, and against kornia where it is installed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with keep_freed_memory():  # as in a run; the libraries have it too
            return [row for name in CASES for row in case(name)]
    finally:
        torch.set_num_threads(threads)


def row(name: str, against: str, least: int, ours: float, theirs: float) -> Row:
    """A row in CPU seconds for EPOCH images, from seconds an image."""
    target = f"{least} times faster" if least > 1 else "as fast"
    what = f"augmentation: {name}, {EPOCH:,} images, one thread"
    return Row(what, against, target, EPOCH * ours, EPOCH * theirs, theirs >= least * ours)


def case(name: str) -> list[Row]:
    """One augmentation: its rows, in seconds an image."""
    settings, single, batched = CASES[name]
    images = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(BATCH) % 10
    function = augment.make(settings, _data(images, labels))
    assert function is not None

    def mine() -> float:
        return seconds_an_image(lambda step: function(images, labels, augment.generator(0, 0, step, BATCH)), BATCH)

    out = []
    theirs = single()
    if theirs is not None:
        some = images[:16]
        ours, one = alternate(
            mine, lambda: seconds_an_image(lambda step: torch.stack([theirs(x) for x in some]), len(some)), TURNS
        )
        out.append(row(name, "torchvision on single images", 10, ours, one))
    if batched is not None and importlib.util.find_spec("kornia"):
        import kornia.augmentation as kornia

        made = batched(kornia)

        def work(step: int) -> Tensor:
            pixels = images.float() / 255  # kornia takes floats
            return made(pixels, labels) if name in ("mixup", "cutmix") else made(pixels)

        ours, batch = alternate(mine, lambda: seconds_an_image(work, BATCH), TURNS)
        out.append(row(name, "kornia on the batch", 1, ours, batch))
    return out


def _data(images: Tensor, labels: Tensor) -> ImageData:
    index = labels.numpy()
    classes = tuple(str(i) for i in range(10))
    return ImageData(images.numpy(), index, classes, index[:1], index[1:2], index[2:3], "")


if __name__ == "__main__":
    for found in rows():
        print(f"{found.what:<70} {found.against:<30} {found.ours:>7.2f} s {found.theirs:>7.2f} s")
