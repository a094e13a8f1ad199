"""A panel for each claim: its differences seed by seed, their mean and interval, and what is too small to matter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.judged import Verdict
from bench.analysis.naming import axis, reword
from bench.report.figures.chart import Chart, Mark, Panel, Scale, set_ranges
from bench.report.verdict import digits_of, is_crossed
from bench.schema.claim import Across, Bound, Choice, Compare, Equivalence, Trend
from bench.schema.metric import metric

MEAN, SEED = 0, 1  # what a mark of such a panel is: its `series`
STACK = 3  # single seeds lie in so many rows, so that equal ones do not cover each other
SEEDS_SHOWN = 50
READ_AS = (
    "Filled: mean, and its interval at the level of the claim's test; circles: single seeds; dashed: what is tested "
    "against; grey: too small to matter, by what the claim itself states"
)


def claims_figure(verdicts: Sequence[Verdict]) -> Chart | None:
    """All claims that have a finite effect, one panel each, with a scale of its own; None where there is none."""
    shown = [v for v in verdicts if v.n and math.isfinite(v.effect)]
    if not shown:
        return None
    across = any(isinstance(v.claim, Across) for v in shown)
    drawn = "replicates" if across or any(map(is_crossed, shown)) else "seeds"
    chart = Chart(
        kind="forest",
        title=reword("The claims: effect, interval and single seeds", drawn),
        x=Scale(""),
        y=Scale(""),
        panels=tuple(panel_of(v) for v in shown),
        scales=tuple(Scale(effect_label(v)) for v in shown),
        read_as=reword(READ_AS, drawn),
        caption=reword(f"{READ_AS}.", drawn),
    )
    return set_ranges(chart)


def panel_of(verdict: Verdict) -> Panel:
    """One claim's effect and single seeds, in shown units, before its range is set."""
    shown = metric(verdict.claim.metric)
    digits = digits_of(verdict)
    whole = math.isfinite(verdict.low) and math.isfinite(verdict.high)
    mean = Mark(
        x=verdict.effect * shown.factor,
        y=1.0,
        left=verdict.low * shown.factor if whole else None,
        right=verdict.high * shown.factor if whole else None,
        series=MEAN,
        n=verdict.n,
        text=digits(verdict.effect),
        tip=(verdict.claim.says, digits(verdict.effect)),
    )
    values = [(seed, v) for seed, v in verdict.values.items() if math.isfinite(v)][:SEEDS_SHOWN]
    seeds = tuple(
        Mark(
            x=v * shown.factor,
            y=-(i % STACK) / STACK,
            series=SEED,
            n=1,
            text=digits(v),
            tip=(_name(verdict, seed), digits(v)),
        )
        for i, (seed, v) in enumerate(values)
    )
    difference = not isinstance(verdict.claim, Bound)
    lines = tuple((v * shown.factor, shown.amount(v, difference)) for v in thresholds(verdict))
    small = smallest(verdict)
    shade = (-small * shown.factor, small * shown.factor) if small else None
    return Panel(f"{verdict.word}: {verdict.claim.says}", (mean, *seeds), lines=lines, shade=shade)


def _name(verdict: Verdict, replicate: object) -> str:
    if isinstance(verdict.claim, Across):
        return str(replicate)
    return f"{'replicate' if is_crossed(verdict) else 'seed'} {replicate}"


def thresholds(verdict: Verdict) -> list[float]:
    """What the claim is tested against, in stored units."""
    claim = verdict.claim
    if isinstance(claim, Bound):
        return [claim.bound]
    if isinstance(claim, Equivalence):
        return [-claim.margin, claim.margin]
    if isinstance(claim, Compare) and claim.by:
        return [claim.by if claim.direction == "greater" else -claim.by]
    return [0.0]


def smallest(verdict: Verdict) -> float:
    """The smallest effect of interest that the claim states, in stored units; 0 where it states none."""
    claim = verdict.claim
    stated = (getattr(claim, name, None) for name in ("smallest", "margin", "by"))
    return float(next((v for v in stated if v), 0.0))


def effect_label(verdict: Verdict) -> str:
    """What the numbers are: `difference in test accuracy (points)`."""
    claim, shown = verdict.claim, metric(verdict.claim.metric)
    if isinstance(claim, Bound):
        return shown.label
    unit = f" ({shown.difference})" if shown.difference else ""
    if isinstance(claim, Trend):
        per = {"step": "a step of", "value": "per unit of", "log": "per tenfold"}[claim.spacing]
        return f"change of {shown.title} {per} {axis(claim.over)}{unit}"
    if isinstance(claim, Choice):
        one, other = (metric(way.reads or claim.metric).title for way in (claim.compare, claim.against))
        if one != other:
            return f"{one} - {other}{unit}"
    return f"difference in {shown.title}{unit}"
