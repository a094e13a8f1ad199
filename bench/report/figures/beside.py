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
from bench.report.compare import Comparison
from bench.report.figures.style import COLOURS, FAINT, RC
from bench.report.naming import metric, point
from bench.schema.errors import RequestError

MOST_POINTS = 40
COLUMNS = ("train_loss", "val_loss", "val_accuracy")  # of curves.csv
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": COLOURS[0], "marker": "o", "linestyle": "-"},
    {"color": COLOURS[1], "marker": "s", "linestyle": "--"},
)


def beside(found: Comparison, curves: tuple[Sequence[Curves], Sequence[Curves]] = ((), ())) -> Drawing:
    """Learning curves of both sides where both have them, and the first metric at each paired point.

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
    count = len(columns) + 1
    with rc_context(RC):
        drawing = Drawing(figsize=(max(5.2, 3.3 * count), max(3.2, 1.4 + 0.27 * len(pairs))), layout="constrained")
        places = drawing.subplots(1, count, squeeze=False)[0]
        for ax, column in zip(places, columns, strict=False):
            _curves(ax, column, curves)
        _points(places[-1], found)
        handles = [places[-1].plot([], [], **look, label=name)[0] for look, name in zip(LOOKS, names, strict=True)]
        drawing.legend(handles=handles, loc="outside upper left", ncols=1)
        note = f"Means and 95% t-intervals, paired by {found.rule}."
        drawing.supxlabel(note, x=0.01, ha="left", fontsize=7.5, color=FAINT)
    return drawing


def _curves(ax: Axes, column: str, curves: tuple[Sequence[Curves], Sequence[Curves]]) -> None:
    described = metric(column.replace("_", "/", 1))
    for side, look in zip(curves, LOOKS, strict=True):
        for run in side:
            if column in run.columns:
                shown = [v * described.factor for v in run.columns[column]]
                ax.plot(run.epochs, shown, **{**look, "marker": ""}, lw=1.4, alpha=0.8)
    ax.set_xlabel("epoch")
    ax.set_ylabel(described.label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _points(ax: Axes, found: Comparison) -> None:
    first = found.pairs[0].metric
    described = metric(first)
    pairs = [p for p in found.pairs if p.metric == first]
    for i, pair in enumerate(pairs):
        for k, (interval, look) in enumerate(zip((pair.a, pair.b), LOOKS, strict=True)):
            y = i + (0.14 if k else -0.14)
            half = interval.half * described.factor if math.isfinite(interval.half) else 0.0
            x = interval.mean * described.factor
            ax.errorbar([x], [y], xerr=[half], color=look["color"], marker=look["marker"], capsize=3, ms=5, lw=1.2)
    ax.set_yticks(range(len(pairs)), [point(p.at) for p in pairs])
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.set_xlabel(described.label)
    ax.grid(True, axis="x")
    ax.grid(False, axis="y")
