"""The pivot: cells laid out as rows, columns and panels, with the best ones marked."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from bench.analysis.artifacts import Reader
from bench.analysis.best import Mark, marks
from bench.analysis.frame import Cell, Frame
from bench.analysis.naming import Digits, axis, key
from bench.analysis.predictions import Once
from bench.schema.label import show
from bench.schema.metric import Metric, metric
from bench.schema.sweep import Sweep, Table, names


@dataclass(frozen=True)
class Column:
    """One column of a grid: values of the column axes, and the metric."""

    at: dict[str, Any]
    metric: Metric
    digits: Digits


@dataclass(frozen=True)
class Panel:
    """One table of a grid.

    Attributes:
        at: values of the panel axes.
        rows: values of the row axes, one mapping a row.
        cells: [rows][columns]; None where no such point was planned.
        marks: [rows][columns]; "best" for the best mean of a column, "within" where not told apart from it
            (`bench.analysis.best`).
    """

    at: dict[str, Any]
    rows: list[dict[str, Any]]
    cells: list[list[Cell | None]]
    marks: list[list[Mark]]


@dataclass(frozen=True)
class Grid:
    """A pivoted table, independent of how it is printed."""

    title: str
    row_axes: list[str]
    column_axes: list[str]
    panel_axes: list[str]
    columns: list[Column]
    panels: list[Panel]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics shown, in order."""
        return list({c.metric.name: c.metric for c in self.columns}.values())

    def cells(self) -> list[Cell]:
        """All cells, panel by panel, row by row."""
        return [c for panel in self.panels for row in panel.cells for c in row if c is not None]

    def heads(self) -> list[str]:
        """One text a column: its axis values, and its metric where there are several."""
        several = len(self.metrics) > 1
        heads = []
        for column in self.columns:
            parts = [show(v) for v in column.at.values()]
            if several or not parts:
                parts.append(column.metric.label)
            heads.append(", ".join(parts))
        return heads

    def head_rows(self) -> list[list[tuple[str, int]]]:
        """The heads in levels, the axes' values above the metrics: one row a level, each (text, columns it spans).

        The last level has one entry a column; entries above it span the columns that share their values.
        """
        several = len(self.metrics) > 1
        parts = [
            [f"{axis(name)} {show(value)}" for name, value in column.at.items()]
            if several or len(column.at) > 1
            else []
            for column in self.columns
        ]
        depth = len(self.column_axes) - (0 if several else 1)
        rows: list[list[tuple[str, int]]] = []
        for level in range(max(0, depth)):
            row: list[tuple[str, int]] = []
            for j, part in enumerate(parts):
                if row and j and part[: level + 1] == parts[j - 1][: level + 1]:
                    row[-1] = (row[-1][0], row[-1][1] + 1)
                else:
                    row.append((part[level], 1))
            rows.append(row)
        if several:
            return [*rows, [(column.metric.label, 1) for column in self.columns]]
        return [*rows, [(show(list(c.at.values())[-1]) if c.at else c.metric.label, 1) for c in self.columns]]

    def row_heads(self) -> list[str]:
        """One text a row axis."""
        return [axis(name) for name in self.row_axes]

    def spanning(self) -> str:
        """What the columns are: `test accuracy (%) by learning rate`; "" where their heads say it all."""
        by = ", ".join(axis(name) for name in self.column_axes)
        return f"{', '.join(m.label for m in self.metrics)} by {by}" if by else ""


def layout(frame: Frame, table: Table | None) -> Table:
    """The table as asked for, or rows from the first axis and columns from the second."""
    if table is not None:
        return table
    rows, columns = frame.axes[:1], frame.axes[1:2]
    return Table(rows=rows, columns=columns)


