"""What a worker process does. Imported by the parent too, so torch is imported inside the functions only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.imports import without_collector
from bench.process import end_with, start_time
from bench.schema.experiment import Experiment
from bench.sweep import signals
from bench.sweep.plan import Point
from bench.track.spool import PROGRESS, Spool

PROGRESS_SECONDS = 0.5  # between two words about a run's epochs


def begin(parent: int) -> None:
    """Prepare a new worker process of `parent`; loky calls it first.

    Ctrl-C reaches every process of a terminal; what happens then is the parent's decision. And a worker whose
    parent was killed must not go on: the next launch takes its point over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.interrupt_again()
    end_with(parent, start_time(parent))


def warm() -> int:
    """Import what every run needs, so that the first run does not pay for it alone; returns the process id."""
    with without_collector():
        import bench.run  # noqa: F401
    from bench.data.cache import look_once

    look_once()
    return os.getpid()


def work(points: Sequence[Point], title: str, spool: Path, threads: int) -> tuple[list[str], list[tuple[int, str]]]:
    """Run points as one program, or where they make none the first of them; leaves outcomes in the spool.

    Returns:
        Run keys of those that were run; how many, and why not as one program ("" where they were).
    """
    import torch

    from bench.run import execute

    found: list[tuple[int, str]] = []
    torch.set_num_threads(points[0].experiment.trainer.threads or threads)
    kept = Spool(spool, sweep=title)
    labels = [{"sweep": title, "axes": p.axes, "name": p.name, "claims": p.claims, "tuning": p.tuning} for p in points]
    with outside_slurm(points[0].experiment):
        ran = execute(
            [p.experiment for p in points],
            labels=labels,
            spool=kept,
            on_epoch=Told([kept.place(p.key) / PROGRESS for p in points]),
            told=lambda count, why: found.append((count, why)),
            rest=False,
        )
    return [kept.key(place) for place in ran], found


class Told:
    """Says how far runs are, in a file of each, for who shows it; at most so often."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.last = time.monotonic()

    def __call__(self, place: int, row: Mapping[str, float]) -> None:
        """An epoch of a run is over."""
        if time.monotonic() - self.last < PROGRESS_SECONDS:
            return
        self.last = time.monotonic()
        with suppress(OSError):  # a full disk is told by what has to be written
            self.files[place].write_text(f"{row['epoch']:.0f}")


class outside_slurm:
    """Keep Lightning from taking a Slurm job for one process of a distributed training, where it is not.

    Lightning reads the scheduler's variables and would insist that `devices` equals the job's tasks; a job of a
    sweep runs many single-device trainings. An interactive job is what it leaves alone.
    """

    def __init__(self, exp: Experiment) -> None:
        self.single = exp.trainer.devices == 1
        self.before = os.environ.get("SLURM_JOB_NAME")

    def __enter__(self) -> None:
        if self.single and "SLURM_NTASKS" in os.environ:
            os.environ["SLURM_JOB_NAME"] = "interactive"

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            os.environ["SLURM_JOB_NAME"] = self.before
