"""One job of a sweep on somebody else's scheduler: it takes points from the store until none is left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import end_with
from bench.schema.errors import RequestError
from bench.schema.names import make_printable
from bench.schema.secrets import redact_text
from bench.sweep import machine
from bench.sweep.launch import Launch
from bench.sweep.machine import gpus_of
from bench.sweep.plan import Point
from bench.sweep.pool import InThisProcess, Runner, workers
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import Store

URI_VARIABLE = "IMAGEBENCH_TRACKING_URI"
PINNED: list[str] = []  # the GPUs of this process, once a job has chosen them


@dataclass
class Job:
    """Hydra's task function for every job of a launch; pickled to wherever they run.

    Points are not dealt out beforehand: each job starts at its own place in the list and takes what nobody has,
    so start-up is paid once a job, a slow point delays nobody, and a job that is requeued simply goes on.

    Attributes:
        uri: of the store; None where it has a password and comes by the environment instead of a file.
        before: run ids of what had ended for these points and is to be run again.
        count: how many jobs there are.
        threads: CPU threads of a run, for jobs that share the launch's machine; None: all that the scheduler gives.
        folder: working directory of the launch; relative paths in settings are meant from there.
        alone: whether a job is a process of its own, which no run may take with it: runs are in another one then.
        own_gpus: whether they share its GPUs too, with nobody else to give these out.
        patience: seconds to wait for a store that went away.
        leader: process id and start of the launch, where its jobs are to end with it.
    """

    points: Sequence[Point]
    title: str
    uri: str | None
    spool: Path
    before: set[str]
    count: int
    threads: int | None
    folder: Path
    alone: bool
    own_gpus: bool
    patience: float
    leader: tuple[int, int | None] | None = None

    def __call__(self, config: Any) -> dict[str, str]:
        """Run points until none is left; gives run key -> status of those that this job ran.

        Raises:
            RequestError: when the store cannot be reached, or the disk is full.
        """
        from hydra.core.hydra_config import HydraConfig

        if self.leader is not None and self.leader[0] != os.getpid():
            end_with(*self.leader)
        if self.folder.is_dir():
            os.chdir(self.folder)
        self.pin(int(HydraConfig.get().job.num))
        return self.work(int(HydraConfig.get().job.num))

    def pin(self, number: int) -> None:
        """Leave this process only its own GPUs, before torch counts them; one that is used again keeps its first."""
        if not self.own_gpus or PINNED:
            return
        trainer = self.points[0].experiment.trainer
        PINNED.extend(gpus_of(number, trainer.accelerator, trainer.devices))
        if PINNED:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(PINNED)

    def work(self, number: int) -> dict[str, str]:
        """The same, for job `number` from 0."""
        from bench.data.cache import look_once

        look_once()
        with self.pool() as pool:
            store = Store(self.address())
            first = number * len(self.points) // self.count
            todo = [*self.points[first:], *self.points[:first]]
            spool = Spool(self.spool, store.address)
            launch = Launch(todo, self.title, store, spool, self.before, pool, Log(), self.patience, waits=False)
            return {record.key: record.status for record in launch.run().ran}

    @contextmanager
    def pool(self) -> Iterator[Sequence[Runner]]:
        """The one place for runs: a process that may die with its run, which then fails as in the local pool."""
        threads = self.threads or machine.threads(1)
        if not self.alone:
            yield [InThisProcess(threads)]
            return
        trainer = self.points[0].experiment.trainer
        with workers(1, trainer.devices, trainer.accelerator, threads) as pool:
            yield pool

    def address(self) -> str:
        """The store's URI.

        Raises:
            RequestError: when the scheduler did not pass the environment on.
        """
        uri = self.uri or os.environ.get(URI_VARIABLE)
        if uri is None:
            raise RequestError(
                f"The store's address has a password, so it is passed by the variable {URI_VARIABLE}, which this job "
                "did not get. Let the scheduler pass the environment on (sbatch --export=ALL)."
            )
        return uri


class Log:
    """The view of a job: what is worth a line goes to its log."""

    def running(self, worker: int, points: Sequence[Point]) -> None:
        """Told by the launch that waits for the jobs."""

    def done(self, point: Point, record: Record) -> None:
        """Likewise."""

    def say(self, text: str) -> None:
        """A line for the log."""
        print(make_printable(redact_text(text)), file=sys.stderr, flush=True)
