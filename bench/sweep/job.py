"""One job of a sweep on somebody else's scheduler: it takes points from the store until none is left."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.disk import DiskFull
from bench.schema.errors import RequestError
from bench.sweep.lease_holder import LeaseHolder
from bench.sweep.machine import cores, gpus_of
from bench.sweep.plan import Point
from bench.sweep.shares import Shares
from bench.track.lease import Leases
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import Store
from bench.track.unavailable import StoreUnavailable

URI_VARIABLE = "IMAGEBENCH_TRACKING_URI"
PINNED: list[str] = []  # the GPUs of this process, once a job has chosen them
PAUSE_SECONDS = 2.0


@dataclass
class Job:
    """Hydra's task function for every job of a launch; pickled to wherever they run.

    Points are not dealt out beforehand: each job starts at its own place in the list and takes what nobody has,
    so start-up is paid once a job, a slow point delays nobody, and a job that is requeued simply goes on.

    Attributes:
        uri: of the store; None where it has a password and comes by the environment instead of a file.
        before: run ids of what had ended for these points and is to be run again.
        count: how many jobs there are.
        places: among how many the cores of a shared machine are divided, whatever is left to do.
        folder: working directory of the launch; relative paths in settings are meant from there.
        shared_machine: whether the jobs run on this machine and share its cores.
        own_gpus: whether they share its GPUs too, with nobody else to give these out.
        patience: seconds to wait for a store that went away.
    """

    points: Sequence[Point]
    title: str
    uri: str | None
    spool: Path
    before: set[str]
    count: int
    places: int
    folder: Path
    shared_machine: bool
    own_gpus: bool
    patience: float

    def __call__(self, config: Any) -> dict[str, str]:
        """Run points until none is left; gives run key -> status of those that this job ran.

        Raises:
            RequestError: when the store cannot be reached, or the disk is full.
        """
        from hydra.core.hydra_config import HydraConfig

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
        from bench.sweep.worker import work

        look_once()
        store = Store(self.address())
        spool = Spool(self.spool)
        lease_run = store.lease_run(self.title)
        owner = Owner.here(self.spool)
        ran: dict[str, str] = {}
        try:
            with Leases(store, lease_run, owner) as leases:
                leases.refresh()
                over = {k for k, r in store.find([p.key for p in self.points], self.title).items() if self.counts(r)}
                holder = LeaseHolder(store, leases, self.title, spool, self.before)
                first = number * len(self.points) // self.count
                queue = deque(p for p in (*self.points[first:], *self.points[:first]) if p.key not in over)
                shares = Shares(self.points, self.count)
                try:
                    while points := self.take_next(queue, shares, holder):
                        try:
                            work([self.addressed(p, store.uri) for p in points], self.title, self.spool, self.threads())
                        except DiskFull:
                            raise
                        except RequestError as error:
                            for point in points:
                                holder.seal_failure(point, f"RequestError: {str(error).splitlines()[0]}")
                        for point in points:
                            sealed = spool.sealed(point.key)
                            assert sealed is not None, "a run that returns has sealed its outcome"
                            ran[point.key] = self.patiently(holder.deliver, sealed).status
                finally:
                    holder.give_up([k for k in leases.mine if spool.sealed(k) is None])
        finally:
            owner.over()
        return ran

    def take_next(self, queue: deque[Point], shares: Shares, holder: LeaseHolder) -> list[Point]:
        """The next point that is ours, with those that are trained with it as one program; none at the end."""
        ours: list[Point] = []
        for point in list(queue):
            if ours and len(ours) == shares.of(ours[0]):
                break
            if not ours or shares.alike(ours[0], point):
                queue.remove(point)
                if self.patiently(holder.take, point) is None:
                    ours.append(point)
        return ours

    def addressed(self, point: Point, uri: str) -> Point:
        """The point with the store's address, which is kept out of files: weights=run:ID are read from there."""
        tracking = dataclasses.replace(point.experiment.tracking, uri=uri)
        return dataclasses.replace(point, experiment=dataclasses.replace(point.experiment, tracking=tracking))

    def counts(self, record: Record) -> bool:
        """Whether a record means that its point is done: not one that is to be run again."""
        return record.run_id not in self.before

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

    def threads(self) -> int:
        """CPU threads of a run: the job's cores, or its share of the machine's."""
        # Not the affinity alone: a cluster may leave that open and still have given this job one core.
        mine = int(os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or cores())
        return max(1, mine // self.places) if self.shared_machine else mine

    def patiently(self, ask: Callable[[Any], Any], about: Any) -> Any:
        """Ask the store, again and again while it is away."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return ask(about)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
