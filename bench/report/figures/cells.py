"""Figures of cells: a metric over an axis as lines or as dots, over two axes as colours, against a cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bench.analysis.frame import Cell, Frame
from bench.analysis.naming import Digits, axis
from bench.analysis.stats import Interval, t_interval
from bench.report.figures.chart import Chart, Mark, Panel, Scale, logarithmic, marks, set_ranges
from bench.report.figures.choice import heading, kind_of, small_print
from bench.report.figures.panels import mark_of, names_of, series_of, split, was_cut
from bench.schema.label import show, to_number
from bench.schema.metric import Metric, metric
from bench.schema.sweep import Figure

CROSS = "×: no finished run, or none with a finite number"


def over_axis(frame: Frame, figure: Figure) -> Chart:
    """Means over the values of an axis, joined by lines; for names (kind bars) dots beside the names."""
    assert figure.x is not None
    shown, kind = metric(figure.y), kind_of(figure, frame)
    x = x_scale(frame, figure) if kind == "line" else Scale(axis(figure.x), "names", shown_values(frame, figure.x))
    found = split(frame, figure, [figure.x, figure.lines])
    digits = _digits(found, shown)
    panels = []
    for title, cells in found:
        here = [c for c in cells if figure.x in c.at]
        made = [
            dataclasses.replace(
                mark_of(c, shown, digits, series_of(c, frame, figure), figure.seeds == "dots"),
                x=_place(c, figure.x, x),
            )
            for c in here
        ]
        if x.kind != "names":
            made.sort(key=lambda m: (m.series, m.x))
        threads = _threads(here, frame, figure, shown, x) if figure.seeds == "lines" and kind == "line" else ()
        panels.append(Panel(title, tuple(made), threads))
    cells = [c for _, cells in found for c in cells]
    chart = Chart(
        kind="line" if kind == "line" else "dots",
        title=heading(figure, frame),
        x=x,
        y=Scale(shown.label, ends=shown.ends, better=shown.better),
        panels=tuple(panels),
        series=names_of(frame, figure),
        lines=axis(figure.lines) if figure.lines else "",
    )
    single = {"dots": "Small dots: single seeds", "lines": "Thin lines: single seeds"}.get(figure.seeds or "", "")
    several = any(m.n > 1 for m in marks(chart))
    crossed = any(m.y is None for m in marks(chart))
    more = [single if several else "", *was_cut(cells, shown), CROSS if crossed else ""]
    said = small_print(figure, frame, cells, [m.n for m in marks(chart)], more)
    return set_ranges(dataclasses.replace(chart, caption=said), close_up=True)


def heat(frame: Frame, figure: Figure) -> Chart:
    """A metric as the colour of a grid, mean and half width in every square."""
    assert figure.x is not None
    assert figure.lines is not None
    shown = metric(figure.y)
    found = split(frame, figure, [figure.x, figure.lines])
    digits = _digits(found, shown)
    panels = []
    for title, cells in found:
        made = []
        for cell in cells:
            mark = mark_of(cell, shown, digits, series_of(cell, frame, figure), seeds=False)
            lines = [mark.text]
            if mark.y is not None:
                lines += [f"±{digits(cell.interval.half)}"] if cell.interval.half > 0 else []
                lines += [f"n={cell.interval.n}"] if cell.incomplete else []
            made.append(
                dataclasses.replace(mark, x=show(cell.at[figure.x]), low=None, high=None, text="\n".join(lines))
            )
        panels.append(Panel(title, tuple(made)))
    cells = [c for _, cells in found for c in cells]
    chart = Chart(
        kind="heat",
        title=heading(figure, frame),
        x=Scale(axis(figure.x), "names", shown_values(frame, figure.x)),
        y=Scale(shown.label, better=shown.better),
        panels=tuple(panels),
        series=names_of(frame, figure),
        lines=axis(figure.lines),
    )
    said = small_print(figure, frame, cells, [m.n for m in marks(chart)])
    return set_colours(dataclasses.replace(chart, caption=said))


def set_colours(chart: Chart) -> Chart:
    """The chart with the range of its colours: from the least to the greatest value of all panels."""
    values = [m.y for m in marks(chart) if m.y is not None] or [0.0, 1.0]
    low, high = min(values), max(values)
    ends = (low, high if high > low else low + 1)
    return dataclasses.replace(chart, panels=tuple(dataclasses.replace(p, y_range=ends) for p in chart.panels))


def pareto(frame: Frame, figure: Figure) -> Chart:
    """A metric against a cost, a mark for each cell, and the front of those that nothing beats on both."""
    shown, cost = metric(figure.y), metric(figure.cost)
    frame.need_metric(figure.cost)
    found = split(frame, figure, [a for a in frame.axes if a != figure.panels])
    axes = [a for a in frame.axes if a not in (figure.lines, figure.panels, *figure.at) and len(frame.levels[a]) > 1]
    digits = _digits(found, shown)
    sign = -1.0 if shown.better == "less" else 1.0
    panels, drawn = [], []
    for title, cells in found:
        made = []
        for cell in cells:
            costs = t_interval([r.costs[figure.cost] for r in cell.records if figure.cost in r.costs])
            mark = mark_of(cell, shown, digits, series_of(cell, frame, figure), seeds=False)
            if mark.y is None or not costs.n or not math.isfinite(costs.mean):
                continue
            drawn.append(cell)
            made.append(_at_cost(mark, cell, costs, cost, axes))
        best = front([(float(m.x), m.y or 0.0) for m in made], sign)
        panels.append(
            Panel(title, tuple(dataclasses.replace(m, front=True) if i in best else m for i, m in enumerate(made)))
        )
    chart = Chart(
        kind="pareto",
        title=heading(figure, frame),
        x=Scale(
            cost.label,
            "log" if logarithmic([float(m.x) for p in panels for m in p.marks], figure.log_x) else "linear",
        ),
        y=Scale(shown.label, ends=shown.ends, better=shown.better),
        panels=tuple(panels),
        series=names_of(frame, figure),
        lines=axis(figure.lines) if figure.lines else "",
    )
    more = [f"Names: {', '.join(map(axis, axes))}" if axes else "", *was_cut(drawn, shown)]
    return set_ranges(
        dataclasses.replace(chart, caption=small_print(figure, frame, drawn, [m.n for m in marks(chart)], more))
    )


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


def _at_cost(mark: Mark, cell: Cell, costs: Interval, cost: Metric, axes: Sequence[str]) -> Mark:
    wide = costs.half * cost.factor if math.isfinite(costs.half) and costs.half > 0 else 0.0
    centre = costs.mean * cost.factor
    paid = f"{cost.label}: {Digits(cost, [costs.half])(costs.mean)}"
    return dataclasses.replace(
        mark,
        x=centre,
        left=max(centre - wide, centre / 10) if wide else None,  # a cost is positive
        right=centre + wide if wide else None,
        label=", ".join(show(cell.at[name]) for name in axes if name in cell.at),
        tip=(*mark.tip, paid),
    )


def x_scale(frame: Frame, figure: Figure) -> Scale:
    """The scale for the values of an axis: numbers where all of them are, else names."""
    levels = frame.levels[figure.x or ""]
    numbers = [to_number(v) for v in levels]
    found = [n for n in numbers if n is not None]
    if len(found) < len(levels) or len(levels) < 2:
        return Scale(axis(figure.x or ""), "names", tuple(show(v) for v in levels))
    return Scale(axis(figure.x or ""), "log" if logarithmic(found, figure.log_x) else "linear", tuple(sorted(found)))


def shown_values(frame: Frame, name: str) -> tuple[str, ...]:
    """The values of an axis as people write them."""
    return tuple(show(v) for v in frame.levels[name])


def _place(cell: Cell, name: str, x: Scale) -> float | str:
    value = to_number(cell.at[name])
    return show(cell.at[name]) if x.kind == "names" or value is None else value


def _threads(
    cells: Sequence[Cell], frame: Frame, figure: Figure, shown: Metric, x: Scale
) -> tuple[tuple[int, tuple[tuple[float, float], ...]], ...]:
    """Each seed's values over x as a line of its own."""
    where = {name: float(i) for i, name in enumerate(x.ticks)} if x.kind == "names" else {}
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for cell in cells:
        at = _place(cell, figure.x or "", x)
        spot = where[at] if isinstance(at, str) else at
        for seed, value in cell.values.items():
            if math.isfinite(value):
                line = found.setdefault((series_of(cell, frame, figure), seed), [])
                line.append((spot, value * shown.factor))
    return tuple((series, tuple(sorted(line))) for (series, _), line in found.items())


def _digits(found: Sequence[tuple[str, list[Cell]]], shown: Metric) -> Digits:
    return Digits(shown, [c.interval.half for _, cells in found for c in cells])
