"""Verdicts: hand-worked cases for each kind of claim, and what they come to where nothing is going on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.claims import judge
from bench.analysis.judged import Verdict
from bench.analysis.stats import power
from bench.report.verdict import line
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES = {"model": ["plain", "residual"], "depth": [8, 20, 56]}


def exact(values: dict[tuple[str, int], list[float]]) -> list[Record]:
    """Records with exactly these accuracies: (model, depth) -> one a seed."""
    made = make_records(AXES, lambda _: 0.5, seeds=len(next(iter(values.values()))))
    return [
        dataclasses.replace(r, metrics={"test/accuracy": values[r.axes["model"], r.axes["depth"]][r.seed]})
        for r in made
        if (r.axes["model"], r.axes["depth"]) in values
    ]


def verdict(records: list[Record], **claim: Any) -> Verdict:
    sweep = make_sweep(AXES, claims=[{"says": "it is so", **claim}])
    (found,) = judge(sweep, records)
    return found


PAIR = {"compare": {"model": "residual"}, "against": {"model": "plain"}}


def test_compare_is_the_paired_t_test() -> None:
    plain, residual = [0.80, 0.85, 0.90], [0.84, 0.88, 0.95]
    found = verdict(exact({("plain", 20): plain, ("residual", 20): residual}), **PAIR, at={"depth": 20})
    test = stats.ttest_rel(residual, plain)
    assert found.effect == pytest.approx(0.04)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    # Differences 0.04, 0.03, 0.05: mean 0.04, sd 0.01, half width 4.302653 * 0.01 / sqrt(3) = 0.024841.
    assert found.low == pytest.approx(0.04 - 0.024841, abs=1e-6)
    assert found.word == "supported"
    assert found.n == 3
    assert line(found).startswith(
        "SUPPORTED  it is so: +4.0 points [1.5, 6.5], n = 3 pairs, p = 0.02. "
        "Tested: residual - plain at depth 20: test accuracy, expected > 0"
    )


def test_the_other_direction_is_refuted() -> None:
    records = exact({("plain", 20): [0.80, 0.85, 0.90], ("residual", 20): [0.84, 0.88, 0.95]})
    assert verdict(records, **PAIR, at={"depth": 20}, direction="less").word == "refuted"


def test_more_than_a_stated_gain() -> None:
    records = exact({("plain", 20): [0.80, 0.85, 0.90], ("residual", 20): [0.84, 0.88, 0.95]})
    assert verdict(records, **PAIR, at={"depth": 20}, by=0.01).word == "supported"
    assert verdict(records, **PAIR, at={"depth": 20}, by=0.03).word == "open"
    assert verdict(records, **PAIR, at={"depth": 20}, by=0.20).word == "refuted"


def test_pairing_is_by_seed_not_by_order() -> None:
    records = exact({("plain", 20): [0.80, 0.85, 0.90], ("residual", 20): [0.84, 0.88, 0.95]})
    assert verdict(records[::-1], **PAIR, at={"depth": 20}) == verdict(records, **PAIR, at={"depth": 20})


def test_free_axes_are_averaged_within_the_seed() -> None:
    """Three depths are not three times the evidence: n stays the number of seeds."""
    records = make_records(AXES, lambda p: 0.8 + 0.05 * (p["model"] == "residual"))
    found = verdict(records, **PAIR)
    mean = {
        (model, seed): np.mean(
            [r.metrics["test/accuracy"] for r in records if (r.axes["model"], r.seed) == (model, seed)]
        )
        for model in AXES["model"]
        for seed in range(3)
    }
    by_seed = [mean["residual", seed] - mean["plain", seed] for seed in range(3)]
    assert found.n == 3
    assert found.averaged == {"depth": 3}
    assert list(found.values.values()) == pytest.approx(by_seed)


def test_a_seed_with_a_failed_run_is_left_out_and_counted_as_the_worst() -> None:
    records = make_records(AXES, lambda p: 0.8 + 0.05 * (p["model"] == "residual"), seeds=4)
    broken = [
        dataclasses.replace(r, status="failed", metrics={}, costs={})
        if (r.axes, r.seed) == ({"model": "plain", "depth": 8}, 2)
        else r
        for r in records
    ]
    found = verdict(broken, **PAIR)
    assert found.dropped == [2]
    assert sorted(found.values) == [0, 1, 3]
    assert "1 replicate lacks a run and is left out; counted as 0%: +" in line(found)
    assert found.failures.effect > found.effect  # the plain network failed, which helps the other
    assert verdict(broken, **PAIR, at={"depth": 20}).failures is None


def test_trend_is_the_slope_of_each_seed() -> None:
    values = {
        ("residual", d): [0.80 + gain, 0.84 + gain * 1.1, 0.79 + gain * 0.9]
        for d, gain in ((8, 0), (20, 0.1), (56, 0.2))
    }
    values |= {("plain", d): [0.5, 0.5, 0.5] for d in (8, 20, 56)}
    claim = {"kind": "trend", "over": "depth", "at": {"model": "residual"}}
    found = verdict(exact(values), **claim)
    assert list(found.values.values()) == pytest.approx([0.10, 0.11, 0.09])
    assert found.word == "supported"
    for spacing, x in (("value", [8, 20, 56]), ("log", np.log10([8, 20, 56]))):
        slopes = [np.polyfit(x, [values["residual", d][s] for d in (8, 20, 56)], 1)[0] for s in range(3)]
        assert list(verdict(exact(values), **claim, spacing=spacing).values.values()) == pytest.approx(slopes)


def test_interaction_is_the_difference_of_two_differences() -> None:
    values = {
        ("plain", 8): [0.90, 0.91, 0.89],
        ("residual", 8): [0.90, 0.92, 0.89],
        ("plain", 56): [0.80, 0.82, 0.78],
        ("residual", 56): [0.93, 0.94, 0.92],
    }
    found = verdict(exact(values), kind="interaction", **PAIR, where={"depth": 56}, versus={"depth": 8})
    # Seed 0: (0.93 - 0.80) - (0.90 - 0.90) = 0.13; seed 1: 0.12 - 0.01 = 0.11; seed 2: 0.14 - 0 = 0.14.
    assert list(found.values.values()) == pytest.approx([0.13, 0.11, 0.14])
    assert found.word == "supported"


@pytest.mark.parametrize(
    ("shift", "margin", "word"), [(0.001, 0.01, "supported"), (0.05, 0.01, "refuted"), (0.008, 0.01, "open")]
)
def test_equivalence_is_two_one_sided_tests(shift: float, margin: float, word: str) -> None:
    plain = [0.90, 0.91, 0.92, 0.90]
    residual = [v + shift + d for v, d in zip(plain, [0.001, -0.001, 0.002, -0.002], strict=True)]
    records = exact({("plain", 8): plain, ("residual", 8): residual})
    found = verdict(records, kind="equivalence", **PAIR, at={"depth": 8}, margin=margin)
    assert found.word == word
    assert (found.word == "supported") == (-margin < found.low and found.high < margin)


def test_equal_numbers_are_no_evidence_of_anything() -> None:
    """A model that seeds do not touch gives the same difference every time: more seeds would say nothing new."""
    records = exact({("plain", 8): [0.9, 0.9, 0.9], ("residual", 8): [0.95, 0.95, 0.95]})
    found = verdict(records, **PAIR, at={"depth": 8})
    assert found.word == "open"
    assert "seeds make no difference" in line(found)


@pytest.mark.parametrize(("bound", "word"), [(0.9, "supported"), (0.99, "refuted"), (0.948, "open"), (0.93, "open")])
def test_bound(bound: float, word: str) -> None:
    """A bound is tested at 1%: 0.93 has p = 0.04."""
    records = exact({("residual", 8): [0.95, 0.945, 0.955]})
    assert verdict(records, kind="bound", at={"model": "residual", "depth": 8}, bound=bound).word == word


def test_open_says_what_the_smallest_effect_would_need_and_never_what_this_effect_would() -> None:
    """Following 'about N seeds would settle it' until it was settled gave 12 to 15% false verdicts."""
    records = exact({("plain", 8): [0.90, 0.91, 0.92], ("residual", 8): [0.92, 0.92, 0.96]})
    found = verdict(records, **PAIR, at={"depth": 8})
    # Differences 0.02, 0.01, 0.04: mean 0.0233, sd 0.0153.
    assert (found.word, found.seeds) == ("open", None)
    assert found.detects == pytest.approx(0.0153 * 3.26, rel=0.02)  # n = 3: 3.26 sd with 80%
    found = verdict(records, **PAIR, at={"depth": 8}, smallest=0.0234)
    assert found.seeds == 6  # d = 1.53: six values give 80% power
    assert "An effect of 2.34 points would need about 6 seeds." in line(found)


def test_one_seed_is_open() -> None:
    found = verdict(exact({("plain", 8): [0.9], ("residual", 8): [0.99]}), **PAIR, at={"depth": 8})
    assert found.word == "open"
    assert "one seed" in found.note


def test_a_point_that_a_scale_leaves_out_is_open() -> None:
    found = verdict(exact({("plain", 8): [0.9, 0.8], ("residual", 8): [0.9, 0.9]}), **PAIR, at={"depth": 56})
    assert found.word == "open"
    assert "no depth 56" in found.note


def test_a_metric_that_no_run_has() -> None:
    with pytest.raises(RequestError, match=r"Unknown metric 'test/acuracy'. Did you mean 'test/accuracy'"):
        verdict(exact({("plain", 8): [0.9, 0.8]}), **PAIR, metric="test/acuracy")


def test_several_claims_are_corrected_together() -> None:
    records = make_records(AXES, lambda p: 0.8 + 0.02 * (p["model"] == "residual"), sd=0.004, rng=4)
    claims = [{"says": f"at {d}", **PAIR, "at": {"depth": d}} for d in (8, 20, 56)]
    found = judge(make_sweep(AXES, claims=claims), records)
    smallest = min(found, key=lambda v: v.p)
    assert smallest.p_holm == pytest.approx(3 * smallest.p)
    assert all(v.p_holm >= v.p for v in found)


CLAIMS = [
    {"says": "a", **PAIR, "at": {"depth": 8}},
    {"says": "b", **PAIR},
    {"says": "c", "kind": "trend", "over": "depth", "at": {"model": "plain"}},
    {"says": "d", "kind": "interaction", **PAIR, "where": {"depth": 56}, "versus": {"depth": 8}},
]


@pytest.mark.slow
@pytest.mark.parametrize("test", ["t", "wilcoxon", "bootstrap"])
def test_where_nothing_is_going_on_hardly_any_claim_is_supported(test: str) -> None:
    """2,000 simulated sweeps without any effect (fewer for the slow tests), seeds correlated as real ones are."""
    sweeps, seeds = {"t": (2000, 3), "wilcoxon": (300, 8), "bootstrap": (300, 16)}[test]
    rng = np.random.default_rng(11)
    template = make_records(AXES, lambda _: 0.9, seeds=seeds)
    sweep = make_sweep(AXES, claims=[{**claim, "test": test} for claim in CLAIMS])
    supported = np.zeros(len(CLAIMS))
    any_supported = 0
    for _ in range(sweeps):
        shift, noise = rng.normal(0, 0.02, seeds), rng.normal(0, 0.01, len(template))
        records = [
            dataclasses.replace(r, metrics={"test/accuracy": 0.9 + shift[r.seed] + e})
            for r, e in zip(template, noise, strict=True)
        ]
        words = [v.word == "supported" for v in judge(sweep, records)]
        supported += words
        any_supported += any(words)
    error = 3 * np.sqrt(0.05 * 0.95 / sweeps)
    assert (supported / sweeps <= 0.05 + error).all()
    # Holm: not even one false claim in more than 5% of the sweeps.
    assert any_supported / sweeps <= 0.05 + error


def test_a_true_effect_is_found_as_often_as_its_power_says() -> None:
    rng = np.random.default_rng(2)
    sweep = make_sweep(AXES, claims=[{"says": "a", **PAIR, "at": {"depth": 8}}])
    template = [r for r in make_records(AXES, lambda _: 0.9, seeds=5) if r.axes["depth"] == 8]
    hits = 0
    for _ in range(300):
        noise = rng.normal(0, 0.02 / 2**0.5, len(template))  # a difference of two has sd 0.02
        means = [0.5 + 0.03 * (r.axes["model"] == "residual") for r in template]
        records = [
            dataclasses.replace(r, metrics={"test/accuracy": m + e})
            for r, m, e in zip(template, means, noise, strict=True)
        ]
        hits += judge(sweep, records)[0].word == "supported"
    assert hits / 300 == pytest.approx(power(0.03, 0.02, 5), abs=0.09)
