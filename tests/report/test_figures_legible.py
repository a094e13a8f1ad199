"""Figures can be read in a column of 8.5 cm: nothing is cut off, covered, too small, or told by colour alone."""

from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from bench.report import figures
from bench.report.figures.chart import marks
from bench.report.figures.style import COLOURS, COLUMN, DASHES, MARKERS, SMALLEST, look
from bench.schema.sweep import Figure
from bench.track.record import Record
from tests.records import make_records, make_sweep
from tests.report.drawn import KINDS, describe, draw, records


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_or_small_and_no_words_overlap(kind: str) -> None:
    title = "Do WIDE & MUCH LONGER NAMES, which wrap to many lines, stay on the paper? " * 2
    drawing = draw(**KINDS[kind], title=title)
    figures.png(drawing, dpi=100)
    assert drawing.get_figwidth() == pytest.approx(COLUMN) == pytest.approx(8.5 / 2.54)
    shown = [t for t in drawing.findobj(Text) if t.get_visible() and t.get_text().strip()]
    assert min(t.get_fontsize() for t in shown) >= SMALLEST == 7
    edge = drawing.bbox
    foot = drawing.texts[-1]
    labels = [label for ax in drawing.axes if ax.get_visible() for label in (ax.xaxis.label, ax.yaxis.label)]
    heads = [t for ax in drawing.axes if ax.get_visible() for t in (ax._left_title,)]
    texts = [drawing._suptitle, foot, *(t for t in (*labels, *heads) if t.get_text())]
    boxes = [t.get_window_extent() for t in (*texts, *drawing.legends)]
    for box in boxes:
        assert box.x0 >= edge.x0 - 1
        assert box.x1 <= edge.x1 + 1
        assert box.y0 >= edge.y0 - 1
        assert box.y1 <= edge.y1 + 1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


@pytest.mark.parametrize("kind", ["line", "bars", "curves", "pareto", "corruption"])
def test_percentages_end_at_0_and_100_and_no_mean_is_cut(kind: str) -> None:
    spread = {0: 0.02, 1: 0.55, 2: 0.97}  # the interval of three such seeds reaches far beyond 0 and 100%

    def wide(r: Record) -> Record:
        value = spread[r.seed] if r.axes["model"] == "plain" else 0.9 + r.seed / 1000
        return dataclasses.replace(r, metrics=dict.fromkeys(r.metrics, value))

    figure = {**KINDS[kind], "at": {}} if kind != "corruption" else KINDS[kind]
    if kind in ("line", "bars"):
        figure = {"kind": kind, "x": "model", "panels": "depth"}
    chart = describe([wide(r) for r in records()], **figure)
    for panel in chart.panels:
        assert panel.y_range[0] >= -4
        assert panel.y_range[1] <= 104
    assert all(0 <= v <= 100 for m in marks(chart) for v in (m.y, m.low, m.high) if v is not None)
    if kind != "curves":  # curves are the runs' own files
        assert "go beyond 0 or 100% are cut" in chart.caption or kind == "corruption"


def test_names_in_a_crowd_cover_neither_each_other_nor_a_point() -> None:
    close = [dataclasses.replace(r, costs={"cost/params": 1000 + r.axes["depth"] / 50}) for r in records()]
    drawing = draw(close, kind="pareto")
    drawing.draw_without_rendering()
    (ax,) = drawing.axes
    boxes = [t.get_window_extent() for t in ax.texts]
    assert len(boxes) >= 2
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    points = [line.get_xydata() for line in ax.lines if line.get_marker() in MARKERS and len(line.get_xydata()) == 1]
    assert len(points) == 8
    for x, y in ax.transData.transform(np.vstack(points)):
        assert not any(box.contains(x, y) for box in boxes)


def test_colours_stay_apart_for_the_colour_blind_and_in_grey() -> None:
    """Simulated by Machado et al. (2009), severity 1; neighbours in the list must differ clearly in linear RGB."""
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    for matrix in (protan, deutan):
        seen = np.array([to_rgb(c) for c in COLOURS]) @ np.array(matrix).T
        distance = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
        assert min(distance) > 0.15
    linear = [np.where((c := np.array(to_rgb(x))) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for x in COLOURS]
    grey = [float(c @ [0.2126, 0.7152, 0.0722]) for c in linear]
    assert min(abs(a - b) for a, b in itertools.combinations(grey[:3], 2)) > 0.1  # most figures have three lines
    looks = [(str(look(i)["linestyle"]), look(i)["marker"]) for i in range(len(COLOURS))]
    assert len(set(looks)) == len(COLOURS)
    assert len({str(look(i)["linestyle"]) for i in range(len(DASHES))}) == len(DASHES) == 5


def test_ticks_of_a_wide_logarithmic_cost_do_not_meet() -> None:
    far = [dataclasses.replace(r, costs={"cost/params": 10 ** (r.axes["depth"] / 8)}) for r in records()]
    drawing = draw(far, kind="pareto", lines="model")
    drawing.draw_without_rendering()
    (ax,) = drawing.axes
    assert ax.get_xscale() == "log"
    boxes = sorted((t.get_window_extent() for t in ax.get_xticklabels() if t.get_text()), key=lambda b: b.x0)
    assert len(boxes) >= 3
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("kind", ["line", "bars", "heat"])
def test_long_names_and_forty_lines_stay_on_the_paper(kind: str) -> None:
    """Names of 80 letters took all of the width, and a legend of forty lost its last column."""
    arms = ["$x_1$ & 50%", "日本語", *(f"{'a very long name ' * 5}{i}" for i in range(2))]
    axes = {"arm": [*arms, *(f"m{i}" for i in range(36 * (kind == "line")))], "lr": [0.01, 0.1]}
    names = ("arm", "lr") if kind == "bars" else ("lr", "arm")
    figure = Figure(kind=kind, x=names[0], lines=names[1])  # type: ignore[arg-type]
    drawing = figures.draw(figure, make_sweep(axes), make_records(axes, lambda _: 0.9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.png(drawing, dpi=100)
    (ax, *_) = drawing.axes
    assert ax.bbox.width > drawing.bbox.width / 4
    shown = [
        *(ax.get_yticklabels() if kind != "line" else []),
        *(t for one in drawing.legends for t in one.get_texts()),
    ]
    boxes = [t.get_window_extent() for t in shown if t.get_text()]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= drawing.bbox.width
    said = [t.get_text() for t in shown if "…" in t.get_text()]
    assert len(set(said)) == 2
