"""Heads on a frozen backbone: features computed once against the backbone in every epoch.

`python tests/benchmarks/features.py [IMAGES]` prints the row.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time

from bench import data as images
from bench import models
from bench.compose import compose
from bench.data.imagedata import ImageData
from bench.models import transfer
from bench.schema.experiment import Experiment, experiment
from bench.train.fit import fit
from bench.train.heads import fit_transfer

Row = tuple[str, float, float, float]  # what, our seconds, their seconds, ratio

LRS, SEEDS, EPOCHS = (1e-2, 1e-3, 1e-4), (0, 1, 2), 10


def nine(size: int) -> list[Experiment]:
    """3 lr x 3 seeds of a linear head on frozen EfficientNet-Lite0, mnist5k enlarged to `size` pixels."""
    base = [
        "dataset=mnist5k",
        "model=timm",
        "model.name=tf_efficientnet_lite0",
        "transfer=frozen",
        f"transfer.size={size}",
    ]
    return [
        experiment(compose([*base, f"trainer.epochs={EPOCHS}", f"optim.lr={lr}", f"seed={seed}"]))
        for lr in LRS
        for seed in SEEDS
    ]


def heads(count: int = 5_000, size: int = 64) -> Row:
    """9 heads, 10 epochs, `count` images in all: ours from an empty cache, model building included; target 20x.

    Theirs is our own training loop with the same frozen backbone run in every epoch. It is timed for two epochs of
    one head: seconds beyond the first epoch are multiplied by nine heads and ten epochs (every epoch costs the same).
    """
    exps = nine(size)
    data = images.load(exps[0].dataset, exps[0].split)
    share = count / len(data.images)
    data = dataclasses.replace(
        data, **{s: data.split(s)[: round(share * len(data.split(s)))] for s in ("train", "val", "test")}
    )

    ours = with_cache(exps, data)
    one = models.build(exps[0], data.shape, len(data.classes))
    transfer.initialise(exps[0], one)
    two = dataclasses.replace(exps[0], trainer=dataclasses.replace(exps[0].trainer, epochs=2))
    epoch = [row["seconds"] for row in fit(two, data, one).history]
    theirs = len(exps) * EPOCHS * (epoch[1] - epoch[0])
    what = (
        f"9 heads on frozen EfficientNet-Lite0, {count:,} images at {size} pixels, 10 epochs: backbone in every epoch"
    )
    return what, ours, theirs, theirs / ours


def with_cache(exps: list[Experiment], data: ImageData) -> float:
    """Seconds for all heads, the one pass through the backbone included."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("IMAGEBENCH_CACHE")
        os.environ["IMAGEBENCH_CACHE"] = folder
        try:
            started = time.perf_counter()
            for exp in exps:
                fit_transfer(exp, data)
            return time.perf_counter() - started
        finally:
            os.environ.pop("IMAGEBENCH_CACHE")
            if before is not None:
                os.environ["IMAGEBENCH_CACHE"] = before


def rows() -> list[Row]:
    """All rows of this benchmark."""
    return [heads()]


if __name__ == "__main__":
    what, ours, theirs, ratio = heads(*(int(n) for n in sys.argv[1:]))
    print(f"{what}: ours {ours:.1f} s, theirs {theirs:.1f} s, ratio {ratio:.1f}")
