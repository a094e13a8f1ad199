"""Accuracy against cost: which choices nothing else beats on both."""

from __future__ import annotations

import math

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.report.asked import logarithmic
from bench.report.figures.labels import place
from bench.report.figures.style import canvas, caption, decade_steps, fit_y, look, matches
from bench.report.frame import Cell, Frame
from bench.report.naming import axis, si
from bench.report.stats import t_interval
from bench.schema.label import show
from bench.schema.metric import metric
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
    """A point with its intervals for each cell, coloured by `lines`; the Pareto front filled, and named first."""
    shown, cost = metric(figure.y), metric(figure.cost)
    frame.need_metric(figure.cost)
    sheet = canvas(figure, frame, sweep, [a for a in frame.axes if a != figure.panels])
    cells = [c for c in frame.cells(figure.y, figure.at) if c.values]
    costs = {id(c): t_interval([r.costs[figure.cost] for r in c.records if figure.cost in r.costs]) for c in cells}
    cells = [c for c in cells if costs[id(c)].n]
    sign = -1.0 if shown.better == "less" else 1.0
    groups = frame.product([figure.lines]) if figure.lines else [{}]
    axes = [a for a in frame.axes if a not in (figure.lines, figure.panels, *figure.at) and len(frame.levels[a]) > 1]
    named: list[list[tuple[str, float, float]]] = []
    for k, (at, ax) in enumerate(sheet.panels):
        here = [c for c in cells if matches(c.at, at)]
        where = [(costs[id(c)].mean * cost.factor, c.interval.mean * shown.factor) for c in here]
        best = front(where, sign)
        for i, one in enumerate(groups):
            style = look(i)
            ax.plot(
                [],
                [],
                style["marker"],
                color=style["color"],
                ms=6,
                label=show(one[figure.lines]) if figure.lines else None,
            )
            for j, (c, (x, y)) in enumerate(zip(here, where, strict=True)):
                if not matches(c.at, one):
                    continue
                half, wide = c.interval.half * shown.factor, costs[id(c)].half * cost.factor
                ax.errorbar(
                    [x], [y], yerr=[half] if half > 0 else None, xerr=[wide] if wide > 0 else None,
                    fmt=style["marker"], color=style["color"], capsize=2, elinewidth=0.9, markersize=6,
                    markerfacecolor=style["color"] if j in best else "white", zorder=3,
                )  # fmt: skip
        ax.margins(x=0.12, y=0.12)
        if logarithmic([costs[id(c)].mean for c in cells], figure.log_x):
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=decade_steps(ax.get_xlim()), numticks=8))
            ax.xaxis.set_minor_formatter(NullFormatter())
        else:
            ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: si(x)))
        ax.set_xlabel(cost.label)
        if k == 0:
            ax.set_ylabel(shown.label)
        if best:
            edge = ax.get_xlim()[1]
            xs, ys = zip(*[where[j] for j in best], (edge, where[best[-1]][1]), strict=True)
            ax.step(xs, ys, where="post", color="#8a8a8a", linewidth=1.2, zorder=1, label="Pareto front")
            ax.set_xlim(right=edge)
        order = [*best, *(j for j in range(len(here)) if j not in best)]
        named.append([(_name(here[j], axes), *where[j]) for j in order if axes])
    fit_y(sheet, shown)
    handles, labels = sheet.panels[0][1].get_legend_handles_labels()
    title = axis(figure.lines) if figure.lines else None
    sheet.drawing.legend(handles, labels, title=title, loc="outside right center", alignment="left")
    how = "Filled: on the Pareto front, which nothing beats on both"
    how += f". Names: {', '.join(map(axis, axes))}" if axes else ""
    caption(sheet.drawing, figure, cells, more=how)
    for (_, ax), names in zip(sheet.panels, named, strict=True):
        place(sheet.drawing, ax, names)
    return sheet.drawing


def _name(cell: Cell, axes: list[str]) -> str:
    return ", ".join(show(cell.at[name]) for name in axes if name in cell.at)
