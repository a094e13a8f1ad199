"""Figures that need the runs' files, as plain data for templates/charts.js: curves, gradients, classes, corruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.report import artifacts
from bench.report.artifacts import Reader
from bench.report.asked import heading
from bench.report.figures.corruption import severities
from bench.report.frame import Cell, Frame
from bench.report.naming import axis, key, point
from bench.report.stats import t_interval
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Figure

Panel = dict[str, Any]
MOST_CLASSES = 12  # a larger confusion matrix stays a picture


def trace(frame: Frame, figure: Figure, reader: Reader) -> dict[str, Any] | None:
    """What charts.js needs to draw `figure`; None where these runs lack the files, or there is too much to show.

    The same shape as `bench.report.charts.chart` gives, of kind `trace` or `heat`.
    """
    made = _KINDS[str(figure.kind)](frame, figure, reader)
    if made is None or not any(panel["points"] for panel in made["panels"]):
        return None
    series = [show(v) for v in frame.levels[figure.lines]] if figure.lines else []
    return {"series": series, "lines": axis(figure.lines) if figure.lines else "", "diagonal": False, **made}


def _curves(frame: Frame, figure: Figure, reader: Reader) -> dict[str, Any] | None:
    column = figure.y.replace("test/", "val/").replace("/", "_")
    shown = metric(column.replace("_", "/", 1))

    def points(cell: Cell, name: str) -> list[tuple[float, str, list[float]]]:
        runs = [artifacts.curves(text, artifacts.FILE["curves"]) for text in _texts(cell, reader, "curves")]
        runs = [run for run in runs if column in run.columns]
        common = sorted(set(runs[0].epochs).intersection(*(r.epochs for r in runs))) if runs else []
        return [(e, f"epoch {e}", [r.columns[column][r.epochs.index(e)] * shown.factor for r in runs]) for e in common]

    return {
        "kind": "trace",
        "title": heading(figure, frame),
        "x": {"label": "epoch", "scale": "linear", "values": [], "whole": True},
        "y": {"label": shown.label, "better": shown.better, "scale": "linear"},
        "panels": _panels(frame, figure, points, log=False, unit=shown.unit),
    }


def _gradients(frame: Frame, figure: Figure, reader: Reader) -> dict[str, Any] | None:
    def points(cell: Cell, name: str) -> list[tuple[float, str, list[float]]]:
        runs = [artifacts.curves(text, artifacts.FILE["gradients"]) for text in _texts(cell, reader, "gradients")]
        layers = list(runs[0].columns) if runs else []
        out: list[tuple[float, str, list[float]]] = []
        for i, layer in enumerate(layers):
            found = [[v for v in r.columns.get(layer, []) if math.isfinite(v)] for r in runs]
            # Norms differ by orders of magnitude: their logarithms are averaged.
            means = [float(np.mean(np.log10(np.clip(v, 1e-12, None)))) for v in found if v]
            out.append((i + 1, layer, means))
        return out

    return {
        "kind": "trace",
        "title": heading(figure, frame),
        "x": {"label": "layer, from input to output", "scale": "linear", "values": [], "whole": True},
        "y": {"label": "gradient norm, mean over epochs", "better": "", "scale": "log"},
        "panels": _panels(frame, figure, points, log=True),
    }


def _corruption(frame: Frame, figure: Figure, reader: Reader) -> dict[str, Any] | None:
    shown = metric("test/accuracy")
    series = [show(v) for v in frame.levels[figure.lines]] if figure.lines else []
    panels = []
    for kind, steps in severities(frame).items():
        found = []
        for severity, name in {0.0: "test/accuracy", **steps}.items():
            for cell in frame.cells(name, figure.at):
                if cell.values:
                    values = [v * shown.factor for v in cell.values.values()]
                    label = f"{_name(cell, figure)} severity {severity:g}".strip()
                    found.append(
                        _point(severity, label, values, _index(cell, figure, series), log=False, unit=shown.unit)
                    )
        panels.append({"title": kind.replace("_", " "), "points": found})
    return {
        "kind": "trace",
        "title": heading(figure, frame),
        "x": {"label": "severity (0: clean)", "scale": "linear", "values": [], "whole": True},
        "y": {"label": shown.label, "better": shown.better, "scale": "linear"},
        "panels": panels,
    }


def _reliability(frame: Frame, figure: Figure, reader: Reader) -> dict[str, Any] | None:
    panels = []
    for cell in frame.cells(figure.y, figure.at):
        parts = [artifacts.reliability(t, artifacts.FILE["reliability"]) for t in _texts(cell, reader, "reliability")]
        if not parts or any(p.edges.shape != parts[0].edges.shape for p in parts):
            continue
        one = artifacts.pooled(parts)
        found = []
        bins = zip(one.edges[:-1], one.edges[1:], one.count, one.confidence, one.accuracy, *one.wilson(), strict=True)
        for start, end, count, confidence, accuracy, low, high in bins:
            if count:
                label = f"confidence {start:.0%} to {end:.0%}"
                made = _point(100 * float(confidence), label, [100 * accuracy], 0, False)
                made |= {"low": float(f"{100 * low:.6g}"), "high": float(f"{100 * high:.6g}")}
                made["tip"] = [
                    label,
                    f"accuracy {accuracy:.1%} [{low:.1%}, {high:.1%}]",
                    f"{count / one.count.sum():.1%} of the images",
                ]
                found.append(made)
        title = ", ".join(t for t in (_panel(frame, figure, cell), f"calibration error {one.ece:.1%}") if t)
        panels.append({"title": title, "points": found})
    return {
        "kind": "trace",
        "title": heading(figure, frame),
        "x": {"label": "confidence (%)", "scale": "linear", "values": []},
        "y": {"label": "accuracy (%)", "better": "", "scale": "linear"},
        "panels": panels,
        "series": [],
        "diagonal": True,
    }


def _confusion(frame: Frame, figure: Figure, reader: Reader) -> dict[str, Any] | None:
    panels, classes = [], []
    for cell in frame.cells(figure.y, figure.at):
        parts = [artifacts.confusion(t, artifacts.FILE["confusion"]) for t in _texts(cell, reader, "confusion")]
        if not parts:
            continue
        classes = parts[0].classes
        if len(classes) > MOST_CLASSES or len(set(classes)) < len(classes) or any(p.classes != classes for p in parts):
            return None
        counts = np.sum([p.counts for p in parts], axis=0)
        share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        found = [
            {
                "x": classes[j],
                "y": round(math.sqrt(share[i, j]), 4),  # the few errors must be seen beside the many hits
                "low": None,
                "high": None,
                "seeds": [],
                "series": i,
                "text": f"{share[i, j]:.0f}" if share[i, j] >= 9.95 else f"{share[i, j]:.1f}" if share[i, j] else "",
                "tip": [
                    f"{classes[i]} called {classes[j]}",
                    f"{share[i, j]:.1f} % of {classes[i]}, {counts[i, j]} images",
                ],
            }
            for i in range(len(classes))
            for j in range(len(classes))
        ]
        panels.append({"title": _panel(frame, figure, cell), "points": found})
    return {
        "kind": "heat",
        "title": heading(figure, frame),
        "x": {"label": "predicted class", "scale": "band", "values": classes},
        "y": {"label": "share of the true class (%)", "better": "", "scale": "linear"},
        "panels": panels,
        "series": classes,
        "lines": "true class",
    }


_KINDS: dict[str, Callable[[Frame, Figure, Reader], dict[str, Any] | None]] = {
    "curves": _curves,
    "gradients": _gradients,
    "corruption": _corruption,
    "reliability": _reliability,
    "confusion": _confusion,
}


def _panels(frame: Frame, figure: Figure, points: Callable[..., Any], log: bool, unit: str = "") -> list[Panel]:
    """A panel for each value of the axes that neither `lines` nor `at` places, in the frame's order."""
    free = [a for a in frame.axes if a != figure.lines and a not in figure.at and len(frame.levels[a]) > 1]
    series = [show(v) for v in frame.levels[figure.lines]] if figure.lines else []
    panels: dict[tuple[str, ...], Panel] = {}
    for cell in frame.cells(figure.y, figure.at):
        title = point({name: cell.at[name] for name in free if name in cell.at})
        panel = panels.setdefault(key(cell.at, free), {"title": title, "points": []})
        name = _name(cell, figure)
        for x, label, values in points(cell, name):
            if values:
                said = f"{name}, {label}" if name else label
                panel["points"].append(_point(x, said, values, _index(cell, figure, series), log, unit))
    return list(panels.values())


