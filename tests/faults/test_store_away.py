"""A tracking server that goes away costs nothing but waiting, and nothing tells its password."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.track.store import Store
from tests.services.database import PASSWORD, Postgres, mlflow_server, postgres  # noqa: F401
from tests.services.lossy import lossy
from tests.services.parts import free_port
from tests.sweep.calling import RUNS, TINY, Call, Warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("faults")]


def finished_once(store: Store, name: str = "adhoc") -> None:
    rows = [r for r in store.rows(name) if "run_key" in r.tags]
    assert len(rows) == len({r.tags["run_key"] for r in rows}) == RUNS
    assert {r.status for r in rows} == {"FINISHED"}


@pytest.fixture
def losing() -> Iterator[tuple[int, str, list[str]]]:
    """A free port, a way to it on which every third answer to the making of a run gets lost, and which were."""
    port = free_port()
    with lossy(port, "runs/create", 3) as (way, lost):
        yield port, way, lost


def interrupted(call: Call) -> str:
    """Ctrl-C, and a second one, which cuts the grace short; what the command says then."""
    for _ in range(2):
        call.kill(signal.SIGINT)
        assert call.wait_until(lambda: "Interrupted" in call.said)
    assert call.finish(60) == 130, call.said
    assert f"Interrupted with {RUNS} runs to do. The same command goes on" in call.said
    return call.said


def test_a_server_that_freezes_goes_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench_json: Any, losing: tuple[int, str, list[str]]
) -> None:
    """Four sweeps at one server: a frozen one, and one that is gone, holds no interruption up; a patient sweep goes on
    by itself, and makes each run once though answers get lost; an impatient one keeps what it has run, its end says so,
    and the same command delivers it later."""
    (port, way, lost), backend = losing, f"sqlite:///{tmp_path}/server.db"
    tracking = f"tracking.uri=http://127.0.0.1:{port}"

    def begin(name: str, *more: str, through: str = "") -> Warm:
        (tmp_path / name).mkdir()
        words = (*TINY, "--name", name, "--workers", "1", through or tracking, *more)
        return Warm(tmp_path / name, "sweep", *words)

    def begun(name: str) -> bool:
        return any((tmp_path / name / ".imagebench" / "spool").glob("*"))

    with mlflow_server(backend, tmp_path, port):
        endless = begin("frozen", "trainer.epochs=20000")
        assert endless.wait_until(lambda: begun("frozen"))
        (server,) = {os.getpgid(p.pid) for p in psutil.Process().children() if "mlflow" in p.cmdline()}
        os.killpg(server, signal.SIGSTOP)  # it accepts, and says nothing
        assert "ends without telling it what was running" in interrupted(endless)
        os.killpg(server, signal.SIGCONT)
        # Nothing of these three has ended when the server goes but some of the patient one's.
        gone = begin("gone", "trainer.epochs=20000")
        impatient = begin("impatient", "trainer.epochs=40", "trainer.stack=off", "--patience", "0.05")
        patient = begin("patient", "trainer.stack=off", through=f"tracking.uri={way}")
        assert gone.wait_until(lambda: begun("gone"))
        assert impatient.wait_until(lambda: impatient.done() >= 2)
        assert patient.wait_until(lambda: patient.done() >= 3)
    said = interrupted(gone)
    assert "does not answer" in said or "ends without telling it what was running" in said
    assert patient.wait_until(lambda: "does not answer" in patient.said)
    assert patient.process.poll() is None
    assert impatient.finish() == 1, impatient.said
    assert "results wait for the store" in impatient.said
    kept = list((tmp_path / "impatient" / ".imagebench" / "spool").glob("*/outcome.json"))
    assert kept
    with mlflow_server(backend, tmp_path, port) as address:
        store = Store(address)
        before = len(store.records("impatient"))
        monkeypatch.chdir(tmp_path / "impatient")
        assert bench_json("sync", tracking)["delivered"] == len(kept)
        assert len(store.records("impatient")) == before + len(kept)
        assert bench_json("sweep", *impatient.words[1:], "--dry-run")["skipped"] == before + len(kept)
        assert patient.finish() == 0, patient.said
        assert "answers again" in patient.said
        finished_once(store, "patient")
        assert len(lost) > RUNS / 3


def test_a_database_that_crashes_and_recovers(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    """PostgreSQL ends as in a crash and comes back; and its password is in nothing that anybody reads."""
    uri = postgres.database("away")
    call = Call(tmp_path, "sweep", *TINY, "--workers", "1", "trainer.stack=off", f"tracking.uri={uri}")
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
