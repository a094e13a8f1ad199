"""Claims judged: for each a contrast per seed, a test, Holm's correction over the sweep, a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench.report.frame import Frame, selected, value
from bench.report.naming import axis, key
from bench.report.resampling import FEWEST_FOR_BOOTSTRAP, fewest_for_wilcoxon
from bench.report.stats import LEVEL, Outcome, holm, one_sample, seeds_needed, t_interval
from bench.schema.claim import Bound, Claim, Compare, Equivalence, Interaction, Trend
from bench.schema.errors import RequestError
from bench.schema.label import numeric, same, show
from bench.schema.sweep import Sweep
from bench.track.record import Record

Word = Literal["supported", "refuted", "open"]


@dataclass(frozen=True)
class Verdict:
    """What the records say about a claim.

    Attributes:
        claim: as in the sweep file.
        word: supported, refuted or open.
        effect, low, high: the contrast's centre and its 95% interval, in the metric's stored unit. NaN where unknown.
        n: seeds behind it.
        values: seed -> contrast.
        p: two-sided p-value of the claim's own test; p_holm: adjusted over the sweep's claims. NaN where untestable.
        averaged: axis -> number of values that the contrast averages over within each seed.
        dropped: seeds that some but not all needed runs finished.
        seeds: for an open claim, the total number of seeds that would probably (80%) settle it; None where unknown.
        note: why it is open, or what limits it; "" otherwise.
    """

    claim: Claim
    word: Word
    effect: float
    low: float
    high: float
    n: int
    values: dict[int, float]
    p: float
    p_holm: float
    averaged: dict[str, int]
    dropped: list[int]
    seeds: int | None
    note: str


def judge(sweep: Sweep, records: Sequence[Record]) -> list[Verdict]:
    """A Verdict for each claim of the sweep, in its order.

    A claim is supported where its Holm-adjusted two-sided p is at most 0.05 and the effect lies on the claimed side,
    refuted where it lies on the other side, and open otherwise.

    Raises:
        RequestError: for a metric that no finished run has.
    """
    if not sweep.claims:
        return []
    frame = selected(sweep, list(records))
    found = [_contrast(frame, claim) for claim in sweep.claims]
    tested = [_test(claim, list(c.values.values())) for claim, c in zip(sweep.claims, found, strict=True)]
    adjusted = holm([t.p for t in tested])
    return [
        _verdict(claim, c, t, p, len(sweep.claims))
        for claim, c, t, p in zip(sweep.claims, found, tested, adjusted, strict=True)
    ]


@dataclass(frozen=True)
class _Contrast:
    values: dict[int, float]  # seed -> contrast
    dropped: list[int]
    averaged: dict[str, int]
    absent: str = ""  # which point the records do not have


@dataclass(frozen=True)
class _Tested:
    outcome: Outcome
    p: float  # two-sided; for equivalence twice the smaller of both one-sided questions
    toward: bool  # the estimate lies on the claimed side


def weights(claim: Claim, frame: Frame) -> list[tuple[float, dict[str, Any]]]:
    """A claim's contrast as a weighted sum of points: [(weight, axis -> value), ...]."""
    if isinstance(claim, Bound):
        return [(1.0, dict(claim.at))]
    if isinstance(claim, Trend):
        levels = frame.levels[claim.over]
        x = _positions(claim, levels)
        centred = x - x.mean()
        slope = centred / (centred**2).sum()
        return [(float(w), {**claim.at, claim.over: level}) for w, level in zip(slope, levels, strict=True)]
    pair = [(1.0, {**claim.at, **claim.compare}), (-1.0, {**claim.at, **claim.against})]
    if isinstance(claim, Interaction):
        return [(w, {**at, **claim.where}) for w, at in pair] + [(-w, {**at, **claim.versus}) for w, at in pair]
    return pair


def _positions(claim: Trend, levels: list[Any]) -> np.ndarray:
    if len(levels) < 2:
        raise RequestError(
            f"Claim '{claim.says}': axis '{claim.over}' has one value in the records; a trend needs two."
        )
    if claim.spacing == "step":
        return np.arange(len(levels), dtype=float)
    x = [v for level in levels if (v := numeric(level)) is not None]
    if len(x) < len(levels) or (claim.spacing == "log" and min(x) <= 0):
        positive = "positive numbers" if claim.spacing == "log" else "numbers"
        raise RequestError(f"Claim '{claim.says}': spacing '{claim.spacing}' needs {positive} on '{claim.over}'.")
    return np.log10(x) if claim.spacing == "log" else np.asarray(x)


