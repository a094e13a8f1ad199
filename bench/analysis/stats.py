"""Intervals and tests for a handful of seeds. All of it vectors of numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import special

from bench.analysis.outcome import Outcome

LEVEL = 0.95  # of every interval that the report shows


@dataclass(frozen=True)
class Interval:
    """Mean of n values and its confidence interval; `low` and `high` are NaN where n < 2."""

    mean: float
    low: float
    high: float
    n: int
    sd: float  # ddof=1
    cut: bool = False  # at an end of what the metric can be

    @property
    def half(self) -> float:
        """From the mean to the further end: half the width, but where the interval was cut at an end of its range."""
        return max(self.high - self.mean, self.mean - self.low)

    def inside(self, low: float | None, high: float | None) -> Interval:
        """The same, cut where the metric ends: what cannot be is not covered, and nothing else is lost."""
        least, most = -math.inf if low is None else low, math.inf if high is None else high
        if math.isnan(self.low) or (least <= self.low and self.high <= most):
            return self
        return replace(self, low=max(self.low, least), high=min(self.high, most), cut=True)


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
        return Interval(sum(map(float, values)), math.nan, math.nan, n, math.nan)
    if (x == x[0]).all():  # exactly, without the rounding of a sum
        return Interval(float(x[0]), *((float(x[0]),) * 2 if n > 1 else (math.nan,) * 2), n, 0.0 if n > 1 else math.nan)
    mean, sd = math.fsum(values) / n, float(x.std(ddof=1))
    half = _t_quantile(n - 1, 0.5 + level / 2) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, sd)


@cache
def _t_quantile(df: float, p: float) -> float:
    return float(special.stdtrit(df, p))


@dataclass(frozen=True)
class Sample:
    """What a test rests on: one number a replicate, and how uncertain their mean is.

    Attributes:
        values: one number a replicate.
        mean: their mean.
        error: standard error of the mean.
        df: degrees of freedom of that error.
        sd: spread of a replicate, ddof=1; where replicates share images as if `n` independent ones gave the error.
        shared: what the images that replicates share add to 1/n (Nadeau & Bengio 2003); 0 for independent ones.
    """

    values: tuple[float, ...]
    mean: float
    error: float
    df: float
    sd: float
    shared: float = 0.0

    @property
    def n(self) -> int:
        """How many replicates."""
        return len(self.values)


def sample(values: Sequence[float], shared: float = 0.0) -> Sample:
    """Replicates that are independent, or that share images: what these add to 1/n."""
    interval = t_interval(values)
    n = interval.n
    more = math.sqrt(1 + shared * n)
    error = interval.sd * more / math.sqrt(n) if n else math.nan
    return Sample(tuple(values), interval.mean, error, n - 1, interval.sd * more, shared)


def interval_of(given: Sample, level: float = LEVEL) -> Interval:
    """Student's t-interval of a sample's mean."""
    if given.n < 2:
        return t_interval(given.values, level)
    return Interval(given.mean, *_interval(given, level), given.n, given.sd)


FEWEST = 3  # two values say next to nothing about their spread: a t-test of them rests on one difference


def one_sample(
    values: Sequence[float] | Sample, threshold: float = 0.0, test: str = "t", level: float = LEVEL
) -> Outcome:
    """Test one number a replicate against a threshold.

    Args:
        test: t (Student), wilcoxon (signed ranks), bootstrap (studentized, and not below t), sequential (an e-process,
            whose p holds however often one looks).
    """
    given = values if isinstance(values, Sample) else sample(values)
    n, mean = given.n, given.mean
    interval = _interval(given, level)
    nothing = Outcome(mean, *interval, n, math.nan, math.nan)
    if n == 0:
        return replace(nothing, note="no seed has all runs that are needed")
    if not np.isfinite(np.asarray(given.values, dtype=float)).all():
        return replace(nothing, note="some values are not finite")
    if n == 1:
        return replace(nothing, note="one seed says nothing about the spread between seeds")
    if not given.error > 0:
        note = f"all {n} values are equal: seeds make no difference here, so more of them say nothing new"
        return replace(nothing, note=note)
    if n < FEWEST or given.df < FEWEST - 1:
        return replace(nothing, note=f"a test needs at least {FEWEST} seeds")
    t = (mean - threshold) / given.error
    if test == "t":
        less, greater = float(special.stdtr(given.df, t)), float(special.stdtr(given.df, -t))
        return Outcome(mean, *interval, n, less, greater)
    if test == "sequential":
        half = given.error * sequential_quantile(n, 1 - level)
        p = min(1.0, 1 / e_value(t, n)) / 2  # one-sided halves, as everywhere here
        less, greater = (p, 1 - p) if t < 0 else (1 - p, p)
        return Outcome(mean, mean - half, mean + half, n, less, greater)
    if given.shared:
        return replace(nothing, note="replicates with splits of their own share images: they are tested by t only")
    from bench.analysis import resampling

    if test == "wilcoxon":
        return resampling.wilcoxon(given.values, threshold, level)
    return resampling.bootstrap(given.values, threshold, level)


def _interval(given: Sample, level: float) -> tuple[float, float]:
    if given.df < 1 or not math.isfinite(given.error):
        return math.nan, math.nan
    if given.error == 0:
        return given.mean, given.mean
    half = _t_quantile(given.df, 0.5 + level / 2) * given.error
    return given.mean - half, given.mean + half


LARGEST = 700.0  # logarithm of a number that is as good as any larger one
MIXTURE = 1.0  # variance of the e-process' prior on the effect size, in squared standard deviations


def e_value(t: float, n: int, mixture: float = MIXTURE) -> float:
    """E-value of a t statistic of n values: the Gaussian-mixture t e-process (Wang & Ramdas 2025, arXiv:2310.03722).

    The likelihood ratio of the scale-invariant statistic, its effect size drawn from N(0, mixture), against none. It
    is a martingale in n under no effect, so that it reaches 1/alpha with probability alpha at most, at whatever n one
    looks (Ville). The same is a Bayes factor (Gönen et al. 2005).
    """
    if n < 2:
        return 1.0
    r, a = t * t / (n - 1), 1 + n * mixture
    return math.exp(min(-math.log(a) / 2 + n / 2 * (math.log1p(r) - math.log1p(r / a)), LARGEST))


def sequential_quantile(n: int, alpha: float, mixture: float = MIXTURE) -> float:
    """|t| at which `e_value` reaches 1/alpha: half the confidence sequence's width in standard errors; may be inf."""
    a = 1 + n * mixture
    k = math.exp(2 / n * (math.log(a) / 2 - math.log(alpha)))
    return math.sqrt((n - 1) * (k - 1) / (1 - k / a)) if k < a else math.inf


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


