"""Leases: who runs which point, so that two launches never both run one.

A tracking store has no locks, but MLflow's parameters are written once: a second value for a parameter is refused,
by a primary key of the database, on SQLite, PostgreSQL and behind a server alike. So a parameter of a run kept for
this purpose (the sweep's lease run, in the experiment `imagebench-claims`) is an atomic compare-and-set:

    <run key>/<attempt>      = owner          the point is being run by that launch
    <run key>/<attempt>/end  = how it ended   it is free again

An owner that died is found out by its process id on the same machine, by its silent heartbeat (a tag) on another;
clocks are never compared. Its points are taken with the next attempt's number, again by compare-and-set.

An owner that was only suspended (a lid, a paused virtual machine) wakes up without knowing. So a lease is looked at
again before its point begins and before its outcome is delivered, and between that look and the last word of a
delivery the store itself refuses: each attempt that follows a silent owner has an MLflow run of its own, and the run of
the attempt before is deleted, which nobody can write to (`bench.track.delivery`).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from bench.schema.errors import RequestError
from bench.track.owner import Owner
from bench.track.runs import Runs

# A heartbeat silent for so long is a dead owner; the same for everybody at a store. Four beats fit into it.
LEASE_SECONDS = float(os.environ.get("IMAGEBENCH_LEASE_SECONDS", "90"))
BEAT_SECONDS = LEASE_SECONDS / 4.5


class LeaseLost(RequestError):
    """Somebody else has taken a point over: what was done for it here does not count."""


@dataclass(frozen=True)
class Lease:
    """The latest attempt at a point."""

    attempt: int
    owner: Owner
    ended: bool


class Leases:
    """This launch's leases on the points of one sweep, with its heartbeat; a context manager.

    Args:
        lease_run: the MLflow run that holds the sweep's leases (`Store.lease_run`).
        beat, silence: seconds between heartbeats, and until a silent one is that of a dead owner.
    """

    def __init__(
        self, store: Runs, lease_run: str, owner: Owner, beat: float = BEAT_SECONDS, silence: float = LEASE_SECONDS
    ) -> None:
        self.store, self.lease_run, self.owner = store, lease_run, owner
        self.beat, self.silence = beat, silence
        self.mine: dict[str, int] = {}  # key -> attempt
        self._ended: dict[str, str] = {}  # parameters that wait for the next heartbeat
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[str, float]] = {}  # launch -> (heartbeat, when first seen, monotonic)
        self._beats: set[str] = set()  # launches whose heartbeat has changed since
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beating, daemon=True, name="heartbeat")
        self.known: dict[str, Lease] = {}
        self.silent = False  # end without a word to the store: it holds its callers up

    def __enter__(self) -> Leases:
        self.store.tag(self.lease_run, f"beat.{self.owner.launch}", "0")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if not self.silent:
            self._thread.join(timeout=30)
            with contextlib.suppress(RequestError):  # a store that is away learns from the process' death
                self._flush()
        self.owner.over()

    def refresh(self) -> dict[str, Lease]:
        """Read every lease of the sweep."""
        known: dict[str, tuple[int, str]] = {}
        ends = set()
        for name, value in self.store.params(self.lease_run).items():
            key, _, rest = name.partition("/")
            if rest.endswith("/end"):
                ends.add((key, int(rest.removesuffix("/end"))))
            elif rest.isdecimal() and int(rest) > known.get(key, (0, ""))[0]:
                known[key] = (int(rest), value)
        self.known = {k: Lease(n, Owner.read(text), (k, n) in ends) for k, (n, text) in known.items()}
        return self.known

    def owner_of(self, key: str) -> Owner | None:
        """The living launch that has the point, by the leases last read; None where it is free to take."""
        lease = self.known.get(key)
        if lease is None or lease.ended or self.lives(lease.owner) is False:
            return None
        return lease.owner

    def lives(self, owner: Owner) -> bool | None:
        """Whether a launch goes on: by its process where that can be seen, else by its heartbeat; None: not known yet.

        A heartbeat is known to beat once a second value of it was seen, and to be silent after `silence` seconds.
        """
        alive = owner.lives(self.owner)
        if alive is not None:
            return alive
        now = time.monotonic()
        beat = self.store.tag_of(self.lease_run, f"beat.{owner.launch}") or ""
        if beat == "over":
            return False
        first, since = self._seen.setdefault(owner.launch, (beat, now))
        if first != beat:
            self._seen[owner.launch] = (beat, now)
            self._beats.add(owner.launch)
        elif now - since > self.silence:
            return False
        return True if owner.launch in self._beats else None

    def holds(self, key: str) -> bool:
        """Whether a point that was taken is still ours, by a look into the store."""
        attempt = self.mine.get(key)
        return attempt is not None and self.store.param(self.lease_run, f"{key}/{attempt + 1}") is None

    def lose(self, key: str) -> None:
        """Forget a lease that somebody else has taken over, and read what there is now."""
        self.mine.pop(key, None)
        self.refresh()

    def take(self, key: str) -> bool:
        """Take a point that `owner_of` says is free; False where another launch was faster.

        The leases must have been read (`refresh`) before the store was asked what is finished: then a point that
        somebody finished in between has a lease which is not known here, and the taking fails.
        """
        before = self.known.get(key)
        attempt = before.attempt + 1 if before else 1
        if not self.store.set_once(self.lease_run, f"{key}/{attempt}", self.owner.text()):
            return False
        self.known[key] = Lease(attempt, self.owner, ended=False)
        self.mine[key] = attempt
        return True

    def end(self, key: str, how: str) -> None:
        """The point is over (finished, failed) or given up (interrupted): told to the store with the next heartbeat."""
        attempt = self.mine.pop(key)
        self.known[key] = Lease(attempt, self.owner, ended=True)
        with self._lock:
            self._ended[f"{key}/{attempt}/end"] = how

    def give_up(self, keys: Iterable[str]) -> None:
        """Let go of points that were not brought to an end."""
        for key in list(keys):
            self.end(key, "interrupted")

    def _flush(self, beat: str = "over") -> None:
        with self._lock:
            ended = dict(self._ended)
        self.store.set_params(self.lease_run, ended, {f"beat.{self.owner.launch}": beat})
        with self._lock:
            for name in ended:
                del self._ended[name]

    def _beating(self) -> None:
        count = 0
        while not self._stop.wait(self.beat):
            count += 1
            with contextlib.suppress(RequestError):  # the next beat tries again; whoever takes a point hears of it
                self._flush(str(count))
