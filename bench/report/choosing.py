"""A choice as numbers: what each way of choosing finds in a replicate, and the difference between two ways."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.frame import Frame, value
from bench.report.replicates import Contrast, Replicate, in_order
from bench.schema.claim import Choice, Way
from bench.schema.metric import metric
from bench.track.record import Record

Runs = list[dict[Replicate, Record]]  # of one candidate: a point for each value of what is averaged over


def choice(frame: Frame, claim: Choice) -> Contrast:
    """For each replicate: what `compare` reads of its choice, minus what `against` reads of its own.

    A replicate that lacks a run of any candidate is dropped: what is missing might have been chosen.
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
    fixed = {*claim.over, *claim.at}
    free = [n for n in frame.axes if n not in fixed and any(n not in way.at for way in ways)]
    averaged = {name: count for name in free if (count := len(frame.levels[name])) > 1}
    return Contrast(values, None if dropped else dict(values), math.nan, dropped, averaged)


def candidates(frame: Frame, claim: Choice, way: Way) -> list[Runs]:
    """The runs of each candidate of a way, in the sweep's order; those that the sweep leaves out are none."""
    at = {**claim.at, **way.at}
    free = [name for name in frame.axes if name not in at and name not in claim.over]
    every = [
        [found for rest in frame.product(free) if (found := frame.runs({**at, **candidate, **rest}))]
        for candidate in frame.product(claim.over)
    ]
    return [points for points in every if points]


def _read(side: Sequence[Runs], way: Way, claim: Choice, name: Replicate) -> float | None:
    sign = -1.0 if metric(way.by).better == "less" else 1.0
    scores, read = [], []
    for points in side:
        given = [group.get(name) for group in points]
        by = [None if record is None else value(record, way.by) for record in given]
        of = [None if record is None else value(record, way.reads or claim.metric) for record in given]
        if any(v is None or math.isnan(v) for v in (*by, *of)):
            return None
        scores.append(sign * math.fsum(by) / len(by))  # type: ignore[arg-type]  # none is None
        read.append(math.fsum(of) / len(of))  # type: ignore[arg-type]
    return read[max(range(len(scores)), key=scores.__getitem__)] if scores else None
