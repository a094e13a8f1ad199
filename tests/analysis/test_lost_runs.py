"""Runs that did not finish reward nobody: in a cost, after an earlier look, in the marks of a table."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from bench.analysis.claims import judge
from bench.analysis.frame import Frame, select_frame
from bench.analysis.looks import look
from bench.analysis.settings import settings_of_records
from bench.analysis.stats import t_interval
from bench.report.compare import Side, compare
from bench.report.grid import pivot
from bench.report.verdict import describe
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES: dict[str, list[Any]] = {"model": ["a", "b"]}
PAIR = {"says": "a is better", "compare": {"model": "a"}, "against": {"model": "b"}}
GOOD = [0.97, 0.971, 0.972, 0.97, 0.971, 0.97, 0.972, 0.971, 0.97, 0.971]
LESS = [0.95, 0.951, 0.95, 0.952, 0.95, 0.951, 0.95, 0.95, 0.951, 0.95]


def given(a: list[Any], b: list[Any], of: str = "test/accuracy") -> list[Record]:
    """One value a seed of each arm; None where the run failed."""
    out = []
    for r in make_records(AXES, lambda _: 0.5, seeds=len(a)):
        value = (a if r.axes["model"] == "a" else b)[r.seed]
        if value is None:
            out.append(dataclasses.replace(r, status="failed", reason="killed", metrics={}, costs={}))
        else:
            costs = {of: value} if of.startswith("cost/") else {}
            out.append(dataclasses.replace(r, metrics={**r.metrics, of: value}, costs={**r.costs, **costs}))
    return out


@pytest.mark.parametrize("cost", ["cost/fit_seconds", "cost/peak_memory_mb", "cost/selected_epoch"])
def test_runs_that_ran_out_of_time_do_not_make_an_arm_faster(cost: str) -> None:
    """Half of the runs of one arm were gone, and "a is faster" was supported by the other half."""
    claim = {**PAIR, "metric": cost, "direction": "less"}
    sweep = make_sweep(AXES, seeds=8, claims=[claim])
    slow = [15, 16, 14, 15, 16, 15, 14, 15]
    assert judge(sweep, given([10, 11, 10, 12, 11, 10, 11, 12], slow, cost))[0].word == "supported"
    (found,) = judge(sweep, given([10, 11, 10, 12, None, None, None, None], slow, cost))
    assert found.word == "open"
    assert "has no worst value to count them as" in describe(found)
    one, other = ([dataclasses.replace(r, axes={"d": 1}) for r in given([10, 11, 10, 12, *[None] * 4], slow, cost)
                   if r.axes["model"] == m] for m in "ab")  # fmt: skip
    (row,) = compare(Side("a", one), Side("b", other), [cost]).pairs
    assert row.word == "not told apart: runs failed"


@pytest.mark.parametrize("later", ["failed", math.nan])
def test_what_a_look_settled_does_not_outlive_the_runs_that_fail_after_it(later: Any) -> None:
    """Three good seeds and five that diverged later: still supported, with -46.5 points where these are counted."""
    sweep = make_sweep(AXES, seeds=10, claims=[PAIR])
    first = given(GOOD[:3], LESS[:3])
    (early,) = judge(sweep, first)
    entry = look([early], select_frame(sweep, first), sweep, {}, settings_of_records(sweep, first))
    context = {"looks": [entry]}
    assert judge(sweep, given(GOOD, LESS), context)[0].word == early.word == "supported"
    lost = None if later == "failed" else later
    (found,) = judge(sweep, given([*GOOD[:5], *[lost] * 5], LESS), context)
    assert found.word == "open"
    assert "An earlier look said supported; " in describe(found)


def test_an_arm_that_diverges_half_the_time_does_not_beat_the_others_in_the_table() -> None:
    """The claim was open, and the mark of the table said that it is better than the arm that never fails."""
    table = {"rows": "model"}

    def marks(a: list[Any], of: str) -> list[str]:
        made, less = given(a, LESS if of == "test/accuracy" else [3.0 + v for v in LESS], of), {**table, "metric": of}
        (panel,) = pivot(Frame(made), make_sweep(AXES, table=less, seeds=10)).panels
        return [row[0] for row in panel.marks]

    assert marks(GOOD, "test/accuracy") == ["best", ""]
    assert marks([*GOOD[:5], *[None] * 5], "test/accuracy") == ["best", "within"]
    assert marks([*GOOD[:5], *[None] * 5], "test/nll") == ["best", "within"]
    # Where it is worse and fails too, both ways of counting agree.
    assert marks([*[v - 0.1 for v in GOOD[:9]], None], "test/accuracy") == ["within", "best"]
    assert marks([v - 0.9 for v in GOOD[:5]] + [None] * 5, "test/accuracy") == ["", "best"]


@pytest.mark.parametrize("order", [[0.1, 0.5], [0.5, 0.1]], ids=str)
def test_each_claim_pays_for_the_images_that_its_own_splits_share(order: list[float]) -> None:
    """All claims paid what the first record's split said: the order of an axis decided the word."""
    axes = {**AXES, "split.test": order}
    made = [
        dataclasses.replace(r, config={**r.config, "split.seed": r.seed, "split.test": r.axes["split.test"]})
        for r in make_records(axes, lambda at: 0.8 + 0.02 * (at["model"] == "a"), seeds=6)
    ]
    claims = [{**PAIR, "says": str(test), "at": {"split.test": test}} for test in (0.1, 0.5)]
    for found, ratio in zip(judge(make_sweep(axes, seeds=6, claims=claims), made), (1 / 9, 1.0), strict=True):
        assert found.sample.shared == pytest.approx(ratio)
    both = {**PAIR, "compare": {"split.test": 0.1}, "against": {"split.test": 0.5}}
    assert judge(make_sweep(axes, seeds=6, claims=[both]), made)[0].sample.shared == 1
    cells = Frame(made).cells("test/accuracy", {"model": "a"})
    for cell, ratio in zip(cells, (1 / 9, 1.0), strict=True):
        values = [*cell.values.values()]
        assert cell.interval.half == pytest.approx(t_interval(values).half * math.sqrt(1 + 6 * ratio))
