"""Claims: who runs which point, so that two launches never both run one.

A tracking store has no locks, but MLflow's parameters are written once: a second value for a parameter is refused,
by a primary key of the database, on SQLite, PostgreSQL and behind a server alike. So a parameter of a run kept for
this purpose (the sweep's ledger, in the experiment `imagebench-claims`) is an atomic compare-and-set:

    <run key>/<attempt>      = owner          the point is being run by that launch
    <run key>/<attempt>/end  = how it ended   it is free again

An owner that died is found out by its process id on the same machine, by its silent heartbeat (a tag) on another;
clocks are never compared. Its points are taken with the next attempt's number, again by compare-and-set.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.track.away import Away
from bench.track.owner import Owner

if TYPE_CHECKING:
    from bench.track.store import Store

BEAT_SECONDS = 20.0  # between two heartbeats
LEASE_SECONDS = 90.0  # a heartbeat silent for so long is a dead owner


@dataclass(frozen=True)
class Claim:
    """The latest attempt at a point."""

    attempt: int
    owner: Owner
    ended: bool


class Claims:
    """This launch's claims on the points of one sweep, with its heartbeat; a context manager.

    Args:
        ledger: the MLflow run that holds the sweep's claims (`Store.ledger`).
        beat, lease: seconds.
    """

    def __init__(
        self, store: Store, ledger: str, owner: Owner, beat: float = BEAT_SECONDS, lease: float = LEASE_SECONDS
    ) -> None:
        self.store, self.ledger, self.owner = store, ledger, owner
        self.beat, self.lease = beat, lease
        self.mine: dict[str, int] = {}  # key -> attempt
        self._ended: dict[str, str] = {}  # parameters that wait for the next heartbeat
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[str, float]] = {}  # launch -> (heartbeat, when first seen, monotonic)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beating, daemon=True, name="heartbeat")
        self.known: dict[str, Claim] = {}

    def __enter__(self) -> Claims:
        self.store.tag(self.ledger, f"beat.{self.owner.launch}", "0")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        with contextlib.suppress(Away):  # a store that is away learns from the process' death
            self._flush()
        self.owner.over()

    def refresh(self) -> dict[str, Claim]:
        """Read every claim of the sweep."""
        known: dict[str, tuple[int, str]] = {}
        ends = set()
        for name, value in self.store.params(self.ledger).items():
            key, _, rest = name.partition("/")
            if rest.endswith("/end"):
                ends.add((key, int(rest.removesuffix("/end"))))
            elif rest.isdecimal() and int(rest) > known.get(key, (0, ""))[0]:
                known[key] = (int(rest), value)
        self.known = {k: Claim(n, Owner.read(text), (k, n) in ends) for k, (n, text) in known.items()}
        return self.known

    def held(self, key: str) -> Owner | None:
        """The living launch that has the point, by the claims last read; None where it is free to take."""
        claim = self.known.get(key)
        if claim is None or claim.ended or self._dead(claim.owner):
            return None
        return claim.owner

    def _dead(self, owner: Owner) -> bool:
        alive = owner.lives(self.owner)
        if alive is not None:
            return not alive
        now = time.monotonic()
        beat = self.store.tag_of(self.ledger, f"beat.{owner.launch}") or ""
        if beat == "over":
            return True
        if self._seen.get(owner.launch, ("", 0.0))[0] != beat or owner.launch not in self._seen:
            self._seen[owner.launch] = (beat, now)
        return now - self._seen[owner.launch][1] > self.lease

    def take(self, key: str) -> bool:
        """Take a point that `held` says is free; False where another launch was faster.

        The claims must have been read (`refresh`) before the store was asked what is finished: then a point that
        somebody finished in between has a claim which is not known here, and the taking fails.
        """
        before = self.known.get(key)
        attempt = before.attempt + 1 if before else 1
        if not self.store.set_once(self.ledger, f"{key}/{attempt}", self.owner.text()):
            return False
        self.known[key] = Claim(attempt, self.owner, ended=False)
        self.mine[key] = attempt
        return True

    def end(self, key: str, how: str) -> None:
        """The point is over (finished, failed) or given up (interrupted): told to the store with the next heartbeat."""
        attempt = self.mine.pop(key)
        self.known[key] = Claim(attempt, self.owner, ended=True)
        with self._lock:
            self._ended[f"{key}/{attempt}/end"] = how

    def give_up(self, keys: Iterable[str]) -> None:
        """Let go of points that were not brought to an end."""
        for key in list(keys):
            self.end(key, "interrupted")

    def _flush(self, beat: str = "over") -> None:
        with self._lock:
            ended = dict(self._ended)
        self.store.set_params(self.ledger, ended, {f"beat.{self.owner.launch}": beat})
        with self._lock:
            for name in ended:
                del self._ended[name]

    def _beating(self) -> None:
        count = 0
        while not self._stop.wait(self.beat):
            count += 1
            with contextlib.suppress(Away):  # the next beat tries again
                self._flush(str(count))
