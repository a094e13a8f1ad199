"""Figures: what is described is what the records say, what is drawn is what is described, the same bytes each time."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bench.analysis import artifacts
from bench.analysis.claims import judge
from bench.analysis.stats import t_interval
from bench.report import evidence, figures
from bench.report.figures.cells import front
from bench.report.figures.chart import Chart, data, logarithmic, marks
from bench.report.figures.paper import draw_chart
from bench.report.figures.verdicts import claims_figure
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure, Sweep
from bench.track.record import Record
from tests.records import BATCHNORM, make_records, make_sweep
from tests.report.drawn import AXES, KINDS, describe, draw, reader, records

RESULTS = Path(__file__).resolve().parents[2] / "results"
LABELS = {
    "line": ("depth", "test accuracy (%)"),
    "bars": ("test accuracy (%)", "depth"),
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
    chart, drawing = describe(**KINDS[kind]), draw(**KINDS[kind])
    first = drawing.axes[0]
    assert (first.get_xlabel().replace("\n", " "), first.get_ylabel().replace("\n", " ")) == LABELS[kind]
    assert drawing.get_suptitle().replace("\n", " ") == HEADINGS[kind] == chart.title
    small_print = drawing.texts[-1].get_text().replace("\n", " ")
    assert small_print == chart.caption
    assert "n = 3 seeds" in small_print
    assert "Dataset: mnist5k" in small_print
    assert ("At depth 20" in small_print) == ("at" in KINDS[kind])
    legends = [t.get_text() for legend in drawing.legends for t in legend.get_texts()]
    if "lines" in KINDS[kind] and kind != "heat":
        assert legends == ["plain", "residual"]


def every_chart() -> list[tuple[str, Chart]]:
    """Charts of every kind, with an arm that collapsed and with seeds as lines too, those of the committed sweeps, and
    of their claims.
    """
    out = [(kind, describe(**figure)) for kind, figure in KINDS.items()]
    fell = [
        dataclasses.replace(r, metrics=dict.fromkeys(r.metrics, 0.1 + 0.04 * r.seed))
        if r.axes == {"model": "plain", "depth": 56}
        else r
        for r in records()
    ]
    for kind in ("line", "bars", "heat", "pareto"):
        out.append((f"{kind}, one arm collapsed", describe(fell, **KINDS[kind])))
    for kind in ("line", "curves"):
        out.append((f"{kind}, seeds as lines", describe(fell, **KINDS[kind], seeds="lines")))
    for place in sorted(RESULTS.glob("*/manifest.json")):
        read = evidence.read(place.parent)
        for i, figure in enumerate([read.sweep.figure, *read.sweep.figures]):
            made = figures.describe(figure, read.sweep, read.records, artifacts.read_kept(read.folder))
            out.append((f"{read.name} {i}", made))
        claims = claims_figure(judge(read.sweep, read.records))
        assert claims is not None
        out.append((f"{read.name} claims", claims))
    return out


def test_every_plotted_value_lies_inside_the_axes() -> None:
    """In every kind, of whatever is described and of whatever is drawn: dots beside a mean too."""
    charts = every_chart()
    assert {c.kind for _, c in charts} == {"line", "dots", "heat", "pareto", "trace", "forest"}
    for name, chart in charts:
        for panel in chart.panels:
            (left, right), (low, high) = panel.x_range, panel.y_range
            for m in panel.marks:
                ys = [v for v in (m.y, m.low, m.high, *m.seeds) if v is not None] if chart.kind != "forest" else []
                assert all(low <= v <= high for v in ys), name
                xs = [v for v in (m.x, m.left, m.right) if isinstance(v, int | float)]
                assert all(left <= v <= right for v in xs if chart.x.kind != "names"), name
            assert all(low <= y <= high for _, line in panel.threads for _, y in line), name
        drawing = draw_chart(chart)
        drawing.draw_without_rendering()
        for ax in (a for a in drawing.axes if a.get_visible() and a.get_label() != "<colorbar>"):
            box = ax.get_window_extent()
            for line in ax.lines:
                at = line.get_transform().transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
                at = at[np.isfinite(at).all(axis=1)]
                assert ((at >= box.p0 - 0.5) & (at <= box.p1 + 0.5)).all(), (name, ax.get_title(loc="left"))


def test_the_outlier_that_decides_is_drawn() -> None:
    """The seed far below its mean was cut off: what was drawn aside of a mean did not count for the range."""
    made = [
        dataclasses.replace(r, metrics={**r.metrics, "test/accuracy": 0.4}) if r.seed == 1 else r for r in records()
    ]
    chart = describe(made, **KINDS["line"])
    assert chart.panels[0].y_range[0] < 40


@pytest.mark.parametrize("kind", ["line", "confusion", "gradients"])
def test_the_same_records_give_the_same_bytes(kind: str) -> None:
    one, other = (figures.files("figure", draw(**KINDS[kind])) for _ in range(2))
    assert one == other
    assert list(one) == ["figure.svg", "figure.pdf", "figure.png"]
    assert b"<dc:date>" not in one["figure.svg"]
    assert b"CreationDate" not in one["figure.pdf"]
    assert b"/Type3" not in one["figure.pdf"]


def test_a_line_goes_through_the_means_with_their_intervals() -> None:
    made = records()
    cells = {
        depth: t_interval([r.metrics["test/accuracy"] for r in made if r.axes == {"model": "plain", "depth": depth}])
        for depth in AXES["depth"]
    }
    found = [m for m in describe(made, **KINDS["line"]).panels[0].marks if m.series == 0]
    assert [m.x for m in found] == AXES["depth"]
    assert [m.y for m in found] == pytest.approx([100 * c.mean for c in cells.values()])
    assert [(m.low, m.high) for m in found] == [
        (pytest.approx(100 * c.low), pytest.approx(min(100, 100 * c.high))) for c in cells.values()
    ]
    (ax,) = draw(made, **KINDS["line"]).axes
    assert list(ax.lines[0].get_ydata()) == pytest.approx([100 * c.mean for c in cells.values()])


def test_both_renderers_get_the_same_numbers() -> None:
    """The page's data are the description that the print is drawn from, rounded to what a screen can show."""
    chart = describe(**KINDS["pareto"])
    given = data(chart)
    assert json.dumps(given, allow_nan=False)
    for panel, other in zip(chart.panels, given["panels"], strict=True):
        assert [m["y"] for m in other["marks"]] == pytest.approx([m.y for m in panel.marks], rel=1e-5)
        assert [m.get("front", False) for m in other["marks"]] == [m.front for m in panel.marks]
        assert other["y_range"] == pytest.approx(panel.y_range, rel=1e-5)


