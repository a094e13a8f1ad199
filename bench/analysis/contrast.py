"""A claim as numbers: one contrast a replicate, a weighted sum of the runs that the claim speaks of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis.choosing import choice
from bench.analysis.frame import Frame, value
from bench.analysis.naming import axis
from bench.analysis.replicates import Contrast, Replicate, in_order
from bench.analysis.rounding import without_noise
from bench.schema.claim import Across, Bound, Choice, Claim, Compare, Equivalence, Interaction, Trend, sides
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text, in_size, show, to_number
from bench.schema.metric import metric

Term = tuple[float, dict[str, Any]]  # weight, axis -> value


def terms(claim: Claim, frame: Frame) -> list[Term]:
    """A claim's contrast as a weighted sum of points.

    Raises:
        RequestError: for a choice, which decides in each replicate anew which points count.
    """
    if isinstance(claim, Choice):
        raise RequestError(f"Claim '{claim.says}': a choice is no sum of points.")
    if isinstance(claim, Bound):
        return [(1.0, dict(claim.at))]
    if isinstance(claim, Trend):
        levels = order_values(claim, frame)
        x = _positions(claim, levels)
        centred = x - x.mean()
        slope = centred / ((centred**2).sum() or 1.0)  # of one value there is none
        return [(float(w), {**claim.at, claim.over: level}) for w, level in zip(slope, levels, strict=True)]
    pair = [(1.0, {**claim.at, **claim.compare}), (-1.0, {**claim.at, **claim.against})]
    if isinstance(claim, Interaction):
        return [(w, {**at, **claim.where}) for w, at in pair] + [(-w, {**at, **claim.versus}) for w, at in pair]
    return pair


def threshold(claim: Claim) -> float:
    """What a claim's contrast is tested against; for equivalence the upper end of its margin."""
    if isinstance(claim, Equivalence):
        return claim.margin
    if isinstance(claim, Bound):
        return claim.bound
    if isinstance(claim, Compare):
        return claim.by if claim.direction == "greater" else -claim.by
    return 0.0


def order_values(claim: Trend, frame: Frame) -> list[Any]:
    """The values along a trend's axis: what has a size by it, names as the sweep lists them."""
    levels = frame.levels[claim.over]
    sizes = in_size(levels)
    return levels if sizes is None else [levels[i] for i in np.argsort(sizes, kind="stable")]


def _positions(claim: Trend, levels: list[Any]) -> np.ndarray:
    if claim.spacing == "step":
        return np.arange(len(levels), dtype=float)
    x = [v for level in levels if (v := to_number(level)) is not None]
    if len(x) < len(levels) or (claim.spacing == "log" and min(x) <= 0):
        positive = "positive numbers" if claim.spacing == "log" else "numbers"
        raise RequestError(f"Claim '{claim.says}': spacing '{claim.spacing}' needs {positive} on '{claim.over}'.")
    return np.log10(x) if claim.spacing == "log" else np.asarray(x)


def contrast(frame: Frame, claim: Claim) -> Contrast:
    """The claim's contrast, averaged within each replicate over the axes that the claim leaves free.

    Raises:
        RequestError: for a metric or an axis that the records do not have.
    """
    frame.need_metric(claim.metric)
    if isinstance(claim, Choice):
        for way in (claim.compare, claim.against):
            frame.need_metric(way.by)
            frame.need_metric(way.reads or claim.metric)
        for name in claim.over:
            frame.need_axis(name, f"claim '{claim.says}'")
        ways = [{**claim.at, **claim.compare.at}, {**claim.at, **claim.against.at}]
        lacking = _absent(frame, claim, sides(claim).values()) or _never_run(frame, ways)
        return Contrast(absent=lacking) if lacking else choice(frame, claim)
    if isinstance(claim, Trend):
        frame.need_axis(claim.over, f"claim '{claim.says}'")
        if len(frame.levels[claim.over]) < 2:
            return Contrast(absent=f"second value of {axis(claim.over)}")
    if isinstance(claim, Across):
        frame.need_axis(claim.over, f"claim '{claim.says}'")
    parts = terms(claim, frame)
    points = [at for _, at in parts]
    free = [{n: v for n, v in at.items() if n != claim.over} if isinstance(claim, Trend) else at for at in points]
    if lacking := _absent(frame, claim, points) or _never_run(frame, free):
        return Contrast(absent=lacking)
    return over_sets(frame, claim, parts) if isinstance(claim, Across) else combine(frame, parts, claim.metric)


def over_sets(frame: Frame, claim: Across, parts: list[Term]) -> Contrast:
    """One number a value of `over`: the mean over its replicates; one of which runs did not finish is dropped too."""
    values: dict[Replicate, float] = {}
    counted: dict[Replicate, float] = {}
    averaged: dict[str, int] = {}
    dropped, hopeless, largest = [], False, 0.0
    for level in frame.levels[claim.over]:
        found, name = combine(frame, [(w, {**at, claim.over: level}) for w, at in parts], claim.metric), show(level)
        if found.absent:
            continue
        averaged |= found.averaged
        if found.values:
            values[name] = _mean(found.values)
        if found.dropped:
            dropped.append(name)
        if found.counted is None:
            hopeless = True
        elif found.counted:
            counted[name] = _mean(found.counted)
        largest = max(largest, found.largest)
    return Contrast(values, None if hopeless else counted, _worst(claim.metric), dropped, averaged, largest=largest)


