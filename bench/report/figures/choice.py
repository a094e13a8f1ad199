"""Which figures a sweep asks for, what each is called, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.frame import Cell, Frame, select_frame
from bench.analysis.naming import axis, point, reword
from bench.analysis.selection import tuning_records
from bench.schema.label import dataset_name, to_number
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep
from bench.track.record import Record

READ_AS = {
    "line": "Means over seeds; bars: 95% t-intervals",
    "bars": "Means over seeds; bars: 95% t-intervals",
    "heat": "Means over seeds and half widths of their 95% t-intervals",
    "pareto": "Means over seeds, 95% t-intervals; filled and dashed: the front that nothing beats on both",
    "curves": "Means over seeds; bands: 95% t-intervals, as far as every seed got",
    "gradients": "Geometric means over seeds; bands: 95% t-intervals",
    "corruption": "Means over seeds; bars: 95% t-intervals",
    "confusion": "Percent of the test images of each true class, runs of all seeds together; colours by square root",
    "reliability": "Test images of all seeds together; bars: 95% Wilson intervals; dashed: perfect calibration; "
    "grey: share of the images",
}


def all_figures(sweep: Sweep, frame: Frame) -> list[Figure]:
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
        return select_frame(sweep, list(records))
    return Frame(tuning_records(sweep, records) or records, sweep)


def kind_of(figure: Figure, frame: Frame) -> str:
    """The figure's kind; where it states none, a line over numbers and bars over names."""
    if figure.kind is not None:
        return figure.kind
    return "line" if all(to_number(v) is not None for v in frame.levels.get(str(figure.x), ["a word"])) else "bars"


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


def fixed_text(figure: Figure) -> str:
    """Which points of the sweep the figure is restricted to: `At learning rate 0.1`; "" for all."""
    return f"At {point(figure.at)}" if figure.at else ""


def small_print(
    figure: Figure, frame: Frame, cells: Sequence[Cell], counts: Sequence[int], more: Sequence[str] = ()
) -> str:
    """What stands below a figure: how it is read, how many runs it holds, at which fixed values, on which data.

    Args:
        cells: what is drawn.
        counts: how many runs each mark holds; not how many were planned, and not how many finished.
        more: further sentences.
    """
    kept = sorted({n for n in counts if n})
    n = f"{kept[0]}" if len(kept) == 1 else f"{kept[0]} to {kept[-1]}" if kept else "0"
    what = "replicate" if frame.drawn else "seed"
    parts = [READ_AS[kind_of(figure, frame)], f"n = {n} {what}{'s'[: kept != [1]]}", fixed_text(figure), *more]
    parts = [reword(part, frame.replicates) for part in parts]
    records = [r for c in cells for r in c.records]
    data = sorted({name for r in records if (name := dataset_name(r.config))})
    if len(data) == 1:
        parts.append(f"Dataset: {data[0]}")
    absent = sum(c.failed + c.missing + c.running for c in {id(c.records[0]): c for c in cells}.values())
    if absent:
        parts.append(f"{absent} run{'s' if absent > 1 else ''} failed or missing")
    return ". ".join(part for part in parts if part) + "."
