"""Verdicts in words: what a reader is told beside the numbers, in the names that the tables use."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from bench.analysis.claims import judge
from bench.analysis.judged import Verdict
from bench.analysis.resampling import FEWEST_FOR_BOOTSTRAP, fewest_for_wilcoxon
from bench.report.verdict import describe, line, numbers, remarks
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES = {"model": ["plain", "residual"], "model.depth": [8, 20], "optim.lr": [0.01, 0.1]}
PAIR = {"compare": {"model": "residual"}, "against": {"model": "plain"}}


def records(seeds: int = 3, gain: float = 0.02, sd: float = 0.01) -> list[Record]:
    return make_records(AXES, lambda p: 0.8 + gain * (p["model"] == "residual"), seeds=seeds, sd=sd)


def found(made: list[Record], *claims: dict[str, Any]) -> list[Verdict]:
    return judge(make_sweep(AXES, claims=[{"says": "it is so", **c} for c in claims]), made)


def test_axes_are_called_as_in_the_table() -> None:
    (one,) = found(records(), {"kind": "trend", "over": "model.depth", "spacing": "value"})
    assert "per unit of depth" in numbers(one)
    assert "Averaged over 2 values of model, 2 values of learning rate." in remarks(one)
    assert "optim.lr" not in line(one)


def test_thresholds_are_said_as_they_were_claimed() -> None:
    at = {"model.depth": 8, "optim.lr": 0.1}
    asked, margin, bound = found(
        records(),
        {**PAIR, "at": at, "by": 0.01},
        {"kind": "equivalence", **PAIR, "at": at, "margin": 0.02},
        {"kind": "bound", "at": {"model": "plain", **at}, "bound": 0.9},
    )
    assert "where more than 1 point was claimed" in numbers(asked)
    assert "against a margin of ±2 points" in numbers(margin)
    assert "against a bound of 90%" in numbers(bound)


def test_a_value_that_is_not_finite_has_no_effect_to_show() -> None:
    made = [dataclasses.replace(r, metrics={"test/accuracy": math.nan}) if r.seed == 1 else r for r in records()]
    (one,) = found(made, PAIR)
    assert "NaN" not in describe(one)
    assert "Some values are not finite." in remarks(one)


@pytest.mark.parametrize(("claims", "fewest"), [(1, 6), (6, 8)])
def test_wilcoxon_counts_the_claims_in_the_seeds_that_it_needs(claims: int, fewest: int) -> None:
    assert fewest_for_wilcoxon(0.05 / claims) == fewest  # 2^(1-n) <= 0.05 / claims
    first, *_ = found(records(gain=0.3), *[{**PAIR, "test": "wilcoxon", "smallest": 0.2}] * claims)
    assert first.word == "open"
    assert first.seeds == fewest
    assert f"An effect of 20 points would need about {fewest} seeds." in remarks(first)


def test_the_bootstrap_says_how_many_seeds_it_needs() -> None:
    (one,) = found(records(gain=0.3), {**PAIR, "test": "bootstrap", "smallest": 0.2})
    assert one.seeds == FEWEST_FOR_BOOTSTRAP


def test_no_settled_effect_looks_like_what_it_is_tested_against() -> None:
    """It was "+0.00 points [0.00, 0.00]", supported."""
    made = records(seeds=4)
    values = {"plain": [0.9] * 4, "residual": [0.9000104, 0.9000105, 0.9000104, 0.9000106]}
    made = [dataclasses.replace(r, metrics={"test/accuracy": values[str(r.axes["model"])][r.seed]}) for r in made]
    (one,) = found(made, PAIR)
    assert one.word == "supported"
    assert numbers(one).startswith("+0.001 points [0.001, 0.001], ")
    failed = [dataclasses.replace(r, status="failed", metrics={}) if r.seed == 3 else r for r in records(seeds=4)]
    (level,) = found(failed, {"kind": "bound", "at": {"model": "plain"}, "bound": 0.9})
    assert "counted as 0%: 59." in describe(level)  # a level has no sign, and is no difference in points
