"""Small CNNs on all cores, one run a core, against one process with all threads and one run after the other."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import torch

from bench import data as images
from bench import run
from bench.compose import compose
from bench.schema.experiment import experiment
from bench.sweep.machine import cores
from tests.benchmarks.row import Row, alternate, seconds

CNN = ["dataset=mnist5k", "model=cnn", "model.filters=[8,16]", "norm_layer=batch", "trainer.epochs=3",
       "trainer.accelerator=cpu"]  # fmt: skip


def train(seed: int, threads: int) -> None:
    """One run with so many threads, as a worker of a sweep does it, without its files."""
    torch.set_num_threads(threads)
    exp = experiment(compose([*CNN, f"seed={seed}"]))
    run.train(exp, images.load(exp.dataset, exp.split), None)


def rows() -> list[Row]:
    """All rows of this benchmark."""
    count = cores()
    seeds = range(2 * count)
    if count < 2:
        return [Row("sweep of small CNNs on all cores", "one process", "1.35 times", note="this machine has one core")]
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        ours, theirs = alternate(
            lambda: seconds(lambda: list(pool.map(train, seeds, [1] * len(seeds)))),
            lambda: seconds(lambda: list(map(train, seeds, [count] * len(seeds)))),
            times=3,
        )
    return [
        Row(
            f"throughput of {len(seeds)} small CNNs on {count} cores, one run a core",
            "one process with all threads, one run after another",
            "1.35 times", ours, theirs, theirs >= 1.35 * ours,
        )
    ]  # fmt: skip
