"""One description of a figure: data, axes, marks, panels, what is out of range. Both renderers draw this and no more.

Numbers are shown units (percent, not fractions). Ranges are decided here, so that whatever is drawn lies inside them
on paper (`figures.paper`) and on the page (templates/charts.js) alike.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.schema.metric import Metric

Kind = Literal["line", "dots", "heat", "pareto", "trace", "forest"]
WIDE = 20.0  # numbers that span a factor of so much or more stand on a logarithmic axis
ROOM = 0.06  # of a range, free at each end


@dataclass(frozen=True)
class Scale:
    """One axis.

    Attributes:
        kind: "names" places `ticks` at equal distances, in order.
        ticks: the values that were run; none: any round numbers.
        whole: ticks are whole numbers only, as there is no epoch 1.5.
        ends: the smallest and largest number that there can be: 0 and 100 for percentages.
        better: "greater", "less", or "".
    """

    label: str
    kind: Literal["linear", "log", "names"] = "linear"
    ticks: tuple[Any, ...] = ()
    whole: bool = False
    ends: tuple[float, float] | None = None
    better: str = ""


@dataclass(frozen=True)
class Mark:
    """One mean with its interval, or a square of a grid.

    Attributes:
        x: a number, or one of the names on x.
        y: None where no run gave a number: a cross at the foot.
        low, high: ends of the interval in y, cut at what is possible; left, right: of that in x. None without one.
        seeds: single runs' values.
        series: which entry of the chart's `series` it belongs to; for a grid its row.
        n: how many runs it holds.
        text: the number as written; tip: lines on hover, the first of which names the mark.
        label: a name to stand beside it, where there is room.
        front: nothing is both cheaper and better.
    """

    x: float | str
    y: float | None
    low: float | None = None
    high: float | None = None
    left: float | None = None
    right: float | None = None
    seeds: tuple[float, ...] = ()
    series: int = 0
    n: int = 0
    text: str = ""
    tip: tuple[str, ...] = ()
    label: str = ""
    front: bool = False


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Attributes:
        threads: single runs as thin lines: (series, [(x, y), ...]).
        columns: grey bars behind the marks: (left, right, height).
        lines: dashed values that marks are held against, of x, in dots of y: (value, how it is written).
        shade: a span of x too small to matter; None for none.
        x_range, y_range: what the axes show; y_range is that of the colours in a grid.
        out: what is not shown in this panel, in words.
    """

    title: str
    marks: tuple[Mark, ...]
    threads: tuple[tuple[int, tuple[tuple[float, float], ...]], ...] = ()
    columns: tuple[tuple[float, float, float], ...] = ()
    lines: tuple[tuple[float, str], ...] = ()
    shade: tuple[float, float] | None = None
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    out: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure, ready to be drawn.

    Attributes:
        title: what it shows. read_as: how its marks are read. caption: all that has to be said below it.
        series: names of the series; lines: what they are values of.
        diagonal: a dashed line where y equals x.
        root: colours go by the square root, so that the few errors show beside the many hits.
        x_label, y_label: shown instead of the panels' own where `panel_scales` differ.
    """

    kind: Kind
    title: str
    x: Scale
    y: Scale
    panels: tuple[Panel, ...]
    series: tuple[str, ...] = ()
    lines: str = ""
    read_as: str = ""
    caption: str = ""
    diagonal: bool = False
    root: bool = False
    scales: tuple[Scale, ...] = field(default=())  # of x, one a panel, where they differ

    def scale(self, i: int) -> Scale:
        """The scale of x in the i-th panel."""
        return self.scales[i] if self.scales else self.x


def set_ranges(chart: Chart, share_y: bool = True, close_up: bool = False) -> Chart:
    """The chart with its ranges set: everything drawn lies inside them; panels share y unless it is `share_y=False`.

    Args:
        close_up: where one arm is far from all others, add a panel that shows the others alone.
    """
    panels = list(chart.panels)
    xs = [_xs(panel) for panel in panels]
    room = 2 * ROOM if chart.kind == "line" else ROOM  # marks of several series stand beside each other
    wide = [span([x for one in xs for x in one], chart.x, room)] * len(panels)
    if chart.scales:
        wide = [span(one, scale) for one, scale in zip(xs, chart.scales, strict=True)]
    ys = [_ys(panel) for panel in panels]
    high = [span([y for one in ys for y in one], chart.y)] * len(panels)
    if not share_y:
        high = [span(one, chart.y) for one in ys]
    made = []
    for panel, x_range, y_range in zip(panels, wide, high, strict=True):
        made.append(dataclasses.replace(panel, x_range=x_range, y_range=y_range))
    if close_up:
        near = [_close_up(panel, chart.y) for panel in made]
        shared = span([y for one in near if one for y in _ys(one)], chart.y)
        pairs = [
            [one, *([dataclasses.replace(other, y_range=_closer(shared, one, other, chart.y))] if other else [])]
            for one, other in zip(made, near, strict=True)
        ]
        made = [panel for pair in pairs for panel in pair]
    return dataclasses.replace(chart, panels=tuple(made))


def _close_up(panel: Panel, y: Scale) -> Panel | None:
    """The better of two far groups of means alone; None where there are no two such groups, or none is better."""
    if not y.better:
        return None
    sign = -1.0 if y.better == "less" else 1.0
    found = [(sign * m.y, m) for m in panel.marks if m.y is not None] if y.kind == "linear" else []
    means = sorted(found, key=lambda pair: pair[0])
    if len(means) < 3:
        return None
    values = [v for v, _ in means]
    gap, cut = max((b - a, i + 1) for i, (a, b) in enumerate(itertools.pairwise(values)))
    group = values[cut:]
    if len(group) < 2 or gap <= 4 * (group[-1] - group[0]) or gap < 0.4 * (values[-1] - values[0]):
        return None
    bound = values[cut - 1]
    kept = [m for m in panel.marks if m.y is not None and sign * m.y > bound]
    reach = [sign * v for m in kept for v in (m.y, m.low, m.high, *m.seeds) if v is not None]
    if min(reach) <= bound + gap / 2:  # their own spread bridges the gap: nothing would be gained
        return None
    out = [m for m in panel.marks if m.y is not None and sign * m.y <= bound]
    lost = {m.x for m in out} - {m.x for m in kept}
    if any(isinstance(x, int | float) for x in lost) and len({m.series for m in panel.marks}) > 1:
        return None  # no arm is far away: all of them go with x
    threads = tuple((s, line) for s, line in panel.threads if all(sign * v > bound + gap / 2 for _, v in line))
    side = "below" if sign > 0 else "above"
    if len(out) > 1 and len({m.text for m in out}) == 1:
        said = f"{len(out)} means of {out[0].text} {side}"
    else:
        said = f"{', '.join(m.text for m in out)} {side}" if len(out) < 4 else f"{len(out)} means {side}"
    title = f"{panel.title}, close-up" if panel.title else "close-up"
    return dataclasses.replace(panel, title=title, marks=tuple(kept), threads=threads, out=said)


def _closer(shared: tuple[float, float], panel: Panel, near: Panel, y: Scale) -> tuple[float, float]:
    """The range that all close-ups share, unless it is hardly less than the panel's: then the close-up's own."""
    return shared if shared[1] - shared[0] <= (panel.y_range[1] - panel.y_range[0]) / 2 else span(_ys(near), y)


def _xs(panel: Panel) -> list[float]:
    marks = [v for m in panel.marks for v in (m.x, m.left, m.right) if isinstance(v, int | float)]
    lines = [x for _, line in panel.threads for x, _ in line] + [x for x, _ in panel.lines]
    return [float(v) for v in (*marks, *lines, *(panel.shade or ()), *(v for c in panel.columns for v in c[:2]))]


def _ys(panel: Panel) -> list[float]:
    marks = [v for m in panel.marks for v in (m.y, m.low, m.high, *m.seeds) if v is not None]
    return [*marks, *(y for _, line in panel.threads for _, y in line), *(c[2] for c in panel.columns)]


def span(values: Sequence[float], scale: Scale, share: float = ROOM) -> tuple[float, float]:
    """A range with all values inside and some room at both ends, as far as the scale has such numbers."""
    values = [v for v in values if math.isfinite(v) and (scale.kind != "log" or v > 0)]
    if not values:
        return (0.1, 10.0) if scale.kind == "log" else scale.ends or (0.0, 1.0)
    low, high = min(values), max(values)
    if scale.kind == "log":
        room = (high / low) ** share if high > low else 1.5
        return low / room, high * room
    room = share * (high - low) if high > low else 0.1 * abs(high) or 1.0
    least, most = scale.ends or (-math.inf, math.inf)
    return max(low - room, least - ROOM / 2 * (high - low)), min(high + room, most + ROOM / 2 * (high - low))


def logarithmic(numbers: Sequence[float], wanted: bool | None = None) -> bool:
    """Whether an axis with these numbers is logarithmic: as wanted; else where they span a factor of WIDE, or are
    spaced by factors rather than by steps (16, 32, 64).
    """
    positive = sorted({float(n) for n in numbers if n > 0})
    if len(positive) < max(len(set(numbers)), 2):
        return False
    if wanted is not None:
        return wanted
    if positive[-1] / positive[0] >= WIDE:
        return True
    steps = [b - a for a, b in itertools.pairwise(positive)]
    factors = [math.log(b / a) for a, b in itertools.pairwise(positive)]
    return len(steps) > 1 and 1.5 * max(factors) / min(factors) <= max(steps) / min(steps)


def cut(low: float, high: float, shown: Metric) -> tuple[float | None, float | None]:
    """Ends of an interval in shown units, cut at what the metric can be; None, None where there is none."""
    low, high = low * shown.factor, high * shown.factor
    if not (math.isfinite(low) and math.isfinite(high)):
        return None, None
    least, most = shown.ends or (-math.inf, math.inf)
    return max(low, least), min(high, most)


def data(chart: Chart) -> dict[str, Any]:
    """The chart for charts.js: plain values, numbers of six significant digits, what is empty left out."""
    made = dataclasses.asdict(chart)
    for key in ("caption", "read_as"):  # the page writes them itself
        del made[key]
    for panel in made["panels"]:
        panel["marks"] = [
            {k: v for k, v in mark.items() if k in ("x", "y") or (_says(v) and k != "n" and (k, v) != ("series", 0))}
            for mark in panel["marks"]
        ]
    return _round(made)


def _says(value: Any) -> bool:
    """Whether a value of a mark is more than "there is none": 0, the end of an interval, is a value."""
    return value is not None and value is not False and value not in ("", ())


def rows(chart: Chart) -> tuple[list[str], list[list[str]]]:
    """The chart's values as a table, for those who cannot hover: heads and rows of text."""
    panels = [p for p in chart.panels if not p.out]  # a close-up repeats what stands in the panel before it
    several = len(panels) > 1
    heads = [*(["panel"] if several else []), "point", "value"]
    body = [
        [*([panel.title] if several else []), m.tip[0], "; ".join(m.tip[1:])]
        for panel in panels
        for m in panel.marks
        if m.tip
    ]
    return heads, body


def marks(chart: Chart) -> Iterable[Mark]:
    """All marks of all panels."""
    return (mark for panel in chart.panels for mark in panel.marks)


def _round(part: Any) -> Any:
    if isinstance(part, float):
        return float(f"{part:.6g}") if math.isfinite(part) else None
    if isinstance(part, dict):
        return {name: _round(one) for name, one in part.items()}
    return [_round(one) for one in part] if isinstance(part, list | tuple) else part
