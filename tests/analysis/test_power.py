"""What so many seeds can find, said before they run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis.claims import judge
from bench.analysis.power import forecast
from bench.analysis.replicates import Spread, crossed_mean, spread_of
from bench.analysis.stats import critical, detectable, power, provable, sequential_quantile
from tests.records import make_records, make_sweep

AXES = {"model": ["a", "b"]}
CLAIM = {"says": "a helps", "compare": {"model": "a"}, "against": {"model": "b"}}


def said(n: int, records: Any = (), **more: Any) -> str:
    return forecast(make_sweep(AXES, seeds=n, claims=[{**CLAIM, **more}]), list(records))[0]


def test_without_records_the_spread_is_the_unit() -> None:
    assert said(2) == "a helps: 2 seeds settle nothing; a test needs at least 3."
    assert "3 seeds find an effect of 3.3 sd" in said(3)
    unit = detectable(1.0, 10)
    assert unit is not None
    assert f"spreads by {100 * 0.02 / unit:.2g} points" in said(10, smallest=0.02)


def test_with_records_it_is_theirs() -> None:
    records = make_records(AXES, lambda _: 0.9, seeds=20, sd=0.01)
    text = said(10, records, smallest=0.02)
    a, b = (np.array([r.metrics["test/accuracy"] for r in records if r.axes["model"] == m]) for m in "ab")
    found = detectable(float((a - b).std(ddof=1)), 10)
    assert found is not None
    assert f"10 seeds find {100 * found:.1f} points four times in five (spread of 20 earlier seeds)" in text
    assert "2 points with 9" in text


def test_claims_share_the_level() -> None:
    two = make_sweep(AXES, seeds=5, claims=[CLAIM, {**CLAIM, "says": "again"}])
    unit = detectable(1.0, 5, 0.025)
    assert f"{unit:.2g} sd" in forecast(two, [])[0]
    rate = {**CLAIM, "says": "a fails less", "metric": "run/failed", "direction": "less"}
    assert f"{unit:.2g} sd" in forecast(make_sweep(AXES, seeds=5, claims=[CLAIM, rate]), [])[0]  # Holm is over all


def test_nothing_is_found_where_the_test_settles_nothing() -> None:
    """Ten seeds on two splits may have little more than one degree of freedom."""
    assert detectable(1.0, 20, df=1.3) is None
    assert provable(1.0, 20, df=1.3) is None
    assert power(2.0, 1.0, 20, df=1.3) == 0.0
    assert detectable(1.0, 20, df=2.0) is not None


def test_a_margin_is_shown_as_often_as_it_says() -> None:
    x = np.random.default_rng(0).normal(0, 1, (20000, 5))
    half = critical(5, 0.05) * x.std(axis=1, ddof=1) / 5**0.5
    margin = provable(1.0, 5)
    assert margin is not None
    assert abs((np.abs(x.mean(axis=1)) + half < margin).mean() - 0.8) < 0.01
    text = said(5, kind="equivalence", margin=0.02)
    assert f"5 seeds show a margin of ±{margin:.2g} sd of the contrast where nothing differs four times in five" in text
    assert "2 points only where it spreads by" in text
    (open_,) = judge(
        make_sweep(AXES, seeds=5, claims=[{**CLAIM, "kind": "equivalence", "margin": 0.001}]),
        make_records(AXES, lambda _: 0.9, seeds=5, sd=0.01),
    )
    assert open_.word == "open"
    assert open_.detects is not None
    assert open_.detects > 0.001


def test_a_sequential_sweep_finds_less_at_one_look() -> None:
    x = np.random.default_rng(1).normal(0, 1, (20000, 10))
    effect = detectable(1.0, 10, test="sequential")
    assert effect is not None
    t = (x.mean(axis=1) + effect) / (x.std(axis=1, ddof=1) / 10**0.5)
    assert abs((t >= sequential_quantile(10, 0.05)).mean() - 0.8) < 0.01
    (text,) = forecast(make_sweep(AXES, seeds=10, claims=[CLAIM], sequential=True), [])
    assert f"10 seeds find an effect of {effect:.2g} sd" in text
    (text,) = forecast(make_sweep(AXES, seeds=3, claims=[CLAIM], sequential=True), [])
    assert text == "a helps: 3 seeds settle nothing: too few at this level."
    assert power(40.0, 1.0, 3) == 1.0  # where the noncentral distribution underflows
    assert 0.3 < power(40.0, 1.0, 3, 1e-4) < 0.5


def test_seeds_crossed_with_splits() -> None:
    rng, ratio = np.random.default_rng(2), 0.25
    truth = Spread(0.25, 0.16, 0.49)
    error, df = truth.of_mean(6, 4, ratio)
    effect = detectable(error * 24**0.5, 24, df=df)
    assert effect is not None
    found, hits = [], 0
    for _ in range(1500):
        shared = rng.normal(0, (ratio * (0.16 + 0.49 / 6)) ** 0.5)  # what splits of the same images have in common
        grid = rng.normal(0, 0.5, (6, 1)) + rng.normal(0, 0.4, (1, 4)) + rng.normal(0, 0.7, (6, 4)) + effect + shared
        given = crossed_mean(grid, ratio)
        hits += given.mean / given.error >= critical(24, 0.05, df=given.df)
        parts = spread_of(grid)
        found.append((parts.seeds, parts.splits, parts.rest))
    assert np.mean(found, axis=0) == pytest.approx((0.25, 0.16, 0.49), abs=0.03)
    assert hits / 1500 == pytest.approx(0.8, abs=0.05)
    axes = {**AXES, "split.seed": [0, 1, 2, 3]}
    sweep = make_sweep(axes, seeds=6, claims=[CLAIM], replicates=["seed", "split.seed"])
    (text,) = forecast(sweep, [], {"split.test": 0.2})
    assert "6 seeds and 4 splits find an effect of 1.4 sd of the contrast if it spreads between seeds alone, " in text
    assert "sd if between splits alone four times in five; no earlier records" in text
    records = make_records(axes, lambda _: 0.9, seeds=6, sd=0.01)
    (text,) = forecast(sweep, records, {"split.test": 0.2})
    assert "(spread of 24 earlier replicates)" in text


def test_tests_with_a_least_number_of_seeds_say_it() -> None:
    assert said(4, test="wilcoxon") == "a helps: 4 seeds settle nothing; Wilcoxon's test needs at least 6."
    records = make_records(AXES, lambda p: 0.9 if p["model"] == "a" else 0.5, seeds=8, sd=0.001)
    assert "needs about 6 for 80%" in said(8, records, test="wilcoxon", smallest=0.1)
    assert "needs about 3 for 80%" in said(8, records, smallest=0.1)
    assert said(9, test="bootstrap") == "a helps: 9 seeds settle nothing; the bootstrap needs at least 10."