def _mean(values: Mapping[Replicate, float]) -> float:
    mean = sum(values.values()) / len(values)
    return _rounded(mean, abs(mean)) if math.isfinite(mean) else mean


def _absent(frame: Frame, claim: Claim, points: Iterable[Mapping[str, Any]]) -> str:
    """Which value of an axis, named by the claim, no record has; "" for none."""
    for at in points:
        for name in at:
            frame.need_axis(name, f"claim '{claim.says}'")
            if canonical_text(at[name]) not in {canonical_text(v) for v in frame.levels[name]}:
                return f"{axis(name)} {show(at[name])}"
    return ""


def _never_run(frame: Frame, points: Sequence[Mapping[str, Any]]) -> str:
    """Which planned value of an axis that `points` leave free no record has, though no side leaves it out; "" for none.

    A claim over the others would be another claim.
    """
    for name in frame.axes:
        known = {canonical_text(v) for v in frame.levels[name]}
        for level in frame.planned.get(name, ()):
            if canonical_text(level) in known or any(name in at for at in points):
                continue
            others = [other for other in frame.axes if other != name]
            rests = itertools.product(*(frame.planned.get(other) or frame.levels[other] for other in others))
            for rest in rests:
                there = {**dict(zip(others, rest, strict=True)), name: level}
                if not any(frame.plan.leaves_out({**there, **frame.plan.whole(at)}) for at in points):
                    return f"{axis(name)} {show(level)}"
    return ""


def steps(frame: Frame, claim: Trend) -> list[tuple[Any, Any, dict[Replicate, float]]]:
    """For each step along a trend's axis: from, to, and replicate -> difference (to - from)."""
    levels = order_values(claim, frame)
    out = []
    for one, other in itertools.pairwise(levels):
        parts = [(1.0, {**claim.at, claim.over: other}), (-1.0, {**claim.at, claim.over: one})]
        out.append((one, other, combine(frame, parts, claim.metric).values))
    return out


def combine(frame: Frame, parts: list[Term], of: str) -> Contrast:
    """The weighted sum of points, for each replicate."""
    free, parts, rests = averaged_over(frame, parts)
    if not rests:
        return Contrast(absent="combination of the other axes that all its sides have")
    groups = [(w / len(rests), frame.runs({**at, **rest})) for rest in rests for w, at in parts]
    averaged = {name: len({canonical_text(rest[name]) for rest in rests}) for name in free}
    worst = _worst(of)
    values: dict[Replicate, float] = {}
    counted: dict[Replicate, float] = {}
    dropped, largest = [], 0.0
    for name in in_order({name for _, found in groups for name in found}):
        found = [value(group[name], of) if name in group else None for _, group in groups]
        largest = max([largest, *(abs(v) for v in found if v is not None and math.isfinite(v))])
        weights = [w for w, _ in groups]
        if all(v is not None for v in found):
            values[name] = counted[name] = _sum(weights, found)
        elif any(v is not None for v in found) or any(
            name in group and group[name].status == "failed" for _, group in groups
        ):
            dropped.append(name)
            counted[name] = _sum(weights, [worst if v is None else v for v in found])
    return Contrast(
        values=values,
        counted=None if math.isnan(worst) and dropped else counted,
        worst=worst,
        dropped=dropped,
        averaged={name: count for name, count in averaged.items() if count > 1},
        largest=largest,
    )


def averaged_over(frame: Frame, parts: list[Term]) -> tuple[list[str], list[Term], list[dict[str, Any]]]:
    """Axes that a contrast leaves free, its terms with the axes that go with theirs, and the combinations of the free
    ones that it averages over.

    What the sweep itself leaves out on one side is no run that is missing there, and is averaged over on neither.
    """
    parts = [(w, frame.plan.whole(at)) for w, at in parts]
    fixed = {name for _, at in parts for name in at}
    free = [name for name in frame.axes if name not in fixed]
    rests = [
        rest
        for rest in frame.product(free)
        if not any(frame.plan.leaves_out({**at, **rest}) for _, at in parts)
        and any(frame.runs({**at, **rest}) for _, at in parts)
    ]
    return free, parts, rests


def _sum(weights: list[float], values: list[float | None]) -> float:
    terms = [w * v for w, v in zip(weights, values, strict=True) if v is not None]
    if not all(map(math.isfinite, terms)):
        return sum(terms)  # inf - inf is NaN: nobody can say which diverged further
    return _rounded(math.fsum(terms), max(map(abs, terms), default=0.0))


SMALL = 1e-3  # where 13 decimals are fewer than 10 digits


def _rounded(value: float, largest: float) -> float:
    """A contrast to 13 decimals, or to as many digits where its numbers are small."""
    return without_noise(value, largest) if 0 < largest < SMALL else round(value, 13)


def _worst(of: str) -> float:
    """What a run that failed counts as: the worst value there can be; NaN where it can always be worse."""
    worst = metric(of).worst
    return math.nan if worst is None else worst
