"""On a GPU: resnet18 with the small stem in mixed precision, stacked seeds, exact neighbours.

`rows()` measures everything in one call of a few minutes. On a machine without a GPU `rows(device="cpu", small=True)`
goes through the same code in seconds (tests/test_benchmarks.py); its numbers mean nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from bench import data as images
from bench import models
from bench.compose import compose
from bench.models.search import import_faiss, neighbours
from bench.schema.experiment import Experiment, experiment
from bench.train.fit import fit
from bench.train.stacked import fit as stack
from tests.benchmarks.row import Row, alternate, seconds

RESNET = ("model=resnet18", "trainer.batch_size=512", "trainer.precision=bf16-mixed")
CNN = ("model=cnn", "model.filters=[8,16]", "norm_layer=batch")
DENSE = ("model=dnn", "model.hidden=[64,128,64]", "norm_layer=batch")
SEEDS = 8


def made(words: Sequence[str], device: str, small: bool, seed: int = 0) -> Experiment:
    """The Experiment of a benchmark: Fashion-MNIST, or a few digits."""
    size = ["dataset=digits", "split.train_per_class=10"] if small else ["dataset=fashion_mnist"]
    where = "gpu" if device == "cuda" else device
    fast = [f"trainer.accelerator={where}", "trainer.deterministic=false", "trainer.epochs=2", f"seed={seed}"]
    return experiment(compose([*size, *fast, *words]))


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def bare(exp: Experiment, device: str) -> float:
    """Seconds of a bare loop: data on the device, channels_last, autocast, val after each epoch."""
    data = images.load(exp.dataset, exp.split)
    net = models.build(exp, data.shape, 10).to(device).to(memory_format=torch.channels_last)
    x, y = torch.from_numpy(data.images).to(device), torch.from_numpy(data.labels).to(device)
    train, val = torch.from_numpy(data.train).to(device), torch.from_numpy(data.val).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=exp.optim.lr, fused=True)
    torch.backends.cudnn.benchmark = True

    def logits(batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16):
            scaled = (x[batch].float() - 72.94) / 90.02
            return net(scaled.contiguous(memory_format=torch.channels_last)).float()

    wait(device)
    started = time.perf_counter()
    for _ in range(exp.trainer.epochs):
        net.train()
        for batch in train[torch.randperm(len(train), device=device)].split(exp.trainer.batch_size):
            loss = cross_entropy(logits(batch), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            sum(int((logits(batch).argmax(1) == y[batch]).sum()) for batch in val.split(1024))
    wait(device)
    return time.perf_counter() - started


def ours(exp: Experiment) -> float:
    """Seconds of our fit phase."""
    data = images.load(exp.dataset, exp.split)
    return fit(exp, data, models.build(exp, data.shape, 10)).costs["cost/fit_seconds"]


def fit_phase(words: Sequence[str], device: str, small: bool) -> tuple[float, float]:
    """Our fit phase and the bare loop's."""
    exp = made(words, device, small)
    return alternate(lambda: ours(exp), lambda: bare(exp, device), times=1 if small else 3)


def stacked(words: Sequence[str], device: str, small: bool) -> tuple[float, float]:
    """8 seeds as one program, and one after the other."""
    exps = [made(words, device, small, seed) for seed in range(2 if small else SEEDS)]
    data = images.load(exps[0].dataset, exps[0].split)
    return alternate(
        lambda: seconds(lambda: stack.fit(exps, data, [models.build(e, data.shape, 10) for e in exps])),
        lambda: seconds(lambda: [fit(e, data, models.build(e, data.shape, 10)) for e in exps]),
        times=1 if small else 3,
    )


def search(device: str, small: bool) -> tuple[float, float]:
    """Exact L2 neighbours, 10,000 x 60,000 images of 784 pixels, k = 5: ours on the device, faiss on the CPU."""
    count, queries = (600, 100) if small else (60_000, 10_000)
    rng = np.random.default_rng(0)
    train, asked = rng.random((count, 784), np.float32), rng.random((queries, 784), np.float32)
    index = import_faiss().IndexFlatL2(784)
    index.add(train)
    return alternate(
        lambda: seconds(lambda: neighbours(train, asked, 5, "l2", device)),
        lambda: seconds(lambda: index.search(asked, 5)),
        times=1 if small else 3,
    )


def rows(device: str = "cuda", small: bool = False) -> list[Row]:
    """All rows of this benchmark."""
    loop = "a bare loop with channels_last, autocast and the data on the device"
    single = "one after the other"
    wanted = [
        ("fit phase of resnet18, small stem, 28x28, mixed precision", loop, "at most 1.1 times the loop", 1 / 1.1,
         lambda: fit_phase(RESNET, device, small)),
        ("the same compiled (trainer.compile=true)", loop, "stated", None,
         lambda: fit_phase([*RESNET, "trainer.compile=true"], device, small)),
        (f"{SEEDS} seeds of a small CNN stacked", single, "4 times faster", 4, lambda: stacked(CNN, device, small)),
        (f"{SEEDS} seeds of the dense net stacked", single, "4 times faster", 4, lambda: stacked(DENSE, device, small)),
        ("10,000 x 60,000 x 784, L2, k=5", "faiss on the CPU", "stated", None, lambda: search(device, small)),
    ]  # fmt: skip
    if device == "cuda" and not torch.cuda.is_available():
        note = "not measured: this machine has no GPU"
        return [Row(f"GPU: {what}", against, target, note=note) for what, against, target, _, _ in wanted]
    out = []
    for what, against, target, ratio, measure in wanted:
        mine, theirs = measure()
        met = None if ratio is None else theirs >= ratio * mine
        out.append(Row(f"GPU: {what}", against, target, mine, theirs, met))
    return out
