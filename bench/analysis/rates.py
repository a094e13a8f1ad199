"""Claims about how often runs fail: exact tests of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from bench.analysis.outcome import Outcome
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
        # A seed whose runs are averaged over an axis is a part of a failure: the next whole number that says less.
        failed = round(math.fsum(values), 9)
        least, most = math.floor(failed), math.ceil(failed)
        less = float(stats.binomtest(most, n, claim.bound, alternative="less").pvalue)
        greater = float(stats.binomtest(least, n, claim.bound, alternative="greater").pvalue)
        low, high = (float(stats.binomtest(k, n).proportion_ci(level)[i]) for i, k in enumerate((least, most)))
        return Outcome(mean, low, high, n, less, greater)
    more, unequal = sum(v > 0 for v in values), sum(v != 0 for v in values)
    if not unequal:
        return Outcome(mean, math.nan, math.nan, n, math.nan, math.nan, "both sides fail on the same seeds")
    if mean * (2 * more - unequal) <= 0:  # averaged over an axis: more seeds one way, more failures the other
        note = "more seeds say one thing, and more runs the other" if mean else "both sides fail equally often"
        return Outcome(mean, math.nan, math.nan, n, 0.5, 0.5, note)
    less, greater = (float(stats.binomtest(more, unequal, alternative=side).pvalue) for side in ("less", "greater"))
    return Outcome(mean, math.nan, math.nan, n, less, greater)
