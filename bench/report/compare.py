"""Two results side by side: settings as a diff, metrics paired by axes and seed or by run key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.frame import value
from bench.analysis.replicates import overlap, own_splits
from bench.analysis.rounding import without_noise
from bench.analysis.selection import only_judged
from bench.analysis.stats import LEVEL, Interval, holm, interval_of, one_sample, sample, t_interval
from bench.report.causes import Difference, environment
from bench.report.matching import Place, Rule, match, name_row, place_of, settings_of, telling_apart
from bench.schema.errors import RequestError, unknown_name
from bench.schema.label import canonical_text, show
from bench.schema.metric import metric
from bench.track.record import Record

ABSENT = "–"
BASIC = ("test/accuracy", "val/accuracy", "test/nll", "cost/params", "cost/fit_seconds")


@dataclass(frozen=True)
class Side:
    """One of the two: a label for people, and its records (one for a run, many for a sweep)."""

    label: str
    records: list[Record]


@dataclass(frozen=True)
class Setting:
    """A setting that the two sides do not share; the values of each side as shown."""

    name: str
    a: list[str]
    b: list[str]


@dataclass(frozen=True)
class Pair:
    """One metric at one point, on both sides.

    Attributes:
        at: axis -> value; empty for two runs.
        a, b: over the seeds that both sides have.
        difference: b - a over pairs of the same seed.
        values: seed -> (a, b).
    """

    at: dict[str, Any]
    metric: str
    a: Interval
    b: Interval
    difference: Interval
    values: dict[int, tuple[float, float]]
    p: float = math.nan  # two-sided, corrected (Holm) for all rows of the comparison
    failed: tuple[int, int] = (0, 0)  # runs of a and of b that failed where the other side's finished
    unsure: bool = False  # counted as the worst there can be, those turn the difference round, or have no worst
    shared: float = 0.0  # what images that the seeds' own splits share add to 1/n (Nadeau & Bengio 2003)

    @property
    def word(self) -> str:
        """`b is better`, `a is better`, `equal`, or that the seeds cannot tell; no direction: `higher`, `lower`."""
        d = self.difference
        if all(x == y for x, y in self.values.values()):
            return "equal"
        if d.n < 2:
            return "one pair: no interval"
        if not math.isfinite(d.half):
            return "some values are not finite"
        sure = self.metric.startswith("cost/") and d.sd == 0  # parameters, say, are counted and not drawn
        if not sure and self.unsure:
            return "not told apart: runs failed"
        if not sure and not self.p <= 1 - LEVEL:
            return "not told apart"
        better = metric(self.metric).better
        if not better:
            return "b is higher" if d.mean > 0 else "b is lower"
        return "b is better" if (d.mean > 0) == (better == "greater") else "a is better"


@dataclass(frozen=True)
class Comparison:
    """Everything that `bench compare` says.

    Attributes:
        rule: what pairs were made by.
        only_a, only_b: finished runs without a partner.
        environment: how the two sides' code, packages and hardware differ, most suspicious first.
    """

    a: Side
    b: Side
    rule: Rule
    settings: list[Setting]
    pairs: list[Pair]
    only_a: int
    only_b: int
    environment: list[Difference]
    tuning: int = 0  # runs of both sides that chose hyperparameters, and are left out


def compare(a: Side, b: Side, metrics: Sequence[str] = ()) -> Comparison:
    """Compare two sides.

    Args:
        metrics: which to pair; empty for accuracy on test and val, NLL and costs, as far as both sides have them.

    Raises:
        RequestError: when a side has no finished run, nothing pairs, or no run has a metric.
    """
    left, right = (_latest_records(side) for side in (a, b))
    have = _metrics(left) & _metrics(right)
    for name in metrics:
        if name not in have:
            raise unknown_name("metric", name, have, f"Both sides have: {', '.join(sorted(have)) or 'none in common'}.")
    rule, matched = match(left, right, (a.label, b.label), alone=len(a.records) == len(b.records) == 1)
    wanted = list(metrics) or [name for name in BASIC if name in have]
    points: dict[Any, list[tuple[Record, Record]]] = {}
    for one, other in matched:
        place = () if rule == "the two runs" else (place_of(one), settings_of(one) if rule == "run key" else ())
        points.setdefault(place, []).append((one, other))
    lost = _failed(a, b, left, right) if rule == "axes and seed" else {}
    apart = telling_apart([runs[0][0] for runs in points.values()]) if rule == "run key" else []
    rows = [({} if rule == "the two runs" else name_row(runs[0][0], apart), runs) for runs in points.values()]
    pairs = [made for at, runs in rows for name in wanted if (made := _pair(runs, name, at)) is not None]
    pairs, alone = _with_failures(pairs, lost), [_p(_differences(pair.values), pair.shared) for pair in pairs]
    counted = [_p(_counted(pair, lost), pair.shared) for pair in pairs]
    adjusted = holm([p if math.isnan(more) else max(p, more) for p, more in zip(alone, counted, strict=True)])
    pairs = [replace(pair, p=p) for pair, p in zip(pairs, adjusted, strict=True)]
    return Comparison(
        a=a,
        b=b,
        rule=rule,
        settings=settings(left, right),
        pairs=pairs,
        only_a=len(left) - len({id(one) for one, _ in matched}),
        only_b=len(right) - len({id(other) for _, other in matched}),
        environment=environment([r.provenance for r in left], [r.provenance for r in right]),
        tuning=sum(len(side.records) - len(only_judged(side.records)) for side in (a, b)),
    )


Lost = Mapping[Place, list[tuple[Record | None, Record | None]]]  # point -> a's or b's run alone


def _failed(a: Side, b: Side, left: Sequence[Record], right: Sequence[Record]) -> Lost:
    """For each point the finished runs of one side whose partner, of the other side, failed."""
    out: dict[Place, list[tuple[Record | None, Record | None]]] = {}
    for mine, other, swap in ((left, b, False), (right, a, True)):
        ended = {(place_of(r), r.seed) for r in only_judged(other.records) if r.status == "finished"}
        bad = {(place_of(r), r.seed) for r in only_judged(other.records) if r.status == "failed"} - ended
        for record in mine:
            if (place_of(record), record.seed) in bad:
                out.setdefault(place_of(record), []).append((None, record) if swap else (record, None))
    return out


def _counted(pair: Pair, lost: Lost) -> list[float]:
    """Differences of a row with the runs that failed as the worst there can be; none where nothing failed."""
    runs, worst = (
        lost.get(tuple(sorted((n, canonical_text(v)) for n, v in pair.at.items())), []),
        metric(pair.metric).worst,
    )
    if not runs or worst is None:
        return []
    values = dict(pair.values)
    for one, other in runs:
        record = one or other
        assert record is not None
        number = value(record, pair.metric)
        if number is not None:
            values[record.seed] = (number, worst) if one is not None else (worst, number)
    return _differences(values)


def _with_failures(pairs: Sequence[Pair], lost: Lost) -> list[Pair]:
    """The rows, with what failed and whether it turns them: whoever fails is not better for being left out."""
    out = []
    for pair in pairs:
        runs = lost.get(tuple(sorted((n, canonical_text(v)) for n, v in pair.at.items())), [])
        shown, differences = metric(pair.metric), _counted(pair, lost)
        turned = bool(differences) and math.fsum(differences) * pair.difference.mean <= 0
        unsure = bool(runs) and (shown.worst is None or turned)
        failed = sum(other is None for _, other in runs), sum(one is None for one, _ in runs)
        out.append(replace(pair, failed=failed[::-1], unsure=unsure))
    return out


def _p(differences: Sequence[float], shared: float) -> float:
    """Two-sided p of a row alone; NaN where it cannot be tested, as where all seeds differ by the same."""
    outcome = one_sample(sample(differences, shared))
    return min(1.0, 2 * min(outcome.p_less, outcome.p_greater)) if not math.isnan(outcome.p_less) else math.nan


def _differences(values: Mapping[int, tuple[float, float]]) -> list[float]:
    largest = max((abs(v) for both in values.values() for v in both if math.isfinite(v)), default=0.0)
    return [without_noise(y - x, largest) for x, y in values.values()]


def settings(left: Sequence[Record], right: Sequence[Record]) -> list[Setting]:
    """The settings whose values differ between the sides, the seed left out; the values in order of appearance."""
    out = []
    names = sorted({name for r in (*left, *right) for name in r.config} - {"seed"})
    for name in names:
        a, b = _values(left, name), _values(right, name)
        if set(a) != set(b):
            out.append(Setting(name, a, b))
    return out


def _values(records: Sequence[Record], name: str) -> list[str]:
    return list(dict.fromkeys(show(r.config[name]) if name in r.config else ABSENT for r in records))


def _latest_records(side: Side) -> list[Record]:
    """The finished records, the latest one for each key, point and seed; none that chose hyperparameters."""
    found: dict[Any, Record] = {}
    for record in only_judged(side.records):
        if record.status == "finished":
            place = (place_of(record), record.seed, "" if record.axes else record.key)
            started = float(record.provenance.get("started") or 0)
            if place not in found or started >= float(found[place].provenance.get("started") or 0):
                found[place] = record
    if not found:
        tuning = len(side.records) - len(only_judged(side.records))
        more = f", {tuning} of them for tuning only" if tuning else ""
        raise RequestError(
            f"{side.label}: no finished run ({len(side.records)} in all{more}). There is nothing to compare."
        )
    return list(found.values())


def _metrics(records: Sequence[Record]) -> set[str]:
    return {name for r in records for name in (*r.metrics, *r.costs)}


def _pair(runs: list[tuple[Record, Record]], name: str, at: dict[str, Any]) -> Pair | None:
    values = {}
    for one, other in runs:
        x, y = value(one, name), value(other, name)
        if x is not None and y is not None:
            values[one.seed] = (x, y)
    if not values:
        return None
    a, b = zip(*values.values(), strict=True)
    shared = overlap(r for pair in runs for r in pair) if own_splits(zip(*runs, strict=True)) else 0.0
    low, high = metric(name).low, metric(name).high
    widest = None if low is None or high is None else high - low
    difference = interval_of(sample(_differences(values), shared)).inside(widest and -widest, widest)
    return Pair(at, name, t_interval(a), t_interval(b), difference, values, shared=shared)
