"""What all figures share: colours, fonts, titles, panels, tick labels."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from bench.report.asked import fixed, heading, logarithmic
from bench.report.frame import Cell, Frame
from bench.report.naming import axis, point
from bench.schema.errors import RequestError
from bench.schema.label import numeric, same, show
from bench.schema.metric import Metric, metric
from bench.schema.sweep import Figure, Sweep

# Okabe & Ito (2008), neighbours far apart for all kinds of colour vision; their yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MOST_PANELS = 24
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
FAINT = "#6b6b6b"

RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same shapes on every machine
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 2.6,  # long enough to tell dashes apart
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "svg.hashsalt": "imagebench",  # ids inside the file are random without it
    "svg.fonttype": "path",
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "path.simplify": False,
}


@dataclass
class Canvas:
    """A drawing with its panels: [(values of the panel axes, axes to draw on)]."""

    drawing: Drawing
    panels: list[tuple[dict[str, Any], Axes]]


def look(i: int) -> dict[str, Any]:
    """Colour, marker and dash of the i-th series; told apart without colour too."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[(i // len(COLOURS)) % len(DASHES)] if i >= len(COLOURS) else DASHES[i % 2],
    }


def canvas(
    figure: Figure,
    frame: Frame,
    sweep: Sweep,
    used: Sequence[str | None],
    *,
    share_y: bool = True,
    height: float = 2.6,
    titles: Sequence[str] = (),
) -> Canvas:
    """A drawing with one panel for each value of the axes that neither `used` nor `at` places.

    Args:
        used: the axes that the figure places itself.
        height: of one panel of several, in inches.
        titles: panels of another kind than by axis value.

    Raises:
        RequestError: when the records have no run where the figure looks, or it would have too many panels.
    """
    free = [a for a in frame.axes if a not in used and a not in figure.at and len(frame.levels[a]) > 1]
    cells = frame.cells(figure.y, figure.at)
    present = [c for c in frame.product(free) if any(matches(cell.at, c) for cell in cells)]
    heads = list(titles) or [point(at) for at in present]
    present = [{} for _ in titles] or present
    if not heads:
        raise RequestError(f"These records have no run at {point(figure.at)}, which the figure is about (figure.at).")
    columns = 2 if len(heads) == 4 else min(3, len(heads))
    rows = math.ceil(len(heads) / columns)
    if rows * columns > MOST_PANELS:
        raise RequestError(
            f"The figure would have {len(heads)} panels, one for each {', '.join(map(axis, free))}; at most "
            f"{MOST_PANELS} can be read. Place an axis on x or lines, or fix one by `at`."
        )
    size = (5.6 if columns == 1 else 3.4 * columns, 3.7 if rows == 1 else height * rows + 0.9)
    drawing = Drawing(figsize=size, layout="constrained")
    grid = drawing.subplots(rows, columns, sharey=share_y, squeeze=False)
    flat = [ax for row in grid for ax in row]
    for ax in flat[len(heads) :]:
        ax.set_visible(False)
    for head, ax in zip(heads, flat, strict=False):
        ax.set_title(head, loc="left")
    title = textwrap.fill(heading(figure, frame), int(size[0] * 10.5))
    drawing.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return Canvas(drawing, list(zip(present, flat, strict=False)))


