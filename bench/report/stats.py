"""Intervals and tests for a handful of seeds. All of it vectors of numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

LEVEL = 0.95  # of every interval that the report shows


@dataclass(frozen=True)
class Interval:
    """Mean of n values and its confidence interval; `low` and `high` are NaN where n < 2."""

    mean: float
    low: float
    high: float
    n: int
    sd: float  # ddof=1

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean and Student's t-interval, standard deviation with ddof=1.

    Args:
        values: one number a seed. NaN and infinity make the interval NaN: a diverged run is not averaged away.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, math.nan)
    x = np.asarray(values, dtype=float)
    if not np.isfinite(x).all():
        return Interval(float(x.sum()), math.nan, math.nan, n, math.nan)
    if (x == x[0]).all():  # exactly, without the rounding of a sum
        return Interval(float(x[0]), *((float(x[0]),) * 2 if n > 1 else (math.nan,) * 2), n, 0.0 if n > 1 else math.nan)
    mean, sd = math.fsum(values) / n, float(x.std(ddof=1))
    half = _t_quantile(n - 1, 0.5 + level / 2) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, sd)


@cache
def _t_quantile(df: int, p: float) -> float:
    return float(special.stdtrit(df, p))


@dataclass(frozen=True)
class Outcome:
    """A test of "the values' centre is `threshold`".

    Attributes:
        estimate, low, high: the centre and its interval (mean; the Hodges-Lehmann estimate for Wilcoxon).
        p_less, p_greater: one-sided p-values for "the centre is below / above the threshold"; NaN where untestable.
        note: why the test can say nothing, or "".
    """

    estimate: float
    low: float
    high: float
    n: int
    p_less: float
    p_greater: float
    note: str = ""


def one_sample(values: Sequence[float], threshold: float = 0.0, test: str = "t", level: float = LEVEL) -> Outcome:
    """Test one number a seed against a threshold: Student's t, Wilcoxon's signed ranks or the BCa bootstrap."""
    interval = t_interval(values, level)
    n = interval.n
    nothing = Outcome(interval.mean, interval.low, interval.high, n, math.nan, math.nan)
    if n == 0:
        return _noted(nothing, "no seed has all runs that are needed")
    if not np.isfinite(np.asarray(values, dtype=float)).all():
        return _noted(nothing, "some values are not finite")
    if n == 1:
        return _noted(nothing, "one seed says nothing about the spread between seeds")
    if interval.sd == 0:
        return _noted(
            nothing, f"all {n} values are equal: seeds make no difference here, so more of them say nothing new"
        )
    if test == "t":
        t = (interval.mean - threshold) / (interval.sd / math.sqrt(n))
        less, greater = float(special.stdtr(n - 1, t)), float(special.stdtr(n - 1, -t))
        return Outcome(interval.mean, interval.low, interval.high, n, less, greater)
    from bench.report import resampling

    if test == "wilcoxon":
        return resampling.wilcoxon(values, threshold, level)
    return resampling.bootstrap(values, threshold, level)


def _noted(outcome: Outcome, note: str) -> Outcome:
    return Outcome(outcome.estimate, outcome.low, outcome.high, outcome.n, math.nan, math.nan, note)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p-values, in the order given; NaN (untestable) stays NaN but counts."""
    m = len(p)
    order = sorted(range(m), key=lambda i: (math.isnan(p[i]), p[i]))
    adjusted, running = [math.nan] * m, 0.0
    for rank, i in enumerate(order):
        if not math.isnan(p[i]):
            running = max(running, min(1.0, (m - rank) * p[i]))
            adjusted[i] = running
    return adjusted


def power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided t-test of n values with this true mean and standard deviation is significant.

    Only the side of the effect counts. Noncentral t (Cohen 1988).
    """
    if n < 2:
        return 0.0
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    shift = abs(effect) / sd * math.sqrt(n)
    if shift > 30:  # the noncentral distribution underflows; the power is 1 to many digits
        return 1.0
    return float(1 - special.nctdtr(n - 1, shift, critical))


def seeds_needed(effect: float, sd: float, alpha: float = 0.05, wanted: float = 0.8, most: int = 1000) -> int | None:
    """Smallest n with `power >= wanted` if effect and spread stay as they came; None for more than `most`."""
    if not (math.isfinite(effect) and math.isfinite(sd)) or sd <= 0 or power(effect, sd, most, alpha) < wanted:
        return None
    low, high = 1, most  # power rises with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, sd, middle, alpha) >= wanted else (middle, high)
    return high
