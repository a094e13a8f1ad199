"""A tracking server that goes away costs nothing but waiting, and nothing tells its password."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from bench.track.store import Store
from tests.services.database import PASSWORD, Postgres, mlflow_server, postgres  # noqa: F401
from tests.services.parts import free_port
from tests.sweep.calling import RUNS, TINY, Call, called

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("faults")]


def finished_once(store: Store) -> None:
    rows = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    assert len(rows) == len({r.tags["run_key"] for r in rows}) == RUNS
    assert {r.status for r in rows} == {"FINISHED"}


def test_a_server_that_comes_back(tmp_path: Path) -> None:
    """The sweep goes on by itself."""
    port = free_port()
    backend = f"sqlite:///{tmp_path}/server.db"
    with mlflow_server(backend, tmp_path, port) as address:
        call = Call(tmp_path, "sweep", *TINY, f"tracking.uri={address}")
        assert call.wait_until(lambda: call.done() >= 3)
    assert call.wait_until(lambda: "does not answer" in call.said)
    assert call.process.poll() is None
    with mlflow_server(backend, tmp_path, port) as address:
        assert call.finish() == 0, call.said
        assert "answers again" in call.said
        finished_once(Store(address))


def test_a_server_that_stays_away(tmp_path: Path) -> None:
    """What was run is kept, the end says so, and the same command delivers it later."""
    port = free_port()
    backend = f"sqlite:///{tmp_path}/server.db"
    with mlflow_server(backend, tmp_path, port) as address:
        words = (*TINY, "trainer.epochs=40", f"tracking.uri={address}", "--patience", "0.05")
        call = Call(tmp_path, "sweep", *words)
        assert call.wait_until(lambda: call.done() >= 2)
    assert call.finish() == 1, call.said
    assert "results wait for the store" in call.said
    kept = list((tmp_path / ".imagebench" / "spool").glob("*/outcome.json"))
    assert kept
    with mlflow_server(backend, tmp_path, port) as address:
        store = Store(address)
        before = len(store.records("adhoc"))
        assert called(tmp_path, "sync", f"tracking.uri={address}", "--json").json()["delivered"] == len(kept)
        assert len(store.records("adhoc")) == before + len(kept)
        assert called(tmp_path, "sweep", *words, "--json").json()["skipped"] == before + len(kept)
        finished_once(store)


def test_interrupted_while_the_server_is_frozen_or_away(tmp_path: Path) -> None:
    """Nothing has ended yet and nobody can be told: the command says how to go on all the same."""
    port = free_port()
    backend = f"sqlite:///{tmp_path}/server.db"
    with mlflow_server(backend, tmp_path, port) as address:
        words = (*TINY, "trainer.epochs=20000", f"tracking.uri={address}")
        call = Call(tmp_path, "sweep", *words)
        assert call.wait_until(lambda: any((tmp_path / ".imagebench" / "spool").glob("*")))
        (server,) = {os.getpgid(p.pid) for p in psutil.Process().children() if "mlflow" in p.cmdline()}
        os.killpg(server, signal.SIGSTOP)  # it accepts, and says nothing
        for _ in range(2):
            call.kill(signal.SIGINT)
            assert call.wait_until(lambda: "Interrupted" in call.said)
        assert call.finish(30) == 130, call.said
        assert "ends without telling it what was running" in call.said
        assert f"Interrupted with {RUNS} runs to do. The same command goes on" in call.said
        os.killpg(server, signal.SIGCONT)
        shutil.rmtree(tmp_path / ".imagebench" / "spool")
        call = Call(tmp_path, "sweep", *words)
        assert call.wait_until(lambda: any((tmp_path / ".imagebench" / "spool").glob("*")))
    for _ in range(2):  # the second one cuts the grace short
        call.kill(signal.SIGINT)
        assert call.wait_until(lambda: "Interrupted" in call.said)
    assert call.finish() == 130, call.said
    assert f"{address} does not answer" in call.said
    assert f"Interrupted with {RUNS} runs to do. The same command goes on" in call.said


def test_a_database_that_crashes_and_recovers(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    """PostgreSQL ends as in a crash and comes back; and its password is in nothing that anybody reads."""
    uri = postgres.database("away")
    call = Call(tmp_path, "sweep", *TINY, f"tracking.uri={uri}")
    assert call.wait_until(lambda: call.done() >= 3)
    postgres.stop()
    try:
        assert call.wait_until(lambda: "does not answer" in call.said)
        refused = Call(tmp_path, "sweep", *TINY, f"tracking.uri={uri}", "--json")
        assert refused.finish() == 2
        assert "does not answer" in refused.said
    finally:
        postgres.start()
    assert call.finish() == 0, call.said
    store = Store(uri)
    finished_once(store)

    told = call.said + refused.said + "".join(call.out + refused.out)
    assert PASSWORD not in told
    for row in store.rows("adhoc") + store.rows("imagebench-claims"):
        assert PASSWORD not in repr(row)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
