"""Intervals, tests, Holm and power against scipy, published tables and hand-worked cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.replicates import crossed_mean
from bench.analysis.resampling import bootstrap, signed_ranks, wilcoxon
from bench.analysis.stats import e_value, holm, one_sample, power, seeds_needed, sequential_quantile, t_interval

VALUES = st.lists(st.floats(-1, 1), min_size=3, max_size=12).filter(lambda v: np.std(v) > 1e-6)


def test_a_hand_worked_interval() -> None:
    # 0.90, 0.92, 0.94: mean 0.92, sd 0.02 (ddof=1), t(0.975, 2) = 4.302653, half = 4.302653 * 0.02 / sqrt(3)
    interval = t_interval([0.90, 0.92, 0.94])
    assert interval.mean == pytest.approx(0.92)
    assert interval.sd == pytest.approx(0.02)
    assert interval.half == pytest.approx(0.049683, abs=1e-6)


@given(VALUES)
def test_intervals_are_scipys(values: list[float]) -> None:
    ours, theirs = t_interval(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "half"), [([], math.nan), ([0.5], math.nan), ([0.5, math.nan], math.nan), ([0.7, 0.7, 0.7], 0.0)]
)
def test_intervals_of_almost_nothing(values: list[float], half: float) -> None:
    interval = t_interval(values)
    assert interval.n == len(values)
    assert interval.half == pytest.approx(half, nan_ok=True)


@given(VALUES, st.floats(-0.5, 0.5))
def test_t_is_scipys(values: list[float], threshold: float) -> None:
    outcome = one_sample(values, threshold)
    for side, p in (("less", outcome.p_less), ("greater", outcome.p_greater)):
        assert p == pytest.approx(stats.ttest_1samp(values, threshold, alternative=side).pvalue, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("values", [[], [0.1], [0.2, 0.2, 0.2], [0.1, math.nan, 0.3]])
@pytest.mark.parametrize("test", ["t", "wilcoxon", "bootstrap"])
def test_what_cannot_be_tested_says_why(values: list[float], test: str) -> None:
    outcome = one_sample(values, 0.0, test)
    assert math.isnan(outcome.p_less)
    assert math.isnan(outcome.p_greater)
    assert outcome.note


def test_wilcoxon_is_scipys_and_its_interval_inverts_it() -> None:
    values = np.random.default_rng(3).normal(0.4, 1, 9)
    outcome = wilcoxon(values, 0.0, 0.95)
    assert outcome.p_greater == pytest.approx(stats.wilcoxon(values, alternative="greater").pvalue, rel=1e-12)
    # Just inside the interval the two-sided test does not reject, just outside it does.
    for bound, outward in ((outcome.low, -1), (outcome.high, 1)):
        assert stats.wilcoxon(values - (bound - outward * 1e-9)).pvalue > 0.05
        assert stats.wilcoxon(values - (bound + outward * 1e-9)).pvalue <= 0.05


def test_wilcoxon_of_three_seeds_settles_nothing() -> None:
    outcome = wilcoxon([1.0, 2.0, 3.0], 0.0, 0.95)
    assert outcome.p_greater == 0.125
    assert outcome.low == -math.inf
    assert "at least 6" in outcome.note


def test_bootstrap_says_no_more_than_t_and_sees_skew() -> None:
    values = np.random.default_rng(5).exponential(1, 15)
    ours, t = bootstrap(values, 0.0, 0.95), one_sample(values, 0.0)
    assert ours.low <= t.low + 1e-12
    assert ours.high > t.high  # the long tail is above
    assert ours.p_greater >= t.p_greater - 1e-12


def test_bootstrap_p_value_inverts_its_interval() -> None:
    values = np.random.default_rng(6).normal(0, 1, 15)
    interval = bootstrap(values, 0.0, 0.95)
    assert bootstrap(values, interval.low, 0.95).p_greater == pytest.approx(0.025, abs=0.002)
    assert bootstrap(values, interval.high, 0.95).p_less == pytest.approx(0.025, abs=0.002)


@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_confidence_sequence_inverts_the_e_process(n: int) -> None:
    values = np.random.default_rng(7).normal(0.5, 1, n)
    for alpha in (0.05, 0.01):
        half = sequential_quantile(n, alpha)
        if math.isfinite(half):
            assert e_value(half, n) == pytest.approx(1 / alpha)
            outcome = one_sample(values, 0.0, "sequential", 1 - alpha)
            at_the_end = one_sample(values, outcome.low, "sequential", 1 - alpha)
            assert 2 * at_the_end.p_greater == pytest.approx(alpha)


@pytest.mark.parametrize(
    ("n", "t", "g", "e", "radius"),
    [
        (3, 2.0, 1, 1.4142135623730954, math.inf),
        (5, -4.5, 1, 8.003845016514806, 8.453187187536573),
        (10, 3.1, 1, 7.172158529207677, 3.869786739371321),
        (20, 6.0, 1, 3800.29775722955, 3.4247807411349704),
        (20, 2.5, 4, 4.113389666692643, 3.462300070280916),
    ],
)
def test_the_e_process_is_that_of_avinf(n: int, t: float, g: float, e: float, radius: float) -> None:
    """exp(log_G_t) and t_radius at 5% of avinf 1.0.0 (Lindon, Ham, Tingley & Bojinov); its g is our 1 / mixture."""
    assert e_value(t, n, 1 / g) == pytest.approx(e, rel=1e-12)
    assert sequential_quantile(n, 0.05, 1 / g) == pytest.approx(radius, rel=1e-12)


def test_a_large_effect_of_many_seeds_is_no_overflow() -> None:
    assert e_value(1e6, 1000) > 1e300
    assert one_sample([1 + 1e-9 * i for i in range(400)], 0.0, "sequential").p_less > 0.99


def test_the_e_value_is_the_mixture_of_likelihood_ratios() -> None:
    """By numerical integration of noncentral t densities over effects from N(0, 1)."""
    n, t = 7, 2.3
    effects = np.linspace(-8, 8, 4001)
    ratio = stats.nct.pdf(t, n - 1, effects * math.sqrt(n)) / stats.t.pdf(t, n - 1)
    assert e_value(t, n) == pytest.approx(np.trapezoid(ratio * stats.norm.pdf(effects), effects), rel=1e-4)


def test_looking_at_an_e_process_again_and_again_errs_in_less_than_5_percent() -> None:
    draws = np.random.default_rng(3).normal(0, 1, (4000, 20))
    wrong = np.zeros(len(draws), dtype=bool)
    for n in range(2, 21):
        x = draws[:, :n]
        t = x.mean(1) / (x.std(1, ddof=1) / math.sqrt(n))
        wrong |= np.array([e_value(one, n) >= 20 for one in t])
    assert wrong.mean() < 0.03  # 1.8% over 20 looks


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then the running maximum.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_untestable_claim_still_counts_for_holm() -> None:
    adjusted = holm([0.02, math.nan])
    assert adjusted[0] == 0.04
    assert math.isnan(adjusted[1])


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert [adjusted[i] for i in np.argsort(p, kind="stable")] == sorted(adjusted)


def test_power_is_cohens() -> None:
    # Cohen's d = 0.5, one sample, two-sided 5%: 34 for 80% power (G*Power; Cohen 1988 gives 33.4 by interpolation).
    assert seeds_needed(0.5, 1.0) == 34
    assert seeds_needed(1.0, 1.0) == 10
    assert power(0.5, 1.0, 34) == pytest.approx(0.8078, abs=0.001)


def test_power_by_simulation() -> None:
    draws = np.random.default_rng(0).normal(0.03, 0.02, size=(20000, 5))
    significant = stats.ttest_1samp(draws, 0, axis=1, alternative="greater").pvalue < 0.025
    assert power(0.03, 0.02, 5) == pytest.approx(significant.mean(), abs=0.01)


def test_no_number_of_seeds_settles_nothing() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(0.1, 0.0) is None


def test_wilcoxon_of_ties_is_exact_and_agrees_with_its_interval() -> None:
    """With zeros among 14 and more values scipy's p is approximate: 0.043 where the exact one is 0.0625."""
    apart = [0.0] * 10 + [1.0, 2.0, 3.0, 4.0, 5.0]
    assert stats.wilcoxon(apart).pvalue < 0.05
    assert signed_ranks(apart)[1] == 1 / 32
    rng = np.random.default_rng(3)
    settled = 0
    for _ in range(400):
        values = rng.integers(-3, 7, rng.integers(5, 14)) / 400
        signs = np.array(list(itertools.product([-1, 1], repeat=min(7, len(values)))))
        if len(values) <= 7 and values.any():
            kept = values[values != 0]
            ranks = stats.rankdata(np.abs(kept))
            sums = (signs[:, : len(kept)] > 0) @ ranks
            assert signed_ranks(values)[1] == pytest.approx(float((sums >= ranks[kept > 0].sum()).mean()))
        found = wilcoxon(values, 0.0, 0.95)
        significant = 2 * min(found.p_less, found.p_greater) <= 0.05
        assert significant != (found.low <= 0 <= found.high), values
        settled += significant
    assert settled > 50


def test_what_is_taken_off_a_crossed_variance_costs_degrees_of_freedom() -> None:
    """By the sum of both parts, three seeds on three splits erred in 7.8% of 1,000 null sweeps."""
    grid = np.array([[0.80, 0.83, 0.84], [0.85, 0.86, 0.89], [0.89, 0.92, 0.94]])
    ratio = 1 / 3
    a, b = grid.mean(axis=1).var(ddof=1) / 3, grid.mean(axis=0).var(ddof=1) * (1 / 3 + ratio)
    left = grid - grid.mean(axis=1, keepdims=True) - grid.mean(axis=0) + grid.mean()
    variance = a + b - (left**2).sum() / (4 * 9)
    assert variance > max(a, b)
    found = crossed_mean(grid, ratio)
    assert found.error == pytest.approx(variance**0.5)
    assert found.df == pytest.approx(variance**2 / (a**2 / 2 + b**2 / 2))
