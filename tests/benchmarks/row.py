"""A row of the performance table, and how it is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison on the same work.

    Attributes:
        what, against: ours and theirs, in words.
        ours, theirs: seconds; None where it was not measured, for the reason in `note`.
        target: what theirs / ours (or ours alone, in seconds) is to be, in words.
        met: whether it is; None where it was not measured.
    """

    what: str
    against: str
    target: str
    ours: float | None = None
    theirs: float | None = None
    met: bool | None = None
    note: str = ""


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(ours: Callable[[], float], theirs: Callable[[], float], times: int) -> tuple[float, float]:
    """Median seconds of both sides, measured in turns, after one round that does not count."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(times)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
