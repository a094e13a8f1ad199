"""Which figures a sweep asks for, and what each is called: shared by the files for print and the site's charts."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.frame import Frame, selected
from bench.report.naming import axis, point
from bench.schema.label import numeric
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep
from bench.track.record import Record

WIDE = 20.0  # numbers that span a factor of so much or more stand on a logarithmic axis


def asked(sweep: Sweep, frame: Frame) -> list[Figure]:
    """The sweep's figures in order, the default one first where it states none."""
    return [sweep.figure or default(frame), *sweep.figures]


def default(frame: Frame) -> Figure:
    """Test accuracy over the last axis, by the first."""
    return Figure(x=frame.axes[-1], lines=frame.axes[0] if len(frame.axes) > 1 else None)


def stem(i: int) -> str:
    """The i-th figure's file name without its ending: figure, figure-2, ..."""
    return "figure" if i == 0 else f"figure-{i + 1}"


def frame_for(figure: Figure, sweep: Sweep, records: Sequence[Record]) -> Frame:
    """The records that a figure is drawn from: the selected ones, unless it shows what was selected over."""
    if sweep.select and not {figure.x, figure.lines, figure.panels, *figure.at} & set(sweep.select.over):
        return selected(sweep, list(records))
    return Frame(records, sweep)


def kind_of(figure: Figure, frame: Frame) -> str:
    """The figure's kind; where it states none, a line over numbers and bars over names."""
    if figure.kind is not None:
        return figure.kind
    return "line" if all(numeric(v) is not None for v in frame.levels.get(str(figure.x), ["a word"])) else "bars"


def logarithmic(numbers: Sequence[float], wanted: bool | None = None) -> bool:
    """Whether an axis with these numbers is logarithmic: as wanted, else where they span a factor of WIDE."""
    positive = [n for n in numbers if n > 0]
    if len(positive) < max(len(numbers), 2):
        return False
    return max(positive) / min(positive) >= WIDE if wanted is None else wanted


def heading(figure: Figure, frame: Frame) -> str:
    """The figure's title, or what it shows: `Test accuracy over depth, by model`."""
    if figure.title:
        return figure.title
    kind, shown = kind_of(figure, frame), metric(figure.y).title
    by = f", by {axis(figure.lines)}" if figure.lines else ""
    text = {
        "heat": f"{shown} over {axis(figure.x or '')} and {axis(figure.lines or '')}",
        "bars": f"{shown} by {axis(figure.x or '')}{f' and {axis(figure.lines)}' if figure.lines else ''}",
        "pareto": f"{shown} against {metric(figure.cost).title}{by}",
        "curves": f"{metric(figure.y.replace('test/', 'val/')).title} over epochs{by}",
        "gradients": f"gradient norm of each layer{by}",
        "confusion": "which class is taken for which: percent of each true class",
        "reliability": "accuracy over confidence",
        "corruption": f"test accuracy under corruption{by}",
    }.get(kind, f"{shown} over {axis(figure.x or '')}{by}")
    return text[:1].upper() + text[1:]


def fixed(figure: Figure) -> str:
    """Which points of the sweep the figure is restricted to: `At learning rate 0.1`; "" for all."""
    return f"At {point(figure.at)}" if figure.at else ""