def test_a_numeric_axis_is_a_line_a_named_one_dots_on_a_scale_that_fits() -> None:
    assert describe(x="depth", lines="model").kind == "line"
    chart = describe(x="model", at={"depth": 20})
    assert (chart.kind, chart.x.ticks) == ("dots", ("plain", "residual"))
    (ax,) = draw(x="model", at={"depth": 20}).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["plain", "residual"]
    assert not ax.patches  # no bar that starts somewhere and lies about proportions


@pytest.mark.parametrize(
    ("numbers", "is_log"),
    [
        ([0.001, 0.01, 0.1], True), ([16, 32, 64], True), ([10, 50, 150], True), ([1, 3, 5, 15], True),
        ([8, 20, 32], False), ([1, 2, 3, 5], False), ([0, 1, 10, 100], False), ([2, 4], False), ([20, 20], False),
    ],
)  # fmt: skip
def test_values_spaced_by_factors_stand_on_a_logarithmic_axis(numbers: list[float], is_log: bool) -> None:
    assert logarithmic(numbers) == is_log
    assert logarithmic(numbers, False) is False


def test_a_learning_rate_axis_has_the_values_as_ticks() -> None:
    made = make_records(BATCHNORM, lambda _: 0.9)
    drawing = figures.draw(Figure(x="optim.lr", lines="norm_layer"), make_sweep(BATCHNORM), made)
    (ax,) = drawing.axes
    drawing.draw_without_rendering()
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.001", "0.01", "0.1"]


def test_axes_that_are_not_placed_become_panels() -> None:
    assert [p.title for p in describe(x="depth").panels] == ["model plain", "model residual"]


def test_where_one_arm_collapsed_the_others_get_a_panel_of_their_own(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record]
) -> None:
    far = [
        dataclasses.replace(r, metrics={**r.metrics, "test/accuracy": 0.1 + r.seed / 50})
        if r.axes == {"norm_layer": "none", "optim.lr": 0.1}
        else r
        for r in batchnorm_records
    ]
    whole, near = figures.describe(batchnorm_sweep.figure, batchnorm_sweep, far).panels
    assert whole.y_range[0] < 12
    assert near.y_range[0] > 50
    assert (near.title, near.out) == ("close-up", "12.0 below")
    assert len(near.marks) == len(whole.marks) - 1
    assert len(describe(**KINDS["line"]).panels) == 1


def test_where_all_arms_go_with_x_none_of_them_is_far_away(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record]
) -> None:
    """Accuracy over the number of images: the close-up showed the largest number alone."""
    far = [
        dataclasses.replace(r, metrics={**r.metrics, "test/accuracy": 0.8 if r.axes["optim.lr"] == 0.1 else 0.3})
        for r in batchnorm_records
    ]
    (whole,) = figures.describe(batchnorm_sweep.figure, batchnorm_sweep, far).panels
    assert len(whole.marks) == 6


