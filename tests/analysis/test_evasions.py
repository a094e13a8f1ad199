"""Ways around the price of a look, and around runs that say otherwise: none of them may turn a word."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from bench.analysis.claims import judge
from bench.analysis.frame import select_frame
from bench.analysis.judged import Verdict
from bench.analysis.looks import look
from bench.analysis.registered import stamps
from bench.analysis.settings import settings_of_records
from bench.report.compare import Side, compare
from bench.report.compared import text
from bench.report.reproduce import judge as reproduced
from bench.report.verdict import describe
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES: dict[str, list[Any]] = {"model": ["a", "b"], "depth": [8, 20]}
PAIR = {"compare": {"model": "a"}, "against": {"model": "b"}}
CLAIM = {"says": "a is better", **PAIR, "at": {"depth": 8}}
OTHER = {**CLAIM, "says": "deeper too", "at": {"depth": 20}}


def records(seeds: int, gain: float = 0.003, rng: int = 0) -> list[Record]:
    return make_records(AXES, lambda at: 0.8 + gain * (at["model"] == "a"), seeds=seeds, rng=rng)


class Log:
    """Judgements of one sweep, each of which remembers those before it."""

    def __init__(self, axes: dict[str, Any] = AXES) -> None:
        self.axes, self.looks = axes, []  # type: ignore[var-annotated]

    def __call__(self, claims: list[dict[str, Any]], found: list[Record], **more: Any) -> list[Verdict]:
        sweep = make_sweep(more.pop("axes", self.axes), claims=claims, **{"seeds": 10, **more})
        context, settings = {"looks": list(self.looks)}, settings_of_records(sweep, found)
        self.said = stamps(sweep, found, context)
        verdicts = judge(sweep, found, context)
        self.looks.append(look(verdicts, select_frame(sweep, found), sweep, context, settings))
        return verdicts


@pytest.mark.parametrize(
    "written",
    [
        {"at": {"depth": "8.0"}},
        {"compare": {"model": "a", "depth": 8}, "against": {"model": "b", "depth": 8}, "at": {}},
        {"compare": {"model": "b"}, "against": {"model": "a"}, "direction": "less"},
        {"compare": {"model": "b"}, "against": {"model": "a"}},
        {"direction": "less"},
        {"test": "wilcoxon"},
        {"by": 1e-9},
        {"kind": "equivalence", "margin": 0.03},
    ],
    ids=str,
)  # fmt: skip
def test_a_claim_that_is_written_otherwise_has_been_looked_at(written: dict[str, Any]) -> None:
    """Any of these had its own 5% after an open look at three seeds."""
    log = Log()
    log([CLAIM], records(3))
    (found,) = log([{**CLAIM, **written}], records(10))
    assert [(one.n, one.word) for one in found.looks.earlier] == [(3, "open")]
    assert found.looks.factor == 6


def test_an_interaction_with_its_conditions_and_sides_exchanged_is_the_same() -> None:
    log = Log()
    log([{"kind": "interaction", "says": "x", **PAIR, "where": {"depth": 20}, "versus": {"depth": 8}}], records(3))
    turned = {
        "kind": "interaction", "says": "y", "compare": {"depth": 8}, "against": {"depth": 20},
        "where": {"model": "a"}, "versus": {"model": "b"},
    }  # fmt: skip
    (found,) = log([turned], records(10))
    assert found.looks.factor == 6


def test_renamed_labels_are_the_same_runs() -> None:
    axes = {"arm": {"one": ["model.width=10"], "two": ["model.width=20"]}}
    log = Log(axes)
    claim = {"says": "x", "compare": {"arm": "one"}, "against": {"arm": "two"}}
    few = make_records({"arm": ["one", "two"]}, lambda _: 0.8, seeds=3)
    log([claim], few)
    renamed = {"variant": {"narrow": ["model.width=10"], "wide": ["model.width=20.0"]}}
    more = make_records({"variant": ["narrow", "wide"]}, lambda _: 0.8, seeds=10)
    (found,) = log(
        [{"says": "x", "compare": {"variant": "narrow"}, "against": {"variant": "wide"}}], more, axes=renamed
    )
    assert found.looks.factor == 6


def test_what_was_settled_stays_for_the_claim_and_turns_for_its_contrary() -> None:
    log = Log()
    assert log([CLAIM], records(10, gain=0.1))[0].word == "supported"
    (contrary,) = log([{**CLAIM, "compare": {"model": "b"}, "against": {"model": "a"}}], records(11, gain=0.1))
    assert (contrary.word, contrary.looks.decided) == ("refuted", "refuted")
    # Of another threshold nothing was settled, and on other numbers it has to pay.
    (more,) = log([{**CLAIM, "by": 0.01}], records(12, gain=0.1))
    assert (more.word, more.looks.spent, more.looks.decided) == ("open", True, "")
    assert "of something else claimed of the same runs" in describe(more)


def test_another_threshold_on_the_same_numbers_is_free_and_another_test_is_not() -> None:
    found = records(10, gain=0.1)
    log = Log()
    log([CLAIM], found)
    assert log([{**CLAIM, "by": 0.01}], found)[0].word == "supported"
    again = Log()
    again([{**CLAIM, "by": 0.0999}], found)
    assert again([{**CLAIM, "by": 0.0999, "test": "bootstrap"}], found)[0].looks.spent


def test_an_e_process_and_one_look_do_not_have_five_percent_each() -> None:
    """`sequential: true` after the one look at all seeds, or the other way round."""
    log = Log()
    log([CLAIM], records(3), seeds=3)
    assert log([CLAIM], records(10, rng=1), sequential=True)[0].looks.spent
    log = Log()
    log([CLAIM], records(3), sequential=True)
    log([CLAIM], records(5, rng=1), sequential=True)
    assert log([CLAIM], records(6, rng=2), sequential=True)[0].looks.factor == 1
    assert log([CLAIM], records(10, rng=3))[0].looks.spent


def test_claims_that_were_looked_at_and_taken_out_count() -> None:
    """Of five claims one has p = 0.02: without the others it was supported on the same numbers."""
    found = records(10, gain=0.011, rng=4)
    log = Log()
    best = min(log([CLAIM, OTHER], found), key=lambda verdict: verdict.p)
    kept = CLAIM if best.claim.says == CLAIM["says"] else OTHER
    (alone,) = log([kept], found)
    assert alone.p_holm == best.p_holm == 2 * alone.p
    assert "1 claim was taken out after a look at the results, and counts in the correction." in log.said
    # At other settings it is another experiment.
    longer = [dataclasses.replace(r, config={**r.config, "trainer.epochs": 30}) for r in found]
    assert log([kept], longer)[0].p_holm == alone.p


CROSSED = {"model": ["a", "b"], "split.seed": [0, 1, 2, 3]}


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_diverged_run_among_crossed_replicates_is_not_left_out(odd: float) -> None:
    """Its whole seed was, and the claim supported by the other three."""
    sweep = make_sweep(
        CROSSED, replicates=["seed", "split.seed"], seeds=4, claims=[{"says": "x", **PAIR, "metric": "test/nll"}]
    )
    made = make_records(CROSSED, lambda at: 0.9 + 0.05 * (at["model"] == "a"), seeds=4)
    assert judge(sweep, made)[0].word == "supported"
    bad = next(i for i, r in enumerate(made) if (r.axes["split.seed"], r.seed) == (1, 2))
    made[bad] = dataclasses.replace(made[bad], metrics={**made[bad].metrics, "test/nll": odd})
    (found,) = judge(sweep, made)
    assert (found.word, found.note) == ("open", "some values are not finite")
    cell = select_frame(sweep, made).cells("test/nll", {"model": "a"})[0]
    assert not math.isfinite(cell.interval.mean)


def test_a_planned_value_that_no_run_has_leaves_a_claim_over_it_open() -> None:
    axes = {"model": ["a", "b"], "depth": [8, 20, 56]}
    claims = [
        {"kind": "trend", "says": "deeper", "over": "depth", "at": {"model": "a"}},
        {"says": "on average", **PAIR},
        {"says": "at 8", **PAIR, "at": {"depth": 8}},
    ]
    made = make_records(axes, lambda at: 0.5 + 0.05 * (at["model"] == "a") + 0.002 * at["depth"], seeds=5)
    left = [r for r in made if r.axes["depth"] != 56]
    words = [(v.word, v.note) for v in judge(make_sweep(axes, claims=claims, seeds=5), left)]
    assert words == [("open", "these records have no depth 56")] * 2 + [("supported", "")]
    # What the sweep itself leaves out was never planned.
    without = make_sweep(axes, claims=claims, seeds=5, exclude=[{"depth": 56}])
    assert [v.word for v in judge(without, left)] == ["supported"] * 3


def given(a: list[float | None], b: list[float | None], metric: str) -> list[Record]:
    out = []
    for r in make_records({"model": ["a", "b"]}, lambda _: 0.5, seeds=len(a)):
        value = (a if r.axes["model"] == "a" else b)[r.seed]
        lost = {"status": "failed", "metrics": {}, "costs": {}}
        out.append(dataclasses.replace(r, **({"metrics": {metric: value}} if value is not None else lost)))
    return out


@pytest.mark.parametrize("metric", ["test/accuracy", "test/nll"])
def test_an_interval_that_leaves_out_zero_beside_an_open_claim_is_of_half_the_runs(metric: str) -> None:
    better = 1 if metric == "test/accuracy" else -1
    a = [0.5 + better * v for v in (0.4, 0.41, 0.42, 0.4, 0.43, 0.42, 0.41, 0.4)]
    b: list[float | None] = [0.5 + better * v for v in (0.35, 0.352, 0.36, 0.35, 0.36, 0.36, 0.35, 0.35)]
    b[4] = None
    sweep = make_sweep({"model": ["a", "b"]}, seeds=8, claims=[{"says": "x", **PAIR, "metric": metric}])
    (found,) = judge(sweep, given(a, b, metric))  # type: ignore[arg-type]
    assert found.word == "open"
    assert found.note
    assert not found.low > 0
    assert not found.high < 0


def test_rounding_is_no_spread_and_small_numbers_are_no_rounding() -> None:
    """0.1 more at each seed of 1,000 to 2,000 was supported with p < 0.0001; numbers of 1e-14 were all equal."""
    sweep = make_sweep({"model": ["a", "b"]}, seeds=5, claims=[{"says": "x", **PAIR, "metric": "test/own"}])
    base = [1000.1, 2000.2, 1234.7, 1111.3, 1717.9]
    large = given([v + 0.1 for v in base], base, "test/own")  # type: ignore[arg-type]
    assert judge(sweep, large)[0].note.startswith("all 5 values are equal")
    one, other = ([r for r in large if r.axes["model"] == m] for m in "ab")
    sides = [Side(name, [dataclasses.replace(r, axes={}) for r in side]) for name, side in (("a", one), ("b", other))]
    assert compare(*sides, metrics=["test/own"]).pairs[0].word == "not told apart"
    low, high = [1e-14, 1.1e-14, 1.2e-14, 1e-14, 1.1e-14], [2e-14, 3e-14, 2.5e-14, 2.2e-14, 2.6e-14]
    (small,) = judge(sweep, given(high, low, "test/own"))  # type: ignore[arg-type]
    assert small.word == "supported"
    assert small.effect == pytest.approx(float(np.mean(high) - np.mean(low)))
    assert "+1.38e-14 [9.6e-15, 1.80e-14]" in describe(small)


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("cost/fit_seconds", "less"), ("cost/peak_memory_mb", "less"), ("cost/params", "less"),
        ("cost/images_per_second", "greater"), ("cost/target_steps", "less"), ("test/ece", "less"),
    ],
)  # fmt: skip
def test_costs_have_a_direction_that_is_hoped_for(metric: str, direction: str) -> None:
    """`a is faster` on fit_seconds was refuted where it was true."""
    claims = [{"says": "x", **PAIR, "metric": metric}]
    assert getattr(make_sweep(AXES, claims=claims).claims[0], "direction") == direction  # noqa: B009


def test_where_neither_way_is_better_a_claim_says_which() -> None:
    claim = {"says": "later", **PAIR, "metric": "cost/selected_epoch"}
    with pytest.raises(RequestError, match="Add direction: greater, or direction: less"):
        make_sweep(AXES, claims=[claim])
    assert make_sweep(AXES, claims=[{**claim, "direction": "greater"}])


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (["32x32", "16x16", "8x8"], "from 8x8 to 32x32"),
        (["2024-06-01", "2023-12-31"], "from 2023-12-31 to 2024-06-01"),
        (["resnet152", "resnet18", "resnet34"], "from resnet18 to resnet152"),
        (["10%", "2.5%"], "from 2.5% to 10%"),
        (["none", 0.1, 0.2], "in the order none, 0.1, 0.2"),
        (["large", "small", "base"], "in the order large, small, base"),
        (["v1.9", "v1.10"], "from v1.9 to v1.10"),
    ],
    ids=str,
)
def test_a_trend_goes_by_size_where_values_plainly_have_one(values: list[Any], ends: str) -> None:
    claim = {"kind": "trend", "says": "more is better", "over": "what"}
    sweep = make_sweep({"what": values}, claims=[claim], seeds=3)
    assert ends in judge(sweep, make_records({"what": values}, lambda _: 0.5))[0].tested


def test_a_side_that_fails_is_not_better_for_being_left_out() -> None:
    """`bench compare`: b was better at the seeds where it ended, and failed at the others."""
    a = [0.9, 0.91, 0.92, 0.9, 0.91, 0.92, 0.9, 0.91]
    b: list[float | None] = [0.95, 0.955, 0.965, 0.95, 0.96, None, None, None]

    def row(one: list[float | None], other: list[float | None], metric: str) -> Any:
        found = given(one, other, metric)
        sides = [
            Side(m, [dataclasses.replace(r, axes={}, key=f"{m}{r.seed}") for r in found if r.axes["model"] == m])
            for m in "ab"
        ]
        return compare(*sides, metrics=[metric])

    full = row(a, [0.95, 0.955, 0.965, 0.95, 0.96, 0.955, 0.96, 0.95], "test/accuracy")  # type: ignore[arg-type]
    assert full.pairs[0].word == "b is better"
    made = row(a, b, "test/accuracy")  # type: ignore[arg-type]
    assert (made.pairs[0].word, made.pairs[0].failed) == ("not told apart: runs failed", (0, 3))
    assert "Failed where the other side finished: 0 runs of a, 3 of b." in text(made)
    turned = row(b, a, "test/accuracy")  # type: ignore[arg-type]
    assert turned.pairs[0].failed == (3, 0)
    # Where a side is worse, and fails too, both ways of counting agree.
    worse: list[float | None] = [0.85, 0.855, 0.865, 0.85, 0.86, 0.85, 0.86, None]
    assert row(a, worse, "test/nll").pairs[0].word == "not told apart: runs failed"  # type: ignore[arg-type]


def again(change: float, old: dict[str, str], new: dict[str, str], images: str = "3600/400/400", **more: Any) -> str:
    (one,) = make_records({"model": ["a"]}, lambda _: 0.9, seeds=1)
    one = dataclasses.replace(
        one, provenance={**one.provenance, "images": images, **old}, metrics={"test/accuracy": 0.9}
    )
    other = dataclasses.replace(
        one,
        provenance={**one.provenance, **new},
        metrics={"test/accuracy": 0.9 + change},
        config={**one.config, **more},
    )
    (cell,) = reproduced([[one]], [[other]], ["test/accuracy"])
    return cell.word


def test_one_run_that_comes_out_otherwise_on_another_machine_says_little() -> None:
    """A cell of one run was different on any change, on whatever machine."""
    here, gpu = {"hardware": "CPU, 2 cores"}, {"hardware": "H200"}
    assert again(0.01, here, gpu) == "undecided"
    assert again(0.01, here, here) == "different"
    assert again(-0.1, here, gpu) == "different"  # 40 of 400 images
    assert again(0.01, here, gpu, **{"trainer.epochs": 9}) == "different"
    assert again(0.01, here, {**gpu, "data_fingerprint": "beef"}) == "different"
    assert again(0.01, here, {"git_commit": "beef"}) == "different"
    assert again(0.0, here, gpu) == "identical"
