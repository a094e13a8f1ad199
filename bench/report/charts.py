"""A sweep's figures as plain data, which templates/charts.js draws with values on hover."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from bench.report.asked import heading, kind_of, logarithmic
from bench.report.frame import Cell, Frame
from bench.report.grid import number
from bench.report.naming import Digits, axis, key, point
from bench.schema.label import numeric, show
from bench.schema.metric import Metric, metric
from bench.schema.sweep import Figure

DRAWN = ("line", "bars", "heat", "pareto")  # kinds that need nothing but records


def chart(frame: Frame, figure: Figure) -> dict[str, Any] | None:
    """What charts.js needs to draw `figure`; None for a kind that is drawn from runs' artifacts.

    Returns:
        kind, title, x and y (label, scale, better), series (names), panels: [{title, points}].
        A point: x, y, low, high (shown units, None where unknown), seeds (values), series (index), tip (lines).
    """
    described = metric(figure.y)
    kind = kind_of(figure, frame)
    if kind not in DRAWN:
        return None
    cells = [c for c in frame.cells(figure.y, figure.at) if c.values and math.isfinite(c.interval.mean)]
    digits = Digits(described, [c.interval.half for c in cells])
    across = _across(frame, figure, cells) if kind == "pareto" else None
    roles = [name for name in (figure.x, figure.lines) if name is not None]
    fixed = {name for name, levels in frame.levels.items() if len(levels) < 2} | set(figure.at)
    rest = [name for name in frame.axes if name not in roles and name not in fixed]
    panel_axes = [figure.panels] if figure.panels else []
    if kind == "pareto":
        panel_axes, rest = panel_axes, []
    panel_axes += [name for name in rest if name not in panel_axes]  # nothing is averaged over but seeds
    series = [show(v) for v in frame.levels[figure.lines]] if figure.lines else []
    panels: dict[tuple[str, ...], dict[str, Any]] = {}
    for cell in cells:
        place = key(cell.at, panel_axes)
        title = point({name: cell.at[name] for name in panel_axes if name in cell.at})
        panel = panels.setdefault(place, {"title": title, "points": []})
        made = _point(cell, described, digits, figure, series)
        if across is not None:
            cost = across[id(cell)]
            if cost is None:
                continue
            made |= {"x": cost, "label": _short(cell, frame, [figure.lines, *panel_axes, *figure.at])}
            made["tip"].append(f"{metric(figure.cost).label}: {Digits(metric(figure.cost))(cost)}")
        else:
            made["x"] = _x(cell, figure, kind)
        panel["points"].append(made)
    if kind == "pareto":
        for panel in panels.values():
            _front(panel["points"], described)
    return {
        "kind": kind,
        "title": heading(figure, frame),
        "x": _scale(frame, figure, kind, panels.values()),
        "y": {"label": described.label, "better": described.better},
        "series": series,
        "lines": axis(figure.lines) if figure.lines else "",
        "panels": list(panels.values()),
    }


def rows(spec: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The chart's values as a table, for those who cannot hover: heads and rows of text."""
    several = len(spec["panels"]) > 1
    heads = [*(["panel"] if several else []), "point", "value"]
    body = [
        [*([panel["title"]] if several else []), p["tip"][0], "; ".join(p["tip"][1:])]
        for panel in spec["panels"]
        for p in panel["points"]
    ]
    return heads, body


def _point(cell: Cell, described: Metric, digits: Digits, figure: Figure, series: Sequence[str]) -> dict[str, Any]:
    interval, factor = cell.interval, described.factor
    mean, half = number(cell, digits)
    unit = f" {described.unit}" if described.unit else ""
    tip = [point(cell.at) or described.title, f"{mean}{f' ± {half}' if half else ''}{unit}, n = {interval.n}"]
    if interval.n > 1:
        tip.append(
            "seeds: "
            + ", ".join(digits(v) for v in list(cell.values.values())[:8])
            + (" ..." if interval.n > 8 else "")
        )
    name = show(cell.at[figure.lines]) if figure.lines and figure.lines in cell.at else None
    return {
        "y": _round(interval.mean * factor),
        "low": _round(interval.low * factor),
        "high": _round(interval.high * factor),
        "seeds": [_round(v * factor) for v in list(cell.values.values())[:20]],
        "series": series.index(name) if name in series else 0,
        "text": mean,
        "tip": tip,
    }


def _x(cell: Cell, figure: Figure, kind: str) -> Any:
    value = cell.at.get(figure.x or "")
    number_ = numeric(value)
    return number_ if kind == "line" and number_ is not None else show(value)


def _scale(frame: Frame, figure: Figure, kind: str, panels: Iterable[dict[str, Any]]) -> dict[str, Any]:
    if kind == "pareto":
        costs = [p["x"] for panel in panels for p in panel["points"]]
        scale = "log" if logarithmic(costs, figure.log_x) else "linear"
        return {"label": metric(figure.cost).label, "scale": scale, "values": []}
    levels = frame.levels[figure.x or ""]
    if kind != "line" or not _numbers(frame, figure.x or ""):
        return {"label": axis(figure.x or ""), "scale": "band", "values": [show(v) for v in levels]}
    values = sorted(v for v in map(numeric, levels) if v is not None)
    scale = "log" if logarithmic(values, figure.log_x) else "linear"
    return {"label": axis(figure.x or ""), "scale": scale, "values": values}


def _numbers(frame: Frame, name: str) -> bool:
    return all(numeric(v) is not None for v in frame.levels.get(name, ["a word"]))


def _across(frame: Frame, figure: Figure, cells: Sequence[Cell]) -> dict[int, float | None]:
    """Mean cost of each cell, in stored units; None where no run has it."""
    costs = {key(c.at, frame.axes): c for c in frame.cells(figure.cost, figure.at)}
    found = {}
    for cell in cells:
        cost = costs[key(cell.at, frame.axes)]
        found[id(cell)] = float(cost.interval.mean) if cost.values and math.isfinite(cost.interval.mean) else None
    return found


def _front(points: list[dict[str, Any]], described: Metric) -> None:
    """Mark the points that no other beats on both: cheaper (or equal) and better."""
    sign = -1.0 if described.better == "less" else 1.0
    best = -math.inf
    for made in sorted(points, key=lambda p: (p["x"], -sign * p["y"])):
        made["front"] = sign * made["y"] > best
        best = max(best, sign * made["y"])


def _short(cell: Cell, frame: Frame, said: Sequence[str | None]) -> str:
    """The values that tell a point from others, but for those that its colour or its panel says."""
    return ", ".join(show(v) for name, v in cell.at.items() if len(frame.levels[name]) > 1 and name not in said)


def _round(value: float) -> float | None:
    """Six significant digits: what a screen can show; None for what JSON has no number for."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
