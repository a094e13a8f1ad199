"""GPUs are shared out among the jobs and workers of one machine; none is needed to see it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cli.sweep_launch import thread_counts
from bench.sweep import cluster, machine, pool
from bench.sweep.engine import through_hydra
from bench.sweep.file import from_axes
from bench.sweep.job import Job
from bench.sweep.machine import gpus_of, places
from bench.sweep.plan import Point, points
from bench.track.record import Record


class Seen(Job):
    """A job that tells what torch would find, instead of running points."""

    def work(self, number: int) -> dict[str, str]:
        """Wait until all jobs have begun, so that each has a process of its own."""
        (self.spool / f"begun{number}").touch()
        deadline = time.monotonic() + 300
        while len(list(self.spool.iterdir())) < self.count and time.monotonic() < deadline:
            time.sleep(0.02)
        return {"gpus": os.environ["CUDA_VISIBLE_DEVICES"], "torch": str("torch" in sys.modules)}


def planned(*overrides: str) -> list[Point]:
    return points(from_axes("adhoc", ["model=linear,dnn"], ["dataset=digits", *overrides], 1))


def seen(folder: Path, launcher: str, jobs: int, *overrides: str) -> list[dict[str, str]]:
    """What each job saw, through Hydra's launcher."""
    todo = planned(*overrides)
    job = Seen(
        points=todo, title="adhoc", uri=None, spool=folder, before=set(), count=jobs, threads=1, folder=folder,
        alone=False, own_gpus=launcher == "joblib", patience=1.0,
    )  # fmt: skip
    returned = through_hydra(job, launcher, [f"hydra/launcher={launcher}"])
    return [r.return_value for r in returned]


@pytest.mark.timeout(120)
def test_jobs_of_joblib_have_a_gpu_each(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5a")
    (folder / "spool").mkdir()
    found = seen(folder / "spool", "joblib", 2)
    assert [f["gpus"] for f in found] == ["3", "GPU-5a"]
    assert {f["torch"] for f in found} == {"False"}  # so torch counts what was left to it


@pytest.mark.parametrize(
    ("worker", "accelerator", "devices", "mine"),
    [
        (0, "auto", 1, ["4"]),
        (2, "gpu", 1, ["6"]),
        (3, "auto", 1, ["4"]),  # more workers than GPUs
        (1, "auto", 2, ["6", "4"]),
        (0, "auto", 8, ["4", "5", "6"]),
        (1, "cpu", 1, []),
    ],
)
def test_gpus_of_a_worker(
    monkeypatch: pytest.MonkeyPatch, worker: int, accelerator: str, devices: int, mine: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert gpus_of(worker, accelerator, devices) == mine


def test_one_worker_or_job_a_gpu_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = planned()[0].experiment.trainer
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert places("auto", 1) == cluster.places("joblib", None, trainer) == 3
    assert cluster.places("joblib", 5, trainer) == 5
    assert cluster.places("basic", 5, trainer) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert places("auto", 1) == cluster.places("joblib", None, trainer) == cluster.places("ray", None, trainer)


def test_workers_of_the_pool_have_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,7")
    monkeypatch.setattr(pool.Worker, "start", lambda self: None)
    monkeypatch.setattr(pool.Worker, "stop", lambda self: None)
    with pool.workers(2, 1, "auto", 1) as made:
        assert [w.env["CUDA_VISIBLE_DEVICES"] for w in made] == ["3", "7"]


def test_threads_of_a_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its share, no more than OMP_NUM_THREADS and than a Slurm job has; told where it is not what earlier runs had."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    assert [machine.threads(n) for n in (1, 3, 20)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert [machine.threads(n) for n in (1, 4)] == [3, 2]
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert machine.threads(1) == 4
    one = Record(key="a", sweep="s", axes={}, seed=0, status="finished", provenance={"threads": "1"})
    two = dataclasses.replace(one, provenance={"threads": "2"})
    thread_counts([one, one], planned=1, workers=2)
    assert capsys.readouterr().err == "2 workers with 1 thread each\n"
    thread_counts([one, two], planned=2)
    assert "train with 2 threads, earlier ones not (1 with 1)" in capsys.readouterr().err
    thread_counts([one, two, two])
    assert "several numbers of threads (1 with 1, 2 with 2)" in capsys.readouterr().err


def test_a_containers_quota_counts(tmp_path: Path) -> None:
    """The affinity of `docker run --cpus 1` names every core of the machine."""
    shell = 'mount -t tmpfs tmpfs /sys/fs/cgroup && echo "50000 100000" > /sys/fs/cgroup/cpu.max || exit 77; exec "$@"'
    code = "from bench.sweep.machine import cores; print(cores())"
    words = ["unshare", "--mount", "sh", "-c", shell, "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"this user may not mount: {done.stderr.strip()[-200:]}")
    assert done.stdout == "1\n", done.stderr
