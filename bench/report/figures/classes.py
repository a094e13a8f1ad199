"""Confusion matrix and reliability diagram: where a model errs, and whether it knows."""

from __future__ import annotations

import dataclasses

import numpy as np

from bench.analysis import artifacts
from bench.analysis.artifacts import Reader, Reliability
from bench.analysis.frame import Cell, Frame
from bench.report.figures.cells import set_colours
from bench.report.figures.chart import Chart, Mark, Panel, Scale, set_ranges
from bench.report.figures.choice import heading, small_print
from bench.report.figures.epochs import lacking_files, none_has, texts
from bench.report.figures.panels import split
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure

MOST_PANELS = 9


def confusion(frame: Frame, figure: Figure, reader: Reader) -> Chart:
    """Percent of each true class that was called what, over the test images of all runs that left a matrix.

    Raises:
        RequestError: where the runs of one point have different classes.
    """
    found = _files(frame, figure, reader, "confusion")
    panels, classes = [], []
    for title, _, files in found:
        parts = [artifacts.confusion(text, where) for text, where in files]
        classes = parts[0].classes
        if any(p.classes != classes for p in parts):
            raise RequestError("confusion.json: the runs of one point have different classes.")
        counts = np.sum([p.counts for p in parts], axis=0)
        share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        names = unique(classes)
        made = [
            Mark(
                x=names[j],
                y=float(share[i, j]),
                series=i,
                n=len(parts),
                text=f"{share[i, j]:.0f}" if share[i, j] >= 9.95 else f"{share[i, j]:.1f}" if share[i, j] else "",
                tip=(
                    f"{classes[i]} called {classes[j]}",
                    f"{share[i, j]:.1f} % of {classes[i]}, {counts[i, j]:g} images",
                ),
            )
            for i, j in np.ndindex(share.shape)
        ]
        panels.append(Panel(title, tuple(made)))
    chart = Chart(
        kind="heat",
        title=heading(figure, frame),
        x=Scale("predicted class", "names", unique(classes)),
        y=Scale("share of the true class (%)", ends=(0.0, 100.0)),
        panels=tuple(panels),
        series=unique(classes),
        lines="true class",
        root=True,
        caption=_small_print(frame, figure, found, "confusion"),
    )
    chart = set_colours(chart)
    full = tuple(dataclasses.replace(p, y_range=(0.0, 100.0)) for p in chart.panels)
    return dataclasses.replace(chart, panels=full)


def reliability(frame: Frame, figure: Figure, reader: Reader) -> Chart:
    """Accuracy over confidence in bins (Guo et al. 2017, figure 1), with the share of images in each bin."""
    found = _files(frame, figure, reader, "reliability")
    panels = []
    for title, _, files in found:
        diagrams = [artifacts.reliability(text, where) for text, where in files]
        if any(d.edges.shape != diagrams[0].edges.shape for d in diagrams):
            raise RequestError("reliability.json: the runs of one point have different bins.")
        one = artifacts.pool_reliability(diagrams)
        share = 100 * one.count / one.count.sum()
        bars = tuple(
            (100 * float(a), 100 * float(b), float(c)) for a, b, c in zip(one.edges, one.edges[1:], share, strict=False)
        )
        heads = ", ".join(t for t in (title, f"calibration error {one.ece:.1%}") if t)
        panels.append(Panel(heads, _bins(one, share, len(files)), columns=bars))
    chart = Chart(
        kind="trace",
        title=heading(figure, frame),
        x=Scale("confidence (%)", ends=(0.0, 100.0)),
        y=Scale("accuracy, share of images (%)", ends=(0.0, 100.0)),
        panels=tuple(panels),
        diagonal=True,
        caption=_small_print(frame, figure, found, "reliability"),
    )
    ends = {"x_range": (0.0, 100.0), "y_range": (0.0, 100.0)}
    return dataclasses.replace(chart, panels=tuple(dataclasses.replace(p, **ends) for p in set_ranges(chart).panels))  # type: ignore[arg-type]


def unique(classes: list[str]) -> tuple[str, ...]:
    """Class names, numbered where two are the same: a place on an axis has one name."""
    seen: dict[str, int] = {}
    out = []
    for name in classes:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if classes.count(name) == 1 else f"{name} ({seen[name]})")
    return tuple(out)


def _bins(one: Reliability, share: np.ndarray, runs: int) -> tuple[Mark, ...]:
    made = []
    bins = zip(
        one.edges[:-1], one.edges[1:], one.count, one.confidence, one.accuracy, *one.wilson(), share, strict=True
    )
    for start, end, count, confidence, accuracy, low, high, part in bins:
        if count:
            label = f"confidence {start:.0%} to {end:.0%}"
            said = f"accuracy {accuracy:.1%} [{low:.1%}, {high:.1%}]"
            made.append(
                Mark(
                    x=100 * float(confidence),
                    y=100 * float(accuracy),
                    low=100 * float(low),
                    high=100 * float(high),
                    n=runs,
                    text=f"{accuracy:.1%}",
                    tip=(label, said, f"{part:.1f}% of the images"),
                )
            )
    return tuple(made)


def _files(frame: Frame, figure: Figure, reader: Reader, kind: str) -> list[tuple[str, Cell, list[tuple[str, str]]]]:
    """(title, cell, its files) for each point that has some."""
    panels = split(frame, figure, [])
    if len(panels) > MOST_PANELS:
        raise RequestError(
            f"A figure of kind '{kind}' has {len(panels)} panels here, one a point; at most {MOST_PANELS} can be read. "
            "Fix axes by figure.at."
        )
    found = [(title, cells[0], texts(cells[0], reader, kind)) for title, cells in panels]
    if not any(files for _, _, files in found):
        raise none_has(kind)
    return [one for one in found if one[2]]


def _small_print(frame: Frame, figure: Figure, found: list[tuple[str, Cell, list[tuple[str, str]]]], kind: str) -> str:
    cells, counts = [cell for _, cell, _ in found], [len(files) for _, _, files in found]
    return small_print(figure, frame, cells, counts, lacking_files(cells, counts, kind))
