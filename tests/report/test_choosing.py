"""Claims about choosing: each replicate chooses by its own numbers; against the same computed by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.report.claims import Verdict, judge
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.report.conftest import make_records, make_sweep

AXES = {"model.k": [1, 5, 20], "split.fold": [0, 1]}
SEEDS = 6
OF = ("train/accuracy", "val/accuracy", "val/nll", "test/accuracy")
NUMBERS = {name: np.random.default_rng(i).uniform(0.6, 0.9, (3, 2, SEEDS)) for i, name in enumerate(OF)}


def records() -> list[Record]:
    def at(record: Record) -> tuple[int, int, int]:
        return AXES["model.k"].index(record.axes["model.k"]), record.axes["split.fold"], record.seed

    made = make_records(AXES, lambda _: 0.5, seeds=SEEDS)
    return [dataclasses.replace(r, metrics={name: float(NUMBERS[name][at(r)]) for name in OF}) for r in made]


def verdict(given: list[Record], **claim: Any) -> Verdict:
    said = {"kind": "choice", "says": "it is so", "over": ["model.k"], **claim}
    (found,) = judge(make_sweep(AXES, claims=[said]), given)
    return found


def chosen(by: str, reads: str, fold: int | None = None) -> np.ndarray:
    """[seeds]: what is read of the best candidate, folds averaged or one of them."""
    some = slice(None) if fold is None else slice(fold, fold + 1)
    score, read = (NUMBERS[name][:, some].mean(1) for name in (by, reads))
    best = score.argmin(0) if by == "val/nll" else score.argmax(0)
    return read[best, np.arange(SEEDS)]


def test_optimism_is_what_chose_minus_what_was_not_seen() -> None:
    found = verdict(
        records(),
        compare={"by": "val/accuracy", "reads": "val/accuracy"},
        against={"by": "val/accuracy"},
        at={"split.fold": 1},
    )
    wanted = chosen("val/accuracy", "val/accuracy", 1) - chosen("val/accuracy", "test/accuracy", 1)
    assert list(found.values.values()) == pytest.approx(list(wanted))
    assert found.p == pytest.approx(stats.ttest_1samp(wanted, 0).pvalue)
    what = "val accuracy where val accuracy chose - test accuracy where val accuracy chose"
    assert found.tested.startswith(f"{what}, of each its best k (neighbours) at fold 1: expected > 0")


def test_folds_that_nothing_fixes_are_cross_validation_and_less_nll_is_better() -> None:
    found = verdict(records(), compare={"by": "val/nll"}, against={"by": "val/accuracy", "at": {"split.fold": 0}})
    wanted = chosen("val/nll", "test/accuracy") - chosen("val/accuracy", "test/accuracy", 0)
    assert list(found.values.values()) == pytest.approx(list(wanted))
    assert found.averaged == {"split.fold": 2}


def test_equal_candidates_are_the_first_and_a_missing_run_leaves_the_claim_open() -> None:
    equal = [dataclasses.replace(r, metrics={**r.metrics, "train/accuracy": 1.0}) for r in records()]
    claim = {"compare": {"by": "test/accuracy"}, "against": {"by": "train/accuracy"}, "at": {"split.fold": 0}}
    found = verdict(equal, **claim)
    wanted = chosen("test/accuracy", "test/accuracy", 0) - NUMBERS["test/accuracy"][0, 0]
    assert list(found.values.values()) == pytest.approx(list(wanted))
    failed = [dataclasses.replace(r, status="failed", metrics={}) if i == 0 else r for i, r in enumerate(equal)]
    lost = verdict(failed, **claim)
    assert lost.n == SEEDS - 1
    assert len(lost.dropped) == 1
    assert lost.word == "open"


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"compare": {"by": "val/accuracy"}, "against": {"by": "val/accuracy"}}, "are the same"),
        ({"compare": {"by": "val/nll", "reads": "val/nll"}, "against": {"by": "val/nll"}}, "another unit"),
        (
            {"compare": {"by": "val/nll", "at": {"model.k": 1}}, "against": {"by": "val/accuracy"}},
            "'model.k' is both `over` and fixed",
        ),
        ({"compare": {"by": "val/nll", "at": {"fold": 1}}, "against": {"by": "val/accuracy"}}, "compare.at"),
        ({"over": ["k"], "compare": {"by": "val/nll"}, "against": {"by": "val/accuracy"}}, "model.k"),
    ],
)
def test_what_cannot_be_judged_is_refused(claim: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        verdict(records(), **claim)
