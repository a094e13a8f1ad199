"""Two results side by side: settings as a diff, metrics paired."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from bench.analysis.artifacts import Curves
from bench.report.compare import Side, compare
from bench.report.compared import data, text
from bench.report.figures import svg
from bench.report.figures.beside import beside
from bench.report.figures.paper import draw_together
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import make_records


def shifted(records: list[Record], by: float, **config: object) -> list[Record]:
    return [
        dataclasses.replace(
            r,
            metrics={**r.metrics, "test/accuracy": r.metrics["test/accuracy"] + by + 0.001 * r.seed},
            config={**r.config, **config},
        )
        for r in records
    ]


def test_pairs_by_axes_and_seed_with_scipys_paired_interval(batchnorm_records: list[Record]) -> None:
    other = shifted(batchnorm_records, -0.02, **{"optim.momentum": 0.9, "trainer.epochs": 5})
    found = compare(Side("a", batchnorm_records), Side("b", other), ["test/accuracy"])
    assert found.rule == "axes and seed"
    assert len(found.pairs) == 6
    first = found.pairs[0]
    old = [r.metrics["test/accuracy"] for r in batchnorm_records[:3]]
    new = [r.metrics["test/accuracy"] for r in other[:3]]
    expected = stats.ttest_rel(new, old).confidence_interval()
    assert (first.difference.low, first.difference.high) == pytest.approx((expected.low, expected.high))
    assert first.difference.mean == pytest.approx(np.mean(new) - np.mean(old))
    assert first.word == "a is better"
    assert {(s.name, tuple(s.a), tuple(s.b)) for s in found.settings} == {
        ("optim.momentum", ("–",), ("0.9",)),
        ("trainer.epochs", ("3",), ("5",)),
    }
    assert "trainer.epochs  3 -> 5" in text(found)
    assert data(found)["pairs"][0]["verdict"] == "a is better"


def test_less_is_better_for_a_loss(batchnorm_records: list[Record]) -> None:
    worse = [
        dataclasses.replace(r, metrics={**r.metrics, "test/nll": r.metrics["test/nll"] + 0.1 + 0.001 * r.seed})
        for r in batchnorm_records
    ]
    found = compare(Side("a", batchnorm_records), Side("b", worse), ["test/nll"])
    assert {p.word for p in found.pairs} == {"a is better"}


def test_equal_runs_are_equal(batchnorm_records: list[Record]) -> None:
    found = compare(Side("a", batchnorm_records), Side("b", batchnorm_records))
    assert {p.word for p in found.pairs} == {"equal"}
    assert found.settings == []
    assert found.environment == []


def test_two_runs_pair_whatever_their_axes(batchnorm_records: list[Record]) -> None:
    found = compare(Side("a", batchnorm_records[:1]), Side("b", batchnorm_records[-1:]), ["test/accuracy"])
    assert found.rule == "the two runs"
    assert found.pairs[0].word == "one pair: no interval"
    assert [s.name for s in found.settings] == ["norm_layer", "optim.lr"]


def test_sweeps_with_other_axes_pair_by_run_key(batchnorm_records: list[Record]) -> None:
    other = [dataclasses.replace(r, axes={"width": i}) for i, r in enumerate(batchnorm_records[:4])]
    found = compare(Side("a", batchnorm_records), Side("b", other))
    assert found.rule == "run key"
    assert (found.only_a, found.only_b) == (14, 0)


def single_runs(by: float = 0.0, **config: object) -> list[Record]:
    """Of two models, two seeds each, without a sweep."""
    made = make_records({"model": ["a", "b"]}, lambda at: {"a": 0.9, "b": 0.3}[at["model"]] + by, seeds=2)
    return [dataclasses.replace(r, axes={}, key=f"{r.axes['model']}{r.seed}", config={**r.config, **config})
            for r in made]  # fmt: skip


def test_single_runs_of_two_models_are_not_taken_for_each_other() -> None:
    """Model a of one store was held against model b of the other: "+62.9 points"."""
    found = compare(Side("a", single_runs()), Side("b", single_runs(0.01)[::-1]), ["test/accuracy"])
    assert (found.rule, found.only_a, found.only_b) == ("run key", 0, 0)
    assert [(pair.at, round(pair.difference.mean, 9)) for pair in found.pairs] == [
        ({"model": "a"}, 0.01), ({"model": "b"}, 0.01),
    ]  # fmt: skip
    # One run of each model, of another seed each: no row of one experiment either.
    with pytest.raises(RequestError, match="Nothing pairs"):
        compare(Side("a", single_runs()[1:3]), Side("b", [dataclasses.replace(r, key="") for r in single_runs()[:2]]))


def test_seeds_with_splits_of_their_own_share_images_here_too(batchnorm_records: list[Record]) -> None:
    """Their rows were tested as if the splits had nothing in common, as no verdict on them is."""
    one = [dataclasses.replace(r, config={**r.config, "split.seed": r.seed, "split.test": 0.5})
           for r in batchnorm_records]  # fmt: skip
    found = compare(Side("a", one), Side("b", shifted(one, 0.01)), ["test/accuracy"]).pairs[0]
    plain = compare(Side("a", batchnorm_records), Side("b", shifted(batchnorm_records, 0.01)), ["test/accuracy"])
    assert found.difference.half == pytest.approx(2 * plain.pairs[0].difference.half)  # sqrt(1 + 3 * 0.5 / 0.5)
    assert found.p > plain.pairs[0].p


def test_a_difference_of_accuracies_ends_at_100_points() -> None:
    """It was +30 [-206.6, 266.6]."""
    values = {"a": [0.05, 0.9, 0.1], "b": [0.9, 0.1, 0.95]}
    made = [dataclasses.replace(r, metrics={"test/accuracy": values[str(r.axes["model"])][r.seed]}, axes={})
            for r in make_records({"model": ["a", "b"]}, lambda _: 0.5)]  # fmt: skip
    (pair,) = compare(Side("a", made[:3]), Side("b", made[3:]), ["test/accuracy"]).pairs
    assert (pair.difference.low, pair.difference.high) == (-1, 1)


def test_what_cannot_be_compared_says_why(batchnorm_records: list[Record]) -> None:
    side = Side("a", batchnorm_records)
    strange = [dataclasses.replace(r, axes={"width": i}, key=f"other{i}") for i, r in enumerate(batchnorm_records)]
    with pytest.raises(RequestError, match="Nothing pairs"):
        compare(side, Side("b", strange))
    fresh = [dataclasses.replace(r, seed=r.seed + 20, key=f"fresh{i}") for i, r in enumerate(batchnorm_records)]
    with pytest.raises(RequestError, match="points in common, but no seed: 0, 1, 2 there; 20, 21, 22 here"):
        compare(side, Side("b", fresh))
    with pytest.raises(RequestError, match="Did you mean 'test/accuracy'"):
        compare(side, side, ["test/acuracy"])
    failed = [dataclasses.replace(r, status="failed") for r in batchnorm_records]
    with pytest.raises(RequestError, match="no finished run"):
        compare(side, Side("b", failed))


def test_the_figure_is_the_same_each_time(batchnorm_records: list[Record]) -> None:
    found = compare(Side("a", batchnorm_records[:1]), Side("b", batchnorm_records[-1:]))
    lines = Curves([1, 2, 3], {"train_loss": [2.0, 1.0, 0.5], "val_accuracy": [0.5, 0.8, 0.9]})
    one, other = (svg(draw_together(beside(found, ([lines], [lines])))) for _ in range(2))
    assert one == other
    assert one.count(b"axes_") >= 3  # two columns of curves, and the points


def test_the_figure_shows_the_paired_difference_with_its_interval(batchnorm_records: list[Record]) -> None:
    better = [
        dataclasses.replace(r, metrics={**r.metrics, "test/accuracy": r.metrics["test/accuracy"] + 0.01 * r.seed})
        for r in batchnorm_records
    ]
    found = compare(Side("a", batchnorm_records), Side("b", better), ["test/accuracy"])
    drawing = draw_together(beside(found))
    means, differences = drawing.axes
    (legend,) = drawing.legends
    assert legend.get_title().get_text() == "Two results side by side: test accuracy"
    assert [t.get_text() for t in legend.get_texts()] == ["a: a", "b: b"]
    assert means.get_xlabel() == "test accuracy (%)"
    assert differences.get_xlabel() == "b - a, test accuracy (points)"
    assert means.get_xlim()[1] <= 102
    # 0, 1 and 2 points: mean 1, half width 4.302653 * 1 / sqrt(3).
    bar = next(line for line in differences.lines if line.get_marker() == "|")
    assert list(bar.get_xdata()) == pytest.approx([1 - 2.484138, 1 + 2.484138], abs=1e-4)


def test_two_runs_have_no_interval_to_show(batchnorm_records: list[Record]) -> None:
    one, other = batchnorm_records[0], batchnorm_records[-1]
    drawing = draw_together(beside(compare(Side("a", [one]), Side("b", [other]))))
    assert len(drawing.axes) == 1
    assert "no interval" in drawing.get_supxlabel()