def pivot(frame: Frame, sweep: Sweep, reader: Reader | None = None) -> Grid:
    """Lay the frame's cells out as the sweep's table asks.

    Axes that the table does not place and that have more than one value become panels.

    Args:
        reader: gives the runs' predictions, by which models are told apart that no seed changes.

    Raises:
        RequestError: for an axis or a metric that the records do not have.
    """
    table = layout(frame, sweep.table)
    roles = {role: names(getattr(table, role)) for role in ("rows", "columns", "panels")}
    for role, axes in roles.items():
        for name in axes:
            frame.need_axis(name, f"table.{role}")
    for name in table.at:
        frame.need_axis(name, "table.at")
    placed = {name for axes in roles.values() for name in axes} | set(table.at)
    roles["panels"] += [name for name in frame.axes if name not in placed and len(frame.levels[name]) > 1]
    shown = names(table.metric)
    for name in shown:
        frame.need_metric(name)

    order = roles["panels"] + roles["rows"] + roles["columns"]
    cells = {(key(c.at, order), name): c for name in shown for c in frame.cells(name, table.at)}
    places = {place for place, _ in cells}
    split, wide = len(roles["panels"]), len(roles["panels"]) + len(roles["rows"])
    columns = [
        Column(at, metric(name), Digits(metric(name), [c.interval.half for (_, n), c in cells.items() if n == name]))
        for at in frame.product(roles["columns"])
        if any(place[wide:] == key(at, roles["columns"]) for place in places)
        for name in shown
    ]
    once = Once(reader) if reader is not None else None
    panels = []
    for at in frame.product(roles["panels"]):
        head = key(at, roles["panels"])
        inside = {place[split:wide] for place in places if place[:split] == head}
        rows = [r for r in frame.product(roles["rows"]) if key(r, roles["rows"]) in inside]
        body = [
            [cells.get((head + key(r, roles["rows"]) + key(c.at, roles["columns"]), c.metric.name)) for c in columns]
            for r in rows
        ]
        if rows:
            panels.append(Panel(at, rows, body, _marks(body, columns, frame, once)))
    title = sweep.question or sweep.name
    return Grid(title, roles["rows"], roles["columns"], roles["panels"], columns, panels)


def _marks(
    body: list[list[Cell | None]], columns: list[Column], frame: Frame, reader: Reader | None
) -> list[list[Mark]]:
    found = [
        marks({i: cell for i, row in enumerate(body) if (cell := row[j]) is not None}, column.metric, frame, reader)
        for j, column in enumerate(columns)
    ]
    return [[of_column.get(i, "") for of_column in found] for i in range(len(body))]


def number(cell: Cell, digits: Digits) -> tuple[str, str]:
    """Mean and interval as shown: `± 0.3`, or `[98.9, 100]` where the metric ends within it; "" where there is none."""
    interval = cell.interval
    if not cell.values:
        return "", ""
    if interval.n < 2 or interval.sd == 0 or not math.isfinite(interval.half):
        return digits(interval.mean), ""
    if interval.cut:
        metric = digits.metric
        low, high = (
            metric.plain(v) if v in (metric.low, metric.high) else digits(v) for v in (interval.low, interval.high)
        )
        return digits(interval.mean), f"[{low}, {high}]"
    return digits(interval.mean), f"± {digits(interval.half)}"


def remarks(cell: Cell, described: Metric) -> list[str]:
    """What stands beside a cell's number: n, runs that are not behind it, selected hyperparameters."""
    out = []
    if cell.values:
        out.append(f"n={cell.interval.n}")
        if cell.interval.n > 1 and cell.interval.sd == 0 and described.better:
            out.append("all equal")
    for count, word in (
        (cell.failed, "failed"),
        (cell.running, "running"),
        (cell.missing, "not run"),
        (cell.without, "without it"),
    ):
        if count:
            out.append(f"{count} {word}")
    out += [f"{axis(name)} {show(value)}" for name, value in cell.chosen.items()]
    if cell.unsure:
        out.append("selection incomplete")
    return out


def reasons(cells: list[Cell]) -> list[str]:
    """Why runs failed, most frequent first: `diverged (2 runs)`."""
    failed = {(r.seed, key(r.axes, sorted(r.axes))): r.reason for c in cells for r in c.records if r.status == "failed"}
    counted = Counter(reason or "no reason recorded" for reason in failed.values())
    return [f"{reason} ({count} run{'s' if count > 1 else ''})" for reason, count in counted.most_common()]
