"""What builders of figures share: which axes become panels, how a cell becomes a mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.analysis.frame import Cell, Frame
from bench.analysis.naming import Digits, axis, key, point
from bench.analysis.stats import t_interval
from bench.report.figures.chart import Mark, cut
from bench.report.grid import number
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text, show
from bench.schema.metric import Metric
from bench.schema.sweep import Figure

MOST_PANELS = 24
SEEDS_SHOWN = 50  # single values of one mark; records.csv has all


def split(frame: Frame, figure: Figure, used: Sequence[str | None]) -> list[tuple[str, list[Cell]]]:
    """The figure's cells by panel: one for each value of the axes that neither `used` nor `at` places.

    Raises:
        RequestError: when the records have no run where the figure looks, or it would have too many panels.
    """
    free = [a for a in frame.axes if a not in used and a not in figure.at and len(frame.levels[a]) > 1]
    found: dict[tuple[str, ...], tuple[str, list[Cell]]] = {}
    for cell in frame.cells(figure.y, figure.at):
        title = point({name: cell.at[name] for name in free if name in cell.at})
        found.setdefault(key(cell.at, free), (title, []))[1].append(cell)
    if not found:
        raise RequestError(f"These records have no run at {point(figure.at)}, which the figure is about (figure.at).")
    enough(len(found), free)
    return list(found.values())


def enough(count: int, free: Sequence[str]) -> None:
    """Raise RequestError for more panels than can be read."""
    if count > MOST_PANELS:
        raise RequestError(
            f"The figure would have {count} panels, one for each {', '.join(map(axis, free))}; at most "
            f"{MOST_PANELS} can be read. Place an axis on x or lines, or fix one by `at`."
        )


def names_of(frame: Frame, figure: Figure) -> tuple[str, ...]:
    """The series' names: the values of the axis on `lines`."""
    return tuple(show(v) for v in frame.levels[figure.lines]) if figure.lines else ()


def series_of(cell: Cell, frame: Frame, figure: Figure) -> int:
    """Which series a cell belongs to."""
    if not figure.lines or figure.lines not in cell.at:
        return 0
    return [canonical_text(v) for v in frame.levels[figure.lines]].index(canonical_text(cell.at[figure.lines]))


def mark_of(cell: Cell, shown: Metric, digits: Digits, series: int, seeds: bool) -> Mark:
    """A cell's mean and interval; x is to be set. y is None where no run gave a finite number."""
    mean, spread = number(cell, digits)
    unit = f" {shown.unit}" if shown.unit else ""
    name = point(cell.at) or shown.title
    interval = cell.interval
    if not cell.values or not math.isfinite(interval.mean):
        word = "failed" if cell.failed else "not run" if not cell.values else "not finite"
        return Mark(x=0.0, y=None, series=series, text=word, tip=(name, mean or word))
    tip = [name, f"{f'{mean} {spread}'.rstrip()}{unit}, n = {interval.n}"]
    values = [v for v in cell.values.values() if math.isfinite(v)]
    if interval.n > 1:
        tip.append("seeds: " + ", ".join(map(digits, values[:8])) + (" ..." if len(values) > 8 else ""))
    low, high = cut(interval.low, interval.high, shown) if interval.half > 0 else (None, None)
    return Mark(
        x=0.0,
        y=interval.mean * shown.factor,
        low=low,
        high=high,
        seeds=tuple(v * shown.factor for v in values[:SEEDS_SHOWN]) if seeds and interval.n > 1 else (),
        series=series,
        n=interval.n,
        text=mean,
        tip=tuple(tip),
    )


def pool(x: float, label: str, values: Sequence[float], series: int, shown: Metric | None, log: bool = False) -> Mark:
    """Mean and interval of single runs' values in shown units; with `log` they are decimal logarithms."""
    interval = t_interval(list(values))
    back: Callable[[float], float] = (lambda v: 10**v) if log else (lambda v: v)
    least, most = (shown.ends if shown else None) or (-math.inf, math.inf)
    centre = back(interval.mean)
    unit = shown.unit if shown else ""
    said = f"{centre:.2f}" if unit == "%" else f"{centre:.3g}"
    whole = math.isfinite(interval.half)
    return Mark(
        x=x,
        y=centre if math.isfinite(centre) else None,
        low=max(back(interval.low), least) if whole else None,
        high=min(back(interval.high), most) if whole else None,
        series=series,
        n=interval.n,
        text=said,
        tip=(label, f"{said}{f' {unit}' if unit else ''}, n = {interval.n}"),
    )


def was_cut(cells: Sequence[Cell], shown: Metric) -> list[str]:
    """The sentence that some intervals go beyond what the metric can be."""
    if shown.ends is None:
        return []
    least, most = shown.ends
    beyond = any(
        c.interval.cut or c.interval.low * shown.factor < least or c.interval.high * shown.factor > most
        for c in cells
        if c.values
    )
    return ["Intervals that go beyond 0 or 100% are cut there"] if beyond else []


def matches(at: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a point has these axis values."""
    return all(name in at and canonical_text(at[name]) == canonical_text(value) for name, value in wanted.items())
