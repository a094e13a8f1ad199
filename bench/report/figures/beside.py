"""Two results in one drawing: learning curves over each other, and means at the points that both have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from bench.report.artifacts import Curves
from bench.report.compare import Comparison, Pair
from bench.report.figures.style import COLOURS, FAINT, RC
from bench.report.naming import point
from bench.report.stats import Interval
from bench.schema.errors import RequestError
from bench.schema.metric import Metric, metric

MOST_POINTS = 40
COLUMNS = ("train_loss", "val_loss", "val_nll", "val_accuracy")  # of curves.csv
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": COLOURS[0], "marker": "o", "linestyle": "-"},
    {"color": COLOURS[1], "marker": "s", "linestyle": "--"},
)


def beside(found: Comparison, curves: tuple[Sequence[Curves], Sequence[Curves]] = ((), ())) -> Drawing:
    """Learning curves of both sides where both have them, the first metric at each point, and its paired difference.

    Args:
        curves: those of the runs of a and of b.

    Raises:
        RequestError: for more points than one drawing can show.
    """
    columns = [c for c in COLUMNS if all(any(c in one.columns for one in side) for side in curves)]
    pairs = [p for p in found.pairs if p.metric == found.pairs[0].metric]
    if len(pairs) > MOST_POINTS:
        raise RequestError(f"{len(pairs)} points are too many for one figure; at most {MOST_POINTS} can be read.")
    names = (f"a: {found.a.label}", f"b: {found.b.label}")
    paired = any(p.difference.n > 1 for p in pairs)
    count = len(columns) + 1 + paired
    with rc_context(RC):
        drawing = Drawing(figsize=(max(5.6, 3.3 * count), max(3.4, 1.8 + 0.3 * len(pairs))), layout="constrained")
        places = drawing.subplots(1, count, squeeze=False)[0]
        for ax, column in zip(places, columns, strict=False):
            _curves(ax, column, curves)
        _points(places[len(columns)], pairs)
        if paired:
            _differences(places[-1], pairs)
        handles = [places[-1].plot([], [], **look, label=name)[0] for look, name in zip(LOOKS, names, strict=True)]
        shown = ", ".join(m.title for m in (*map(_shown, columns), metric(pairs[0].metric)))
        drawing.legend(
            handles=handles,
            loc="outside upper left",
            title=f"Two results side by side: {shown}",
            title_fontproperties={"weight": "bold", "size": 10},
            alignment="left",
        )
        note = f"Means and 95% t-intervals, paired by {found.rule}." if paired else "One run each: no interval."
        note += " A line a run." if columns else ""
        drawing.supxlabel(note, x=0.01, ha="left", fontsize=7.5, color=FAINT)
    return drawing


def _shown(column: str) -> Metric:
    """How a column of curves.csv is shown: `val_accuracy` as val/accuracy."""
    return metric(column.replace("_", "/", 1))


def _curves(ax: Axes, column: str, curves: tuple[Sequence[Curves], Sequence[Curves]]) -> None:
    described = _shown(column)
    for side, look in zip(curves, LOOKS, strict=True):
        for run in side:
            if column in run.columns:
                shown = [v * described.factor for v in run.columns[column]]
                ax.plot(run.epochs, shown, **{**look, "marker": ""}, lw=1.4, alpha=0.8)
    ax.set_xlabel("epoch")
    ax.set_ylabel(described.label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _points(ax: Axes, pairs: Sequence[Pair]) -> None:
    """Means of both sides at each point, with their intervals."""
    described = metric(pairs[0].metric)
    for i, pair in enumerate(pairs):
        for k, (interval, look) in enumerate(zip((pair.a, pair.b), LOOKS, strict=True)):
            _mark(ax, interval, i + (0.14 if k else -0.14), described, look)
    _rows(ax, [point(p.at) for p in pairs])
    ax.set_xlabel(described.label)
    if described.ends is not None:
        low, high = ax.get_xlim()
        ax.set_xlim(max(low, described.ends[0] - 2), min(high, described.ends[1] + 2))


def _differences(ax: Axes, pairs: Sequence[Pair]) -> None:
    """b - a over pairs of the same seed: an interval that leaves out zero tells the two apart."""
    described = metric(pairs[0].metric)
    ax.axvline(0, color="#555555", linestyle="--", linewidth=1)
    for i, pair in enumerate(pairs):
        _mark(ax, pair.difference, i, described, {"color": "black", "marker": "D"})
    _rows(ax, [""] * len(pairs))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    unit = f" ({described.difference})" if described.difference else ""
    ax.set_xlabel(f"b - a, {described.title}{unit}")


def _mark(ax: Axes, interval: Interval, y: float, described: Metric, look: dict[str, Any]) -> None:
    half = interval.half * described.factor if math.isfinite(interval.half) else 0.0
    x = interval.mean * described.factor
    ax.errorbar([x], [y], xerr=[half], color=look["color"], marker=look["marker"], capsize=3, ms=5, lw=1.2)


def _rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    if not any(names):
        ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    ax.grid(False, axis="y")
