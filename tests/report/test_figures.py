"""Figures: what is drawn is what the records say; every kind is labelled, and the same bytes each time."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bench.report import artifacts, figures
from bench.report.figures.pareto import front
from bench.report.stats import t_interval
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure
from tests.report.conftest import BATCHNORM, make_records, make_sweep
from tests.report.drawn import AXES, KINDS, draw, reader, records

LABELS = {
    "line": ("depth", "test accuracy (%)"),
    "bars": ("depth", "test accuracy (%)"),
    "heat": ("depth", "model"),
    "pareto": ("parameters", "test accuracy (%)"),
    "curves": ("epoch", "val accuracy (%)"),
    "gradients": ("layer, from input to output", "gradient norm, mean over epochs"),
    "confusion": ("predicted class", "true class"),
    "reliability": ("confidence (%)", "accuracy, share of images (%)"),
    "corruption": ("severity (0: clean)", "test accuracy (%)"),
}
HEADINGS = {
    "line": "Test accuracy over depth, by model",
    "bars": "Test accuracy by depth and model",
    "heat": "Test accuracy over depth and model",
    "pareto": "Test accuracy against parameters, by model",
    "curves": "Val accuracy over epochs, by model",
    "gradients": "Gradient norm of each layer, by model",
    "confusion": "Which class is taken for which: percent of each true class",
    "reliability": "Accuracy over confidence",
    "corruption": "Test accuracy under corruption, by model",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_shows(kind: str) -> None:
    drawing = draw(**KINDS[kind])
    first = drawing.axes[0]
    assert (first.get_xlabel(), first.get_ylabel()) == LABELS[kind]
    assert drawing.get_suptitle().replace("\n", " ") == HEADINGS[kind]
    small_print = drawing.get_supxlabel().replace("\n", " ")
    assert "n = 3 seeds" in small_print
    assert "Dataset: mnist5k" in small_print
    assert ("At depth 20" in small_print) == ("at" in KINDS[kind])
    legends = [t.get_text() for legend in drawing.legends for t in legend.get_texts()]
    if "lines" in KINDS[kind] and kind != "heat":
        assert {"plain", "residual"} <= set(legends)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_records_give_the_same_bytes(kind: str) -> None:
    one, other = figures.svg(draw(**KINDS[kind])), figures.svg(draw(**KINDS[kind]))
    assert one == other
    assert b"<dc:date>" not in one


def test_a_line_goes_through_the_means_with_their_intervals() -> None:
    made = records()
    drawing = draw(made, **KINDS["line"])
    (ax,) = drawing.axes
    means = next(line for line in ax.lines if line.get_label() == "plain").get_ydata()
    cells = {
        depth: t_interval([r.metrics["test/accuracy"] for r in made if r.axes == {"model": "plain", "depth": depth}])
        for depth in AXES["depth"]
    }
    assert list(means) == pytest.approx([100 * c.mean for c in cells.values()])
    bars = [path for c in ax.containers for path in c[2][0].get_segments()][:4]
    for path, cell in zip(bars, cells.values(), strict=True):
        assert [path[0][1], path[1][1]] == pytest.approx([100 * cell.low, 100 * cell.high])


def test_a_numeric_axis_is_a_line_a_named_one_bars() -> None:
    assert draw(x="depth", lines="model").axes[0].get_legend_handles_labels()[1] == ["plain", "residual"]
    bars = draw(x="model", at={"depth": 20}).axes[0]
    assert [t.get_text() for t in bars.get_xticklabels()] == ["plain", "residual"]


def test_bars_start_at_zero_or_are_points() -> None:
    """A bar cut off below would lie about proportions."""
    close = draw(x="model", at={"depth": 8}).axes[0]
    assert not close.patches
    far = make_records({"model": ["a", "b"]}, lambda p: 0.2 if p["model"] == "a" else 0.9)
    sweep = make_sweep({"model": ["a", "b"]})
    (ax,) = figures.draw(Figure(kind="bars", x="model"), sweep, far).axes
    assert [round(p.get_height()) for p in ax.patches] == pytest.approx([20, 90], abs=3)
    assert ax.get_ylim()[0] == 0


def test_a_learning_rate_axis_is_logarithmic_with_the_values_as_ticks() -> None:
    made = make_records(BATCHNORM, lambda _: 0.9)
    drawing = figures.draw(Figure(x="optim.lr", lines="norm_layer"), make_sweep(BATCHNORM), made)
    (ax,) = drawing.axes
    figures.svg(drawing)
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.001", "0.01", "0.1"]


def test_axes_that_are_not_placed_become_panels() -> None:
    drawing = draw(x="depth")
    assert [ax.get_title(loc="left") for ax in drawing.axes] == ["model plain", "model residual"]


def test_a_point_without_a_finished_run_is_crossed_and_counted() -> None:
    made = [
        dataclasses.replace(r, status="failed", metrics={}, costs={})
        if r.axes == {"model": "plain", "depth": 56}
        else r
        for r in records()
    ]
    drawing = draw(made, **KINDS["line"])
    assert sum(line.get_marker() == "x" for line in drawing.axes[0].lines) == 1
    assert "3 runs failed or missing" in drawing.get_supxlabel().replace("\n", " ")


def test_learning_curves_average_as_far_as_every_seed_got() -> None:
    drawing = draw(**KINDS["curves"])
    mean = next(line for line in drawing.axes[0].lines if line.get_label() == "plain")
    assert list(mean.get_xdata()) == [1, 2, 3]
    assert list(mean.get_ydata()) == pytest.approx([100 * (0.8 + e / 50 + 0.01) for e in (1, 2, 3)])


def test_a_column_that_is_no_metric_counts_its_seeds_too() -> None:
    drawing = draw(**KINDS["curves"] | {"y": "val_accuracy"})
    assert "n = 3 seeds" in drawing.get_supxlabel().replace("\n", " ")


def test_gradient_norms_are_averaged_in_logarithms() -> None:
    drawing = draw(**KINDS["gradients"])
    line = next(line for line in drawing.axes[0].lines if line.get_label() == "plain")
    assert list(line.get_ydata()) == pytest.approx([0.01, 1.0])


def test_confusion_rows_sum_to_a_hundred_percent() -> None:
    shown = {t.get_text() for t in draw(**KINDS["confusion"]).axes[0].texts}
    assert shown == {"80", "20", "100", "50"}


def test_calibration_error_by_hand() -> None:
    # 30 images in two runs' bins: (10 * |0.4 - 0.5| + 30 * 0) / 40 = 0.025
    heads = [ax.get_title(loc="left") for ax in draw(**KINDS["reliability"]).axes]
    assert heads == [f"model {model}\ncalibration error 2.5%" for model in AXES["model"]]


def test_a_bin_of_few_images_shows_how_little_it_says() -> None:
    one = artifacts.reliability(str(reader(records()[0], "reliability.json")), "here")
    low, high = one.wilson()
    assert np.isnan([low[0], high[0]]).all()  # no image, no accuracy
    for i, hits in ((1, 4), (2, 27)):
        expected = binomtest(hits, int(one.count[i])).proportion_ci(0.95, method="wilson")
        assert (low[i], high[i]) == pytest.approx((expected.low, expected.high))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=15), st.sampled_from([1.0, -1.0]))
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float]], sign: float) -> None:
    def beats(p: tuple[float, float], q: tuple[float, float]) -> bool:
        return p[0] <= q[0] and sign * p[1] >= sign * q[1] and p != q

    kept = {points[i] for i in front(points, sign)}
    assert kept == {q for q in points if not any(beats(p, q) for p in points)}


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"x": "dept"}, "Unknown axis in figure.x: 'dept'"),
        ({"x": "depth", "y": "test/f1"}, "Unknown metric 'test/f1'"),
        ({"kind": "pareto", "cost": "cost/joules"}, "Unknown metric 'cost/joules'"),
        ({"kind": "curves", "lines": "model", "at": {"depth": 110}}, "no run at depth 110"),
        ({"kind": "curves", "y": "val/loss"}, "column of curves.csv 'val_loss'"),
        ({"kind": "corruption", "lines": "model"}, "a panel a corruption: fix depth by figure.at"),
    ],
)
def test_what_records_do_not_have(figure: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        draw(**figure)


def test_too_many_panels_are_refused() -> None:
    axes = {"model": ["a"], "seedling": list(range(30))}
    with pytest.raises(RequestError, match=r"30 panels.*at most 24"):
        figures.draw(Figure(x="model", kind="bars"), make_sweep(axes), make_records(axes, lambda _: 0.9))


def test_a_figure_that_needs_files_says_so() -> None:
    with pytest.raises(RequestError, match="needs the runs' files"):
        figures.draw(Figure(kind="curves"), make_sweep(AXES), records())
    with pytest.raises(RequestError, match=r"needs curves.csv, which no finished run"):
        figures.draw(Figure(kind="curves"), make_sweep(AXES), records(), lambda *_: None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("curves", "step,loss\n1,2\n"),
        ("curves", "epoch,loss\n1,two\n"),
        ("curves", "epoch,loss\n1\n"),
        ("curves", ""),
        ("confusion", '{"classes": ["a"], "counts": [[1, 2]]}'),
        ("confusion", '{"classes": ["a", "b"], "counts": [[1, 2], [3]]}'),
        ("confusion", "[]"),
        ("reliability", '{"edges": [0, 1], "count": [1, 2], "confidence": [0.5], "accuracy": [0.5]}'),
        ("reliability", "not json"),
    ],
)
def test_damaged_files_of_a_run_are_refused(name: str, text: str) -> None:
    with pytest.raises(RequestError, match="run 7"):
        getattr(artifacts, name)(text, "run 7")
