"""A metric over an ordered axis, a line for each value of another."""

from __future__ import annotations

import itertools
import math

from matplotlib.figure import Figure as Drawing

from bench.report.figures.style import (
    canvas,
    caption,
    dress_x,
    dress_y,
    fit_y,
    look,
    matches,
    positions,
    seed_dots,
    unfinished,
)
from bench.report.frame import Cell, Frame
from bench.report.naming import axis
from bench.schema.label import same, show
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep


def line(figure: Figure, frame: Frame, sweep: Sweep) -> Drawing:
    """Means joined by lines, 95% intervals as bars, single seeds as dots beside them."""
    assert figure.x is not None
    shown = metric(figure.y)
    sheet = canvas(figure, frame, sweep, [figure.x, figure.lines])
    cells = frame.cells(figure.y, figure.at)
    where, scale = positions(frame.levels[figure.x], figure.log_x)
    series = frame.product([figure.lines]) if figure.lines else [{}]
    drawn: list[Cell] = []
    for k, (at, ax) in enumerate(sheet.panels):
        dress_x(ax, figure.x, frame.levels[figure.x], where, scale)
        dress_y(ax, shown, first=k == 0 or not ax.get_shared_y_axes().joined(ax, sheet.panels[0][1]))
        for i, one in enumerate(series):
            mine = [c for c in cells if matches(c.at, {**at, **one}) and figure.x in c.at]
            mine.sort(key=lambda c: where[same(c.at[str(figure.x)])])
            drawn += mine
            style = look(i)
            xs = [_dodge(where[same(c.at[figure.x])], i, len(series), where, scale) for c in mine]
            alive = [(x, c) for x, c in zip(xs, mine, strict=True) if c.values]
            label = f"{show(one[figure.lines])}" if figure.lines else None
            ax.plot(
                [x for x, _ in alive],
                [c.interval.mean * shown.factor for _, c in alive],
                **style,
                markersize=5,
                linewidth=1.5,
                label=label,
                zorder=3,
            )
            for x, cell in alive:
                i_ = cell.interval
                if math.isfinite(i_.half) and i_.half > 0:
                    ax.errorbar(
                        [x],
                        [i_.mean * shown.factor],
                        [i_.half * shown.factor],
                        color=style["color"],
                        capsize=3,
                        elinewidth=1.2,
                    )
                # Outwards, where the next series' mean does not stand.
                seed_dots(
                    ax,
                    x,
                    [v * shown.factor for v in cell.values.values()],
                    style["color"],
                    -1 if 2 * i + 1 < len(series) else 1,
                )
            for x, cell in zip(xs, mine, strict=True):
                if not cell.values:
                    unfinished(ax, x, style["color"])
    fit_y(sheet, shown)
    if figure.lines:
        handles, labels = sheet.panels[0][1].get_legend_handles_labels()
        sheet.drawing.legend(handles, labels, title=axis(figure.lines), loc="outside right center", alignment="left")
    caption(sheet.drawing, figure, drawn, dots=True)
    return sheet.drawing


def _dodge(x: float, i: int, count: int, where: dict[str, float], scale: str) -> float:
    """Series a little beside each other, so that their intervals can be told apart."""
    shift = i - (count - 1) / 2
    spots = sorted(where.values())
    if scale == "log":
        gap = min(math.log(b / a) for a, b in itertools.pairwise(spots))
        return x * math.exp(shift * min(0.06 * gap, 0.3 * gap / count))
    gap = min((b - a for a, b in itertools.pairwise(spots)), default=1.0)
    return x + shift * min(0.06 * gap, 0.3 * gap / count)
