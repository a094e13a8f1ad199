"""Records indexed by point and seed: the one view of them that tables, figures and claims share."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.naming import key, point, replicates
from bench.analysis.planned import Plan
from bench.analysis.replicates import Replicate, interval, overlap, own_splits, replicate
from bench.analysis.selection import ENDED, choose, has_number
from bench.analysis.stats import Interval
from bench.schema.errors import RequestError, unknown_name
from bench.schema.label import canonical_text, to_number
from bench.schema.metric import metric as describe
from bench.schema.sweep import Select, Sweep, seeds_of
from bench.track.record import Record


@dataclass(frozen=True)
class Cell:
    """All runs of one point, and one metric of them.

    Attributes:
        at: axis -> value.
        metric: its name.
        values: replicate -> value, of the finished runs that have the metric.
        interval: mean over the replicates and its 95% t-interval, cut where the metric ends.
        failed, running, missing, without: seeds whose run failed, still runs, was never run, lacks the metric.
        chosen: hyperparameters that were selected on val for this cell.
        unsure: why the selection is not to be trusted, or "".
        records: the runs behind the cell.
    """

    at: dict[str, Any]
    metric: str
    values: dict[Replicate, float]
    interval: Interval
    failed: int
    running: int
    missing: int
    without: int
    records: tuple[Record, ...]
    chosen: dict[str, Any]
    unsure: str = ""

    @property
    def incomplete(self) -> bool:
        """True where a planned run is not behind the mean."""
        return bool(self.failed or self.running or self.missing or self.without)


class Frame:
    """Records of one sweep by point and seed.

    Attributes:
        axes: names, in the sweep's order.
        levels: axis -> its values in the sweep's order, those that only records have after them.
        points: canonical point -> replicate (a seed) -> Record.
        plan: which points the sweep has.
        planned: axis -> its values in the sweep; none without a sweep.
        drawn: the sweep's replicates besides the seed.
        replicates: all of them in words: `seeds and splits`.
        own_splits: each seed has a split of its own, without that being stated as a replicate.

    Raises:
        RequestError: for two records of one point and seed, records of several sweeps, or none at all.
    """

    def __init__(self, records: Iterable[Record], sweep: Sweep | None = None, chosen: Mapping | None = None) -> None:
        records = list(records)
        if not records:
            raise RequestError("There are no records. Run the sweep first: bench sweep NAME.")
        if len(sweeps := sorted({r.sweep for r in records})) > 1:
            raise RequestError(f"Records of {len(sweeps)} sweeps together: {', '.join(sweeps)}. A table has one sweep.")
        self.plan = Plan(sweep)
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for record in records:
            for name, value in record.axes.items():
                found[name].setdefault(canonical_text(value), value)
        planned = {name: {canonical_text(v): v for v in values} for name, values in sweep.axes.items()} if sweep else {}
        self.planned = {name: list(values.values()) for name, values in planned.items()}
        # What is drawn anew is no axis of the table: its values are replicates, as seeds are.
        self.drawn = [name for name in (sweep.replicates if sweep else ()) if name in found]
        named = [name for name in (sweep.replicates if sweep else ["seed"]) if name == "seed" or name in self.drawn]
        values = {"seed": {r.seed for r in records}, **{name: found[name] for name in self.drawn}}
        # Of what has one value only, one seed on many splits say, no spread is seen.
        self.replicates = replicates([name for name in named if len(values[name]) > 1] or named)
        self.axes = [name for name in planned if name in found] + [name for name in found if name not in planned]
        self.axes = [name for name in self.axes if name not in self.drawn]
        self.levels: dict[str, list[Any]] = {}
        for name in self.axes:
            order = [v for v in planned.get(name, {}) if v in found[name]]
            rest = [v for v in found[name] if v not in planned.get(name, {})]
            self.levels[name] = [found[name][v] for v in order + sorted(rest, key=_by_size(found[name]))]
        self.records = records
        # Planned for every point: one without a record is missing there.
        self.seeds = {replicate(r, self.drawn) for r in records}
        self.candidates: dict[tuple[str, ...], int] = {}  # point -> among how many its hyperparameters were chosen
        self.tried: dict[tuple[str, ...], list[dict[str, Any]]] = {}  # point -> these candidates
        self.chosen: dict[tuple[str, ...], tuple[dict[str, Any], str]] = dict(chosen or {})
        self.points: dict[tuple[str, ...], dict[Replicate, Record]] = defaultdict(dict)
        for record in records:
            seeds = self.points[key(record.axes, self.axes)]
            name = replicate(record, self.drawn)
            if name in seeds:
                raise RequestError(
                    f"Two records for {point(record.axes) or 'the only point'}, seed {record.seed} "
                    f"(runs {seeds[name].run_id!r} and {record.run_id!r}). A point has one record a seed."
                )
            seeds[name] = record
        self.own_splits = not self.drawn and own_splits(runs.values() for runs in self.points.values())

    def overlap(self, records: Iterable[Record]) -> float:
        """What images that the splits of these runs share add to the variance of a mean (`replicates.summary`)."""
        return overlap(records) if self.drawn or self.own_splits else 0.0

    def runs(self, at: Mapping[str, Any]) -> dict[Replicate, Record]:
        """The runs of the point that `at` fixes on every axis: replicate -> Record."""
        return self.points.get(key(dict(at), self.axes), {})

    def need_axis(self, name: str, place: str) -> None:
        """Raise RequestError unless the records have the axis `name`."""
        if name not in self.axes:
            raise unknown_name(
                f"axis in {place}:", name, self.axes, f"The records have: {', '.join(self.axes) or 'none'}."
            )

    def need_metric(self, name: str) -> None:
        """Raise RequestError unless a finished record has the metric, or nothing is finished yet."""
        finished = [r for r in self.records if r.status == "finished"]
        if name == "run/failed":
            return
        if finished and not any(name in r.metrics or name in r.costs for r in finished):
            have = {n for r in finished for n in (*r.metrics, *r.costs)}
            raise unknown_name("metric", name, have, f"No finished run has it; they have: {', '.join(sorted(have))}.")

    def cells(self, metric: str, at: Mapping[str, Any] | None = None) -> list[Cell]:
        """One Cell a point, in the order of the levels, at the fixed values `at` only."""
        fixed = {name: canonical_text(value) for name, value in (at or {}).items()}
        order = {name: {canonical_text(v): i for i, v in enumerate(self.levels[name])} for name in self.axes}
        where = [(self.axes.index(name), value) for name, value in fixed.items()]
        wanted = [p for p in self.points if all(p[i] == value for i, value in where)]
        wanted.sort(key=lambda p: [order[a].get(v, -1) for a, v in zip(self.axes, p, strict=True)])
        return [self.cell(p, metric) for p in wanted]

    def cell(self, point: tuple[str, ...], metric: str) -> Cell:
        """The Cell of a canonical point."""
        runs = self.points[point]
        values = {s: v for s in sorted(runs) if (v := value(runs[s], metric)) is not None}
        count = {status: sum(r.status == status for r in runs.values()) for status in ("failed", "running", "missing")}
        count["missing"] += len(self.seeds - runs.keys())
        finished = sum(r.status == "finished" for r in runs.values())
        chosen, unsure = self.chosen.get(point, ({}, ""))
        return Cell(
            at={name: v for name, v in next(iter(runs.values())).axes.items() if name not in self.drawn},
            metric=metric,
            values=values,
            interval=interval(values, self.overlap(runs.values())).inside(describe(metric).low, describe(metric).high),
            without=finished - len(values),
            records=tuple(runs[s] for s in sorted(runs)),
            chosen=chosen,
            unsure=unsure,
            **count,
        )

    def select(self, select: Select, sweep: Sweep | None = None) -> Frame:
        """The frame with the axes of `select.over` taken out: for each remaining point the best of them on val.

        The best mean over seeds of `select.by` counts. A candidate that is incomplete cannot win over a complete one;
        ties go to the first in the sweep's order. A selection with seeds of its own: see `bench.analysis.selection`.
        """
        for name in select.over:
            self.need_axis(name, "select.over")
        self.need_metric(select.by)
        if select.seeds:
            return self._select_tuned(select, sweep)
        sign = -1.0 if describe(select.by).better == "less" else 1.0
        groups: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
        rest = [name for name in self.axes if name not in select.over]
        for cell in self.cells(select.by):
            groups[key(cell.at, rest)].append(cell)
        records, chosen = [], {}
        for rest_point, candidates in groups.items():
            complete = [c for c in candidates if not c.incomplete]
            eligible = complete or [c for c in candidates if c.values]
            unsure = "" if len(complete) == len(candidates) else (
                f"{len(candidates) - len(complete)} of {len(candidates)} candidates incomplete"
            )  # fmt: skip
            best = max(eligible or candidates, key=lambda c: _rank(sign * c.interval.mean))
            chosen[rest_point] = ({name: best.at[name] for name in select.over if name in best.at}, unsure)
            for record in best.records:
                axes = {name: v for name, v in record.axes.items() if name not in select.over}
                records.append(dataclasses.replace(record, axes=axes))
        made = Frame(records, sweep, chosen)
        made.candidates = {point: len(candidates) for point, candidates in groups.items()}
        made.tried = {point: [c.at for c in candidates] for point, candidates in groups.items()}
        return made

    def _select_tuned(self, select: Select, sweep: Sweep | None) -> Frame:
        """The judged runs of the candidates that tuning runs choose; a cell whose tuning has not ended has none yet."""
        rest = [name for name in self.axes if name not in select.over]
        cells: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
        for cell in self.cells(select.by):
            cells[key(cell.at, rest)].append(cell)
        planned = seeds_of(sweep.seeds) if sweep else sorted({r.seed for r in self.records} - set(select.seeds))
        records: list[Record] = []
        chosen: dict[tuple[str, ...], tuple[dict[str, Any], str]] = {}
        for rest_point, candidates in cells.items():
            tuning = [[r for r in c.records if r.seed in select.seeds] for c in candidates]
            tried = len(candidates) > 1  # a cell with one candidate has nothing to tune
            whole = all({r.seed for r in runs} >= {*select.seeds} for runs in tuning)
            place = (choose(tuning, select) if whole else None) if tried else 0
            if place is None:
                ended = sum(r.status in ENDED for runs in tuning for r in runs)
                chosen[rest_point] = ({}, f"tuning has not ended: {ended} of {sum(map(len, tuning))} runs")
                found: list[Record] = []
            else:
                best = candidates[place]
                at = {name: best.at[name] for name in select.over if name in best.at}
                all_bad = tried and not any(has_number(r, select.by) for runs in tuning for r in runs)
                chosen[rest_point] = (at if tried else {}, "every tuning run failed" if all_bad else "")
                found = [r for r in best.records if r.seed not in select.seeds]
            first = candidates[0].records[0]
            found = found or [dataclasses.replace(_absent(first), seed=seed) for seed in planned]
            for record in found:
                axes = {name: v for name, v in record.axes.items() if name not in select.over}
                records.append(dataclasses.replace(record, axes=axes))
        made = Frame(records, sweep, chosen)
        made.tried = {point: [c.at for c in candidates if any(r.seed in select.seeds for r in c.records)]
                      for point, candidates in cells.items()}  # fmt: skip
        made.candidates = {point: max(1, len(tried)) for point, tried in made.tried.items()}
        return made

    def product(self, axes: list[str]) -> list[dict[str, Any]]:
        """All combinations of the levels of `axes`, in order."""
        return [dict(zip(axes, combo, strict=True)) for combo in itertools.product(*(self.levels[a] for a in axes))]


def value(record: Record, metric: str) -> float | None:
    """A finished record's metric or cost; None where it has none. `run/failed` is what a failed one has too."""
    if metric == "run/failed" and record.status in ("finished", "failed"):
        return float(record.status == "failed")
    if record.status != "finished":
        return None
    found = record.metrics.get(metric, record.costs.get(metric))
    return None if found is None else float(found)


def select_frame(sweep: Sweep, records: list[Record]) -> Frame:
    """The sweep's records as a frame; with `select`, those of the selected hyperparameters only."""
    frame = Frame(records, sweep)
    return frame.select(sweep.select, sweep) if sweep.select else frame


def _rank(mean: float) -> float:
    """For the best of several: without a number, or where a run diverged, a candidate is behind every other."""
    return -math.inf if math.isnan(mean) else mean


def _absent(record: Record) -> Record:
    """A planned run of this point that nobody has begun."""
    return Record(key="", sweep=record.sweep, axes=record.axes, seed=record.seed, status="missing")


def _by_size(found: dict[str, Any]) -> Callable[[str], Any]:
    """Numbers by size, before names in the order they came."""
    place = {name: i for i, name in enumerate(found)}
    return lambda name: (0, n, "") if (n := to_number(found[name])) is not None else (1, place[name], "")
