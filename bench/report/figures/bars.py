"""A metric for named choices: a bar each, or a group of bars."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure as Drawing

from bench.report.figures.style import COLOURS, canvas, caption, dress_x, dress_y, fit_y, matches, seed_dots, unfinished
from bench.report.frame import Cell, Frame
from bench.report.naming import Digits, axis
from bench.schema.label import same, show
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep

HATCHES = ("", "////", "....", "xxxx", "----", "oo", "++")


def bars(figure: Figure, frame: Frame, sweep: Sweep) -> Drawing:
    """Means as bars with their value beside, 95% intervals, single seeds as dots.

    The scale of y starts at zero where the values spread over it; where all are close to each other it does not,
    and the bars become points: a bar that does not start at zero would lie about proportions.
    """
    assert figure.x is not None
    shown = metric(figure.y)
    levels = frame.levels[figure.x]
    where = {same(v): float(i) for i, v in enumerate(levels)}
    sheet = canvas(figure, frame, sweep, [figure.x, figure.lines])
    cells = frame.cells(figure.y, figure.at)
    means = [c.interval.mean * shown.factor for c in cells if c.values]
    from_zero = bool(means) and (min(means) < 0.6 * max(means) or not max(means) > 0)
    series = frame.product([figure.lines]) if figure.lines else [{}]
    width = 0.8 / len(series) if len(series) > 1 else 0.6
    drawn: list[Cell] = []
    digits = Digits(shown, [c.interval.half for c in cells])
    few = len(series) * len(levels) <= 8
    for k, (at, ax) in enumerate(sheet.panels):
        dress_x(ax, figure.x, levels, where, "names")
        dress_y(ax, shown, first=k == 0)
        ax.set_xlim(-0.6, len(levels) - 0.4)
        for i, one in enumerate(series):
            colour = COLOURS[i % len(COLOURS)]
            label = show(one[figure.lines]) if figure.lines else None
            for cell in (c for c in cells if matches(c.at, {**at, **one}) and figure.x in c.at):
                drawn.append(cell)
                x = where[same(cell.at[figure.x])] + (i - (len(series) - 1) / 2) * width
                if not cell.values:
                    unfinished(ax, x, colour)
                    continue
                y, half = cell.interval.mean * shown.factor, cell.interval.half * shown.factor
                if from_zero:
                    hatch = HATCHES[i % len(HATCHES)]
                    ax.bar([x], [y], width * 0.9, color=colour, alpha=0.75, hatch=hatch, edgecolor="white", label=label)
                else:
                    marker = "osD^vPX"[i % 7]
                    ax.plot([x], [y], marker, color=colour, markersize=7, linestyle="none", label=label)
                label = None
                if math.isfinite(half) and half > 0:
                    ax.errorbar([x], [y], [half], color="black" if from_zero else colour, capsize=4, elinewidth=1.2)
                seed_dots(ax, x, [v * shown.factor for v in cell.values.values()], "#333333")
                # Beside the mean, not above the interval: an interval's end is not the value that is written there.
                ax.annotate(
                    digits(cell.interval.mean), (x, y), (-6, 2 if from_zero else 0), textcoords="offset points",
                    ha="right", va="bottom" if from_zero else "center", fontsize=7.5 if few else 6.5,
                )  # fmt: skip
        ax.margins(y=0.12)
    fit_y(sheet, shown)
    if figure.lines:
        handles: dict[str, Any] = {}
        for _, ax in sheet.panels:
            handles |= {
                label: h for h, label in zip(*ax.get_legend_handles_labels(), strict=True) if label not in handles
            }
        sheet.drawing.legend(
            list(handles.values()),
            list(handles),
            title=axis(figure.lines),
            loc="outside right center",
            alignment="left",
        )
    caption(sheet.drawing, figure, drawn, dots=True)
    return sheet.drawing
