"""More inputs that gave an unearned verdict or a wrong word: replicates that are not what they seem, numbers that are
none, points that nobody planned."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from bench.analysis.claims import judge
from bench.analysis.frame import Frame, select_frame
from bench.analysis.judged import Verdict
from bench.analysis.power import forecast
from bench.analysis.stats import sample, t_interval
from bench.report.compare import Side, compare
from bench.report.reproduce import judge as judged_again
from bench.report.verdict import describe
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import make_records, make_sweep

PAIR = {"says": "x", "compare": {"m": "a"}, "against": {"m": "b"}}
AXES: dict[str, list[Any]] = {"m": ["a", "b"]}


def changed(records: list[Record], how: Callable[[Record], dict[str, Any]]) -> list[Record]:
    return [dataclasses.replace(r, **how(r)) for r in records]


def verdict(records: list[Record], claim: dict[str, Any], axes: dict[str, list[Any]] = AXES, **more: Any) -> Verdict:
    (found,) = judge(make_sweep(axes, claims=[claim], **more), records)
    return found


def with_nll(values: dict[str, list[float]]) -> list[Record]:
    made = make_records(AXES, lambda _: 0.8, seeds=len(values["a"]))
    return changed(made, lambda r: {"metrics": {**r.metrics, "test/nll": values[r.axes["m"]][r.seed]}})


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_settles_nothing_and_stops_nothing(odd: float) -> None:
    """Infinite on both sides it was `ValueError: -inf + inf in fsum`."""
    found = verdict(with_nll({"a": [odd, 0.1, 0.2, 0.1], "b": [odd, 0.3, 0.4, 0.4]}), {**PAIR, "metric": "test/nll"})
    assert (found.word, found.note) == ("open", "some values are not finite")
    assert math.isnan(t_interval([odd, -odd]).low)


def test_a_candidate_that_diverged_is_not_chosen_for_being_first() -> None:
    made = make_records({**AXES, "optim.lr": [1, 0.1]}, lambda p: 0.9 if p["optim.lr"] == 0.1 else 0.5, seeds=3)
    bad = changed(made, lambda r: {"metrics": {**r.metrics, "val/nll": math.nan if r.axes["optim.lr"] == 1 else 0.5}})
    frame = select_frame(
        make_sweep({**AXES, "optim.lr": [1, 0.1]}, select={"over": ["optim.lr"], "by": "val/nll"}), bad
    )
    assert [at for at, _ in frame.chosen.values()] == [{"optim.lr": 0.1}] * 2


def test_failures_of_crossed_replicates_are_no_independent_ones() -> None:
    """Two of three seeds failing on all four splits were eight failures of twelve: p = 0.008."""
    axes = {**AXES, "split.seed": [0, 1, 2, 3]}
    with pytest.raises(RequestError, match="may fail for one reason"):
        make_sweep(axes, replicates=["seed", "split.seed"], claims=[{**PAIR, "metric": "run/failed"}])


def test_parts_of_failures_are_rounded_against_the_claim() -> None:
    """Averaged over an axis a seed's failures are a share: 2.5 of 10 were rounded to 2."""
    axes = {"m": ["a"], "d": [0, 1]}
    made = changed(
        make_records(axes, lambda _: 0.8, seeds=10),
        lambda r: {"status": "failed", "metrics": {}} if r.seed < 2 or (r.seed == 2 and r.axes["d"]) else {},
    )
    bound = {"kind": "bound", "says": "x", "at": {"m": "a"}, "metric": "run/failed", "bound": 0.5}
    few, many = (verdict(made, {**bound, "direction": d}, axes, seeds=10) for d in ("less", "greater"))
    assert few.effect == 0.25
    assert few.p == many.p == pytest.approx(2 * sum(math.comb(10, k) for k in range(4)) / 2**10)


def test_more_seeds_one_way_and_more_failures_the_other_settle_nothing() -> None:
    axes = {**AXES, "d": list(range(10))}

    def lost(r: Record) -> bool:
        one, last = r.axes["m"] == "a", r.seed == 8
        return last and not one if r.axes["d"] else last or one

    made = changed(
        make_records(axes, lambda _: 0.8, seeds=9), lambda r: {"status": "failed", "metrics": {}} if lost(r) else {}
    )
    found = verdict(made, {**PAIR, "metric": "run/failed"}, axes, seeds=9)
    assert found.word == "open"
    assert (found.p, found.note) == (1.0, "more seeds say one thing, and more runs the other")


def splits_of_their_own(seeds: int) -> list[Record]:
    made = make_records(AXES, lambda p: 0.8 + 0.008 * (p["m"] == "a"), seeds=seeds)
    return changed(made, lambda r: {"config": {**r.config, "split.seed": r.seed, "split.test": 0.2}})


def test_seeds_with_splits_of_their_own_share_images() -> None:
    """`split.seed=${seed}` was "one split and its test set", and tested as if its splits had nothing in common."""
    found = verdict(splits_of_their_own(10), PAIR, seeds=10)
    assert "over seeds, each with a split of its own" in found.scope
    plain = sample(list(found.values.values()))
    assert found.high - found.effect == pytest.approx(2.262157 * plain.error * math.sqrt(1 + 10 * 0.25))
    cell = Frame(splits_of_their_own(10)).cells("test/accuracy")[0].interval
    assert cell.half == pytest.approx(t_interval([*range(10)]).half * cell.sd / t_interval([*range(10)]).sd)
    refused = verdict(splits_of_their_own(10), {**PAIR, "test": "wilcoxon"}, seeds=10)
    assert (refused.word, math.isnan(refused.p)) == ("open", True)
    assert "tested by t only" in refused.note


