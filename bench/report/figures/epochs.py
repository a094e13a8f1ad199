"""Figures of what runs wrote each epoch: learning curves, gradient norms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from bench.analysis import artifacts
from bench.analysis.artifacts import Curves, Reader
from bench.analysis.frame import Cell, Frame
from bench.analysis.naming import axis
from bench.report.figures.chart import Chart, Mark, Panel, Scale, marks, set_ranges
from bench.report.figures.choice import heading, small_print
from bench.report.figures.panels import names_of, pool, series_of, split
from bench.schema.errors import RequestError, unknown_name
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Figure


def curves(frame: Frame, figure: Figure, reader: Reader) -> Chart:
    """Mean over seeds of a column of curves.csv and its interval as a band, as far as all seeds got.

    `figure.y` names the column: `val_accuracy`, also written `val/accuracy`. A test metric stands for its val column,
    as test is not looked at every epoch.
    """
    column = figure.y.replace("test/", "val/").replace("/", "_")
    shown = metric(column.replace("_", "/", 1))
    found = split(frame, figure, [figure.lines])
    runs = {id(c): [_with_nll(r) for r in read(c, reader, "curves")] for _, cells in found for c in cells}
    known = list(dict.fromkeys(name for each in runs.values() for one in each for name in one.columns))
    if not known:
        raise none_has("curves")
    if column not in known:
        raise unknown_name("column of curves.csv", column, known)
    panels = []
    for title, cells in found:
        made: list[Mark] = []
        threads = []
        for cell in cells:
            here = [one for one in runs[id(cell)] if column in one.columns]
            series, name = series_of(cell, frame, figure), _name(cell, figure)
            for epoch in sorted(set(here[0].epochs).intersection(*(r.epochs for r in here))) if here else []:
                values = [r.columns[column][r.epochs.index(epoch)] * shown.factor for r in here]
                label = ", ".join(t for t in (name, f"epoch {epoch}") if t)
                made.append(pool(float(epoch), label, values, series, shown))
            if figure.seeds == "lines":
                threads += [(series, _line(r, column, shown.factor)) for r in here]
        panels.append(Panel(title, tuple(made), tuple(threads)))
    chart = Chart(
        kind="trace",
        title=heading(figure, frame),
        x=Scale("epoch", whole=True),
        y=Scale(shown.label, ends=shown.ends, better=shown.better),
        panels=tuple(panels),
        series=names_of(frame, figure),
        lines=axis(figure.lines) if figure.lines else "",
    )
    cells = [c for _, cells in found for c in cells]
    more = ["Thin lines: single seeds"] if figure.seeds == "lines" else []
    more += lacking_files(cells, [len(runs[id(c)]) for c in cells], "curves")
    without = [_name(c, figure) for c in cells if runs[id(c)] and not any(column in r.columns for r in runs[id(c)])]
    more += [f"Without {column}: {', '.join(dict.fromkeys(without))}"] if any(without) else []
    said = small_print(figure, frame, cells, [m.n for m in marks(chart)], more)
    return set_ranges(dataclasses.replace(chart, caption=said))


def gradients(frame: Frame, figure: Figure, reader: Reader) -> Chart:
    """Gradient norm (mean over epochs) by layer, from the input to the output, logarithmic.

    Raises:
        RequestError: where the seeds of one point have different layers: they are not averaged.
    """
    found = split(frame, figure, [figure.lines])
    runs = {id(c): read(c, reader, "gradients") for _, cells in found for c in cells}
    if not any(runs.values()):
        raise none_has("gradients")
    panels = []
    for title, cells in found:
        made = []
        for cell in cells:
            here = runs[id(cell)]
            layers = list(here[0].columns) if here else []
            if any(list(run.columns) != layers for run in here):
                raise RequestError(
                    f"gradients.csv: the seeds of one point have different layers ({', '.join(layers[:3])}, ...)."
                )
            for i, layer in enumerate(layers):
                # Norms differ by orders of magnitude: their logarithms are averaged.
                logs = [float(np.mean(np.log10(_positive(run.columns[layer])))) for run in here]
                label = ", ".join(t for t in (_name(cell, figure), layer) if t)
                made.append(pool(i + 1.0, label, logs, series_of(cell, frame, figure), None, log=True))
        panels.append(Panel(title, tuple(made)))
    chart = Chart(
        kind="trace",
        title=heading(figure, frame),
        x=Scale("layer, from input to output", whole=True),
        y=Scale("gradient norm, mean over epochs", "log"),
        panels=tuple(panels),
        series=names_of(frame, figure),
        lines=axis(figure.lines) if figure.lines else "",
    )
    cells = [c for _, cells in found for c in cells]
    more = lacking_files(cells, [len(runs[id(c)]) for c in cells], "gradients")
    said = small_print(figure, frame, cells, [m.n for m in marks(chart)], more)
    return set_ranges(dataclasses.replace(chart, caption=said))


def read(cell: Cell, reader: Reader, kind: str) -> list[Curves]:
    """The tables of a cell's finished runs, as far as they have one."""
    return [artifacts.curves(text, where) for text, where in texts(cell, reader, kind)]


def texts(cell: Cell, reader: Reader, kind: str) -> list[tuple[str, str]]:
    """(text, where it is from) of a file of a cell's finished runs, as far as they have it."""
    name = artifacts.FILE[kind]
    found = [(reader(r, name), r) for r in cell.records if r.status == "finished"]
    return [(text, f"{name} of run {r.run_id or r.key[:12]}") for text, r in found if text is not None]


def lacking_files(cells: Sequence[Cell], have: Sequence[int], kind: str) -> list[str]:
    """The sentence that finished runs have no such file, where most of their point's runs have: nothing is dropped
    in silence. Points without any are of another kind (kNN has no epochs).
    """
    gone = [(n, sum(r.status == "finished" for r in c.records)) for c, n in zip(cells, have, strict=True) if n]
    count = sum(finished - n for n, finished in gone)
    return [f"{count} finished run{'s have' if count > 1 else ' has'} no {artifacts.FILE[kind]}"] if count else []


def none_has(kind: str) -> RequestError:
    """The error that a figure's files are not there."""
    return RequestError(
        f"A figure of kind '{kind}' needs {artifacts.FILE[kind]}, which no finished run of these records has."
    )


def _with_nll(run: Curves) -> Curves:
    """The same curves with `val_nll`, which training calls `val_loss` where NLL is what it minimises."""
    if "val_nll" in run.columns or "val_loss" not in run.columns:
        return run
    return Curves(run.epochs, {**run.columns, "val_nll": run.columns["val_loss"]})


def _name(cell: Cell, figure: Figure) -> str:
    return show(cell.at[figure.lines]) if figure.lines and figure.lines in cell.at else ""


def _line(run: Curves, column: str, factor: float) -> tuple[tuple[float, float], ...]:
    pairs = zip(run.epochs, run.columns[column], strict=True)
    return tuple((float(e), v * factor) for e, v in pairs if math.isfinite(v))


def _positive(values: list[float]) -> np.ndarray:
    x = np.asarray(values)
    x = x[np.isfinite(x)]
    return np.clip(x, 1e-12, None) if len(x) else np.asarray([np.nan])  # without any gradient the norm is zero
