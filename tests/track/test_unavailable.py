"""A store that does not answer is told in one plain line, without a library's internals or anybody's password."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from bench.schema.errors import Missing, RequestError
from bench.track.spool import Spool
from bench.track.store import Store
from bench.track.unavailable import StoreUnavailable, cause_of, refusal, store_errors
from tests.services.parts import free_port

SECRET = "s3cret%2Fpw"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


@pytest.fixture
def wordless() -> Iterator[int]:
    """A port that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: [server.accept() for _ in range(5)], daemon=True)
        thread.start()
        yield server.getsockname()[1]


def message(uri: str) -> str:
    with pytest.raises(RequestError) as caught:
        Store(uri)
    return str(caught.value)


def plain(text: str) -> None:
    """One line of bearable length, and a remedy on the next."""
    first, *rest = text.splitlines()
    assert len(first) < 200
    assert len(rest) <= 1
    for internal in ("HTTPConnection", "Max retries", "urllib3", "api/2.0", "Caused by", "psycopg2.Op", "Traceback"):
        assert internal not in text
    for secret in (SECRET, "s3cret/pw", "bob"):
        assert secret not in text


def test_nobody_listens(folder: Path) -> None:
    port = free_port()
    said = message(f"http://bob:{SECRET}@127.0.0.1:{port}")
    plain(said)
    assert said.startswith(
        f"The tracking store http://127.0.0.1:{port} does not answer: connection refused, nothing listens there.\n"
    )
    assert "Start the server, check tracking.uri" in said
    said = message(f"postgresql://bob:{SECRET}@127.0.0.1:{port}/runs")
    plain(said)
    assert "connection refused" in said


