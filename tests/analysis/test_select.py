"""Selection on val: test is read at the selected point only."""

from __future__ import annotations

import dataclasses

import pytest

from bench.analysis.claims import judge
from bench.analysis.frame import Frame, select_frame
from bench.report.grid import pivot
from bench.report.notes import notes
from bench.report.tables import plain_text, tidy_csv
from bench.schema.errors import RequestError
from bench.track.record import Record
from tests.records import BATCHNORM, make_records, make_sweep

SELECT = {"over": ["optim.lr"], "by": "val/accuracy"}
# norm -> lr -> (val, test): the best lr on val is not the best on test.
TRUTH = {
    "none": {0.001: (0.90, 0.95), 0.01: (0.92, 0.91), 0.1: (0.10, 0.10)},
    "batch": {0.001: (0.91, 0.91), 0.01: (0.93, 0.99), 0.1: (0.96, 0.94)},
}


def records() -> list[Record]:
    made = make_records(BATCHNORM, lambda _: 0.5)
    out = []
    for r in made:
        val, test = TRUTH[r.axes["norm_layer"]][r.axes["optim.lr"]]
        jitter = 0.001 * r.seed
        out.append(dataclasses.replace(r, metrics={"val/accuracy": val + jitter, "test/accuracy": test + jitter}))
    return out


def test_the_best_mean_on_val_is_chosen_and_said() -> None:
    sweep = make_sweep(BATCHNORM, select=SELECT, table={"rows": "norm_layer"})
    frame = select_frame(sweep, records())
    cells = {c.at["norm_layer"]: c for c in frame.cells("test/accuracy")}
    assert {n: c.chosen for n, c in cells.items()} == {"none": {"optim.lr": 0.01}, "batch": {"optim.lr": 0.1}}
    assert cells["none"].interval.mean == pytest.approx(0.911)
    grid = pivot(frame, sweep)
    text = plain_text(grid, notes(grid, frame, sweep, records(), {}))
    # Three equal differences prove nothing (their error is unknown, not zero): the lower mean is not told apart.
    assert "91.10 ± 0.25~ (n=3, learning rate 0.01)" in text
    assert "selected for each cell on val accuracy" in text
    assert tidy_csv(grid).splitlines()[1].startswith("none,0.01,test/accuracy,3,")


def test_a_loss_is_selected_downwards() -> None:
    made = [dataclasses.replace(r, metrics={**r.metrics, "val/nll": 1 - r.metrics["val/accuracy"]}) for r in records()]
    by_loss = select_frame(make_sweep(BATCHNORM, select={**SELECT, "by": "val/nll"}), made)
    by_accuracy = select_frame(make_sweep(BATCHNORM, select=SELECT), made)
    assert by_loss.chosen == by_accuracy.chosen


def test_claims_are_judged_at_the_selected_points() -> None:
    claim = {"says": "x", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    (verdict,) = judge(make_sweep(BATCHNORM, select=SELECT, claims=[claim]), records())
    assert verdict.values == pytest.approx({0: 0.03, 1: 0.03, 2: 0.03})
    assert verdict.averaged == {}


def test_an_incomplete_candidate_cannot_win_and_is_said() -> None:
    made = [
        dataclasses.replace(r, status="failed", metrics={}, costs={})
        if r.axes == {"norm_layer": "batch", "optim.lr": 0.1} and r.seed == 1
        else r
        for r in records()
    ]
    sweep = make_sweep(BATCHNORM, select=SELECT, table={"rows": "norm_layer"})
    frame = select_frame(sweep, made)
    (cell,) = [c for c in frame.cells("test/accuracy") if c.at["norm_layer"] == "batch"]
    assert cell.chosen == {"optim.lr": 0.01}
    assert cell.unsure == "1 of 3 candidates incomplete"
    said = [n.text for n in notes(pivot(frame, sweep), frame, sweep, made, {}) if n.stamp]
    assert "Selection: 1 run of other candidates did not finish." in said


def test_the_selection_does_not_look_at_test() -> None:
    sweep = make_sweep(BATCHNORM, select=SELECT)
    blind = [
        dataclasses.replace(r, metrics={"val/accuracy": r.metrics["val/accuracy"], "test/accuracy": 0.0})
        for r in records()
    ]
    assert select_frame(sweep, blind).chosen == select_frame(sweep, records()).chosen


def test_two_records_of_one_point_are_refused() -> None:
    with pytest.raises(RequestError, match=r"Two records for norm layer none, learning rate 0\.001, seed 0"):
        Frame([*records(), records()[0]])


def test_records_of_two_sweeps_are_refused() -> None:
    with pytest.raises(RequestError, match="Records of 2 sweeps together: made, other"):
        Frame([*records(), dataclasses.replace(records()[0], sweep="other")])


def test_no_records_at_all() -> None:
    with pytest.raises(RequestError, match="Run the sweep first"):
        Frame([])
