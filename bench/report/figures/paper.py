"""The renderer for print: a Chart as a Matplotlib figure, one column wide."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from bench.analysis.naming import si
from bench.report.figures import paper_marks
from bench.report.figures.chart import Chart, Panel, Scale
from bench.report.figures.labels import abbreviate, place
from bench.report.figures.style import COLUMN, FAINT, RC, decade_steps, look
from bench.schema.label import show

LINE = 8.6  # points from one line of small type to the next
WIDTH = COLUMN * 72  # points
LETTER = 3.95  # points that a letter of 7 points takes on average, generously


def draw_chart(chart: Chart) -> Drawing:
    """The figure: title, legend, panels in one or two columns, and the small print below."""
    with rc_context(RC):
        title = textwrap.fill(chart.title, int(WIDTH / (LETTER * 1.3)))
        caption = textwrap.fill(chart.caption, int(WIDTH / LETTER))
        keys, columns = _legend_size(chart)
        across = _columns(chart)
        down = math.ceil(len(chart.panels) / across)
        head = (title.count("\n") + 1) * LINE * 1.25 + (LINE * (keys + 1) + 4 + max(0, keys - 6) if keys else 0) + 4
        foot = (caption.count("\n") + 1) * LINE + 6 if caption else 2
        body = _panel_height(chart, across) * down
        height = head + body + foot
        drawing = Drawing(figsize=(COLUMN, height / 72), layout="constrained")
        drawing.get_layout_engine().set(rect=(0, foot / height, 1, body / height), w_pad=0.03, h_pad=0.04)  # type: ignore[union-attr, call-arg]
        if title:
            drawing.suptitle(title, x=0.01, y=1 - 3 / height, ha="left", va="top", fontsize=8, fontweight="bold")
        drawing.text(0.01, 3 / height, caption, ha="left", va="bottom", color=FAINT, gid="caption")
        if keys:
            top = (title.count("\n") + 1) * LINE * 1.25 + 4
            _legend(drawing, chart, columns, 1 - top / height)
        axes = drawing.subplots(down, across, squeeze=False)
        flat = [ax for row in axes for ax in row]
        for ax in flat[len(chart.panels) :]:
            ax.set_visible(False)
        named = []
        for i, (panel, ax) in enumerate(zip(chart.panels, flat, strict=False)):
            _panel(ax, chart, panel, i, across)
            if chart.kind == "pareto":
                named.append((ax, panel))
        if chart.kind == "heat":
            paper_marks.colour_bar(drawing, flat[: len(chart.panels)], chart)
        for ax, panel in named:
            marks = sorted((m for m in panel.marks if m.label), key=lambda m: not m.front)
            place(drawing, ax, [(m.label, float(m.x), float(m.y or 0.0)) for m in marks])
        return drawing


def draw_together(charts: Sequence[Chart]) -> Drawing:
    """Charts of one panel each below one another, with the first one's title and legend and the last one's caption."""
    with rc_context(RC):
        title = textwrap.fill(charts[0].title, int(WIDTH / (LETTER * 1.3)))
        caption = textwrap.fill(charts[-1].caption, int(WIDTH / LETTER))
        heights = [_panel_height(chart, 1) for chart in charts]
        more = LINE * (1.25 * (title.count("\n") + 1) + len(charts[0].series) + caption.count("\n") + 3)
        drawing = Drawing(figsize=(COLUMN, (sum(heights) + more) / 72), layout="constrained")
        places = drawing.subplots(len(charts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, chart in zip(places, charts, strict=True):
            _panel(ax, chart, chart.panels[0], 0, 1)
            ax.set_xlabel(ax.get_xlabel(), loc="right")  # beside long names the axis is narrower than its label
        handles = [
            Line2D([], [], **look(i), markersize=3.6, label=name) for i, name in enumerate(abbreviate(charts[0].series))
        ]
        drawing.legend(
            handles=handles, title=title, loc="outside upper left", alignment="left", handlelength=3.2,
            title_fontproperties={"weight": "bold", "size": 8},
        )  # fmt: skip
        drawing.supxlabel(caption, x=0.01, ha="left", fontsize=7, color=FAINT)
    return drawing


def _panel(ax: Axes, chart: Chart, panel: Panel, i: int, across: int) -> None:
    room = _title_room(across)
    head = f"{panel.title} ({panel.out})" if panel.out else panel.title
    if head:
        ax.set_title(textwrap.fill(head, room), loc="left")
    if chart.kind == "heat":
        paper_marks.heat(ax, chart, panel)
        return
    x = chart.scale(i)
    if chart.kind == "dots":
        paper_marks.dots(ax, chart, panel)
        _numbers(ax.yaxis, panel.x_range, x, "y")
        _numbers(ax.xaxis, panel.y_range, chart.y, "x")
        ax.grid(True, axis="x")
        ax.grid(False, axis="y")
        ax.set_xlabel(chart.y.label)
        ax.set_ylabel(x.label)
        return
    _numbers(ax.xaxis, panel.x_range, x, "x")
    if chart.kind == "forest":
        paper_marks.forest(ax, panel)
    else:
        _numbers(ax.yaxis, panel.y_range, chart.y, "y")
        {"line": paper_marks.line, "trace": paper_marks.trace, "pareto": paper_marks.pareto}[chart.kind](
            ax, chart, panel
        )
        if i % across == 0:
            ax.set_ylabel(_label(chart.y.label, 118 if across == 2 else 150))
    ax.set_xlabel(_label(x.label, WIDTH / across - 40))


def _numbers(axis: Any, ends: tuple[float, float], scale: Scale, which: str) -> None:
    """Limits and ticks of one axis."""
    ax = axis.axes
    if scale.kind == "names":
        names = abbreviate([show(v) for v in scale.ticks])
        axis.set_major_locator(FixedLocator(range(len(names))))
        axis.set_major_formatter(FuncFormatter(lambda v, _: names[round(v)] if 0 <= round(v) < len(names) else ""))
        if which == "y":
            ax.set_ylim(len(names) - 0.5, -0.5)
        else:
            ax.set_xlim(-0.5, len(names) - 0.5)
            if sum(map(len, names)) > 26:
                ax.tick_params(axis="x", rotation=35)
                for label in ax.get_xticklabels():
                    label.set_horizontalalignment("right")
        return
    if scale.kind == "log":
        getattr(ax, f"set_{which}scale")("log")
    getattr(ax, f"set_{which}lim")(*ends)
    axis.set_minor_locator(NullLocator())
    if scale.ticks:
        axis.set_major_locator(FixedLocator(_thin([float(v) for v in scale.ticks], ends, scale.kind == "log")))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.12g}"))
    elif scale.kind == "log":
        axis.set_major_locator(LogLocator(subs=decade_steps(ends), numticks=7))
        axis.set_major_formatter(FuncFormatter(lambda v, _: si(v)))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=scale.whole))
        if max(map(abs, ends)) >= 1e4:
            axis.set_major_formatter(FuncFormatter(lambda v, _: si(v)))


def _thin(ticks: list[float], ends: tuple[float, float], log: bool) -> list[float]:
    """Ticks of which none comes so near to the one before that their labels meet."""
    at = (lambda v: math.log(v)) if log else (lambda v: v)
    room = (at(ends[1]) - at(ends[0])) * 0.075
    kept: list[float] = []
    for v in sorted(ticks):
        if not kept or at(v) - at(kept[-1]) >= room * max(1.0, len(f"{v:.12g}") / 3):
            kept.append(v)
    return kept


def _title_room(across: int) -> int:
    """Letters of a panel's title in one line: it starts at the panel's left edge."""
    return int((WIDTH / across - 32) / (LETTER * 1.08))


def _label(text: str, points: float) -> str:
    """An axis label broken so that it fits a side of so many points."""
    return textwrap.fill(text, max(10, int(points / (LETTER * 1.08))))


def _columns(chart: Chart) -> int:
    if chart.kind in ("dots", "forest") or len(chart.panels) == 1:
        return 1
    if chart.kind == "heat":
        wide = max(len(chart.x.ticks), 1) * 24 + 6 * paper_marks.longest(chart.series)
        return 2 if wide < WIDTH * 0.36 else 1
    return 2


def _panel_height(chart: Chart, across: int) -> float:
    """Points that one panel takes, its labels included."""
    head = LINE * 1.2 * max(
        textwrap.fill(f"{p.title} ({p.out})" if p.out else p.title, _title_room(across)).count("\n") + bool(p.title)
        for p in chart.panels
    )  # fmt: skip
    if chart.kind == "dots":
        return head + 30 + max(1, len(chart.x.ticks)) * max(15.0, 11.0 * max(1, len(chart.series)))
    if chart.kind == "forest":
        return head + 62
    if chart.kind == "heat":
        below = 4.2 * paper_marks.longest(chart.x.ticks) if paper_marks.is_slanted(chart) else 8.0
        return max(90.0, head + 24 + below + max(1, len(chart.series)) * paper_marks.square_height(chart))
    two = LINE * _label(chart.x.label, WIDTH / across - 40).count("\n")
    return head + two + (118 if across == 2 else 150)


def _legend_size(chart: Chart) -> tuple[int, int]:
    """(rows, columns) of the legend; (0, 0) where there is none."""
    names = _keys(chart)
    if not names:
        return 0, 0
    columns = max(1, min(len(names), 4, int(WIDTH / (34 + LETTER * max(map(len, names))))))
    return math.ceil(len(names) / columns), columns


def _keys(chart: Chart) -> list[str]:
    return abbreviate(chart.series) if len(chart.series) > 1 and chart.kind != "heat" else []


def _legend(drawing: Drawing, chart: Chart, columns: int, top: float) -> None:
    handles = []
    for i, name in enumerate(_keys(chart)):
        style = look(i) if chart.kind in ("line", "trace") else {**look(i), "linestyle": "none"}
        handles.append(Line2D([], [], **style, markersize=3.6, label=name))
    drawing.legend(
        handles=handles, title=chart.lines, loc="upper left", bbox_to_anchor=(0.0, top), ncols=columns,
        alignment="left", columnspacing=1.2, handlelength=3.2 if chart.kind in ("line", "trace") else 1.0,
    )  # fmt: skip