def test_a_file_that_a_run_lacks_is_missing_on_a_server_that_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 404 reaches us as an internal error, which would be waited out."""
    from mlflow.exceptions import MlflowException

    class Client:
        def list_artifacts(self, run_id: str, path: str | None = None) -> list[Any]:
            return [SimpleNamespace(path=f"{path}/one.pt" if path else "weights.pt")]

        def download_artifacts(self, run_id: str, name: str, folder: str) -> str:
            if name not in ("weights.pt", "sub/one.pt"):
                raise MlflowException("API request failed with error code 404")  # INTERNAL_ERROR
            return f"{folder}/{name}"

    store = Store()
    monkeypatch.setattr(store, "files_of", lambda _: None)
    monkeypatch.setitem(store.__dict__, "client", Client())
    for name in ("weights.pt", "sub/one.pt"):
        assert store.artifact("a", name, folder) == folder / name
    for name in ("preprocessing.json", "sub/two.pt"):
        with pytest.raises(Missing, match=f"no artifact '{name}'"):
            store.artifact("a", name, folder)


def test_a_run_is_not_said_to_be_missing_where_nobody_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    store = Store()
    with pytest.raises(RequestError, match="No run 'a'"):
        store.get("a")
    monkeypatch.setitem(store.__dict__, "client", MlflowClient(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(StoreUnavailable):
        store.get("a")


def test_no_such_host_and_no_answer(folder: Path, wordless: int) -> None:
    said = message(f"http://bob:{SECRET}@nowhere.invalid:5000")
    plain(said)
    assert "no such host" in said
    said = message(f"http://bob:{SECRET}@127.0.0.1:{wordless}")
    plain(said)
    assert "no answer in time" in said


def test_a_store_that_goes_away_meanwhile(folder: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"http://bob:{SECRET}@127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnavailable) as caught, store_errors(uri):
        MlflowClient(uri).get_run("0" * 32)
    said = str(caught.value)
    assert "does not answer: connection refused" in said
    assert "Results are kept here and delivered" in said
    assert "bench sync" in said
    assert "\n" not in said
    assert len(said) < 280
    assert SECRET not in said
    assert str(pickle.loads(pickle.dumps(caught.value))) == said  # a job's error travels


def test_a_database_that_ends_within_a_transaction() -> None:
    """Its error comes past MLflow, which wraps those of statements only."""
    from sqlalchemy.exc import OperationalError

    raw = RuntimeError("server closed the connection unexpectedly\n\tThis probably means the server terminated")
    uri = f"postgresql+psycopg2://bob:{SECRET}@127.0.0.1/runs"
    with pytest.raises(StoreUnavailable, match="does not answer: it broke the connection off"), store_errors(uri):
        raise OperationalError("COMMIT", {}, raw)


@pytest.mark.parametrize(
    ("says", "cause", "remedy"),
    [
        ("(sqlite3.DatabaseError) file is not a database", "it is no SQLite database", "file's name"),
        ("(sqlite3.DatabaseError) database disk image is malformed", "the database is damaged", ".recover"),
        ("out-of-date database schema (found version 400f98739977, but", "of another MLflow", "mlflow db upgrade"),
        (
            "out-of-date database schema (found version ffffffffffff, but",
            "of another MLflow",
            "newer than the one here",
        ),
        ("[Errno 13] Permission denied: '/a/.mlflow.db.lock'", "may not write", "folder that you may write"),
        ("No module named 'MySQLdb'", "missing for it (MySQLdb)", "Install that package"),
        ('FATAL:  database "nodb" does not exist', "no such database", "CREATE DATABASE"),
        ("failed with error code 401 != 200", "refuses this user or password", "MLFLOW_TRACKING_USERNAME"),
        ("failed with error code 403 != 200. Response body: 'Permission denied'", "may not do that", "right to write"),
        ("error code 403 != 200. Response body: 'Invalid Host header", "this host name", "--allowed-hosts"),
    ],
)
def test_each_cause_has_its_own_remedy(says: str, cause: str, remedy: str) -> None:
    first, second = str(refusal("http://bob:pw@host:1", RuntimeError(says))).splitlines()
    assert first.startswith("The tracking store http://host:1 cannot be used: ")
    assert cause in first
    assert remedy in second


@pytest.mark.parametrize("uri", ["http://host:80000", "http://host:abc", "postgresql://bob:a/b@host/x", "ftp://host/x"])
def test_an_address_that_is_none(uri: str) -> None:
    said = message(uri)
    assert "a/b" not in said
    assert "%2F" in said or "postgresql://..." in said


def test_a_damaged_and_a_foreign_file(folder: Path) -> None:
    (folder / "mlflow.db").write_bytes(b"no database at all" * 1000)
    said = message(f"sqlite:///{folder}/mlflow.db")
    plain(said)
    assert "no SQLite database" in said


def test_what_is_not_known_is_quoted_without_secrets() -> None:
    error = RuntimeError(f"strange: {SECRET} is\nnot it.")
    assert cause_of(error, f"http://bob:{SECRET}@127.0.0.1") == "strange: *** is"


def test_an_untested_device_is_told_as_any_other_notice(folder: Path, bench: Any) -> None:
    status, _, err = bench("run", "dataset=digits", "model=linear", "trainer=tpu")
    assert (
        "warning: trainer.accelerator=tpu is untested: nothing in this project ever ran on a TPU." in err.splitlines()
    )
    assert status == 2
    assert "UserWarning" not in err


def test_a_store_that_was_moved_away_beside_a_running_sweep_is_told_as_that(folder: Path) -> None:
    (folder / "a").mkdir()
    store = Store(f"sqlite:///{folder}/a/mlflow.db")
    store.start("x", "y", {})
    (folder / "a").rename(folder / "b")
    with pytest.raises(RequestError, match="its file is there no more, was the folder moved"):
        store.start("x", "y", {})


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one over NFS whose lock daemon is not there: told as that, and not waited for."""

    def refused(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refused)
    said = message(f"sqlite:///{tmp_path}/mlflow.db")
    assert said.startswith(f"The file system of {tmp_path} gives no locks")
    with pytest.raises(RequestError, match="gives no locks"), Spool(tmp_path / "spool").alone("a" * 64, print):
        pass


def test_a_full_disk_that_a_later_line_tells(tmp_path: Path) -> None:
    """SQLAlchemy puts what it was doing on the line before."""
    error = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    error.add_detail("raised as a result of Query-invoked autoflush")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(RequestError, match="cannot be used: its disk is full"), store_errors(uri):
        raise error