def _point(x: float, label: str, values: Sequence[float], series: int, log: bool, unit: str = "") -> dict[str, Any]:
    """Mean and interval; with `log` the values are decimal logarithms."""
    interval = t_interval(list(values))
    back = (lambda v: 10**v) if log else (lambda v: v)

    def plain(v: float) -> float | None:
        return float(f"{back(v):.6g}") if math.isfinite(v) else None

    centre = back(interval.mean)
    said = f"{centre:.2f}" if unit == "%" else f"{centre:.3g}"
    return {
        "x": x,
        "y": plain(interval.mean),
        "low": plain(interval.low),
        "high": plain(interval.high),
        "seeds": [],
        "series": series,
        "text": said,
        "tip": [label, f"{said}{f' {unit}' if unit else ''}, n = {interval.n}"],
    }


def _panel(frame: Frame, figure: Figure, cell: Cell) -> str:
    """What tells a cell's panel from the others: its values on the axes that are not fixed."""
    free = {n: v for n, v in cell.at.items() if n not in figure.at and len(frame.levels[n]) > 1}
    return point(free)


def _texts(cell: Cell, reader: Reader, kind: str) -> list[str]:
    found = (reader(r, artifacts.FILE[kind]) for r in cell.records if r.status == "finished")
    return [text for text in found if text is not None]


def _name(cell: Cell, figure: Figure) -> str:
    return show(cell.at[figure.lines]) if figure.lines and figure.lines in cell.at else ""


def _index(cell: Cell, figure: Figure, series: list[str]) -> int:
    name = _name(cell, figure)
    return series.index(name) if name in series else 0
