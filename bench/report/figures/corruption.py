"""Accuracy under corruption, over its severity."""

from __future__ import annotations

import math
import re
from collections import defaultdict

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from bench.report.figures.style import canvas, caption, fit_y, look, matches
from bench.report.frame import Frame
from bench.report.naming import axis
from bench.schema.errors import RequestError
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep

NAME = re.compile(r"corrupt/(?P<kind>[^/]+)/(?P<severity>\d+(?:\.\d+)?)/accuracy")


def severities(frame: Frame) -> dict[str, dict[float, str]]:
    """Corruption -> severity, ascending -> the metric's name, as far as records have it."""
    found: dict[str, dict[float, str]] = defaultdict(dict)
    for record in frame.records:
        for name in record.metrics:
            if match := NAME.fullmatch(name):
                found[match["kind"]][float(match["severity"])] = name
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def corruption(figure: Figure, frame: Frame, sweep: Sweep) -> Drawing:
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
    sheet = canvas(figure, frame, sweep, frame.axes, titles=[kind.replace("_", " ") for kind in found])
    groups = frame.product([figure.lines]) if figure.lines else [{}]
    shown, drawn = metric("test/accuracy"), []
    for k, (steps, (_, ax)) in enumerate(zip(found.values(), sheet.panels, strict=True)):
        for i, one in enumerate(groups):
            xs, centre = [], []
            for severity, name in {0.0: "test/accuracy", **steps}.items():
                for cell in (c for c in frame.cells(name, figure.at) if matches(c.at, one) and c.values):
                    xs.append(severity)
                    centre.append(cell.interval)
                    drawn.append(cell)
            style = look(i)
            label = show(one[figure.lines]) if figure.lines else None
            xs = [x + 0.08 * (i - (len(groups) - 1) / 2) for x in xs]  # intervals beside, not over each other
            ax.plot(xs, [c.mean * 100 for c in centre], **style, ms=4, lw=1.4, label=label)
            halves = [c.half * 100 if math.isfinite(c.half) else 0.0 for c in centre]
            ax.errorbar(
                xs, [c.mean * 100 for c in centre], halves, fmt="none", ecolor=style["color"], capsize=2.5, elinewidth=1
            )
        ax.set_xlabel("severity (0: clean)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if k == 0:
            ax.set_ylabel(shown.label)
    fit_y(sheet, shown)
    if figure.lines:
        handles, labels = sheet.panels[0][1].get_legend_handles_labels()
        sheet.drawing.legend(handles, labels, title=axis(figure.lines), loc="outside right center", alignment="left")
    caption(sheet.drawing, figure, drawn)
    return sheet.drawing
