"""Running the missing points of a sweep on this machine, in warm workers.

Workers train and leave each outcome in the spool; they never touch the store. This process takes points one by one
(`bench.track.lease`), hands them out, and delivers outcomes while the workers compute.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bench.schema.errors import RequestError
from bench.sweep.dispatcher import Dispatcher
from bench.sweep.launch_result import LaunchResult, View, in_words
from bench.sweep.lease_holder import LeaseHolder
from bench.sweep.plan import Point
from bench.sweep.pool import Runner
from bench.sweep.signals import Stopping
from bench.track.lease import LeaseLost, Leases
from bench.track.locks import Held
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import Store
from bench.track.unavailable import StoreUnavailable

RETRY_SECONDS = 2.0  # between two questions to a store that is away, or to whoever holds a point


class Launch:
    """One launch of points in workers of this machine.

    Args:
        before: run ids of what had ended for these points and is to be run again.
        pool: its worker processes, or this one.
        patience: seconds to wait for a store that went away.
        stop: what notes an interruption; None where one is raised.
        waits: whether to wait for what others hold until it has ended. A job of a scheduler does not keep its place for
            that: it waits only until it is sure that whoever holds something on another machine still lives.
        fail_fast: whether to begin nothing more after the first run that fails.
        follow: told of each run that ends; gives the points that may be run because of it.
    """

    def __init__(
        self, todo: Sequence[Point], title: str, store: Store, spool: Spool, before: set[str], pool: Sequence[Runner],
        view: View, patience: float = 600.0, stop: Stopping | None = None, waits: bool = True, fail_fast: bool = False,
        follow: Callable[[Record], Sequence[Point]] | None = None,
    ) -> None:  # fmt: skip
        self.queue = deque(todo)
        self.title, self.store, self.spool, self.before = title, store, spool.of(title), before
        self.pool, self.view, self.patience = pool, view, patience
        self.points = {p.key: p for p in todo}
        self.held: dict[str, Owner] = {}  # taken by another launch
        self.others: set[str] = set()  # launches that were told of
        self.told_waiting = False
        self.hopeful = True  # somebody who holds a point may be dead
        self.sealed: deque[Path] = deque()  # waiting for the store
        self.kept: dict[Path, float] = {}  # those that another process delivers or keeps locked, since when
        self.next_kept = 0.0
        self.away_since: float | None = None
        self.next_try = 0.0
        self.stop, self.waits, self.fail_fast, self.follow = stop, waits, fail_fast, follow
        self.outcome = LaunchResult()

    def run(self) -> LaunchResult:
        """Run until every point has ended, here or elsewhere, or somebody interrupts.

        Raises:
            RequestError: when workers cannot start, or a disk is full; what was taken is given up first.
        """
        owner = Owner.here(self.spool.root)
        try:
            with self.stop or nullcontext():
                leases = Leases(self.store, self.lease_run(), owner)
                with self._cut_short(leases), leases:
                    self._run(leases)
        finally:
            owner.over()
            if self.spool.starts is not None:
                self.spool.starts.release(owner)
        self.outcome.signal = self.stop.signal if self.stop else 0
        ended = len(self.outcome.ran) + len(self.outcome.elsewhere) + self.outcome.undelivered
        self.outcome.left = len(self.points) - ended
        return self.outcome

    def _run(self, leases: Leases) -> None:
        self.holder = LeaseHolder(self.store, leases, self.title, self.spool, self.before)
        todo = list(self.points.values())
        self.dispatcher = Dispatcher(
            self.pool,
            todo,
            self.title,
            self.spool,
            self.view,
            self._begin,
            self._lost,
            self._has_ended,
            ahead=self.waits,
        )
        try:
            with self._cut_short(leases):
                self._skip_ended(leases)
                self._loop()
        finally:
            with self._cut_short(leases):
                self._leave()
            if text := in_words(self.dispatcher.ways):
                self.view.say(text)

    @contextmanager
    def _cut_short(self, leases: Leases) -> Iterator[None]:
        """Leave a store that holds an interrupted launch up without a further word, as if this process were killed."""
        try:
            yield
        except KeyboardInterrupt:
            if self.stop is None or not self.stop.signal:
                raise
            self.outcome.cut = leases.silent = True
            self.view.say(f"{self.store.shown} holds this command up: it ends without telling it what was running.")

    def lease_run(self) -> str:
        """The run with the sweep's leases, restored where somebody deleted it."""
        lease_run = self.store.lease_run(self.title)
        self.store.revive(lease_run)
        return lease_run

    def _skip_ended(self, leases: Leases) -> None:
        """Leave out what another launch has ended since the plan was made: leases first, then the records."""
        leases.refresh()
        found = self.store.find(self.points, self.title)
        for key, record in found.items():
            if record.run_id not in self.before:
                self.queue.remove(self.points[key])
                self._elsewhere(self.points[key], record)

    def _loop(self) -> None:
        dispatcher, stop = self.dispatcher, self.stop
        while True:
            if not self._ending():
                self._ask(self._take_ahead)
                dispatcher.hand_out()
            idle = not dispatcher.running() and not dispatcher.ready
            hurry = bool(stop and stop.overdue)
            if self._ending() and (not dispatcher.running() or hurry) and not self._open_deliveries():
                return
            if idle and not self.queue and not self.sealed and not (self.held and self._worth_waiting()):
                return
            if idle and self.away_since is not None and time.monotonic() - self.away_since > self.patience:
                return
            if idle and not self.queue and self.sealed and self._all_kept(self.patience):
                return
            for place in dispatcher.collect(0.2):
                self.sealed.append(place)
            if not self._ending():
                dispatcher.hand_out()  # before the delivery, so that no worker waits for it
            self._ask(self._deliver)

    def _ending(self) -> bool:
        """Whether nothing more is to be begun."""
        failed = self.fail_fast and any(r.status == "failed" for r in self.outcome.ran)
        return failed or bool(self.stop and self.stop.signal)

    def _worth_waiting(self) -> bool:
        """Whether what others hold may become ours, as far as is known."""
        return self.waits or self.hopeful

    def _begin(self, point: Point) -> bool:
        """Look again whether a point is ours, as this process may have slept since; False puts it back."""
        if self.away_since is None:
            try:
                ours = self.holder.leases.holds(point.key)
            except StoreUnavailable as error:
                self._unavailable(error)
            else:
                if not ours:
                    self._lost(point)
                    return False
                if (place := self.spool.find_sealed(point.key)) is not None:  # it was lost, and came back
                    self.holder.lend(point)
                    self.sealed.append(place)
                    return False
        self.holder.lend(point)
        return True

    def _lost(self, point: Point) -> None:
        """A point was taken over: look after it as after any other that somebody else holds."""
        self.view.say(f"{point.name}: another launch took it over while this one did not answer.")
        self.holder.leases.mine.pop(point.key, None)
        self.queue.append(point)

    def _has_ended(self, point: Point) -> bool:
        """Whether somebody who looks has brought a point's outcome to the store before this launch saw it."""
        try:
            return self.holder.has_ended(point.key)
        except StoreUnavailable as error:
            self._unavailable(error)
            return False

    def _unavailable(self, error: StoreUnavailable) -> None:
        """Note that the store is away.

        Raises:
            RequestError: when it went with the whole folder, which nobody waits for.
        """
        self.spool.stay()
        self.next_try = time.monotonic() + RETRY_SECONDS
        if self.away_since is None:
            self.away_since = time.monotonic()
            self.view.say(str(error))

    def _open_deliveries(self) -> bool:
        """Whether outcomes can be brought to a store that answers."""
        return bool(self.sealed) and self.away_since is None and not self._all_kept()

    def _all_kept(self, seconds: float = 0.0) -> bool:
        """Whether another process has kept each outcome that waits for so long."""
        return all(time.monotonic() - self.kept.get(place, math.inf) >= seconds for place in self.sealed)

    def _ask(self, question: object) -> None:
        """Do something with the store, or note that it is away."""
        if self.away_since is not None and time.monotonic() < self.next_try:
            return
        try:
            if self.away_since is not None:  # a question that has nothing to ask proves nothing
                self.holder.leases.refresh()
            question()  # type: ignore[operator]
        except StoreUnavailable as error:
            self._unavailable(error)
        else:
            if self.away_since is not None:
                self.away_since = None
                self.view.say(f"{self.store.shown} answers again.")

    def _take_ahead(self) -> None:
        """Keep points ready for each worker; look after those that others hold when there is nothing else."""
        while self.queue and self.dispatcher.wants(self.queue[0]):
            self._settle(self.queue[0], self.holder.take(self.queue[0]))
            self.queue.popleft()
        if self.held and not self.queue and not self.dispatcher.ready and time.monotonic() >= self.next_try:
            self.next_try = time.monotonic() + RETRY_SECONDS
            self.holder.leases.refresh()
            for key in list(self.held):
                self._settle(self.points[key], self.holder.take(self.points[key]))
            self.hopeful = not all(self.holder.leases.lives(owner) for owner in self.held.values())
            if self.held and not self.told_waiting and not self.dispatcher.running():
                self.told_waiting = True
                owners = ", ".join(sorted({str(owner) for owner in self.held.values()}))
                self.view.say(f"Nothing left to start: waiting for what {owners} has begun ({len(self.held)}).")

    def _settle(self, point: Point, found: Record | Owner | None) -> None:
        """Sort a point into ours, held and ended."""
        if isinstance(found, Owner):
            if found.launch not in self.others:
                self.others.add(found.launch)
                self.view.say(f"The same sweep is run by {found}: the runs are shared, each is done once.")
            self.held[point.key] = found
            return
        self.held.pop(point.key, None)
        if isinstance(found, Record):
            self.holder.drop(point.key)
            self._elsewhere(point, found)
        else:
            self.dispatcher.ready.append(point)

    def _elsewhere(self, point: Point, record: Record) -> None:
        self.outcome.elsewhere.append(record)
        self.view.done(point, record)
        self._add(record)

    def _add(self, record: Record) -> None:
        """Queue what may be run now that this has ended."""
        more = [p for p in self.follow(record) if p.key not in self.points] if self.follow is not None else []
        self.points |= {p.key: p for p in more}
        self.queue.extend(more)
        self.dispatcher.add(more)

    def _deliver(self) -> None:
        for place in list(self.sealed):
            if place in self.kept and time.monotonic() < self.next_kept:
                continue
            try:
                record = self.holder.deliver(place)
            except Held as error:
                if not self.kept:
                    self.view.say(str(error))
                self.kept.setdefault(place, time.monotonic())
                self.next_kept = time.monotonic() + RETRY_SECONDS
                continue
            except LeaseLost:
                self._forget(place)
                self.holder.leases.lose(Spool.key(place))
                self._lost(self.points[Spool.key(place)])
                continue
            self._forget(place)
            self.outcome.ran.append(record)
            self.view.done(self.points[record.key], record)
            self._add(record)

    def _forget(self, place: Path) -> None:
        """An outcome waits no more."""
        self.sealed.remove(place)
        self.kept.pop(place, None)

    def _leave(self) -> None:
        """End the workers, and let go of what was taken and not brought to an end."""
        begun = {p.key for worker in self.pool for p in worker.points}
        self.dispatcher.stop()
        self.outcome.undelivered = len(self.sealed)
        if self.outcome.cut:
            return
        waiting = {Spool.key(place) for place in self.sealed}
        for key in list(self.holder.leases.mine):
            if key not in waiting:
                place = self.spool.find_sealed(key)
                try:  # it was sealed in the very moment of the interruption, and perhaps delivered by who looks
                    if place is not None or (key in begun and self.holder.has_ended(key)):
                        self.outcome.ran.append(self.holder.deliver(place or self.spool.place(key)))
                except (StoreUnavailable, RequestError):
                    self.outcome.undelivered += place is not None
                    waiting |= {key} if place is not None else set()
        self.holder.give_up([k for k in self.holder.leases.mine if k not in waiting])
