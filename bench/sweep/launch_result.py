"""What a launch tells its user, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.sweep.plan import Point
from bench.track.record import Record


class View(Protocol):
    """What a launch tells its user; `bench.sweep.view` has the real one."""

    def running(self, worker: int, points: Sequence[Point]) -> None:
        """A worker runs these points now, several as one program, or none."""

    def done(self, point: Point, record: Record) -> None:
        """One more point has ended."""

    def say(self, text: str) -> None:
        """Something worth a line."""


@dataclass
class LaunchResult:
    """What became of a launch.

    Attributes:
        ran: records of the points that were run here.
        elsewhere: records of those that another launch brought to an end meanwhile.
        undelivered: outcomes that wait in the spool for the store.
        left: points that were not brought to an end.
        signal: what interrupted it; 0 for nothing.
        cut: whether a store that did not answer was left without a word about the end.
    """

    ran: list[Record] = field(default_factory=list)
    elsewhere: list[Record] = field(default_factory=list)
    undelivered: int = 0
    left: int = 0
    signal: int = 0
    cut: bool = False

    def add(self, other: LaunchResult) -> None:
        """Add what became of a second launch, which the first made possible."""
        self.ran += other.ran
        self.elsewhere += other.elsewhere
        self.undelivered += other.undelivered
        self.left += other.left
        self.signal = self.signal or other.signal
        self.cut = self.cut or other.cut


def in_words(ways: Sequence[tuple[int, str]]) -> str:
    """One line on how runs were trained, by `bench.sweep.worker.work`: "12 runs as 2 programs"; "" for none."""
    programs = [count for count, why in ways if not why]
    parts = []
    if programs:
        parts.append(f"{sum(programs)} runs as {'one program' if len(programs) == 1 else f'{len(programs)} programs'}")
    for why, count in {why: sum(n for n, reason in ways if reason == why) for _, why in ways if why}.items():
        parts.append(f"{count} {'run' if count == 1 else 'runs'} alone: {why}")
    return " · ".join(parts)