def matches(at: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a point has these axis values."""
    return all(name in at and same(at[name]) == same(value) for name, value in wanted.items())


def caption(
    drawing: Drawing,
    figure: Figure,
    cells: Sequence[Cell],
    extra: str = "",
    dots: bool = False,
    more: str = "",
    seeds: Sequence[int] = (),
) -> None:
    """The small print below: what is drawn, at which fixed values, how many seeds, which dataset.

    Args:
        extra: what is drawn, where it is not a mean and its interval over seeds.
        dots: single seeds are drawn too.
        more: a further sentence, how to read this kind of figure.
        seeds: how many runs each drawn line has, where they are drawn from their files and not from a metric.
    """
    cells = list({(id(c.records[0]), c.metric): c for c in cells}.values())
    counts = sorted(set(seeds) or {c.interval.n for c in cells if c.values})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "0"
    many = "seed" if counts == [1] else "seeds"
    what = extra or f"Mean and 95% t-interval over {many}{' (dots: single seeds)' if dots else ''}"
    parts = [what, f"n = {n} {many}", *([fixed(figure)] if figure.at else []), *([more] if more else [])]
    if not extra and any(_beyond(c) for c in cells):
        parts.append("Intervals that go beyond 0 or 100% are cut there")
    records = [r for c in cells for r in c.records]
    data = sorted({str(r.config[k]) for r in records for k in ("dataset.source", "dataset.name") if k in r.config})
    if len(data) == 1:
        parts.append(f"Dataset: {data[0]}")
    unfinished = sum(c.failed + c.missing + c.running for c in {id(c.records[0]): c for c in cells}.values())
    if unfinished:
        parts.append(f"{unfinished} run{'s' if unfinished > 1 else ''} failed or missing; ×: no run finished")
    width = int(drawing.get_figwidth() * 17)
    drawing.supxlabel(textwrap.fill(". ".join(parts) + ".", width), x=0.01, ha="left", fontsize=7.5, color=FAINT)


def _beyond(cell: Cell) -> bool:
    shown = metric(cell.metric)
    if shown.ends is None or not math.isfinite(cell.interval.half):
        return False
    low, high = (v * shown.factor for v in (cell.interval.low, cell.interval.high))
    return low < shown.ends[0] or high > shown.ends[1]


def fit_y(sheet: Canvas, shown: Metric) -> None:
    """Show no number that the metric cannot have: a percentage ends at 0 and 100 even where an interval does not.

    Once all panels are drawn: limits that are set no longer follow the data, in every panel that shares them.
    """
    if shown.ends is None:
        return
    least, most = shown.ends
    for _, ax in sheet.panels:
        low, high = ax.get_ylim()
        room = 0.03 * (min(high, most) - max(low, least))
        ax.set_ylim(max(low, least - room), min(high, most + room))


def decade_steps(ends: tuple[float, float]) -> tuple[float, ...]:
    """Where a logarithmic axis divides its decades: at 1, 2 and 5 where it shows two of them at most."""
    return (1.0, 2.0, 5.0) if max(ends) / min(ends) < 150 else (1.0,)


def positions(levels: Sequence[Any], log: bool | None) -> tuple[dict[str, float], str]:
    """Where axis values stand on x: {canonical value: x}, and the scale: "log", "linear" or "names"."""
    numbers = {same(v): numeric(v) for v in levels}
    if len(levels) < 2 or any(n is None for n in numbers.values()):
        return {same(v): float(i) for i, v in enumerate(levels)}, "names"
    found = {name: float(n) for name, n in numbers.items() if n is not None}
    return found, "log" if logarithmic(list(found.values()), log) else "linear"


def dress_x(ax: Axes, name: str, levels: Sequence[Any], where: dict[str, float], scale: str) -> None:
    """Ticks at the axis values that were run, labelled as people write them."""
    ticks = [where[same(v)] for v in levels]
    labels = {where[same(v)]: show(v) for v in levels}
    if scale == "log":
        ax.set_xscale("log")
    longest = max(map(len, labels.values()), default=0)
    ax.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: labels.get(x) or labels[min(labels, key=lambda t: abs(t - x))])
    )
    if longest * len(labels) > 55:
        ax.tick_params(axis="x", rotation=35)
        for label in ax.get_xticklabels():
            label.set_horizontalalignment("right")
    ax.set_xlabel(axis(name))


def dress_y(ax: Axes, shown: Metric, first: bool = True) -> None:
    """The metric and its unit."""
    if first:
        ax.set_ylabel(shown.label)


def seed_dots(ax: Axes, x: float, values: Sequence[float], colour: str, side: int = 1) -> None:
    """Single seeds as dots beside their mean, so that the interval does not hide them; side 1: right, -1: left."""
    aside = offset_copy(ax.transData, ax.get_figure(root=True), x=5 * side, y=0, units="points")
    ax.plot(
        [x] * len(values), list(values), ".", color=colour, alpha=0.6, markersize=5, mew=0, transform=aside, zorder=2
    )


def unfinished(ax: Axes, x: float, colour: str) -> None:
    """A cross at the foot of the panel for a point without any finished run."""
    ax.plot(
        [x], [0.02], marker="x", color=colour, markersize=7, mew=1.8, transform=ax.get_xaxis_transform(), clip_on=False
    )