def test_a_point_without_a_finished_run_is_crossed_and_counted() -> None:
    made = [
        dataclasses.replace(r, status="failed", metrics={}, costs={})
        if r.axes == {"model": "plain", "depth": 56}
        else r
        for r in records()
    ]
    chart, drawing = describe(made, **KINDS["line"]), draw(made, **KINDS["line"])
    assert [m.text for m in marks(chart) if m.y is None] == ["failed"]
    assert sum(line.get_marker() == "x" for line in drawing.axes[0].lines) == 1
    assert "3 runs failed or missing" in chart.caption
    assert "×: no finished run" in chart.caption


def test_learning_curves_average_as_far_as_every_seed_got() -> None:
    found = [m for m in describe(**KINDS["curves"]).panels[0].marks if m.series == 0]
    assert [m.x for m in found] == [1, 2, 3]
    assert [m.y for m in found] == pytest.approx([100 * (0.8 + e / 50 + 0.01) for e in (1, 2, 3)])
    assert "n = 3 seeds" in describe(**KINDS["curves"] | {"y": "val_accuracy"}).caption
    threads = describe(**KINDS["curves"], seeds="lines").panels[0].threads
    assert [len(line) for _, line in threads] == [5, 5, 3] * 2  # every seed, as far as it got


def test_gradient_norms_are_averaged_in_logarithms() -> None:
    chart = describe(**KINDS["gradients"])
    assert [m.y for m in chart.panels[0].marks if m.series == 0] == pytest.approx([0.01, 1.0])


def test_layers_that_differ_within_a_point_are_not_averaged() -> None:
    def other(record: Record, name: str) -> str | None:
        text = reader(record, name)
        return text.replace("first", "second") if text and name == "gradients.csv" and record.seed == 1 else text

    with pytest.raises(RequestError, match="different layers"):
        figures.describe(Figure(**KINDS["gradients"]), make_sweep(AXES), records(), other)


def test_confusion_rows_sum_to_a_hundred_percent() -> None:
    panel = describe(**KINDS["confusion"]).panels[0]
    assert [m.text for m in panel.marks] == ["80", "20", "", "", "100", "", "50", "", "50"]
    assert panel.marks[1].tip == ("cat called dog", "20.0 % of cat, 6 images")
    assert {t.get_text() for t in draw(**KINDS["confusion"]).axes[0].texts} == {"80", "20", "100", "50", ""}


@pytest.mark.parametrize("kind", ["confusion", "reliability", "curves", "gradients"])
def test_a_figure_counts_the_runs_that_it_holds(kind: str) -> None:
    """Not those that finished: two of three left no file behind."""

    def only_one(record: Record, name: str) -> str | None:
        return reader(record, name) if record.seed == 0 else None

    chart = figures.describe(Figure(**KINDS[kind]), make_sweep(AXES), records(), only_one)
    assert "n = 1 seed." in chart.caption
    assert f"finished runs have no {artifacts.FILE[kind]}" in chart.caption
    assert {m.n for m in marks(chart)} == {1}


def test_names_of_classes_are_drawn_as_they_are_written() -> None:
    """$ opens a formula for Matplotlib, and two classes may have one name."""
    names = ["$x$", "a_b^c", r"\alpha", "$x$"]

    def odd(record: Record, name: str) -> str | None:
        counts = [[3, 1, 0, 0]] * 4
        return json.dumps({"classes": names, "counts": counts}) if name == "confusion.json" else None

    chart = figures.describe(Figure(**KINDS["confusion"]), make_sweep(AXES), records(), odd)
    drawing = draw_chart(chart)
    figures.svg(drawing)
    labels = drawing.axes[0].get_yticklabels()
    assert [t.get_text() for t in labels] == ["$x$ (1)", "a_b^c", r"\alpha", "$x$ (2)"]
    assert not any(t.get_parse_math() for t in labels)


def test_calibration_error_by_hand() -> None:
    # 30 images in two runs' bins: (10 * |0.4 - 0.5| + 30 * 0) / 40 = 0.025
    chart = describe(**KINDS["reliability"])
    assert [p.title for p in chart.panels] == [f"model {model}, calibration error 2.5%" for model in AXES["model"]]
    assert [c[2] for c in chart.panels[0].columns] == pytest.approx([0, 25, 75])


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


