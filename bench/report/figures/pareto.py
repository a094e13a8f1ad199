"""Accuracy against cost: which choices nothing else beats on both."""

from __future__ import annotations

import math

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench.report.figures.style import canvas, caption, look, matches
from bench.report.frame import Cell, Frame
from bench.report.naming import axis, metric, si
from bench.report.stats import t_interval
from bench.schema.label import show
from bench.schema.sweep import Figure, Sweep


def front(points: list[tuple[float, float]], sign: float) -> list[int]:
    """Indices of the points (cost, value) that no other beats: none is as cheap and better, or cheaper and as good.

    Args:
        sign: 1 where more of the value is better, -1 where less is.
    """
    best, kept = -math.inf, []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1])):
        if sign * points[i][1] > best:
            best = sign * points[i][1]
            kept.append(i)
    return kept


def pareto(figure: Figure, frame: Frame, sweep: Sweep) -> Drawing:
    """A point with its intervals for each cell, coloured by `lines`, and the Pareto front as a staircase."""
    shown, cost = metric(figure.y), metric(figure.cost)
    frame.need_metric(figure.cost)
    sheet = canvas(figure, frame, sweep, [a for a in frame.axes if a != figure.panels])
    cells = [c for c in frame.cells(figure.y, figure.at) if c.values]
    costs = {id(c): t_interval([r.costs[figure.cost] for r in c.records if figure.cost in r.costs]) for c in cells}
    cells = [c for c in cells if costs[id(c)].n]
    sign = -1.0 if shown.better == "less" else 1.0
    groups = frame.product([figure.lines]) if figure.lines else [{}]
    named = [a for a in frame.axes if a not in (figure.lines, figure.panels, *figure.at) and len(frame.levels[a]) > 1]
    spread = [costs[id(c)].mean for c in cells]
    for k, (at, ax) in enumerate(sheet.panels):
        here = [c for c in cells if matches(c.at, at)]
        where = [(costs[id(c)].mean * cost.factor, c.interval.mean * shown.factor) for c in here]
        steps = [where[i] for i in front(where, sign)]
        if steps:
            ax.step(
                *zip(*steps, strict=True), where="post", color="#9a9a9a", linewidth=1.2, zorder=1, label="Pareto front"
            )
        for i, one in enumerate(groups):
            style = look(i)
            label = show(one[figure.lines]) if figure.lines else None
            for c, (x, y) in zip(here, where, strict=True):
                if not matches(c.at, one):
                    continue
                half, wide = c.interval.half * shown.factor, costs[id(c)].half * cost.factor
                ax.errorbar(
                    [x], [y], yerr=[half] if half > 0 else None, xerr=[wide] if wide > 0 else None,
                    fmt=style["marker"], color=style["color"], capsize=2.5, elinewidth=1, markersize=6, label=label,
                )  # fmt: skip
                label = None
                ax.annotate(_name(c, named), (x, y), (5, 5), textcoords="offset points", fontsize=7.5)
        if spread and min(spread) > 0 and max(spread) / min(spread) >= 20:
            ax.set_xscale("log")
            ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: si(x)))
        ax.set_xlabel(cost.label)
        if k == 0:
            ax.set_ylabel(shown.label)
        ax.margins(x=0.12, y=0.12)
    handles, labels = sheet.panels[0][1].get_legend_handles_labels()
    title = axis(figure.lines) if figure.lines else None
    sheet.drawing.legend(handles, labels, title=title, loc="outside right center", alignment="left")
    caption(sheet.drawing, cells)
    return sheet.drawing


def _name(cell: Cell, axes: list[str]) -> str:
    return ", ".join(show(cell.at[name]) for name in axes if name in cell.at)
