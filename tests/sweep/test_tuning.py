"""`select.seeds`: candidates run the tuning seeds, the chosen one the judged seeds, and only these are read on test."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.claims import judge
from bench.analysis.frame import select_frame
from bench.report.grid import pivot
from bench.report.notes import notes
from bench.schema.errors import RequestError
from bench.schema.sweep import Sweep
from bench.schema.sweep_file import sweep
from bench.sweep.plan import Point, points, records_of
from bench.sweep.tuning import Phases
from bench.track.record import Record, read_csv
from bench.track.store import Store

CLAIM = {"says": "A hidden layer helps", "compare": {"model": "dnn"}, "against": {"model": "linear"}}
SWEEP = {
    "name": "tuned",
    "question": "Does a hidden layer help, each at its own lr?",
    "base": ["dataset=digits", "split.train_per_class=20", "split.val=0.1", "trainer.epochs=1", "optim=sgd"],
    "axes": {"model": ["linear", "dnn", "knn"], "optim.lr": [0.01, 0.1, 1e30]},
    "exclude": [{"model": "knn", "optim.lr": 0.01}, {"model": "knn", "optim.lr": 0.1}],
    "select": {"over": ["optim.lr"], "seeds": [100, 101]},
    "seeds": 3,
    "table": {"rows": "model"},
    "claims": [CLAIM],
}
VAL = {0.01: 0.5, 0.1: 0.6, 1e30: 0.9}


def made(**more: Any) -> Sweep:
    return sweep({**SWEEP, **more}, "tuned.yaml")


def ended(point: Point, **more: Any) -> Record:
    val = VAL[point.axes["optim.lr"]] + 0.001 * point.seed
    given = {"status": "finished", "metrics": {"val/accuracy": val, "test/accuracy": 1 - val / 2}, **more}
    return Record(key=point.key, sweep="tuned", axes=point.axes, seed=point.seed, **given)


@pytest.fixture(scope="module")
def every() -> list[Point]:
    return points(made())


def test_candidates_run_tuning_seeds_and_the_chosen_one_the_judged_seeds(every: list[Point]) -> None:
    phases = Phases(made(), every, {})
    first = phases.planned()
    assert [(p.axes["model"], p.seed) for p in first if p.axes["model"] == "linear"] == [
        ("linear", 100),
        ("linear", 101),
    ] * 3
    assert [p.seed for p in first if p.axes["model"] == "knn"] == [0, 1, 2]  # one candidate: nothing to tune
    assert (len(first), phases.unknown(), phases.count()) == (2 * 3 * 2 + 3, 2 * 3, 21)

    linear = [p for p in first if p.axes["model"] == "linear"]
    assert all(phases.follow(ended(p)) == [] for p in linear[:-1])
    more = phases.follow(ended(linear[-1]))  # the cell's tuning is over, whatever other cells do
    assert [(p.axes["model"], p.axes["optim.lr"], p.seed) for p in more] == [("linear", 1e30, s) for s in (0, 1, 2)]
    assert (phases.unknown(), phases.count()) == (3, 21)
    # Another launch that finds all of that plans the same, and gives out nothing twice.
    found = {p.key: ended(p) for p in [*linear, *more[:1]]}
    again = Phases(made(), every, found)
    assert {p.key for p in again.planned()} == {p.key for p in phases.planned()}
    assert [p.key for p in again.follow(ended(linear[-1]))] == [p.key for p in more[1:]]


def test_a_candidate_that_fails_is_the_worst_and_not_absent(every: list[Point]) -> None:
    linear = [p for p in every if p.axes["model"] == "linear" and p.tuning]
    for by, chosen in (("val/accuracy", 0.1), ("val/nll", 0.1)):
        select = {"over": ["optim.lr"], "by": by, "seeds": [100, 101]}
        found = {
            p.key: ended(p, status="failed", metrics={}, reason="diverged")
            if p.axes["optim.lr"] == 1e30 and p.seed == 101
            else ended(p, metrics={by: VAL[p.axes["optim.lr"]] * (1 if by == "val/accuracy" else -1)})
            for p in linear
        }
        phases = Phases(made(select=select), every, found)
        assert {p.axes["optim.lr"] for p in phases.planned() if not p.tuning and p.axes["model"] == "linear"} == {
            chosen
        }


def test_only_judged_runs_are_tabled_and_test_of_tuning_runs_is_in_no_record(every: list[Point]) -> None:
    tuned = made()
    found = {p.key: ended(p) for p in every}
    records = records_of(tuned, Phases(tuned, every, found).planned(), found)
    assert len(records) == 21
    assert not any(name.startswith("test/") for r in records if r.seed >= 100 for name in r.metrics)
    frame = select_frame(tuned, records)
    grid = pivot(frame, tuned)
    assert [sorted(c.values) for c in grid.cells()] == [[0, 1, 2]] * 3
    assert [c.chosen for c in grid.cells()] == [{"optim.lr": 1e30}, {"optim.lr": 1e30}, {}]
    said = " ".join(n.text for n in notes(grid, frame, tuned, records, {}))
    assert "chosen for each cell among 0.01, 0.1, 1e+30 by val accuracy, mean over tuning seeds 100, 101" in said
    assert "the test split was scored 9 times" in said
    (verdict,) = judge(tuned, records)
    assert sorted(verdict.values) == [0, 1, 2]


def test_before_the_tuning_has_ended_a_cell_is_missing_and_says_why(every: list[Point]) -> None:
    tuned = made()
    found = {p.key: ended(p) for p in every if (p.tuning and p.seed == 100) or p.axes["model"] == "knn"}
    frame = select_frame(tuned, records_of(tuned, Phases(tuned, every, found).planned(), found))
    cells = {c.at["model"]: c for c in frame.cells("test/accuracy")}
    assert (cells["linear"].missing, cells["linear"].values) == (3, {})
    assert cells["linear"].unsure == "tuning has not ended: 3 of 6 runs"


def test_no_candidate_is_chosen_without_all_of_its_tuning_runs(every: list[Point]) -> None:
    """Records of before the sweep had tuning seeds, or of half a tuning: what is not there does not lose."""
    tuned = made()
    linear = [p for p in every if p.axes["model"] == "linear"]
    for kept in (
        [p for p in linear if not p.tuning],
        [p for p in linear if p.axes["optim.lr"] == 0.01 or not p.tuning],
        [p for p in linear if p.seed != 101],
    ):
        frame = select_frame(tuned, records_of(tuned, kept, {p.key: ended(p) for p in kept}))
        (cell,) = frame.cells("test/accuracy")
        assert (cell.values, cell.chosen) == ({}, {})
        assert cell.unsure.startswith("tuning has not ended")


def test_a_choice_without_a_number_is_told(every: list[Point]) -> None:
    tuned = made(select={"over": ["optim.lr"], "by": "val/nll", "seeds": [100, 101]})
    linear = [p for p in every if p.axes["model"] == "linear"]
    nan = {p.key: ended(p, metrics={"val/nll": math.nan, "test/accuracy": 0.1}) for p in linear}
    (cell,) = select_frame(tuned, records_of(tuned, linear, nan)).cells("test/accuracy")
    assert cell.unsure == "every tuning run failed"
    without = {p.key: ended(p) for p in linear}
    with pytest.raises(RequestError, match=r"no run has the metric 'val/nll'\. Runs have val/accuracy"):
        Phases(tuned, linear, without).planned()  # before any judged run is spent


def test_keys_are_those_of_a_sweep_that_does_not_select(every: list[Point]) -> None:
    plain = {p.key for p in points(made(select=None, seeds=[0, 1, 2, 100, 101]))}
    assert {p.key for p in every} == plain


def test_what_is_refused() -> None:
    for more in ({"seeds": [5, 100]}, {"scales": {"full": {"seeds": 101}}}):
        with pytest.raises(RequestError, match=r"share seed 100.*must not be judged"):
            made(**more)
    with pytest.raises(RequestError, match=r"is in select\.seeds and in seeds"):
        points(dataclasses.replace(made(), seeds=[101]))  # as --seeds 101 says
    with pytest.raises(RequestError, match="different whole numbers"):
        made(select={"over": ["optim.lr"], "seeds": [100, 100]})
    axes = {**SWEEP["axes"], "trainer.epochs": [1, 2, 3]}  # type: ignore[dict-item]
    with pytest.raises(RequestError, match="nothing to choose"):
        made(axes=axes, zip=[["optim.lr", "trainer.epochs"]])
    both = {"over": ["optim.lr", "trainer.epochs"], "seeds": [100]}
    assert len(points(made(axes=axes, zip=[["optim.lr", "trainer.epochs"]], select=both))) == 7 * 4


def test_one_command_runs_both_phases_and_goes_on_after_a_stop(folder: Path, bench: Any) -> None:
    text = {**SWEEP, "axes": {"model": ["dnn", "knn"], "optim.lr": [0.1, 1e30]}, "claims": []}
    (folder / "sweeps").mkdir()
    text["exclude"] = [{"model": "knn", "optim.lr": 0.1}]
    # JSON is YAML, but for numbers such as 1e30.
    (folder / "sweeps" / "tuned.yaml").write_text(json.dumps(text).replace("1e+30", "1.0e+30"))
    _, _, err = bench("sweep", "tuned", "--workers", "1", "--fail-fast")
    assert "Stopped at the first failure" in err
    status, out, err = bench("sweep", "tuned", "--workers", "1", "--json")
    counts = json.loads(out)
    assert (status, counts["planned"], counts["left"], counts["failed"]) == (1, 10, 0, 2)  # candidates diverged
    assert counts["ran"] < 10
    assert "10 runs (4 to choose, 6 to judge)" in err
    assert bench("table", "tuned")[0] == 0
    records = read_csv(folder / "results" / "tuned" / "records.csv")
    assert sorted(r.seed for r in records) == sorted([100, 101] * 2 + [0, 1, 2] * 2)
    assert {r.axes["optim.lr"] for r in records if r.axes["model"] == "dnn" and r.seed < 100} == {0.1}
    assert all(("test/accuracy" in r.metrics) == (r.seed < 100) for r in records if r.status == "finished")
    assert bench("reproduce", "tuned", "--check")[0] == 0
    # What was committed holds the choice too: another store has the failed candidates to run, and nothing else.
    store = f"sqlite:///{folder / 'other.db'}"
    _, out, _ = bench("sweep", "tuned", f"tracking.uri={store}", "--dry-run")
    assert out.count("to do") == 2
    # What tuning runs say of test is in no comparison, also where the store is read without a sweep file.
    mine = f"{folder / 'mlflow.db'}#tuned"
    status, out, err = bench("compare", mine, mine, "--json")
    assert status == 0, err
    found = json.loads(out)
    seeds = {(pair["metric"], seed) for pair in found["pairs"] for seed in pair["values"]}
    assert {seed for _, seed in seeds} == {"0", "1", "2"}
    assert found["tuning"] == 2 * (2 + 2)  # those that failed are for choosing too
    (one, *_) = [r for r in Store(f"sqlite:///{folder / 'mlflow.db'}").records("tuned") if r.seed == 100 and r.metrics]
    status, out, _ = bench("compare", one.run_id, one.run_id, "--json")
    assert {pair["metric"] for pair in json.loads(out)["pairs"]} & {"val/accuracy", "test/accuracy"} == {"val/accuracy"}
    # Fresh seeds are judged at what these tuning runs chose: they need not say the same again.
    _, out, err = bench("sweep", "tuned", "--confirm", "--dry-run")
    assert "10 runs (4 to choose, 6 to judge), 2 finished, 6 to do, 2 failed before" in err, err
    assert sorted(line[-8:] for line in out.splitlines() if line.startswith("to do")) == [
        *2 * ["seed 102"], *2 * ["seed 103"], *2 * ["seed 104"],
    ]  # fmt: skip