def test_a_claim_is_drawn_seed_by_seed_with_what_is_too_small_to_matter(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record]
) -> None:
    claims = [dataclasses.replace(batchnorm_sweep.claims[0], by=0.05), batchnorm_sweep.claims[1]]
    verdicts = judge(dataclasses.replace(batchnorm_sweep, claims=claims), batchnorm_records)
    chart = claims_figure(verdicts)
    assert chart is not None
    first, second = chart.panels
    assert first.marks[0].x == pytest.approx(100 * verdicts[0].effect)
    assert [m.x for m in first.marks[1:]] == pytest.approx([100 * v for v in verdicts[0].values.values()])
    assert (first.shade, second.shade) == ((-5.0, 5.0), None)
    assert [x for x, _ in first.lines] == [5.0]
    assert first.title.startswith("supported: Batch norm raises")
    assert chart.scale(0).label == "difference in test accuracy (points)"
    assert first.x_range != second.x_range  # each claim on a scale that fits it


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
        describe(**figure)


def test_too_many_panels_are_refused() -> None:
    axes = {"model": ["a"], "seedling": list(range(30))}
    with pytest.raises(RequestError, match=r"30 panels.*at most 24"):
        figures.describe(Figure(x="model", kind="bars"), make_sweep(axes), make_records(axes, lambda _: 0.9))


def test_a_figure_that_needs_files_says_so() -> None:
    with pytest.raises(RequestError, match="needs the runs' files"):
        figures.describe(Figure(kind="curves"), make_sweep(AXES), records())
    with pytest.raises(RequestError, match=r"needs curves.csv, which no finished run"):
        figures.describe(Figure(kind="curves"), make_sweep(AXES), records(), lambda *_: None)


def test_nll_over_epochs_is_one_curve_whatever_training_calls_it() -> None:
    def read(record: Record, name: str) -> str | None:
        column = "val_nll" if record.axes["model"] == "plain" else "val_loss"  # its loss is NLL
        return f"epoch,train_loss,{column}\n1,2.0,1.5\n2,1.0,0.5\n" if name == "curves.csv" else None

    def made(y: str) -> Chart:
        figure = Figure(kind="curves", lines="model", y=y, at={"depth": 20})
        return figures.describe(figure, make_sweep(AXES), records(), read)

    both = made("val/nll")
    assert {(m.series, m.x, m.y) for m in both.panels[0].marks} == {
        (s, e, v) for s in (0, 1) for e, v in ((1, 1.5), (2, 0.5))
    }
    assert "Without" not in both.caption
    assert "Without val_loss: plain" in made("val/loss").caption


def test_the_last_bit_of_a_clips_bounds_does_not_change_the_svg() -> None:
    """The layout's solver leaves other last bits from run to run, and ids changed with them."""
    from matplotlib.figure import Figure as Drawing

    def made(left: float) -> bytes:
        drawing = Drawing(figsize=(2, 2))
        drawing.add_axes((left, 0.2, 0.5, 0.5)).plot([0, 1], [0, 2])
        return figures.svg(drawing)

    assert b"<clipPath" in made(0.15)
    assert made(0.15) == made(0.15 + 2**-50)
    assert made(0.15) != made(0.2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_a_cross(value: float) -> None:
    made = [dataclasses.replace(r, metrics={**r.metrics, "test/nll": value}) for r in records()]
    chart = describe(made, kind="line", x="depth", lines="model", y="test/nll")
    assert {m.y for m in marks(chart)} == {None}
    assert figures.png(draw_chart(chart), dpi=40)
    assert io.BytesIO(figures.svg(draw_chart(chart))).getvalue()


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


def test_no_two_of_many_series_look_alike() -> None:
    from bench.report.figures.style import look

    looks = [(style["color"], style["marker"]) for style in map(look, range(50))]
    assert len(set(looks)) == len(looks)


def test_a_close_up_is_of_what_is_better_and_shows_more_than_the_panel_beside_it() -> None:
    """Two panels whose close-ups lie far apart share no range: it would be no closer than the panels' own."""
    from bench.report.figures.chart import Chart, Mark, Panel, Scale, set_ranges

    def panel(name: str, high: float) -> Panel:
        return Panel(
            name, tuple(Mark(x=float(i), y=y, series=0, n=1, text="") for i, y in enumerate([0.0, high, high + 1]))
        )

    def chart(better: str) -> Chart:
        x, y = Scale("x"), Scale("y", better=better)
        return set_ranges(
            Chart(kind="line", title="", x=x, y=y, panels=(panel("a", 100), panel("b", 20))), close_up=True
        )

    assert len(chart("").panels) == 2
    a, near, b, other = chart("greater").panels
    for whole, close in ((a, near), (b, other)):
        assert close.out
        assert close.y_range[1] - close.y_range[0] < (whole.y_range[1] - whole.y_range[0]) / 2
