"""Two results in one drawing: learning curves over each other, and means at the points that both have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bench.analysis.artifacts import Curves
from bench.analysis.naming import point
from bench.analysis.stats import Interval
from bench.report.compare import Comparison, Pair
from bench.report.figures.chart import Chart, Mark, Panel, Scale, cut, set_ranges, span
from bench.schema.errors import RequestError
from bench.schema.label import show
from bench.schema.metric import Metric, metric

MOST_POINTS = 40
COLUMNS = ("train_loss", "val_loss", "val_nll", "val_accuracy")  # of curves.csv

Both = tuple[Sequence[Curves], Sequence[Curves]]  # the runs of a and of b


def beside(found: Comparison, curves: Both = ((), ())) -> list[Chart]:
    """Learning curves of both sides where both have them, the first metric at each point, and its paired difference.

    Args:
        curves: those of the runs of a and of b.

    Returns:
        Charts of one panel each; the first has the title, the last what is to be said below all of them.

    Raises:
        RequestError: for more points than one drawing can show.
    """
    columns = [c for c in COLUMNS if all(any(c in one.columns for one in side) for side in curves)]
    pairs = [p for p in found.pairs if p.metric == found.pairs[0].metric]
    if len(pairs) > MOST_POINTS:
        raise RequestError(f"{len(pairs)} points are too many for one figure; at most {MOST_POINTS} can be read.")
    names = (f"a: {found.a.label}", f"b: {found.b.label}")
    paired = any(p.difference.n > 1 for p in pairs)
    made = [_curves(column, curves, names) for column in columns] + [_means(pairs, names)]
    if paired:
        made.append(_differences(pairs))
    shown = ", ".join(m.title for m in (*map(_metric_of, columns), metric(pairs[0].metric)))
    note = f"Means and 95% t-intervals, paired by {found.rule}." if paired else "One run each: no interval."
    note += " A line a run." if columns else ""
    made[0] = dataclasses.replace(made[0], title=f"Two results side by side: {shown}")
    made[-1] = dataclasses.replace(made[-1], caption=note)
    return made


def _metric_of(column: str) -> Metric:
    """How a column of curves.csv is shown: `val_accuracy` as val/accuracy."""
    return metric(column.replace("_", "/", 1))


def _curves(column: str, curves: Both, names: tuple[str, str]) -> Chart:
    """A line for the only run of a side, thin ones for several."""
    shown = _metric_of(column)
    marks: list[Mark] = []
    threads = []
    for series, side in enumerate(curves):
        here = [run for run in side if column in run.columns]
        for run in here:
            line = [(float(e), v * shown.factor) for e, v in zip(run.epochs, run.columns[column], strict=True)]
            if len(here) == 1:
                marks += [Mark(x=x, y=y, series=series, n=1) for x, y in line]
            else:
                threads.append((series, tuple(line)))
    y = Scale(shown.label, ends=shown.ends, better=shown.better)
    panel = Panel("", tuple(marks), threads=tuple(threads))
    return set_ranges(Chart(kind="trace", title="", x=Scale("epoch", whole=True), y=y, panels=(panel,), series=names))


def _means(pairs: Sequence[Pair], names: tuple[str, str]) -> Chart:
    """Means of both sides at each point, with their intervals."""
    shown = metric(pairs[0].metric)
    marks = [_mark(p, one, series, shown) for p in pairs for series, one in enumerate((p.a, p.b))]
    y = Scale(shown.label, ends=shown.ends, better=shown.better)
    panel = Panel("", tuple(marks))
    return set_ranges(Chart(kind="dots", title="", x=_rows(pairs), y=y, panels=(panel,), series=names))


def _differences(pairs: Sequence[Pair]) -> Chart:
    """b - a over pairs of the same seed: an interval that leaves out zero tells the two apart."""
    shown = metric(pairs[0].metric)
    unit = f" ({shown.difference})" if shown.difference else ""
    y = Scale(f"b - a, {shown.title}{unit}")
    marks = tuple(_mark(p, p.difference, 0, shown, difference=True) for p in pairs)
    reach = [v for m in marks for v in (m.y, m.low, m.high) if v is not None]
    panel = Panel("", marks, lines=((0.0, "0"),), y_range=span([0.0, *reach], y))
    return Chart(kind="dots", title="", x=_rows(pairs), y=y, panels=(panel,), series=("b - a",))


def _rows(pairs: Sequence[Pair]) -> Scale:
    return Scale("", kind="names", ticks=tuple(point(p.at) for p in pairs))


def _mark(pair: Pair, interval: Interval, series: int, shown: Metric, difference: bool = False) -> Mark:
    low = high = None
    if interval.n > 1 and math.isfinite(interval.half):
        ends = interval.mean - interval.half, interval.mean + interval.half
        low, high = (e * shown.factor for e in ends) if difference else cut(*ends, shown)
    y = interval.mean * shown.factor if math.isfinite(interval.mean) else None
    return Mark(x=show(point(pair.at)), y=y, low=low, high=high, series=series, n=interval.n)
