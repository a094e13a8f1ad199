"""Accuracy under corruption, over its severity."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict

from bench.analysis.frame import Frame
from bench.analysis.naming import Digits, axis
from bench.report.figures.chart import Chart, Panel, Scale, marks, set_ranges
from bench.report.figures.choice import heading, small_print
from bench.report.figures.panels import enough, mark_of, names_of, series_of
from bench.schema.errors import RequestError
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Figure

NAME = re.compile(r"corrupt/(?P<kind>[^/]+)/(?P<severity>\d+(?:\.\d+)?)/accuracy")


def severities(frame: Frame) -> dict[str, dict[float, str]]:
    """Corruption -> severity, ascending -> the metric's name, as far as records have it."""
    found: dict[str, dict[float, str]] = defaultdict(dict)
    for record in frame.records:
        for name in record.metrics:
            if match := NAME.fullmatch(name):
                found[match["kind"]][float(match["severity"])] = name
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def corruption(frame: Frame, figure: Figure) -> Chart:
    """A panel a corruption: accuracy over severity, a line for each value of `lines`; severity 0 is the clean test."""
    found = severities(frame)
    if not found:
        raise RequestError(
            "A figure of kind 'corruption' needs metrics such as corrupt/blur/3/accuracy; no record has one."
        )
    free = [a for a in frame.axes if a != figure.lines and a not in figure.at and len(frame.levels[a]) > 1]
    if free:
        raise RequestError(
            f"A figure of kind 'corruption' has a panel a corruption: fix {', '.join(free)} by figure.at."
        )
    enough(len(found), ["corruption"])
    shown = metric("test/accuracy")
    panels, drawn = [], []
    for kind, steps in found.items():
        made = []
        for severity, name in {0.0: "test/accuracy", **steps}.items():
            for cell in frame.cells(name, figure.at):
                drawn.append(cell)
                digits = Digits(shown, [cell.interval.half])
                mark = mark_of(cell, shown, digits, series_of(cell, frame, figure), seeds=False)
                named = show(cell.at[figure.lines]) if figure.lines else ""
                tip = (f"{named} severity {severity:g}".strip(), *mark.tip[1:])
                made.append(dataclasses.replace(mark, x=severity, tip=tip))
        made.sort(key=lambda m: (m.series, m.x))
        panels.append(Panel(kind.replace("_", " "), tuple(made)))
    chart = Chart(
        kind="line",
        title=heading(figure, frame),
        x=Scale("severity (0: clean)", whole=True),
        y=Scale(shown.label, ends=shown.ends, better=shown.better),
        panels=tuple(panels),
        series=names_of(frame, figure),
        lines=axis(figure.lines) if figure.lines else "",
    )
    said = small_print(figure, frame, drawn, [m.n for m in marks(chart)])
    return set_ranges(dataclasses.replace(chart, caption=said))
