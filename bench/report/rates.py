"""Claims about how often runs fail: exact tests of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from bench.report.outcome import Outcome
from bench.schema.claim import Bound, Claim


def failure_rate(claim: Claim, values: Sequence[float], level: float) -> Outcome:
    """A share of failed runs against a bound (binomial test, Clopper & Pearson 1934), or of two cells (exact McNemar).

    McNemar's test is the binomial one of the seeds on which the two cells disagree; it gives no interval.
    """
    n = len(values)
    if not n:
        return Outcome(math.nan, math.nan, math.nan, 0, math.nan, math.nan, "no seed has all runs that are needed")
    mean = math.fsum(values) / n
    if isinstance(claim, Bound):
        failed = round(math.fsum(values))
        less, greater = (
            float(stats.binomtest(failed, n, claim.bound, alternative=side).pvalue) for side in ("less", "greater")
        )
        interval = stats.binomtest(failed, n, claim.bound).proportion_ci(level)
        return Outcome(mean, float(interval.low), float(interval.high), n, less, greater)
    more, unequal = sum(v > 0 for v in values), sum(v != 0 for v in values)
    if not unequal:
        return Outcome(mean, math.nan, math.nan, n, math.nan, math.nan, "both sides fail on the same seeds")
    less, greater = (float(stats.binomtest(more, unequal, alternative=side).pvalue) for side in ("less", "greater"))
    return Outcome(mean, math.nan, math.nan, n, less, greater)
