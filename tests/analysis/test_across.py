"""Several data sets: against values computed in another way, and against the published table of critical values."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.across import (
    Across,
    across,
    compare_pairs,
    critical_difference,
    improvement,
    interquartile_mean,
    interval,
    resample,
)
from bench.analysis.claims import judge
from bench.analysis.frame import Frame
from bench.analysis.judged import Verdict
from bench.analysis.power import forecast
from bench.report.ranks import chart, markdown
from bench.report.verdict import describe
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import make_records, make_sweep

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
    drawn = resample(one, rng)
    assert all(set(new) <= set(old) for new, old in zip(drawn, one, strict=True))


def test_bootstrap_intervals_cover() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(100):
        scores = rng.normal(0, 1, (4, 10))
        low, high = interval([interquartile_mean(resample(scores, rng)) for _ in range(200)])
        held += low <= 0 <= high
    assert held >= 85


def test_ranks_of_a_sweep() -> None:
    found = across(frame(), "test/accuracy")
    assert found is not None
    assert found.ranks == [3.0, 2.0, 1.0]
    assert found.p == pytest.approx(stats.friedmanchisquare([1] * 4, [2] * 4, [3] * 4).pvalue)
    text = markdown(found, "test/accuracy")
    assert "| model c | 1.00 | 8" in text
    assert "| model a | model c | 0.00 [0.00, 0.00] |" in text
    worse = across(frame(), "test/nll")  # 2.5 (1 - accuracy): less is better
    assert worse is not None
    assert worse.ranks == [3.0, 2.0, 1.0]
    assert across(Frame(make_records({"model": ["a", "b"]}, lambda _: 0.5)), "test/accuracy") is None


def test_what_not_every_method_finished_is_named() -> None:
    made = make_records(AXES, lambda at: 0.8 + GAIN[at["model"]], seeds=8, sd=0.005)
    lost = [
        dataclasses.replace(r, status="failed", metrics={})
        if r.axes["model"] == "a" and (r.axes["dataset"] == "plane" or r.seed == 7)
        else r
        for r in made
    ]
    text = markdown(across(Frame(lost), "test/accuracy"), "test/accuracy")
    assert "7 seeds on 3 data sets" in text
    assert "Left out, as not every method has a number there: plane, seed 7." in text
    whole = markdown(across(frame(), "test/accuracy"), "test/accuracy")
    assert "Left out" not in whole


def test_a_run_that_diverged_wins_nothing() -> None:
    made = make_records(AXES, lambda at: 0.8 + GAIN[at["model"]], seeds=8, sd=0.005)
    diverged = [
        dataclasses.replace(r, metrics={**r.metrics, "test/nll": math.nan})
        if r.axes["model"] == "a" and r.axes["dataset"] == "plane"
        else r
        for r in made
    ]
    text = markdown(across(Frame(diverged), "test/nll"), "test/nll")
    assert "has a number there: plane." in text
    assert "nan" not in text


def drawn() -> list[np.ndarray]:
    """Three methods, each [datasets, seeds]."""
    rng = np.random.default_rng(7)
    return [rng.normal(mean, 0.02, (8, 7)).round(3).T for mean in (0.80, 0.81, 0.84)]


def found() -> Across:
    scores, names = drawn(), ["a", "b", "c"]
    made = make_records({"dataset": [f"d{i}" for i in range(7)], "model": names}, lambda _: 0.5, seeds=8)
    of = dict(zip(names, scores, strict=True))
    given = [
        dataclasses.replace(r, metrics={"test/accuracy": of[r.axes["model"]][int(r.axes["dataset"][1])][r.seed]})
        for r in made
    ]
    out = across(Frame(given), "test/accuracy")
    assert out is not None
    return out


def test_numbers_are_those_of_rliable_and_scikit_posthocs() -> None:
    """rliable 1.2.0 with 20,000 resamples; scikit-posthocs 0.17.1: Nemenyi after Friedman, Wilcoxon (Holm)."""
    a, b, c = drawn()
    assert [interquartile_mean(x) for x in (a, b, c)] == pytest.approx([0.795535714, 0.809071429, 0.834178571])
    assert [improvement(c, a), improvement(b, a)] == pytest.approx([0.949776786, 0.716517857])
    rng = np.random.default_rng(0)
    low, high = interval([interquartile_mean(resample(c, rng)) for _ in range(2000)])
    assert (low, high) == pytest.approx((0.82964, 0.83922), abs=4e-4)
    low, high = interval([improvement(resample(b, rng), resample(a, rng)) for _ in range(2000)])
    assert (low, high) == pytest.approx((0.6228, 0.8058), abs=0.012)
    ranks = found().ranks
    apart = [abs(ranks[i] - ranks[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    p = [stats.studentized_range.sf(d * np.sqrt(2) / np.sqrt(3 * 4 / (6 * 7)), 3, np.inf) for d in apart]
    assert p == pytest.approx([0.374979543, 0.001485569, 0.082295997])
    assert [d > found().critical for d in apart] == [x < 0.05 for x in p] == [False, True, False]
    assert compare_pairs(found()) == pytest.approx({(0, 1): 0.046875, (0, 2): 0.046875, (1, 2): 0.046875})


def test_bars_of_the_diagram_overlap_where_ranks_are_not_told_apart() -> None:
    made = chart(found(), "test/accuracy")
    (panel,) = made.panels
    assert [m.x for m in panel.marks] == ["model c", "model b", "model a"]
    c, b, a = panel.marks
    assert c.high > b.low  # not told apart
    assert c.high < a.low


CLAIM = {"kind": "across", "says": "b helps", "compare": {"model": "b"}, "against": {"model": "a"}}


def verdict(gain: dict[str, float], seeds: int = 2, **more: Any) -> Verdict:
    axes = {"dataset": list(gain), "model": ["a", "b"]}
    made = make_records(axes, lambda p: 0.7 + gain[p["dataset"]] * (p["model"] == "b"), seeds=seeds, sd=0.002)
    out = [change(r) for r in made] if (change := more.pop("change", None)) else made
    (judged,) = judge(make_sweep(axes, seeds=seeds, claims=[{**CLAIM, **more}]), out)
    return judged


def test_a_claim_across_data_sets_has_one_number_a_data_set() -> None:
    """Seeds by the hundred say nothing of further data sets."""
    gain = {f"d{i}": 0.01 * (i + 1) for i in range(7)}
    found_ = verdict(gain)
    assert (found_.word, found_.n, list(found_.values)) == ("supported", 7, list(gain))
    assert found_.p == pytest.approx(2 / 2**7)
    assert "b - a: test accuracy, one difference for each of 7 values of dataset, expected > 0" in found_.tested
    assert "n = 7 data sets" in describe(found_)
    assert "across values of dataset" in found_.scope
    named = verdict(gain, change=lambda r: dataclasses.replace(r, config={"dataset.source": r.axes["dataset"]}))
    assert "on d0, d1, d2, d3 and 3 more" in named.scope
    few = verdict(dict(list(gain.items())[:4]), seeds=40)
    assert (few.word, few.n, few.note) == ("open", 4, "Wilcoxon's test needs at least 6 data sets")
    by_t = verdict({f"a/{i}": g for i, g in enumerate((0.01, 0.012, 0.011))}, test="t")
    assert (by_t.word, by_t.n) == ("supported", 3)
    mixed = verdict({f"d{i}": 0.02 * (-1) ** i for i in range(8)})
    assert mixed.word == "open"


def test_a_data_set_on_which_runs_failed_counts_both_ways() -> None:
    gain = {f"d{i}": 0.01 * (i + 1) for i in range(7)}

    def lost(r: Record) -> Record:
        gone = r.axes["model"] == "b" and r.axes["dataset"] in ("d0", "d1") and r.seed == 0
        return dataclasses.replace(r, status="failed", metrics={}) if gone else r

    found_ = verdict(gain, change=lost)
    assert (found_.word, found_.n, found_.dropped) == ("open", 7, ["d0", "d1"])
    assert "2 data sets lack a run" in describe(found_)


@pytest.mark.parametrize(
    ("more", "said"),
    [({"over": "model"}, "is both `over` and fixed"), ({"over": "size"}, "size"), ({"test": "bootstrap"}, "test")],
)
def test_a_claim_across_what_is_no_axis_of_its_own_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        make_sweep({"dataset": ["a", "b"], "model": ["a", "b"]}, claims=[{**CLAIM, **more}])
    with pytest.raises(RequestError, match="kind: across, for which no test holds"):
        make_sweep({"dataset": ["a", "b"], "model": ["a", "b"]}, sequential=True, claims=[{**CLAIM, "test": "t"}])


def test_what_data_sets_find_is_foreseen() -> None:
    axes = {"dataset": [f"d{i}" for i in range(7)], "model": ["a", "b"]}
    made = make_sweep(axes, claims=[{**CLAIM, "smallest": 0.01}])
    (said,) = forecast(made, make_records(axes, lambda _: 0.8))
    assert said.startswith("b helps: 7 values of dataset find ")
    assert "spread of 7 earlier values" in said
