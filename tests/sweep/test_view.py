"""What a sweep shows while it runs, and what a reviewer finds in MLflow afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.sweep.file import from_axes
from bench.sweep.plan import Point, points
from bench.sweep.view import Live, duration
from bench.track.record import Record
from bench.track.store import Store


def two() -> list[Point]:
    return points(from_axes("adhoc", ["optim.lr=0.1,0.01"], ["dataset=digits", "model=linear"], 1))


def ended(point: Point, status: str = "finished", val: float = 0.5) -> Record:
    metrics = {"val/accuracy": val, "test/accuracy": 0.123456} if status == "finished" else {}
    reason = "" if status == "finished" else "diverged"
    return Record(
        key=point.key, sweep="adhoc", axes=point.axes, seed=0, status=status, reason=reason,  # type: ignore[arg-type]
        metrics=metrics, costs={"cost/fit_seconds": 1.5},
    )  # fmt: skip


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = two()
    with Live(2, 1) as live:
        live.running(0, [first])
        live.done(first, ended(first, val=0.75))
        live.running(0, [])
        live.done(second, ended(second, "failed"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "[1/2] linear · lr 0.1 · seed 0: val 0.7500  (1.5 s)",
        "[2/2] linear · lr 0.01 · seed 0: FAILED: diverged",
    ]
    assert "0.1234" not in err  # test is for the table
    assert live.summary() == "1 finished, 1 failed in 0 s; best val 0.7500 (linear · lr 0.1 · seed 0)"


def test_the_live_view_has_everything_a_waiting_user_asks() -> None:
    first, second = two()
    live = Live(2, 1)
    live.__enter__()
    live.running(0, [first])
    time.sleep(0.05)
    live.running(0, [])
    live.done(first, ended(first, val=0.75))
    live.running(0, [second])
    shown = drawn(live)
    assert "1/2" in shown
    assert "1 finished · 1 running · 0 failed" in shown
    assert "best val 0.7500 (linear · lr 0.1 · seed 0)" in shown
    assert "left" in shown
    assert "worker 1: linear · lr 0.01 · seed 0" in shown


def test_points_in_one_program_count_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five of ten runs as one program took ten seconds, and the next five run since four: six seconds are left."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    point = two()[0]
    live = Live(10, 1)
    assert "starting" in drawn(live)
    live.running(0, [point] * 5)
    assert "5 running" in live.headline()
    assert "linear · lr 0.1 · seed 0 and 4 more as one program" in drawn(live)
    clock[0] = 10.0
    live.running(0, [])
    for _ in range(5):
        live.done(point, ended(point))
    live.running(0, [point] * 5)
    clock[0] = 14.0
    assert live.left() == pytest.approx(6.0)


def test_jobs_elsewhere_have_a_time_left_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    point = two()[0]
    with Live(4, 0) as live:
        assert live.left() is None
        clock[0] = 30.0
        live.done(point, ended(point))
        assert live.left() == pytest.approx(90.0)
        assert live.headline().startswith("1 finished · 0 failed · best val")


def drawn(live: Live) -> str:
    """The live part as text."""
    live.console = Console(width=120, height=20)
    with live.console.capture() as capture:
        live.console.print(live._drawn())
    return capture.get()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7800, "2 h 10 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.slow
def test_a_reviewer_finds_one_parent_run_with_question_table_and_figure(folder: Path, bench_json: Any) -> None:
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "2", "dataset=digits", "model=linear", "trainer.epochs=1")
    words += ("hydra/launcher=basic",)
    bench_json("sweep", *words)
    store = Store()
    (parent,) = [r for r in store.rows("adhoc") if "run_key" not in r.tags]
    assert parent.status == "FINISHED"
    note = parent.tags["mlflow.note.content"]
    assert "How does optim.lr change test accuracy?" in note
    assert "4 runs: 4 finished" in note
    assert "| " in note  # the table
    files = {f.path for f in store.client.list_artifacts(parent.run_id)}
    assert files >= {"records.csv", "table.md", "figure.png"}
    children = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    assert {r.tags["mlflow.parentRunId"] for r in children} == {parent.run_id}

    bench_json("sweep", *words[:2], "--seeds", "3", *words[4:])
    assert len([r for r in store.rows("adhoc") if "run_key" not in r.tags]) == 1
    assert "6 runs: 6 finished" in (store.tag_of(parent.run_id, "mlflow.note.content") or "")


@pytest.mark.slow
def test_runs_brought_from_another_machine_get_their_question_too(folder: Path, bench_json: Any) -> None:
    """`bench sync` knows no question; the sweep, called again, runs nothing and writes it."""
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "1", "dataset=digits", "model=linear", "trainer.epochs=1")
    words += ("hydra/launcher=basic",)
    bench_json("sweep", *words)
    main = f"tracking.uri=sqlite:///{folder}/main.db"
    assert bench_json("sync", f"{folder}/mlflow.db", main)["brought"] == 2
    store = Store(f"sqlite:///{folder}/main.db")
    (parent,) = [r for r in store.rows("adhoc") if "run_key" not in r.tags]
    assert "mlflow.note.content" not in parent.tags
    assert bench_json("sweep", *words, main)["ran"] == 0
    assert "2 runs: 2 finished" in (store.tag_of(parent.run_id, "mlflow.note.content") or "")
