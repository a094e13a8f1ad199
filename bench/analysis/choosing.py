"""A choice as numbers: what each way of choosing finds in a replicate, and the difference between two ways."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.frame import Frame, value
from bench.analysis.replicates import Contrast, Replicate, in_order
from bench.analysis.selection import ENDED
from bench.schema.claim import Choice, Way
from bench.schema.metric import metric
from bench.track.record import Record

Runs = list[dict[Replicate, Record]]  # of one candidate: a point for each value of what is averaged over


def choice(frame: Frame, claim: Choice) -> Contrast:
    """For each replicate: what `compare` reads of its choice, minus what `against` reads of its own.

    As in a selection, a candidate whose run failed, or has no number, is behind every other. A replicate that lacks a
    run of any candidate is dropped: what is missing might have been chosen.
    """
    ways = (claim.compare, claim.against)
    found = [candidates(frame, claim, way) for way in ways]
    everywhere = {name for side in found for points in side for group in points for name in group}
    values, dropped = {}, []
    for name in in_order(everywhere):
        one, other = (_read(side, way, claim, name) for side, way in zip(found, ways, strict=True))
        if one is None or other is None:
            dropped.append(name)
        else:
            values[name] = round(one - other, 13)
    fixed = frame.plan.whole({**{name: frame.levels[name][0] for name in claim.over}, **claim.at})
    free = [n for n in frame.axes if n not in fixed and any(n not in way.at for way in ways)]
    averaged = {name: count for name in free if (count := len(frame.levels[name])) > 1}
    return Contrast(values, None if dropped else dict(values), math.nan, dropped, averaged)


def candidates(frame: Frame, claim: Choice, way: Way) -> list[Runs]:
    """The runs of each candidate of a way, in the sweep's order; those that the sweep leaves out are none.

    All candidates are averaged over the same combinations of what is free: one that the sweep leaves out for any of
    them counts for none.
    """
    points = [frame.plan.whole({**claim.at, **way.at, **candidate}) for candidate in frame.product(claim.over)]
    free = [name for name in frame.axes if name not in points[0]]
    rests = frame.product(free)
    points = [at for at in points if any(frame.runs({**at, **rest}) for rest in rests)]
    kept = [rest for rest in rests if not any(frame.plan.leaves_out({**at, **rest}) for at in points)]
    every = [[found for rest in kept if (found := frame.runs({**at, **rest}))] for at in points]
    return [runs for runs in every if runs]


def _read(side: Sequence[Runs], way: Way, claim: Choice, name: Replicate) -> float | None:
    sign = -1.0 if metric(way.by).better == "less" else 1.0
    scores = []
    for points in side:
        given = [group[name] for group in points if name in group and group[name].status in ENDED]
        if len(given) < len(points):
            return None
        by = [v for record in given if (v := value(record, way.by)) is not None and not math.isnan(v)]
        scores.append(sign * math.fsum(by) / len(by) if len(by) == len(given) else -math.inf)
    best = max(range(len(scores)), key=scores.__getitem__, default=None)
    if best is None or scores[best] == -math.inf:
        return None
    of = [value(group[name], way.reads or claim.metric) for group in side[best]]
    return None if any(v is None or math.isnan(v) for v in of) else math.fsum(v for v in of if v is not None) / len(of)
