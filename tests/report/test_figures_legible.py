"""Figures can be read: nothing is cut off, covered or told by colours that some people cannot tell apart."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bench.report import figures
from bench.report.figures.style import COLOURS
from bench.track.record import Record
from tests.report.drawn import KINDS, draw, records


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_and_no_words_overlap(kind: str) -> None:
    title = "Do WIDE & MUCH LONGER NAMES, which wrap to many lines, stay on the paper? " * 2
    drawing = draw(**KINDS[kind], title=title)
    figures.png(drawing, dpi=100)
    edge = drawing.bbox
    texts = [drawing._suptitle, drawing._supxlabel, *(ax.xaxis.label for ax in drawing.axes if ax.get_visible())]
    texts += [legend.get_frame() for legend in drawing.legends]
    boxes = [t.get_window_extent() for t in texts if t is not None]
    for box in boxes:
        assert box.x0 >= edge.x0 - 1
        assert box.x1 <= edge.x1 + 1
        assert box.y0 >= edge.y0 - 1
        assert box.y1 <= edge.y1 + 1
    title, foot = drawing._suptitle.get_window_extent(), drawing._supxlabel.get_window_extent()
    for legend in drawing.legends:
        assert not legend.get_window_extent().overlaps(title)
        assert not legend.get_window_extent().overlaps(foot)


@pytest.mark.parametrize("kind", ["line", "bars", "curves", "pareto", "corruption"])
def test_percentages_end_at_0_and_100_and_no_mean_is_cut(kind: str) -> None:
    spread = {0: 0.02, 1: 0.55, 2: 0.97}  # the interval of three such seeds reaches far beyond 0 and 100%

    def wide(r: Record) -> Record:
        value = spread[r.seed] if r.axes["model"] == "plain" else 0.9 + r.seed / 1000
        return dataclasses.replace(r, metrics=dict.fromkeys(r.metrics, value))

    figure = {**KINDS[kind], "at": {}} if kind != "corruption" else KINDS[kind]
    if kind in ("line", "bars"):
        figure = {"kind": kind, "x": "model", "panels": "depth"}
    drawing = draw([wide(r) for r in records()], **figure)
    for ax in (a for a in drawing.axes if a.get_visible() and "accuracy" in drawing.axes[0].get_ylabel()):
        low, high = ax.get_ylim()
        assert low >= -4
        assert high <= 104
        for line in (one for one in ax.lines if one.get_label() not in (None, "") and len(one.get_ydata())):
            ys = np.asarray(line.get_ydata(), dtype=float)
            if line.get_transform() == ax.transData and line.get_marker() not in ("|", "_"):
                inside = ys[(ys >= 0) & (ys <= 100)]
                assert ((inside >= low) & (inside <= high)).all()


def test_names_in_a_crowd_cover_neither_each_other_nor_a_point() -> None:
    close = [dataclasses.replace(r, costs={"cost/params": 1000 + r.axes["depth"] / 50}) for r in records()]
    drawing = draw(close, kind="pareto")
    drawing.draw_without_rendering()
    (ax,) = drawing.axes
    boxes = [t.get_window_extent() for t in ax.texts]
    assert len(boxes) >= 2
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    points = [line.get_xydata() for line in ax.lines if line.get_marker() in "osD^vPX" and len(line.get_xydata()) == 1]
    assert len(points) == 8
    for x, y in ax.transData.transform(np.vstack(points)):
        assert not any(box.contains(x, y) for box in boxes)


def test_colours_stay_apart_for_the_colour_blind() -> None:
    """Simulated by Machado et al. (2009), severity 1; neighbours in the list must differ clearly in linear RGB."""
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    for matrix in (protan, deutan):
        seen = np.array([to_rgb(c) for c in COLOURS]) @ np.array(matrix).T
        distance = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
        assert min(distance) > 0.15


def test_ticks_of_a_wide_logarithmic_cost_do_not_meet() -> None:
    far = [dataclasses.replace(r, costs={"cost/params": 10 ** (r.axes["depth"] / 8)}) for r in records()]
    drawing = draw(far, kind="pareto", lines="model")
    drawing.draw_without_rendering()
    (ax,) = drawing.axes
    assert ax.get_xscale() == "log"
    boxes = sorted((t.get_window_extent() for t in ax.get_xticklabels() if t.get_text()), key=lambda b: b.x0)
    assert len(boxes) >= 3
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
