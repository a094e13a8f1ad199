"""The dense net of the templates on Fashion-MNIST: 784-64-128-64-10, batch norm. Sweep, fit phase, stacked seeds."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from bench import data as images
from bench import models
from bench.compose import compose
from bench.schema.experiment import Experiment, experiment
from bench.sweep.machine import cores
from bench.train.fit import fit
from bench.train.stacked import fit as stack
from tests.benchmarks.row import Row, alternate, seconds

HERE = Path(__file__).parent
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
BASE = [
    "dataset=fashion_mnist", "split.val=0.08333333333333333", "model=dnn", "model.hidden=[64,128,64]",
    "norm_layer=batch", "optim=adam", "optim.lr=0.001", "trainer.batch_size=128", "trainer.epochs=2",
    "trainer.accelerator=cpu",
]  # fmt: skip
RUNS = 12


def one(seed: int = 0) -> Experiment:
    """The dense net as an Experiment."""
    return experiment(compose([*BASE, f"seed={seed}"]))


def bare(seed: int) -> float:
    """Seconds of a bare PyTorch loop: train two epochs, val accuracy after each, by whole tensors."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # as it is without Lightning, whose value slows Adam down
    exp = one(seed)
    data = images.load(exp.dataset, exp.split)
    torch.manual_seed(seed)
    net = models.build(exp, data.shape, 10)
    x, y = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    train, val = torch.from_numpy(data.train), torch.from_numpy(data.val)
    mean, std = 72.94, 90.02
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    started = time.perf_counter()
    for _ in range(2):
        net.train()
        for batch in train[torch.randperm(len(train))].split(128):
            loss = cross_entropy(net((x[batch].float() - mean) / std), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            float((net((x[val].float() - mean) / std).argmax(1) == y[val]).float().mean())
    return time.perf_counter() - started


def ours_alone(seed: int) -> float:
    """Seconds of the same fit phase here."""
    exp = one(seed)
    data = images.load(exp.dataset, exp.split)
    return fit(exp, data, models.build(exp, data.shape, 10)).costs["cost/fit_seconds"]


def fit_phase() -> Row:
    """Our fit phase against the bare loop, both with all threads of this process."""
    ours, theirs = alternate(lambda: ours_alone(0), lambda: bare(0), times=5)
    return Row(
        "fit phase of one run of the dense net, two epochs", "a bare PyTorch loop over tensors, same threads",
        "at most 1.25 times the loop", ours, theirs, ours <= 1.25 * theirs,
    )  # fmt: skip


def determinism() -> Row:
    """What `trainer.deterministic` costs in the same fit phase."""

    def taken(deterministic: bool) -> float:
        exp = experiment(compose([*BASE, f"trainer.deterministic={str(deterministic).lower()}"]))
        data = images.load(exp.dataset, exp.split)
        return fit(exp, data, models.build(exp, data.shape, 10)).costs["cost/fit_seconds"]

    ours, theirs = alternate(lambda: taken(True), lambda: taken(False), times=5)
    return Row("the same with trainer.deterministic=true", "trainer.deterministic=false", "stated", ours, theirs)


def _stacked(seeds: list[int]) -> None:
    torch.set_num_threads(1)
    exps = [one(seed) for seed in seeds]
    data = images.load(exps[0].dataset, exps[0].split)
    stack.fit(exps, data, [models.build(exp, data.shape, 10) for exp in exps])


def _loops(seeds: list[int]) -> None:
    torch.set_num_threads(1)
    for seed in seeds:
        bare(seed)


def stacked_seeds() -> Row:
    """12 seeds stacked, a stack for each core, against bare loops packed on all cores; ours also scores test."""
    count = cores()
    shares = [list(range(RUNS))[i::count] for i in range(count)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        ours, theirs = alternate(
            lambda: seconds(lambda: list(pool.map(_stacked, shares))),
            lambda: seconds(lambda: list(pool.map(_loops, shares))),
            times=3,
        )
    return Row(
        f"{RUNS} seeds of the dense net stacked, one program a core", "bare loops packed on all cores",
        "at most 0.75 of the time", ours, theirs, ours <= 0.75 * theirs,
    )  # fmt: skip


def torchvision_layout(root: Path) -> Path:
    """Debian's files where torchvision looks for them."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in DEBIAN.glob("*.gz"):
        with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    return root


def usual(root: Path, runs: int) -> float:
    """Wall time of the usual recipe from the shell."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "usual_recipe.py"), "-m", f"root={root}", f"seed=range({runs})"]
        return seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))


def ours_from_the_shell(stacked: str, runs: int = RUNS) -> float:
    """Wall time of the same runs as a sweep in an empty folder, store included; the data was decoded before."""
    text = f"question: How fast?\nbase: {[*BASE, f'trainer.stack={stacked}']}\naxes: {{model: [dnn]}}\nseeds: {runs}\n"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "fast.yaml").write_text(text + "table: {rows: model}\n")
        command = [str(Path(sys.executable).with_name("bench")), "sweep", "fast.yaml", "--json"]
        return seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True, env=os.environ))


def sweeps() -> list[Row]:
    """The sweep of 12 runs, from the shell. The usual recipe is timed for one and for three runs and extrapolated."""
    what, against, target = f"{RUNS} runs of the dense net, from the shell", "the usual recipe", "10 times faster"
    if not DEBIAN.is_dir():
        return [Row(what, against, target, note="needs Debian's package dataset-fashion-mnist")]
    with tempfile.TemporaryDirectory() as folder:
        root = torchvision_layout(Path(folder))
        ours_from_the_shell("off")  # decodes the data
        single = [ours_from_the_shell("off")]
        first = usual(root, 1)
        single.append(ours_from_the_shell("off"))
        third = usual(root, 3)
        single.append(ours_from_the_shell("off"))
        stacked = [ours_from_the_shell("auto") for _ in range(3)]
        more = {how: ours_from_the_shell(how, 3 * RUNS) for how in ("off", "auto")}
    theirs = first + (RUNS - 1) * (third - first) / 2
    note = f"extrapolated from one run ({first:.0f} s) and three ({third:.0f} s)"
    out, start = [], []
    for how, times, many, share in (
        (", trainer.stack=off", single, more["off"], 40),
        (", as it comes: as programs, every bit the same", stacked, more["auto"], 60),
    ):
        mine = sorted(times)[1]
        out.append(Row(f"{what}{how}", against, target, mine, theirs, theirs >= 10 * mine, note))
        further, usual_further = (many - mine) / (2 * RUNS), (third - first) / 2
        start.append(mine - RUNS * further)
        what_further = f"one more run of it{how}, from {RUNS} and {3 * RUNS}"
        out.append(
            Row(what_further, against, f"at most 1/{share}", further, usual_further, usual_further >= share * further)
        )
    row = Row(
        "start-up of that sweep: what does not grow with the runs", "", "at most 4 s", start[0], met=start[0] <= 4
    )
    return [*out, row, single_run()]


def single_run() -> Row:
    """`bench run` of a training of about a second, from the shell, in an empty folder."""

    def once() -> float:
        with tempfile.TemporaryDirectory() as folder:
            command = [str(Path(sys.executable).with_name("bench")), "run", *BASE, "trainer.epochs=1"]
            return seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))

    taken = sorted(once() for _ in range(3))[1]
    return Row("`bench run` of one epoch of it, from the shell", "", "under 5 s", taken, met=taken < 5)


def rows() -> list[Row]:
    """All rows of this benchmark."""
    return [*sweeps(), fit_phase(), determinism(), stacked_seeds()]
