"""`bench doctor` says what works, and what to do about what does not."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest


def test_everything_that_runs_need_is_here(folder: Path, bench: Any) -> None:
    status, out, _ = bench("doctor", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["healthy"]
    names = {c["name"]: c for c in found["checks"]}
    assert names.keys() >= {"Python", "torch", "devices", "memory", "results disk", "store", "digits", "mnist5k", "git"}
    assert all(c["remedy"] for c in found["checks"] if c["status"] != "ok")
    assert "schema current" in names["store"]["found"]


def test_what_the_cache_holds_is_told(folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(folder / "cache"))
    assert "may be deleted" not in bench("doctor")[1]
    (folder / "cache" / "features").mkdir(parents=True)
    with (folder / "cache" / "features" / "some.npy").open("wb") as file:
        file.truncate(1_300_000_000)  # holes: no space is taken
    assert "features 1.3 GB in it may be deleted while nothing runs" in bench("doctor")[1]


def test_a_store_with_another_schema_is_told_with_its_remedy(folder: Path, bench: Any) -> None:
    database = sqlite3.connect(folder / "mlflow.db")
    database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    database.commit()
    database.close()
    uri = f"tracking.uri=sqlite:///{folder}/mlflow.db"
    status, out, _ = bench("doctor", uri)
    assert status == 1
    assert "MISSING  store" in out


def test_a_server_that_is_away_is_told_without_its_password(folder: Path, bench: Any) -> None:
    pytest.importorskip("psycopg2")
    status, out, err = bench("doctor", "tracking.uri=postgresql://me:secret-word@127.0.0.1:9/x")
    assert status == 1
    assert "does not answer" in out
    assert "secret-word" not in out + err
