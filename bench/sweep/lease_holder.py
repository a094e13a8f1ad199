"""Taking points, so that each is run by one launch only, and bringing their outcomes to the store."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bench.disk import DiskFull
from bench.schema.errors import RequestError
from bench.sweep.failure import seal_failure
from bench.sweep.plan import Point
from bench.track.lease import Lease, LeaseLost, Leases
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.rows import counts
from bench.track.spool import Spool
from bench.track.starts import start_of
from bench.track.store import ENDED, Store, record_of
from bench.track.unavailable import StoreUnavailable


class LeaseHolder:
    """One launch's dealings with the store: take a point, deliver it, give it up.

    Args:
        before: run ids of what had ended for these points when the launch was planned; they are to be run again.
    """

    def __init__(self, store: Store, leases: Leases, title: str, spool: Spool, before: set[str]) -> None:
        self.store, self.leases, self.title, self.spool = store, leases, title, spool.of(title)
        self.before = before
        self.parent = store.parent(title, make=True)
        self.runs: dict[str, str] = {}  # key -> MLflow run of what is taken
        self.asked: set[str] = set()  # keys whose run the store was asked to make

    def take(self, point: Point) -> Record | Owner | None:
        """Take a point. None: it is ours; a Record: it has ended elsewhere; an Owner: who is running it.

        Raises:
            StoreUnavailable: when the store does not answer; nothing is taken then.
        """
        key = point.key
        lease = self.leases.known.get(key)
        if lease is not None and (lease.owner.launch != self.leases.owner.launch or lease.ended):
            if (owner := self.leases.owner_of(key)) is not None:
                return owner
            # Its owner has ended or died: all that it did can be read now, and somebody else may have been faster.
            self.leases.refresh()
            if (owner := self.leases.owner_of(key)) is not None:
                return owner
            if (record := self.ended_elsewhere(point, self.leases.known[key].owner)) is not None:
                return record
        replaced = self.leases.known.get(key)
        if key not in self.leases.mine and not self.leases.take(key):
            self.leases.refresh()
            if (owner := self.leases.owner_of(key)) is not None:
                return owner
            return self.ended_elsewhere(point, self.leases.known[key].owner) or self.take(point)
        return self._begin(point, replaced)

    def ended_elsewhere(self, point: Point, owner: Owner) -> Record | None:
        """What became of a point that another launch had, where that was brought to an end."""
        theirs = Spool(Path(owner.spool), self.store.address, self.title)
        left = theirs.sealed(point.key) if owner.lives(self.leases.owner) is not None else None
        if left is not None:
            with suppress(LeaseLost):
                self.store.deliver(left)  # it was killed between the run's end and the delivery
        record = self.store.latest(point.key, self.title)
        return record if record is not None and record.run_id not in self.before else None

    def _begin(self, point: Point, replaced: Lease | None) -> Record | None:
        """A run in MLflow that shows as RUNNING: the one that an interrupted attempt left, or a new one.

        The run of an owner that only fell silent is deleted: it may wake up and write into its own, which a store
        then refuses. One that gave up or is dead writes no more.

        Returns:
            What the point ended as, where that was told in the moment before it was taken.
        """
        attempt = self.leases.mine[point.key]
        gone = replaced is None or replaced.ended or replaced.owner.lives(self.leases.owner) is False
        left = None
        # A store that went away may have made the run and not lived to say so.
        if attempt > 1 or point.key in self.asked:
            rows = self.store.runs_of_key(point.key, self.store.experiment(self.title))
            ended = [r for r in rows if counts(r) and r.run_id not in self.before]
            if ended:
                record = record_of(next((r for r in ended if r.status == "FINISHED"), ended[-1]))
                self.leases.end(point.key, record.status)
                return record
            for run in rows:
                if run.status in ENDED:
                    continue
                ours = gone or run.tags.get("attempt") == str(attempt)
                if left is None and ours and not run.metrics and not run.params:
                    left = run.run_id
                else:  # killed in the middle of a delivery, or perhaps only asleep: its numbers must not mix with ours
                    self.store.remove(run.run_id)
        if left is not None:
            self.store.mark(left, "RUNNING")
            self.store.tag(left, "attempt", str(attempt))
        else:
            tags = {"run_key": point.key, "sweep": self.title, "seed": str(point.seed), "attempt": str(attempt)}
            if self.parent is not None:
                tags["mlflow.parentRunId"] = self.parent
            self.asked.add(point.key)
            left = self.store.start(self.title, point.name, tags)
        self.runs[point.key] = left
        self._copy_start(point)
        return None

    def _copy_start(self, point: Point) -> None:
        """Copy the earlier run that a point starts from out of the store; without it the point has failed."""
        run = start_of(point.experiment.transfer)
        if not run or self.spool.starts is None:
            return
        try:
            self.spool.starts.copy(self.store, run)
        except (StoreUnavailable, DiskFull):
            raise
        except RequestError as error:
            self.lend(point)
            seal_failure(self.spool, point, self.title, f"RequestError: {str(error).splitlines()[0]}")

    def lend(self, point: Point) -> None:
        """Say in the spool under which attempt the point is begun now."""
        self.spool.lend(point.key, self.leases.mine[point.key], self.runs[point.key])

    def deliver(self, place: Path) -> Record:
        """Bring a sealed outcome to the store; returns its Record.

        Raises:
            LeaseLost: when somebody else has taken the point over; the outcome stays in the spool.
            StoreUnavailable: when the store does not answer; the outcome stays in the spool.
        """
        key = Spool.key(place)
        try:
            record, _ = Spool.read(place)
            self.store.deliver(place)
        except FileNotFoundError:  # a second launch in this folder has just delivered it
            delivered = self.store.latest(key, self.title)
            assert delivered is not None
            record = delivered
        if key in self.leases.mine:
            self.leases.end(key, record.status)
        self.runs.pop(key, None)
        return record

    def drop(self, key: str) -> None:
        """Forget what was done here for a point that somebody else has brought to an end."""
        self.runs.pop(key, None)
        if (place := self.spool.sealed(key)) is not None:
            Spool.clear(place)

    def give_up(self, keys: list[str]) -> None:
        """Mark what was not brought to an end as KILLED, free for the next launch."""
        for key in keys:
            if key in self.leases.mine:
                self.leases.end(key, "interrupted")
            if key in self.runs:
                try:
                    self.store.mark(self.runs.pop(key), "KILLED")
                except StoreUnavailable:
                    return  # the lease's owner is gone soon, which says the same
