"""Taking points, so that each is run by one launch only, and bringing their outcomes to the store."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bench.disk import DiskFull
from bench.schema.errors import RequestError
from bench.sweep.failure import seal_failure
from bench.sweep.plan import Point
from bench.track.attempt import begin
from bench.track.lease import Lease, LeaseLost, Leases
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.starts import start_of
from bench.track.store import Store
from bench.track.unavailable import StoreUnavailable


class LeaseHolder:
    """One launch's dealings with the store: take a point, deliver it, give it up.

    Args:
        before: run ids of what had ended for these points when the launch was planned; they are to be run again.
    """

    def __init__(self, store: Store, leases: Leases, title: str, spool: Spool, before: set[str]) -> None:
        self.store, self.leases, self.title, self.spool = store, leases, title, spool.of(title)
        self.before = before
        store.parent(title, make=True)
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
        left = theirs.find_sealed(point.key) if owner.lives(self.leases.owner) is not None else None
        if left is not None:
            with suppress(LeaseLost):
                self.store.deliver(left)  # it was killed between the run's end and the delivery
        record = self.store.latest(point.key, self.title)
        return record if record is not None and record.run_id not in self.before else None

    def _begin(self, point: Point, replaced: Lease | None) -> Record | None:
        """A run in MLflow for a point that is taken; what it ended as, where that was told in the moment before."""
        tags = {"sweep": self.title, "seed": str(point.seed)}
        # A store that went away may have made the run and not lived to say so.
        look = point.key in self.asked
        self.asked.add(point.key)
        found = begin(self.store, self.leases, point.key, replaced, self.title, point.name, tags, self.before, look)
        if isinstance(found, Record):
            if found.status == "finished":
                self.spool.forget({point.key})
            return found
        self.runs[point.key] = found
        self._copy_start(point)
        return None

    def _copy_start(self, point: Point) -> None:
        """Copy the earlier run that a point starts from out of the store; without it the point has failed."""
        run = start_of(point.experiment.transfer)
        if not run or self.spool.starts is None:
            return
        try:
            self.spool.starts.copy(self.store, run, self.leases.owner)
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

    def has_ended(self, key: str) -> bool:
        """Whether the store has an outcome of a point that was taken here.

        Raises:
            StoreUnavailable: when the store does not answer.
        """
        record = self.store.latest(key, self.title)
        return record is not None and record.run_id not in self.before

    def drop(self, key: str) -> None:
        """Forget what was done here for a point that somebody else has brought to an end."""
        self.runs.pop(key, None)
        if (place := self.spool.find_sealed(key)) is not None:
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
