"""Inputs that once gave a wrong or an unearned verdict, each with the right one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.analysis.claims import judge
from bench.analysis.fairness import doubts
from bench.analysis.frame import Frame, select_frame
from bench.analysis.judged import Verdict
from bench.report.compare import Side, compare
from bench.report.grid import pivot
from bench.report.verdict import describe, remarks
from bench.schema.errors import RequestError
from bench.schema.sweep_file import sweep
from bench.track.record import Record, read_csv
from tests.records import make_records, make_sweep

CASES = Path(__file__).parent / "cases"


def case(name: str) -> list[Verdict]:
    text = (CASES / f"{name}.yaml").read_text(encoding="utf-8")
    return judge(sweep({"name": name, **yaml.safe_load(text)}, name), read_csv(CASES / f"{name}.csv"))


def test_a_metric_knows_which_way_is_better() -> None:
    lowers, improves, swapped = case("dirn")
    assert [lowers.word, improves.word] == ["supported", "supported"]
    # The author's sentence says the opposite of what was tested; the generated one shows it.
    assert swapped.word == "refuted"
    assert swapped.tested == "none - batch: test accuracy, expected > 0"
    assert lowers.tested == "batch - none: test NLL, expected < 0"


def test_failures_are_data() -> None:
    """Half of an arm diverges, the other half is better: left out it is supported, counted it is refuted."""
    (found,) = case("surv")
    assert found.word == "open"
    assert found.effect > 0 > found.failures.effect
    assert not found.failures.agrees
    assert "5 replicates lack a run and are left out; counted as 0%: -44" in describe(found)


def test_a_rate_of_failures_is_a_claim_of_its_own() -> None:
    made = yaml.safe_load((CASES / "surv.yaml").read_text(encoding="utf-8"))
    pair = {"compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    bound = {"kind": "bound", "at": {"norm_layer": "none"}, "bound": 0.3}
    made["claims"] = [{"says": "x", **c, "metric": "run/failed"} for c in (pair, bound)]
    more, few = judge(sweep({"name": "surv", **made}, "surv"), read_csv(CASES / "surv.csv"))
    # 5 of 10 against 0 of 10, paired: five disagreements, all one way, p = 2 * 0.5^5.
    assert more.p == pytest.approx(2 / 32)
    assert (more.effect, more.failures) == (0.5, None)
    assert few.p == pytest.approx(2 * 0.7**10)
    assert few.word == "open"  # 0.056


def with_values(axis: str, values: dict[Any, list[float]]) -> list[Record]:
    made = make_records({axis: list(values)}, lambda _: 0.5, seeds=len(next(iter(values.values()))))
    return [dataclasses.replace(r, metrics={"test/accuracy": values[r.axes[axis]][r.seed]}) for r in made]


TREND = {"says": "bigger helps", "kind": "trend", "over": "dataset.size"}


def trend(values: dict[Any, list[float]], **more: Any) -> Verdict:
    (found,) = judge(
        make_sweep({"dataset.size": list(values)}, claims=[{**TREND, **more}]), with_values("dataset.size", values)
    )
    return found


def test_a_trend_goes_by_value_and_says_from_where_to_where() -> None:
    found = trend({32: [0.90, 0.91, 0.925], 16: [0.80, 0.82, 0.81]})
    assert found.word == "supported"
    assert found.effect > 0
    assert found.tested == "test accuracy over size from 16 to 32: expected to rise"


def test_what_rises_and_falls_does_not_rise() -> None:
    means = {8: 0.80, 16: 0.93, 32: 0.94, 64: 0.85}
    noise = [0.001, -0.002, 0.001]
    found = trend({x: [m + e * (1 + x / 64) for e in noise] for x, m in means.items()})
    assert found.p < 0.05
    assert found.effect > 0
    assert found.word == "open"
    assert "it falls from size 32 to 64 by 9 points" in found.note
    flat = {**means, 64: 0.9395}
    found = trend({x: [m + e * (1 + x % 3) for e in noise] for x, m in flat.items()})
    assert found.word == "supported"
    assert "within seed noise" in found.note


def test_two_seeds_settle_nothing() -> None:
    (found,) = judge(
        make_sweep({"m": ["a", "b"]}, claims=[{"says": "x", "compare": {"m": "a"}, "against": {"m": "b"}}]),
        with_values("m", {"a": [0.90, 0.9001], "b": [0.80, 0.8002]}),
    )
    assert found.word == "open"
    assert "at least 3" in found.note


def test_an_interval_leaves_out_zero_exactly_where_a_claim_is_settled() -> None:
    """`[-1.04, -0.08] ... open` after Holm; and no interval of a share leaves 0 to 100%."""
    axes = {"m": ["a", "b"], "d": [1, 2, 3]}
    pair = {"compare": {"m": "a"}, "against": {"m": "b"}}
    claims = [{"says": str(d), **pair, "at": {"d": d}} for d in (1, 2, 3)]
    words = set()
    for rng in range(12):
        made = make_records(axes, lambda p: 0.8 + 0.03 * (p["m"] == "a"), seeds=4, sd=0.01, rng=rng)
        for found in judge(make_sweep(axes, claims=claims, seeds=4), made):
            words.add(found.word)
            assert (found.word == "open") == (found.low <= 0 <= found.high)
            assert found.level >= 0.95
    assert words == {"open", "supported"}
    cells = with_values("m", {"a": [0.99, 1.0, 0.95], "b": [0.2, 0.99, 0.5]})
    (found,) = judge(
        make_sweep({"m": ["a", "b"]}, claims=[{"says": "x", "kind": "bound", "at": {"m": "a"}, "bound": 0.5}]), cells
    )
    assert found.high == 1.0


def test_what_else_differs_between_the_sides_is_said() -> None:
    made = make_records({"model": ["cnn", "resnet"]}, lambda p: 0.9 - 0.1 * (p["model"] == "resnet"))
    made = [
        dataclasses.replace(
            r,
            config={**r.config, "trainer.epochs": 30 if r.axes["model"] == "cnn" else 8},
            costs={"cost/params": 200_000 if r.axes["model"] == "cnn" else 270_000},
        )
        for r in made
    ]
    claim = {"says": "Residual blocks help", "compare": {"model": "resnet"}, "against": {"model": "cnn"}}
    (found,) = judge(make_sweep({"model": ["cnn", "resnet"]}, claims=[claim]), made)
    assert found.differs == {"epochs": ("8", "30"), "parameters": ("270 k", "200 k")}
    assert "Its sides also differ in: epochs 8 / 30; parameters 270 k / 200 k." in remarks(found)
    rates = [dataclasses.replace(r, config={**r.config, "optim.lr": 0.1, "trainer.epochs": 8}) for r in made]
    (found,) = judge(make_sweep({"model": ["cnn", "resnet"]}, claims=[claim]), rates)
    assert "Both have: epochs 8; learning rate 0.1." in remarks(found)
    knn = [
        dataclasses.replace(r, config={**r.config, "model.family": "knn"}, costs={}) if r.axes["model"] == "cnn" else r
        for r in rates
    ]
    (found,) = judge(make_sweep({"model": ["cnn", "resnet"]}, claims=[claim]), knn)
    assert found.differs == {"epochs": ("8", "none"), "learning rate": ("0.1", "none"), "parameters": ("270 k", "none")}


def test_unequal_and_too_short_training_is_said() -> None:
    axes = {"model": ["cnn", "resnet"]}
    made = [
        dataclasses.replace(
            r,
            config={**r.config, "trainer.epochs": 30 if r.axes["model"] == "cnn" else 8},
            costs={"cost/selected_epoch": 20.0 if r.axes["model"] == "cnn" else 8.0},
        )
        for r in make_records(axes, lambda _: 0.9)
    ]
    found = dict(doubts(Frame(made), make_sweep(axes)))
    assert "after 8, 30 epochs" in found["unequal_budget"]
    assert found["undertrained"].endswith("help: model resnet.")


def test_a_value_on_the_edge_of_the_search_is_said() -> None:
    axes = {"model": ["a"], "optim.lr": [0.001, 0.01, 0.1]}
    made = make_records(axes, lambda p: 0.5 + p["optim.lr"])
    sweep_ = make_sweep(axes, select={"over": ["optim.lr"]})
    ((_, said),) = [d for d in doubts(select_frame(sweep_, made), sweep_) if d[0] == "grid_edge"]
    assert "(0.1)" in said


@pytest.mark.parametrize(
    ("name", "tried", "sign", "said"),
    [
        ("optim.weight_decay", [0, 0.01, 0.1], -1, False), ("optim.weight_decay", [0, 0.01, 0.1], 1, True),
        ("model.k", [1, 3, 5], -1, False), ("model.k", [3, 5, 9], -1, True), ("optim.lr", [0.001, 0.01], -1, True),
    ],
)  # fmt: skip
def test_an_edge_beyond_which_there_is_nothing_is_none(name: str, tried: list[Any], sign: int, said: bool) -> None:
    made = make_records({"model": ["a"], name: tried}, lambda p: 0.5 + sign * tried.index(p[name]) / 10)
    sweep_ = make_sweep({"model": ["a"], name: tried}, select={"over": [name]})
    assert any(d[0] == "grid_edge" for d in doubts(select_frame(sweep_, made), sweep_)) is said


def test_marks_are_a_test() -> None:
    """With seven equal cells some cell was unmarked in 34 to 69% of tables."""
    axes = {"m": list("abcdefg")}
    unmarked = 0
    for rng in range(60):
        made = make_records(axes, lambda _: 0.8, seeds=5, rng=rng)
        grid = pivot(Frame(made, make_sweep(axes, seeds=5)), make_sweep(axes, table={"rows": "m"}, seeds=5))
        unmarked += any(mark == [""] for mark in grid.panels[0].marks)
    assert unmarked / 60 < 0.25
    clear = make_records(axes, lambda p: 0.9 if p["m"] == "a" else 0.7, seeds=5)
    grid = pivot(Frame(clear, make_sweep(axes, seeds=5)), make_sweep(axes, table={"rows": "m"}, seeds=5))
    assert grid.panels[0].marks == [["best"], *[[""]] * 6]


def test_a_comparison_of_equals_is_corrected_over_its_rows() -> None:
    """24 rows of an A/A comparison said "better" at least once in half of the tries."""
    axes = {"m": list(range(24))}
    wrong = 0
    for rng in range(40):
        one, other = (make_records(axes, lambda _: 0.8, seeds=4, rng=100 * k + rng) for k in (1, 2))
        found = compare(Side("a", one), Side("b", other), ["test/accuracy"])
        wrong += any("better" in pair.word for pair in found.pairs)
    assert wrong / 40 < 0.2


def test_equal_small_differences_are_no_proof() -> None:
    """0.9 - 0.7 and 0.8 - 0.6 differ in the last digit of a float only."""
    a, b = [0.7, 0.6, 0.5], [0.9, 0.8, 0.7]
    assert len({y - x for x, y in zip(a, b, strict=True)}) > 1
    for n in (2, 3):
        made = with_values("m", {"a": a[:n], "b": b[:n]})
        left, right = ([dataclasses.replace(r, axes={}) for r in made if r.axes["m"] == m] for m in "ab")
        right = [dataclasses.replace(r, key=f"{r.key}b") for r in right]
        (pair,) = compare(Side("a", left), Side("b", right), ["test/accuracy"]).pairs
        assert pair.word == "not told apart"
        (panel,) = pivot(Frame(made), make_sweep({"m": ["a", "b"]})).panels
        assert panel.marks == [["within"], ["best"]]


@pytest.mark.parametrize(
    ("claim", "more", "said"),
    [
        ({"metric": "run/failed", "by": 0.1}, {}, "knows no margin. Take `by` out"),
        ({"metric": "run/failed"}, {"sequential": True}, "metric: run/failed, for which no test holds"),
        ({"test": "wilcoxon"}, {"sequential": True}, "test: wilcoxon, for which no test holds"),
    ],
)
def test_a_claim_whose_test_would_leave_something_out_is_refused(claim: dict, more: dict, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        make_sweep(
            {"m": ["a", "b"]}, claims=[{"says": "x", "compare": {"m": "a"}, "against": {"m": "b"}, **claim}], **more
        )


def test_a_diverged_run_is_no_evidence_where_nothing_is_the_worst() -> None:
    """One arm has a lower NLL wherever it did not diverge."""
    made = make_records({"m": ["a", "b"]}, lambda p: 0.9 if p["m"] == "a" else 0.6, seeds=8)
    lost = [
        dataclasses.replace(r, status="failed", metrics={}) if (r.axes["m"], r.seed) == ("a", 0) else r for r in made
    ]
    claim = {"says": "x", "compare": {"m": "a"}, "against": {"m": "b"}, "metric": "test/nll"}
    asked = make_sweep({"m": ["a", "b"]}, claims=[claim], seeds=8)
    assert judge(asked, made)[0].word == "supported"
    (found,) = judge(asked, lost)
    assert (found.word, found.failures.agrees) == ("open", False)
    assert "may be worse than any number" in found.note
