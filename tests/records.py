"""Records that nobody ran: with a known mean for each point and a known spread between seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.schema.sweep import Sweep
from bench.schema.sweep_file import sweep
from bench.track.record import Record

BATCHNORM = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
PACKAGES = '{"numpy": "2.4.0", "torch": "2.15.0"}'


def make_records(
    axes: dict[str, list[Any]],
    mean: Callable[[dict[str, Any]], float],
    seeds: int = 3,
    sd: float = 0.01,
    name: str = "made",
    rng: int = 0,
) -> list[Record]:
    """Records whose test accuracy is mean(point) + a shift of the seed + noise; val accuracy is near it."""
    generator = np.random.default_rng(rng)
    shift = generator.normal(0, sd, seeds)
    out = []
    for combination in itertools.product(*axes.values()):
        at = dict(zip(axes, combination, strict=True))
        for seed in range(seeds):
            accuracy = float(np.clip(mean(at) + shift[seed] + generator.normal(0, sd), 0, 1))
            out.append(
                Record(
                    key=f"key{len(out):04d}",
                    sweep=name,
                    axes=at,
                    seed=seed,
                    status="finished",
                    run_id=f"run{len(out):04d}",
                    metrics={
                        "val/accuracy": float(np.clip(accuracy + generator.normal(0, sd / 2), 0, 1)),
                        "test/accuracy": accuracy,
                        "test/nll": 2.5 * (1 - accuracy) + 0.02,
                        "test/ece": 0.05 + 0.01 * float(generator.random()),
                    },
                    costs={
                        "cost/params": 7850,
                        "cost/flops": 15680,
                        "cost/fit_seconds": 1.5 + float(generator.random()),
                    },
                    config={"dataset.source": "mnist5k", "trainer.epochs": 3, "seed": seed, **at},
                    provenance={
                        "data_fingerprint": "f00d",
                        "git_commit": "c0ffee0000",
                        "git_dirty": "false",
                        "packages": PACKAGES,
                        "hardware": "CPU, 2 cores",
                    },
                )
            )
    return out


def make_sweep(axes: dict[str, list[Any]], **more: Any) -> Sweep:
    """A checked Sweep named "made"."""
    return sweep({"name": "made", "question": "Does it help?", "axes": axes, **more}, "made.yaml")
