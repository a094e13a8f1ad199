"""Claims about choosing: each replicate chooses by its own numbers; against the same computed by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.claims import judge
from bench.analysis.judged import Verdict
from bench.report.figures.verdicts import effect_label
from bench.report.verdict import line
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import make_records, make_sweep

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
    assert effect_label(found) == "val accuracy - test accuracy (points)"


def test_folds_that_nothing_fixes_are_cross_validation_and_less_nll_is_better() -> None:
    found = verdict(records(), compare={"by": "val/nll"}, against={"by": "val/accuracy", "at": {"split.fold": 0}})
    wanted = chosen("val/nll", "test/accuracy") - chosen("val/accuracy", "test/accuracy", 0)
    assert list(found.values.values()) == pytest.approx(list(wanted))
    assert found.averaged == {"split.fold": 2}


CLAIM = {"compare": {"by": "test/accuracy"}, "against": {"by": "train/accuracy"}, "at": {"split.fold": 0}}


def replaced(given: list[Record], place: int, **changes: Any) -> list[Record]:
    return [dataclasses.replace(r, **changes) if i == place else r for i, r in enumerate(given)]


def test_equal_candidates_are_the_first_and_one_that_failed_is_the_last() -> None:
    equal = [dataclasses.replace(r, metrics={**r.metrics, "train/accuracy": 1.0}) for r in records()]
    found = verdict(equal, **CLAIM)
    wanted = chosen("test/accuracy", "test/accuracy", 0) - NUMBERS["test/accuracy"][0, 0]
    assert list(found.values.values()) == pytest.approx(list(wanted))
    failed = verdict(replaced(equal, 0, status="failed", metrics={}), **CLAIM)  # k 1, fold 0, seed 0
    best = NUMBERS["test/accuracy"][1:, 0, 0].max() - NUMBERS["test/accuracy"][1, 0, 0]
    assert (failed.n, failed.values[0]) == (SEEDS, pytest.approx(best))
    diverged = replaced(equal, 0, metrics={**equal[0].metrics, "train/accuracy": math.nan})
    assert verdict(diverged, **CLAIM).values[0] == pytest.approx(
        NUMBERS["test/accuracy"][:, 0, 0].max() - NUMBERS["test/accuracy"][1, 0, 0]
    )


def test_a_candidate_whose_run_is_missing_might_have_been_chosen() -> None:
    lost = verdict(replaced(records(), 0, status="missing", metrics={}), **CLAIM)
    assert (lost.n, len(lost.dropped), lost.word) == (SEEDS - 1, 1, "open")
    assert "might have been chosen" in line(lost)


def test_what_a_sweep_leaves_out_for_one_candidate_counts_for_none() -> None:
    """k 5 has the easy set only, which says nothing of it beside k 1 on both."""
    axes = {"model.k": [1, 5], "dataset": ["easy", "hard"]}
    made = make_records(
        axes, lambda p: 0.6 + 0.3 * (p["dataset"] == "easy") + 0.05 * (p["model.k"] == 1), seeds=6, sd=0.001
    )
    made = [r for r in made if r.axes != {"model.k": 5, "dataset": "hard"}]
    both = [dataclasses.replace(r, metrics=dict.fromkeys(OF, r.metrics["test/accuracy"])) for r in made]
    claim = {
        "kind": "choice",
        "says": "x",
        "over": ["model.k"],
        "compare": {"by": "val/accuracy"},
        "against": {"by": "val/accuracy", "at": {"dataset": "easy"}},
    }
    (found,) = judge(make_sweep(axes, claims=[claim], exclude=[{"model.k": 5, "dataset": "hard"}]), both)
    assert found.effect == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"compare": {"by": "val/accuracy"}, "against": {"by": "val/accuracy"}}, "are the same"),
        (
            {"compare": {"by": "val/accuracy", "reads": "test/accuracy"}, "against": {"by": "val/accuracy"}},
            "are the same",
        ),
        ({"over": ["model.k", "model.k"], "compare": {"by": "val/nll"}, "against": {"by": "val/accuracy"}}, "twice"),
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
