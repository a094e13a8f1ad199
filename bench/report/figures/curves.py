"""Learning curves and gradient norms: columns that a run wrote each epoch."""

from __future__ import annotations

import itertools
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.report import artifacts
from bench.report.artifacts import Curves, Reader
from bench.report.figures.style import Canvas, canvas, caption, decade_steps, fit_y, look, matches
from bench.report.frame import Cell, Frame
from bench.report.naming import axis
from bench.report.stats import t_interval
from bench.schema.errors import RequestError, unknown
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep


def curves(figure: Figure, frame: Frame, sweep: Sweep, reader: Reader) -> Drawing:
    """Mean over seeds with its 95% t-interval as a band, as far as all seeds got; single seeds thin behind it.

    `figure.y` names a column: `val_accuracy`, also written `val/accuracy`. A test metric stands for its val column,
    as test is not looked at every epoch.
    """
    column = figure.y.replace("test/", "val/").replace("/", "_")
    shown = metric(column.replace("_", "/", 1))
    sheet = canvas(figure, frame, sweep, [figure.lines])
    found = _read(figure, frame, reader, "curves")
    known = list(dict.fromkeys(name for one in found.values() for name in one.columns))
    if column not in known:
        raise unknown("column of curves.csv", column, known)
    drawn, seeds = [], []
    for ax, style, label, cell in _series(sheet, figure, frame):
        runs = [one for r in cell.records if (one := found.get(id(r))) and column in one.columns]
        if not runs:
            continue
        drawn.append(cell)
        seeds.append(len(runs))
        for run in runs:
            ax.plot(run.epochs, np.asarray(run.columns[column]) * shown.factor, color=style["color"], alpha=0.3, lw=0.7)
        common = sorted(set(runs[0].epochs).intersection(*(run.epochs for run in runs)))
        values = [[run.columns[column][run.epochs.index(e)] for run in runs] for e in common]
        _band(ax, [float(e) for e in common], values, shown.factor, style, label)
    for k, (_, ax) in enumerate(sheet.panels):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("epoch")
        if k == 0:
            ax.set_ylabel(shown.label)
    fit_y(sheet, shown)
    _legend(sheet, figure)
    said = "Mean over seeds and its 95% t-interval; thin lines: single seeds"
    caption(sheet.drawing, figure, drawn, said, seeds=seeds)
    return sheet.drawing


def gradients(figure: Figure, frame: Frame, sweep: Sweep, reader: Reader) -> Drawing:
    """Gradient norm (mean over epochs) by layer, from the input to the output, logarithmic."""
    sheet = canvas(figure, frame, sweep, [figure.lines])
    found = _read(figure, frame, reader, "gradients")
    drawn, seeds = [], []
    for ax, style, label, cell in _series(sheet, figure, frame):
        runs = [one for r in cell.records if (one := found.get(id(r)))]
        if not runs:
            continue
        drawn.append(cell)
        seeds.append(len(runs))
        layers = list(runs[0].columns)
        if any(list(run.columns) != layers for run in runs):
            raise RequestError(
                f"gradients.csv: the seeds of one point have different layers ({', '.join(layers[:3])}, ...)."
            )
        # Norms differ by orders of magnitude: average their logarithms.
        values = [[float(np.mean(np.log10(_positive(run.columns[name])))) for run in runs] for name in layers]
        centre = [t_interval(v) for v in values]
        xs = [i + 1.0 for i in range(len(layers))]
        ax.plot(xs, [10**c.mean for c in centre], **{**style, "marker": "."}, label=label, lw=1.4)
        if len(runs) > 1:
            ax.fill_between(
                xs, [10**c.low for c in centre], [10**c.high for c in centre], color=style["color"], alpha=0.18, lw=0
            )
    for k, (_, ax) in enumerate(sheet.panels):
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=decade_steps(ax.get_ylim()), numticks=8))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("layer, from input to output")
        if k == 0:
            ax.set_ylabel("gradient norm, mean over epochs")
    _legend(sheet, figure)
    caption(sheet.drawing, figure, drawn, "Geometric mean over seeds and its 95% t-interval", seeds=seeds)
    return sheet.drawing


def _positive(values: list[float]) -> np.ndarray:
    x = np.asarray(values)
    return np.clip(x[np.isfinite(x)], 1e-12, None)  # a layer without any gradient has norm zero


def _band(ax: Axes, xs: list[float], values: list[list[float]], factor: float, style: dict, label: str | None) -> None:
    centre = [t_interval(v) for v in values]
    ax.plot(
        xs, [c.mean * factor for c in centre], color=style["color"], linestyle=style["linestyle"], label=label, lw=1.8
    )
    if all(math.isfinite(c.half) for c in centre):
        low, high = [c.low * factor for c in centre], [c.high * factor for c in centre]
        ax.fill_between(xs, low, high, color=style["color"], alpha=0.18, lw=0)


def _read(figure: Figure, frame: Frame, reader: Reader, kind: str) -> dict[int, Curves]:
    """id(record) -> its curves, of the finished runs that have some."""
    name = artifacts.FILE[kind]
    found = {}
    for cell in frame.cells(figure.y, figure.at):
        for record in cell.records:
            text = reader(record, name) if record.status == "finished" else None
            if text is not None:
                found[id(record)] = artifacts.curves(text, f"{name} of run {record.run_id or record.key[:12]}")
    if not found:
        raise RequestError(f"A figure of kind '{kind}' needs {name}, which no finished run of these records has.")
    return found


def _series(sheet: Canvas, figure: Figure, frame: Frame) -> list[tuple]:
    """(axes, look, label, cell) for each line to draw."""
    groups = frame.product([figure.lines]) if figure.lines else [{}]
    cells: list[Cell] = frame.cells(figure.y, figure.at)
    out = []
    for (at, ax), (i, one) in itertools.product(sheet.panels, enumerate(groups)):
        label = show(one[figure.lines]) if figure.lines else None
        out += [(ax, look(i), label, c) for c in cells if matches(c.at, {**at, **one})]
    return out


def _legend(sheet: Canvas, figure: Figure) -> None:
    handles: dict = {}
    for _, ax in sheet.panels:
        handles |= {text: h for h, text in zip(*ax.get_legend_handles_labels(), strict=True) if text not in handles}
    if figure.lines and handles:
        sheet.drawing.legend(
            list(handles.values()),
            list(handles),
            title=axis(figure.lines),
            loc="outside right center",
            alignment="left",
        )
