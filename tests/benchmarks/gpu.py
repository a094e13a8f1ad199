"""On a GPU: resnet18 with the small stem in mixed precision, and stacked seeds of a small CNN."""

from __future__ import annotations

import time

import torch
from torch.nn.functional import cross_entropy

from bench import data as images
from bench import models
from bench.compose import compose
from bench.schema.experiment import Experiment, experiment
from bench.train.fit import fit
from bench.train.stacked import fit as stack
from tests.benchmarks.row import Row, alternate, seconds

FAST = ["dataset=fashion_mnist", "trainer.epochs=2", "trainer.accelerator=gpu", "trainer.deterministic=false"]
RESNET = [*FAST, "model=resnet18", "trainer.batch_size=512", "trainer.precision=bf16-mixed"]
CNN = [*FAST, "model=cnn", "model.filters=[8,16]", "norm_layer=batch"]


def bare(exp: Experiment) -> float:
    """Seconds of a bare loop: data on the device, channels_last, autocast, val after each epoch."""
    data = images.load(exp.dataset, exp.split)
    net = models.build(exp, data.shape, 10).cuda().to(memory_format=torch.channels_last)
    x, y = torch.from_numpy(data.images).cuda(), torch.from_numpy(data.labels).cuda()
    train, val = torch.from_numpy(data.train).cuda(), torch.from_numpy(data.val).cuda()
    optimizer = torch.optim.Adam(net.parameters(), lr=exp.optim.lr, fused=True)
    torch.backends.cudnn.benchmark = True

    def logits(batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            scaled = (x[batch].float() - 72.94) / 90.02
            return net(scaled.contiguous(memory_format=torch.channels_last)).float()

    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(exp.trainer.epochs):
        net.train()
        for batch in train[torch.randperm(len(train), device="cuda")].split(exp.trainer.batch_size):
            loss = cross_entropy(logits(batch), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            sum(int((logits(batch).argmax(1) == y[batch]).sum()) for batch in val.split(1024))
    torch.cuda.synchronize()
    return time.perf_counter() - started


def ours(exp: Experiment) -> float:
    """Seconds of our fit phase."""
    data = images.load(exp.dataset, exp.split)
    return fit(exp, data, models.build(exp, data.shape, 10)).costs["cost/fit_seconds"]


def rows() -> list[Row]:
    """All rows of this benchmark."""
    resnet = (
        "GPU: fit phase of resnet18, small stem, 28x28, mixed precision",
        "a bare loop with channels_last, autocast and the data on the device",
        "at most 1.1 times the loop",
    )
    stacks = ("GPU: 8 seeds of a small CNN stacked", "one after the other", "4 times faster")
    if not torch.cuda.is_available():
        return [Row(*words, note="not measured: this machine has no GPU") for words in (resnet, stacks)]
    exp = experiment(compose(RESNET))
    mine, loop = alternate(lambda: ours(exp), lambda: bare(exp), times=3)
    exps = [experiment(compose([*CNN, f"seed={seed}"])) for seed in range(8)]
    data = images.load(exps[0].dataset, exps[0].split)
    together, single = alternate(
        lambda: seconds(lambda: stack.fit(exps, data, [models.build(e, data.shape, 10) for e in exps])),
        lambda: seconds(lambda: [fit(e, data, models.build(e, data.shape, 10)) for e in exps]),
        times=3,
    )
    return [
        Row(*resnet, mine, loop, mine <= 1.1 * loop),
        Row(*stacks, together, single, single >= 4 * together),
    ]