def test_how_many_splits_an_average_is_of_is_said() -> None:
    axes = {**AXES, "split.seed": [0, 1, 2]}
    assert "3 splits and their test sets" in verdict(make_records(axes, lambda _: 0.8), PAIR, axes).scope


def test_a_run_that_is_missing_is_no_split_of_its_own() -> None:
    records = changed(make_records(AXES, lambda _: 0.8), lambda r: {"config": {**r.config, "split.seed": 0}})
    missing = dataclasses.replace(records[0], status="missing", metrics={}, config={})
    assert "one split and its test set" in verdict([missing, *records[1:]], PAIR, AXES).scope


def test_axes_that_go_together_have_a_trend() -> None:
    """Nothing was ever settled: each width had only one learning rate, and "lacked a run" at the others."""
    axes = {"w": [1, 2, 3], "optim.lr": [0.3, 0.2, 0.1]}
    made = [r for r in make_records(axes, lambda p: 0.8 + 0.05 * p["w"], seeds=4)
            if round(r.axes["w"] + 10 * r.axes["optim.lr"], 9) == 4]  # fmt: skip
    found = verdict(made, {"kind": "trend", "says": "x", "over": "w"}, axes, seeds=4, zip=[["w", "optim.lr"]])
    assert (found.word, found.n, found.averaged, found.dropped) == ("supported", 4, {}, [])


def test_what_the_plan_leaves_out_on_one_side_is_compared_on_neither() -> None:
    axes = {**AXES, "d": [1, 2]}
    every = make_records(axes, lambda p: 0.8 + 0.05 * (p["m"] == "a") - 0.5 * (p["d"] == 2), seeds=4)
    made = [r for r in every if r.axes != {"m": "b", "d": 2}]
    found = verdict(made, PAIR, axes, seeds=4, exclude=[{"m": "b", "d": 2}])
    assert (found.word, found.averaged, found.dropped) == ("supported", {}, [])
    assert found.effect == pytest.approx(0.05, abs=0.02)
    # Taken away by nobody's plan it is missing.
    gone = verdict(made, PAIR, axes, seeds=4)
    assert gone.word == "open"
    assert "4 replicates lack a run" in describe(gone)
    nothing = verdict(made, PAIR, axes, seeds=4, exclude=[{"m": "b", "d": [1, 2]}])
    assert nothing.note == "these records have no combination of the other axes that all its sides have"


@pytest.mark.parametrize(("spacing", "values"), [("log", [0, 1, 10]), ("value", ["none", 1, 10])])
def test_a_spacing_that_an_axis_cannot_have_is_refused_before_the_runs(spacing: str, values: list[Any]) -> None:
    with pytest.raises(RequestError, match=f"spacing: {spacing} needs"):
        make_sweep({"d": values}, claims=[{"kind": "trend", "says": "x", "over": "d", "spacing": spacing}])


def test_a_trend_ends_where_the_metric_does() -> None:
    accuracy = {1: [0.0, 0.1, 0.0], 2: [0.95, 0.5, 1.0]}
    axes = {"d": [1, 2]}
    made = changed(
        make_records(axes, lambda _: 0.5), lambda r: {"metrics": {"test/accuracy": accuracy[r.axes["d"]][r.seed]}}
    )
    found = verdict(made, {"kind": "trend", "says": "x", "over": "d"}, axes)
    assert (found.word, found.high) == ("open", 1.0)


def test_two_results_are_not_one_pair_for_a_value_that_is_none() -> None:
    one = with_nll({"a": [0.1, 0.2, math.nan], "b": [0.1, 0.2, 0.3]})
    found = compare(Side("a", one), Side("b", with_nll({n: [0.3, 0.2, 0.1] for n in "ab"})), ["test/nll"])
    assert [pair.word for pair in found.pairs] == ["some values are not finite", "not told apart"]


def test_run_again_what_was_no_number_is_the_same_and_what_was_not_there_is_no_rounding() -> None:
    then = with_nll({n: [math.nan, math.inf, 0.1] for n in "ab"})[:3]
    now = changed(then, lambda r: {"metrics": {**r.metrics, "test/ece": r.metrics["test/ece"] + 1e-12}})
    assert [c.word for c in judged_again([then], [now], ["test/nll", "test/top5"])] == [
        "equal within rounding",
        "different",
    ]
    without = changed(then, lambda r: {"metrics": {"test/accuracy": 0.5}})
    assert [c.word for c in judged_again([without], [now], ["test/nll"])] == ["undecided"]


def test_a_forecast_pays_for_shared_images_as_the_verdict_does() -> None:
    """It promised 1.5 points where their verdict said 5.1, and a number of seeds that helps nothing."""
    claim = {"says": "x", **PAIR, "smallest": 0.001}
    sweep = make_sweep(AXES, seeds=10, claims=[claim], base=["split.seed=${seed}"])
    made = splits_of_their_own(10)
    (said,) = forecast(sweep, made, {"split.test": 0.2})
    sure = verdict(made, claim, seeds=10)
    assert sure.word == "open"
    assert sure.seeds is None
    assert sure.detects is not None
    assert f"find {100 * sure.detects:.1f} points" in said
    assert "needs about" not in said
    (alone,) = forecast(make_sweep(AXES, seeds=10, claims=[claim]), made, {"split.test": 0.2})
    assert said != alone
