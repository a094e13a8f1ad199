"""`bench sync`: what was kept is delivered, what was run elsewhere is brought, once each."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.track.store import Store

QUICK = ("dataset=digits", "model=dnn", "model.hidden=[8]", "trainer.epochs=2", "trainer.threads=1")


@pytest.fixture
def carried(folder: Path, bench: Any, bench_json: Any) -> Path:
    """A folder with two finished runs and a failed one, carried over from a machine without network."""
    (folder / "elsewhere").mkdir()
    words = (*QUICK, f"tracking.uri=sqlite:///{folder}/elsewhere/mlflow.db")
    bench_json("run", *words)
    bench_json("run", *words, "seed=1")
    assert bench("run", *words, "optim=sgd", "optim.lr=1e30")[0] == 1
    there = folder / "carried"
    shutil.move(folder / "elsewhere", there)
    return there


def test_runs_are_brought_whole_and_once(folder: Path, carried: Path, bench_json: Any) -> None:
    found = bench_json("sync", "carried/mlflow.db")
    assert (found["brought"], found["known"]) == (3, 0)
    source, target = Store(f"sqlite:///{carried}/mlflow.db"), Store()
    one = {r.key: r for r in source.records("runs")}
    two = {r.key: r for r in target.records("runs")}
    assert one.keys() == two.keys()
    for key, record in one.items():
        other = two[key]
        assert other.run_id != record.run_id
        for name in ("sweep", "axes", "seed", "status", "reason", "metrics", "costs", "config", "provenance"):
            assert getattr(other, name) == getattr(record, name), name
        if record.status == "finished":
            files = {f.path: f.file_size for f in target.client.list_artifacts(other.run_id)}
            assert files.items() >= {"weights.pt": files["weights.pt"]}.items()
            weights = target.artifact(other.run_id, "weights.pt", folder)
            there = carried / "mlartifacts" / "runs" / record.run_id / "artifacts" / "weights.pt"
            assert weights.read_bytes() == there.read_bytes()
            steps = [m.step for m in target.client.get_metric_history(other.run_id, "epoch/train_loss")]
            assert steps == [1, 2]
    again = bench_json("sync", "carried/mlflow.db")
    assert (again["brought"], again["known"]) == (0, 3)
    assert len(target.records("runs")) == 3


@pytest.mark.slow
def test_two_imports_at_the_same_moment_bring_each_run_once(folder: Path, carried: Path) -> None:
    (folder / "other").mkdir()
    main = f"tracking.uri=sqlite:///{folder}/main.db"
    words = [sys.executable, "-c", "import sys; from bench.cli import shell; sys.exit(shell())"]
    both = [
        subprocess.Popen([*words, "sync", str(carried / "mlflow.db"), main], cwd=place, stderr=subprocess.DEVNULL)
        for place in (folder, folder / "other")
    ]
    assert [p.wait() for p in both] == [0, 0]
    assert len(Store(f"sqlite:///{folder}/main.db").records("runs")) == 3


def test_a_store_is_not_brought_into_itself(folder: Path, bench: Any) -> None:
    status, _, err = bench("sync", "mlflow.db")
    assert status == 2
    assert "is the main store itself" in err


def test_no_such_database(folder: Path, bench: Any) -> None:
    status, _, err = bench("sync", "nowhere.db")
    assert status == 2
    assert "There is no database" in err


def test_a_database_of_something_else_stays_as_it_is(folder: Path, bench: Any) -> None:
    with closing(sqlite3.connect(folder / "other.db")) as database, database:
        database.execute("CREATE TABLE bookmarks (address)")
    before = (folder / "other.db").read_bytes()
    status, _, err = bench("sync", "other.db")
    assert (status, "is the database of something else: it holds bookmarks" in err) == (2, True)
    assert (folder / "other.db").read_bytes() == before


def test_missing_files_are_told(folder: Path, carried: Path, bench: Any) -> None:
    shutil.rmtree(carried / "mlartifacts")
    status, _, err = bench("sync", "carried/mlflow.db")
    assert status == 2
    assert "mlartifacts" in err
    assert Store().records("runs") == []
