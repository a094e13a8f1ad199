"""What a statistical test says."""

from __future__ import annotations

from dataclasses import dataclass


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
