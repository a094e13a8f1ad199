"""A verdict as a small drawing: effect, interval, single seeds, and the threshold that it is tested against."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.report.claims import Verdict
from bench.report.naming import Digits
from bench.schema.claim import Bound, Compare, Equivalence
from bench.schema.metric import metric

EDGE = 7.0  # percent of the drawing kept free at each side


@dataclass(frozen=True)
class Forest:
    """Positions in percent of the drawing's width; `low` and `high` are None where there is no interval.

    Attributes:
        seeds, thresholds: (position, value as shown).
    """

    mean: float
    low: float | None
    high: float | None
    seeds: list[tuple[float, str]]
    thresholds: list[tuple[float, str]]


def forest(verdict: Verdict) -> Forest | None:
    """The drawing of a verdict, or None where it has no finite effect."""
    if not verdict.n or not math.isfinite(verdict.effect):
        return None
    claim, described = verdict.claim, metric(verdict.claim.metric)
    digits = Digits(described, [(verdict.high - verdict.low) / 2])
    marks = _thresholds(verdict)
    interval = [v for v in (verdict.low, verdict.high) if math.isfinite(v)]
    seeds = [v for v in verdict.values.values() if math.isfinite(v)][:50]
    every = [verdict.effect, *interval, *seeds, *marks]
    low, high = min(every), max(every)
    room = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - room, high + room

    def at(v: float) -> float:
        return round(EDGE + (v - low) / (high - low) * (100 - 2 * EDGE), 2)

    return Forest(
        mean=at(verdict.effect),
        low=at(verdict.low) if len(interval) == 2 else None,
        high=at(verdict.high) if len(interval) == 2 else None,
        seeds=[(at(v), digits(v)) for v in seeds],
        thresholds=[(at(v), described.amount(v, not isinstance(claim, Bound))) for v in marks],
    )


def _thresholds(verdict: Verdict) -> list[float]:
    claim = verdict.claim
    if isinstance(claim, Bound):
        return [claim.bound]
    if isinstance(claim, Equivalence):
        return [-claim.margin, claim.margin]
    if isinstance(claim, Compare) and claim.by:
        return [claim.by if claim.direction == "greater" else -claim.by]
    return [0.0]