def _contrast(frame: Frame, claim: Claim) -> _Contrast:
    """One number a seed, averaged over the axes that the claim leaves free; only seeds with every needed run count."""
    frame.need_metric(claim.metric)
    if isinstance(claim, Trend):
        frame.need_axis(claim.over, f"claim '{claim.says}'")
        if len(frame.levels[claim.over]) < 2:
            return _Contrast({}, [], {}, absent=f"second value of {axis(claim.over)}")
    parts = weights(claim, frame)
    fixed = list(parts[0][1])
    for name in fixed:
        frame.need_axis(name, f"claim '{claim.says}'")
    free = [name for name in frame.axes if name not in fixed]
    for _, at in parts:
        for name in fixed:
            if same(at[name]) not in {same(v) for v in frame.levels[name]}:
                return _Contrast({}, [], {}, absent=f"{axis(name)} {show(at[name])}")
    rests = [rest for rest in frame.product(free) if any(_runs(frame, {**at, **rest}) for _, at in parts)]
    groups = [(w / len(rests), _runs(frame, {**at, **rest})) for rest in rests for w, at in parts]
    averaged = {name: len({same(rest[name]) for rest in rests}) for name in free}
    averaged = {name: count for name, count in averaged.items() if count > 1}
    values: dict[int, float] = {}
    dropped = []
    for seed in sorted({seed for _, runs in groups for seed in runs}):
        found = [value(runs[seed], claim.metric) if seed in runs else None for _, runs in groups]
        if any(v is None for v in found):
            dropped.append(seed)
        else:
            terms = [w * v for (w, _), v in zip(groups, found, strict=True) if v is not None]
            values[seed] = round(math.fsum(terms), 13)  # beyond that there is only rounding
    return _Contrast(values, dropped, averaged)


def _runs(frame: Frame, at: Mapping[str, Any]) -> dict[int, Record]:
    return frame.points.get(key(dict(at), frame.axes), {})


def _test(claim: Claim, values: list[float]) -> _Tested:
    if isinstance(claim, Equivalence):
        upper = one_sample(values, claim.margin, claim.test)
        lower = one_sample(values, -claim.margin, claim.test)
        inside = max(upper.p_less, lower.p_greater)
        outside = min(upper.p_greater, lower.p_less)
        return _Tested(upper, _two_sided(inside, outside), inside < outside)
    threshold = claim.bound if isinstance(claim, Bound) else 0.0
    if isinstance(claim, Compare):
        threshold = claim.by if claim.direction == "greater" else -claim.by
    outcome = one_sample(values, threshold, claim.test)
    rising = outcome.p_greater < outcome.p_less
    p = _two_sided(outcome.p_less, outcome.p_greater)
    return _Tested(outcome, p, rising == (claim.direction == "greater"))


def _two_sided(one: float, other: float) -> float:
    return math.nan if math.isnan(one) or math.isnan(other) else min(1.0, 2 * min(one, other))


def _verdict(claim: Claim, contrast: _Contrast, tested: _Tested, p_holm: float, claims: int) -> Verdict:
    outcome = tested.outcome
    settled = p_holm <= 1 - LEVEL
    word: Word = "open" if not settled else "supported" if tested.toward else "refuted"
    note = outcome.note
    if contrast.absent:
        note = f"these records have no {contrast.absent}"
    elif not settled and tested.p <= 1 - LEVEL:
        note = f"significant alone, but not among the {claims} claims of this sweep"
    seeds = _settling(claim, list(contrast.values.values()), outcome.estimate, claims) if word == "open" else None
    return Verdict(
        claim=claim,
        word=word,
        effect=outcome.estimate,
        low=outcome.low,
        high=outcome.high,
        n=outcome.n,
        values=contrast.values,
        p=tested.p,
        p_holm=p_holm,
        averaged=contrast.averaged,
        dropped=contrast.dropped,
        seeds=seeds,
        note=note,
    )


def _settling(claim: Claim, values: list[float], estimate: float, claims: int) -> int | None:
    """Seeds in all that would settle an open claim with a probability of 80%, if effect and spread stay.

    At the strictest level that Holm's correction may ask for, alpha / claims. None where that cannot be said.
    """
    if len(values) < 2 or not math.isfinite(estimate):
        return None
    alpha = (1 - LEVEL) / claims
    gap = abs(estimate - _nearest_threshold(claim, estimate))
    needed = seeds_needed(gap, t_interval(values).sd, alpha)
    if needed is None:
        return None
    if claim.test == "wilcoxon":  # 3/pi as efficient as t where differences are normal, and its p is at least 2^(1-n)
        needed = max(math.ceil(needed * math.pi / 3), fewest_for_wilcoxon(alpha))
    elif claim.test == "bootstrap":
        needed = max(needed, FEWEST_FOR_BOOTSTRAP)
    return max(needed, len(values) + 1)


def _nearest_threshold(claim: Claim, effect: float) -> float:
    if isinstance(claim, Equivalence):
        return math.copysign(claim.margin, effect)
    if isinstance(claim, Bound):
        return claim.bound
    if isinstance(claim, Compare):
        return claim.by if claim.direction == "greater" else -claim.by
    return 0.0
