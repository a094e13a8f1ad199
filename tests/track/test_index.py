"""Reading past MLflow gives what MLflow gives, and is given up where the schema is not known."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.track.index import KNOWN_SCHEMAS, Index
from bench.track.store import Store
from tests.services.database import Postgres, postgres  # noqa: F401

QUICK = ("dataset=digits", "model=linear", "trainer.epochs=2", "trainer.threads=1")


class Asked(Store):
    """The same store, always through MLflow's API."""

    @property
    def index(self) -> None:
        return None


def same(uri: str | None = None) -> None:
    fast, slow = Store(uri), Asked(uri)
    assert fast.index is not None
    assert fast.experiments() == slow.experiments()
    for name in fast.experiments():
        assert fast.rows(name) == slow.rows(name)
        assert fast.records(name) == slow.records(name)
        for key, identity in {(r.tags["run_key"], fast.experiment(name)) for r in fast.rows(name)}:
            assert fast.runs_of_key(key, identity) == slow.runs_of_key(key, identity) != []
            assert fast.find([key], name) == slow.find([key], name)
        for row in fast.rows(name):
            assert fast.params(row.run_id) == slow.params(row.run_id)
            assert fast.tag_of(row.run_id, "status") == slow.tag_of(row.run_id, "status")
    assert repr(fast.records("runs")) != "[]"


def test_the_installed_mlflow_makes_a_schema_that_is_known(folder: Path) -> None:
    """When this fails after an update of MLflow: compare the tables, then add the revision."""
    (version,) = sqlite3.connect(folder / "mlflow.db").execute("SELECT version_num FROM alembic_version").fetchone()
    assert version in KNOWN_SCHEMAS


def test_sqlite(folder: Path, bench: Any) -> None:
    bench("run", *QUICK)
    bench("run", *QUICK, "optim=sgd", "optim.lr=1e30")
    store = Store()
    special = store.start("runs", "special", {"run_key": "x", "status": "finished"})
    for i, value in enumerate((float("nan"), float("inf"), -float("inf"), 1e-300)):
        store.client.log_metric(special, f"val/{i}", value)
    store.mark(special, "FINISHED")
    store.remove(store.start("runs", "deleted", {"run_key": "y"}))
    fast, slow = Store().records("runs"), Asked().records("runs")
    assert len(fast) == 3
    assert repr(fast) == repr(slow)  # NaN is not equal to itself
    store.remove(special)
    same()


@pytest.mark.xdist_group("services")
@pytest.mark.slow
def test_postgres(folder: Path, bench: Any, postgres: Postgres) -> None:  # noqa: F811
    uri = postgres.database("index")
    assert bench("run", *QUICK, f"tracking.uri={uri}")[0] == 0
    same(uri)


def test_an_unknown_schema_is_not_read(folder: Path) -> None:
    database = sqlite3.connect(folder / "mlflow.db")
    for change in ("UPDATE alembic_version SET version_num = 'ffffffffffff'", "DELETE FROM alembic_version"):
        database.execute(change)
        database.commit()
        assert Index.open(f"sqlite:///{folder}/mlflow.db") is None


@pytest.mark.slow
def test_a_finished_sweep_answers_without_mlflow_and_torch(folder: Path, bench_json: Any) -> None:
    words = ["sweep", "--axes", "optim.lr=0.1,0.01", "--seeds", "1", *QUICK, "hydra/launcher=basic", "--json"]
    bench_json(*words[:-1])
    code = (
        f"import sys; from bench.cli import main; status = main({words!r});"
        "assert not {'mlflow', 'torch', 'pytorch_lightning'} & set(sys.modules); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"skipped": 2' in done.stdout