def holm_factors(p: Sequence[float]) -> list[float]:
    """What Holm's correction multiplies each p by; its number of tests for one that is 0 or NaN.

    An interval at the level 1 - alpha / factor leaves out the threshold exactly where the adjusted p is at most alpha.
    """
    m = len(p)
    order = sorted(range(m), key=lambda i: (math.isnan(p[i]), p[i]))
    factors, running = [float(m)] * m, 0.0
    for rank, i in enumerate(order):
        if not math.isnan(p[i]):
            running = max(running, (m - rank) * p[i])
            factors[i] = running / p[i] if p[i] > 0 else float(m - rank)
    return factors


def critical(n: int, alpha: float, test: str = "t", df: float | None = None) -> float:
    """|t| of n values from which a two-sided test at `alpha` is significant; `df` where it is not n - 1."""
    if test == "sequential":
        return sequential_quantile(n, alpha)
    if df is not None and df < FEWEST - 1:
        return math.inf  # as `one_sample` settles nothing then
    return float(special.stdtrit(n - 1 if df is None else df, 1 - alpha / 2))


def power(effect: float, sd: float, n: int, alpha: float = 0.05, test: str = "t", df: float | None = None) -> float:
    """Probability that a two-sided test of n values with this true mean and standard deviation is significant.

    Only the side of the effect counts. Noncentral t (Cohen 1988). For `sequential` that of the look at all n: looks
    before that can only add to it.
    """
    if n < 2:
        return 0.0
    least = critical(n, alpha, test, df)
    shift = abs(effect) / sd * math.sqrt(n)
    if not math.isfinite(least):
        return 0.0
    degrees = n - 1 if df is None else df
    if shift > 30:  # the noncentral distribution underflows
        return float(special.ndtr(shift - least * _spreads(degrees)).mean())
    return float(1 - special.nctdtr(degrees, shift, least))


@cache
def _spreads(df: float) -> np.ndarray:
    """What the estimated standard deviation comes out as, in true ones: its quantiles at 2000 equal steps."""
    return np.sqrt(special.chdtri(df, (np.arange(2000) + 0.5) / 2000) / df)


def seeds_needed(
    effect: float, sd: float, alpha: float = 0.05, wanted: float = 0.8, most: int = 1000, test: str = "t"
) -> int | None:
    """Smallest n with `power >= wanted` if effect and spread stay as they came; None for more than `most`."""
    if not (math.isfinite(effect) and math.isfinite(sd)) or sd <= 0 or power(effect, sd, most, alpha, test) < wanted:
        return None
    low, high = 1, most  # power rises with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, sd, middle, alpha, test) >= wanted else (middle, high)
    return high


def detectable(
    sd: float, n: int, alpha: float = 0.05, wanted: float = 0.8, test: str = "t", df: float | None = None
) -> float | None:
    """The smallest effect that a test of n values with this spread finds with the probability `wanted`.

    None where nothing can be found: too few values, or no spread to go by.
    """
    if n < FEWEST or not math.isfinite(sd) or sd <= 0 or not math.isfinite(critical(n, alpha, test, df)):
        return None
    from scipy import optimize  # slow to import

    return float(optimize.brentq(lambda d: power(d, 1.0, n, alpha, test, df) - wanted, 1e-3, 1e3)) * sd


def provable(
    sd: float, n: int, alpha: float = 0.05, wanted: float = 0.8, test: str = "t", df: float | None = None
) -> float | None:
    """The smallest margin within which two one-sided tests place a difference of nothing with the probability `wanted`.

    The interval of half width c s / sqrt(n) has to lie within the margin: its probability, given s, is that of a
    normal mean, averaged over the distribution of s (Owen 1965). None as for `detectable`.
    """
    least = critical(n, alpha, test, df) if n >= FEWEST else math.inf
    if not math.isfinite(least) or not math.isfinite(sd) or sd <= 0:
        return None
    half = least * _spreads(n - 1 if df is None else df)  # in standard errors

    def found(margin: float) -> float:
        return float(np.maximum(2 * special.ndtr(margin - half) - 1, 0).mean())

    from scipy import optimize  # slow to import

    return float(optimize.brentq(lambda m: found(m) - wanted, 1e-3, 1e4)) * sd / math.sqrt(n)
