"""Warm worker processes, each a pool of its own.

joblib's loky pool, but with one process a pool: where a process dies (the memory limit, a crash in native code),
loky breaks the whole pool, and with it innocent runs. Here only the dead worker's run is lost, and known by name.
It also gives each worker its own share of cores, or its own GPUs.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from bench.schema.errors import RequestError
from bench.sweep.machine import gpus_of
from bench.sweep.plan import Point
from bench.sweep.signals import interrupt_later
from bench.sweep.worker import begin, warm, work

Died = BrokenProcessPool
# loky replaces a process that has grown by 300 MB, which a large network does; nothing is lost by it.
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
HERE = "hydra/launcher=basic runs them in this process."
SEMAPHORES = (
    "They need semaphores, which Linux keeps in /dev/shm: let it be there, writable and not full (docker run "
    f"--shm-size=1g). {HERE}"
)
WITHOUT = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOSYS)  # what their lack gives
STARTS = 3  # a worker that dies so often before its first run will not start at all


@dataclass(eq=False)
class Worker:
    """One worker process and what it is doing.

    Attributes:
        points: what it runs, several where they are trained as one program; empty while it starts or waits.
        future: of its start, or of its points.
    """

    number: int
    threads: int
    env: dict[str, str]
    points: list[Point] = field(default_factory=list)
    future: Future[Any] | None = None
    executor: ProcessPoolExecutor = field(init=False)
    failed_starts: int = 0
    warm: bool = False

    def start(self) -> None:
        """Start the process; `future` is done when it has imported what runs need."""
        self.warm, self.points = False, []
        try:
            self.executor = ProcessPoolExecutor(
                max_workers=1, timeout=None, initializer=begin, initargs=(os.getpid(),), env=self.env
            )
            for tracker in (resource_tracker, loky_tracker):
                tracker.ensure_running()  # loky needs both, and the start of one lets signals through again
            with interrupt_later():
                self.future = self.executor.submit(warm)
        except OSError as error:
            why = SEMAPHORES if error.errno in WITHOUT else HERE
            raise RequestError(f"Worker processes cannot be started: {error.strerror}. {why}") from None

    def started(self) -> bool:
        """Whether it is ready for a point, once `future` of its start is done; a failed start is tried again.

        Raises:
            RequestError: when it cannot start.
        """
        assert self.future is not None
        try:
            self.future.result()
        except Died as error:
            self.failed_starts += 1
            if self.failed_starts >= STARTS:
                raise RequestError(
                    f"A worker process died {STARTS} times while it started: {str(error).splitlines()[0]}\n"
                    "Fewer --workers need less memory; 'bench doctor' shows what this machine has."
                ) from None
            self.start()
            return False
        self.warm, self.future = True, None
        return True

    def run(self, points: list[Point], title: str, spool: Path) -> None:
        """Give it a point, or several that `bench.train.stacked.which` lets stack."""
        self.points = points
        try:
            self.future = self.executor.submit(work, points, title, spool, self.threads)
        except Died as error:  # it died while it waited
            self.future = Future()
            self.future.set_exception(error)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.executor.shutdown(wait=True, kill_workers=True)


@dataclass(eq=False)
class InThisProcess:
    """The place of a worker in a job of somebody else's scheduler: points are run at once, by whoever gives them."""

    threads: int
    number: int = 0
    points: list[Point] = field(default_factory=list)
    future: Future[Any] | None = None
    warm: bool = True

    def start(self) -> None:
        """There is nothing to start."""

    def started(self) -> bool:
        """Always."""
        return True

    def run(self, points: list[Point], title: str, spool: Path) -> None:
        """Run them; `future` is done when this returns."""
        self.points, self.future = points, Future()
        try:
            self.future.set_result(work(points, title, spool, self.threads))
        except Exception as error:
            self.future.set_exception(error)

    def stop(self) -> None:
        """There is nothing to end."""


Runner = Worker | InThisProcess


@contextmanager
def workers(count: int, devices: int, accelerator: str, threads: int) -> Iterator[list[Worker]]:
    """`count` workers that import while the caller prepares, and are ended with the block.

    GPUs are shared out where there are enough of them.

    Args:
        threads: of each, `machine.threads` of as many places as the whole plan has. A sweep of which one point is left
            must not give it all cores: sums over another number of threads have other last digits.
    """
    made = []
    for i in range(count):
        env = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        if mine := gpus_of(i, accelerator, devices):
            env["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        made.append(Worker(i, threads, env))
    with ExitStack() as ending:
        for worker in made:
            worker.start()
            ending.callback(worker.stop)
        yield made
