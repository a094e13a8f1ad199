"""Several data sets: against values computed in another way, and against the published table of critical values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from bench.report.across import (
    across,
    critical_difference,
    improvement,
    interquartile_mean,
    interval,
    markdown,
    resampled,
)
from bench.report.frame import Frame
from tests.report.conftest import make_records

AXES = {"dataset": ["mnist5k", "digits", "fashion_mnist", "plane"], "model": ["a", "b", "c"]}
GAIN = {"a": 0.0, "b": 0.02, "c": 0.04}


def frame() -> Frame:
    return Frame(make_records(AXES, lambda at: 0.8 + GAIN[at["model"]], seeds=8, sd=0.005))


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])  # Demsar 2006, table 5
def test_the_critical_difference_is_the_published_one(k: int, q: float) -> None:
    assert critical_difference(k, 14) == pytest.approx(q * (k * (k + 1) / (6 * 14)) ** 0.5, abs=2e-3)


def test_definitions_agree_with_other_ways_to_compute_them() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 20, (3, 8)).astype(float), rng.integers(2, 22, (3, 8)).astype(float)
    middle = np.sort(one.ravel())[6:18]  # a quarter of 24 cut at each end
    assert interquartile_mean(one) == pytest.approx(middle.mean())
    u = [stats.mannwhitneyu(a, b).statistic / 64 for a, b in zip(one, other, strict=True)]
    assert improvement(one, other) == pytest.approx(np.mean(u))
    drawn = resampled(one, rng)
    assert all(set(new) <= set(old) for new, old in zip(drawn, one, strict=True))


def test_bootstrap_intervals_cover() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(100):
        scores = rng.normal(0, 1, (4, 10))
        low, high = interval([interquartile_mean(resampled(scores, rng)) for _ in range(200)])
        held += low <= 0 <= high
    assert held >= 85


def test_ranks_of_a_sweep() -> None:
    found = across(frame(), "test/accuracy")
    assert found is not None
    assert found.ranks == [3.0, 2.0, 1.0]
    assert found.p == pytest.approx(stats.friedmanchisquare([1] * 4, [2] * 4, [3] * 4).pvalue)
    text = markdown(frame(), "test/accuracy")
    assert text is not None
    assert "| model c | 1.00 | 8" in text
    assert "| model a | model c | 0.00 [0.00, 0.00] |" in text
    worse = across(frame(), "test/nll")  # 2.5 (1 - accuracy): less is better
    assert worse is not None
    assert worse.ranks == [3.0, 2.0, 1.0]
    assert markdown(Frame(make_records({"model": ["a", "b"]}, lambda _: 0.5)), "test/accuracy") is None


def test_what_not_every_method_finished_is_named() -> None:
    made = make_records(AXES, lambda at: 0.8 + GAIN[at["model"]], seeds=8, sd=0.005)
    lost = [
        dataclasses.replace(r, status="failed", metrics={})
        if r.axes["model"] == "a" and (r.axes["dataset"] == "plane" or r.seed == 7)
        else r
        for r in made
    ]
    text = markdown(Frame(lost), "test/accuracy")
    assert text is not None
    assert "7 seeds on 3 data sets" in text
    assert "Left out, as not every method finished there: plane, seed 7." in text
    whole = markdown(frame(), "test/accuracy")
    assert whole is not None
    assert "Left out" not in whole
