"""How each kind of chart is drawn on Matplotlib's axes; limits and ticks are `paper`'s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Transform, offset_copy

from bench.report.figures.chart import Chart, Panel
from bench.report.figures.labels import abbreviate
from bench.report.figures.style import COLUMN, look
from bench.report.figures.verdicts import MEAN, SEED
from bench.schema.label import show

GREY = "#8a8a8a"
APART = 5.0  # points between the marks of neighbouring series at one place
COLOUR_MAP = "cividis"  # even for all kinds of colour vision


def line(ax: Axes, chart: Chart, panel: Panel) -> None:
    """Means joined by lines, intervals as bars, single seeds as dots beside them."""
    where = {show(v): float(i) for i, v in enumerate(chart.x.ticks)} if chart.x.kind == "names" else {}
    _threads(ax, panel)
    count = max(1, len(chart.series))
    for i in range(count):
        style = look(i)
        aside = _aside(ax, (i - (count - 1) / 2) * min(APART, 12 / count))
        dots = _aside(ax, (i - (count - 1) / 2) * min(APART, 12 / count) + (-3.2 if 2 * i + 1 < count else 3.2))
        mine = [(where.get(str(m.x), m.x), m) for m in panel.marks if m.series == i]
        alive = [(float(x), m) for x, m in mine if m.y is not None]
        # A line between two means that skips one without a number would hide it.
        xs = [float(x) for x, _ in mine]
        ys = [math.nan if m.y is None else m.y for _, m in mine]
        ax.plot(xs, ys, **style, markersize=3.6, zorder=3, transform=aside)
        for x, m in alive:
            if m.low is not None and m.high is not None:
                ax.plot([x, x], [m.low, m.high], color=style["color"], lw=1.0, transform=aside, zorder=2.5)
                ends: Any = {"marker": "_", "markersize": 4, "color": style["color"], "linestyle": "none"}
                ax.plot([x, x], [m.low, m.high], **ends, transform=aside, zorder=2.5)
            _seeds(ax, [x] * len(m.seeds), m.seeds, style["color"], dots)
        _crosses(ax, [float(x) for x, m in mine if m.y is None], style["color"], "x")


def dots(ax: Axes, chart: Chart, panel: Panel) -> None:
    """Names down the side, means as marks on a scale that fits: bars from zero would hide the differences."""
    where = {show(v): float(i) for i, v in enumerate(chart.x.ticks)}
    count = max(1, len(chart.series))
    for value, _ in panel.lines:
        ax.axvline(value, color="#555555", lw=0.8, linestyle=(0, (3, 2)), zorder=1)
    for i in range(count):
        style = look(i)
        shift = (i - (count - 1) / 2) * 0.62 / count
        mine = [(where[str(m.x)] + shift, m) for m in panel.marks if m.series == i]
        for y, m in mine:
            if m.y is None:
                continue
            if m.low is not None and m.high is not None:
                ax.plot([m.low, m.high], [y, y], color=style["color"], lw=1.0, marker="|", markersize=4, zorder=2.5)
            ax.plot([m.y], [y], style["marker"], color=style["color"], markersize=4.2, zorder=3)
            _seeds(ax, m.seeds, [y + 0.24 / count] * len(m.seeds), style["color"], ax.transData)
        _crosses(ax, [y for y, m in mine if m.y is None], style["color"], "y")


def trace(ax: Axes, chart: Chart, panel: Panel) -> None:
    """Curves with a band, or with bars where each point has its own sample."""
    for left, right, height in panel.columns:
        ax.bar((left + right) / 2, height, (right - left) * 0.9, color="#d4d4d4", zorder=1)
    if chart.diagonal:
        ax.plot([0, 100], [0, 100], "--", color="#555555", lw=0.8, zorder=1.5)
    _threads(ax, panel)
    for i in range(max(1, len(chart.series))):
        style = look(i)
        mine: list[Any] = [m for m in panel.marks if m.series == i and m.y is not None]
        xs = [float(m.x) for m in mine]
        every = max(1, len(mine) // 6)
        sparse = len(mine) > 8 and not chart.diagonal  # there each mark has an interval of its own
        marked: dict[str, Any] = {"markevery": (min(i, every - 1), every)} if sparse else {}
        ax.plot(xs, [m.y for m in mine], **style, markersize=3.2, zorder=3, **marked)
        whole = [m for m in mine if m.low is not None]
        if chart.diagonal:
            for m in whole:
                ax.plot([m.x, m.x], [m.low, m.high], color=style["color"], lw=0.9, zorder=2.5)
        elif len(whole) > 1:
            low, high = [m.low for m in whole], [m.high for m in whole]
            ax.fill_between([float(m.x) for m in whole], low, high, color=style["color"], alpha=0.18, lw=0)


def pareto(ax: Axes, chart: Chart, panel: Panel) -> None:
    """A mark with both intervals for each choice; those on the front filled and joined."""
    marks: Sequence[Any] = panel.marks
    best = sorted((m for m in marks if m.front), key=lambda m: float(m.x))
    if best:
        edge = panel.x_range[1]
        ax.step(
            [*(float(m.x) for m in best), edge], [*(m.y for m in best), best[-1].y], where="post",
            color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1,
        )  # fmt: skip
    for m in marks:
        style = look(m.series)
        colour = style["color"]
        if m.low is not None:
            ax.plot([m.x, m.x], [m.low, m.high], color=colour, lw=0.9, zorder=2)
        if m.left is not None:
            ax.plot([m.left, m.right], [m.y, m.y], color=colour, lw=0.9, zorder=2)
        face = colour if m.front else "white"
        ax.plot([m.x], [m.y], style["marker"], color=colour, markerfacecolor=face, markersize=4.5, zorder=3)


def forest(ax: Axes, panel: Panel) -> None:
    """One claim: mean and interval above, single seeds below."""
    ax.set_ylim(-1.0, 1.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(False)
    if panel.shade:
        ax.axvspan(*panel.shade, color="#e6e6e6", zorder=0, lw=0)
    for x, _ in panel.lines:
        ax.plot([x, x], [-1.0, 1.6], color="#555555", lw=0.8, linestyle=(0, (3, 2)), zorder=1)
    marks: Sequence[Any] = panel.marks
    for m in (m for m in marks if m.series == MEAN):
        if m.left is not None:
            ax.plot([m.left, m.right], [m.y, m.y], color="black", marker="|", markersize=6, lw=1.3, zorder=3)
        ax.plot([m.x], [m.y], "o", color="black", markersize=5, zorder=4)
    seeds = [m for m in marks if m.series == SEED]
    ax.plot([m.x for m in seeds], [m.y for m in seeds], "o", mfc="none", mec="#333333", mew=0.8, ms=3.6, ls="none")


def heat(ax: Axes, chart: Chart, panel: Panel) -> None:
    """A square for each mark, its number inside where there is room for it."""
    across, down = [show(v) for v in chart.x.ticks], list(chart.series)
    field = np.full((max(1, len(down)), len(across)), np.nan)
    for m in panel.marks:
        if m.y is not None:
            field[m.series, across.index(str(m.x))] = m.y
    low, high = panel.y_range
    seen = np.sqrt(field) if chart.root else field
    ends = (math.sqrt(low), math.sqrt(high)) if chart.root else (low, high)
    ax.imshow(seen, cmap=COLOUR_MAP, vmin=ends[0], vmax=ends[1], aspect="auto")
    for m in panel.marks:
        if fits(chart):
            value = math.sqrt(m.y) if chart.root and m.y is not None else m.y
            pale = value is None or (value - ends[0]) / (ends[1] - ends[0]) > 0.55
            ax.text(
                across.index(str(m.x)), m.series, m.text, ha="center", va="center", linespacing=0.95,
                color="black" if pale else "white",
            )  # fmt: skip
    if len(across) <= 40:
        turned: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if is_slanted(chart) else {}
        ax.set_xticks(range(len(across)), abbreviate(across), **turned)
        ax.set_yticks(range(len(down)), abbreviate(down))
    ax.set_xlabel(chart.x.label)
    ax.set_ylabel(chart.lines)
    ax.grid(False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def square_height(chart: Chart) -> float:
    """Height of a row of the grid, in points."""
    lines = max((m.text.count("\n") + 1 for p in chart.panels for m in p.marks), default=1)
    return max(13.0, 9.0 * lines + 4) if fits(chart) else max(3.0, min(13.0, 230 / max(1, len(chart.series))))


def fits(chart: Chart) -> bool:
    """Whether the numbers fit into their squares at the smallest type."""
    text = max((len(t) for p in chart.panels for m in p.marks for t in m.text.split("\n")), default=0)
    room = (COLUMN * 72 - 55 - 4.2 * longest(chart.series)) / max(1, len(chart.x.ticks))
    return text * 4.2 <= room


def is_slanted(chart: Chart) -> bool:
    """Whether the names below a grid are too long to stand side by side."""
    return longest(chart.x.ticks) * 4.2 * len(chart.x.ticks) > COLUMN * 72 * 0.6


def longest(names: Sequence[Any]) -> int:
    """Letters of the longest name, as it is written beside an axis."""
    return max(map(len, abbreviate([show(name) for name in names])), default=0)


def colour_bar(drawing: Drawing, axes: Sequence[Axes], chart: Chart) -> None:
    """What the colours mean, beside the panels."""
    image = axes[0].images[0]
    bar = drawing.colorbar(image, ax=list(axes), label=chart.y.label, fraction=0.06, pad=0.02)
    bar.outline.set_visible(False)
    if chart.root:
        bar.set_ticks([math.sqrt(v) for v in (0, 1, 5, 20, 50, 100)], labels=["0", "1", "5", "20", "50", "100"])
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(5))


def _aside(ax: Axes, points: float) -> Transform:
    return offset_copy(ax.transData, ax.get_figure(root=True), x=points, y=0, units="points")


def _seeds(ax: Axes, xs: Sequence[float], ys: Sequence[float], colour: str, where: Transform) -> None:
    ax.plot(list(xs), list(ys), ".", color=colour, alpha=0.6, markersize=3, mew=0, transform=where, zorder=2)


def _threads(ax: Axes, panel: Panel) -> None:
    for series, points in panel.threads:
        xs, ys = zip(*points, strict=True)
        ax.plot(xs, ys, color=look(series)["color"], alpha=0.35, lw=0.5, zorder=1.8)


def _crosses(ax: Axes, places: Sequence[float], colour: str, along: str) -> None:
    """Crosses at the foot of the panel for marks without any number."""
    style: Any = {"marker": "x", "color": colour, "markersize": 4.5, "mew": 1.3, "linestyle": "none"}
    for v in places:
        if along == "x":
            ax.plot([v], [0.03], **style, transform=ax.get_xaxis_transform())
        else:
            ax.plot([0.02], [v], **style, transform=ax.get_yaxis_transform())
