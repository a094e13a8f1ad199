"""A real PostgreSQL, and a real `mlflow server` in front of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.parts import free_port, missing, wait_for

PASSWORD = "pass-word-5719"


@dataclass
class Postgres:
    """A running server with one superuser, `bench`."""

    port: int
    programs: Path
    folder: Path
    as_user: list[str]

    def start(self) -> None:
        words = ["-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "start"]
        self._run("pg_ctl", "-o", f"-p {self.port} -h 127.0.0.1 -k {self.folder}", *words)

    def stop(self) -> None:
        """End it at once, as a crash of its machine would."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*self.as_user, str(self.programs / program), *words], capture_output=True, text=True, cwd="/", check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def database(self, name: str) -> str:
        """The URI of a new, empty database."""
        import psycopg2

        connection = psycopg2.connect(self.uri("postgres"))
        connection.autocommit = True
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
        connection.close()
        return self.uri(name)

    def uri(self, database: str) -> str:
        return f"postgresql://bench:{PASSWORD}@127.0.0.1:{self.port}/{database}"


def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        missing("PostgreSQL", "apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).parent


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server that asks for a password."""
    place = programs()
    folder = Path(tmp_path_factory.getbasetemp()) / "postgres"
    # initdb refuses root, and another user must reach the folder through its parents.
    as_user: list[str] = []
    if os.geteuid() == 0:
        folder = Path(tempfile.mkdtemp(prefix="imagebench-postgres-"))
        as_user = ["runuser", "-u", "postgres", "--"]
    folder.mkdir(exist_ok=True)
    (folder / "password").write_text(PASSWORD)
    if as_user:
        shutil.chown(folder, "postgres")
        shutil.chown(folder / "password", "postgres")
    server = Postgres(free_port(), place, folder, as_user)
    server._run(
        "initdb", "-D", str(folder / "data"), "-U", "bench", "-A", "scram-sha-256", "--no-sync",
        f"--pwfile={folder / 'password'}",
    )  # fmt: skip
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@contextmanager
def mlflow_server(backend: str, folder: Path, port: int | None = None) -> Iterator[str]:
    """`mlflow server` on a store; gives its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    log = folder / "server.log"
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        # Not among the words: it has a password.
        "MLFLOW_BACKEND_STORE_URI": backend.replace("postgresql://", "postgresql+psycopg2://"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # evaluation jobs: nothing here asks for them
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            stdout=out, stderr=out, env=environment, cwd=folder, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: answers(f"{address}/health"), "mlflow server", 180, log)
        yield address
    finally:
        end_group(process)


def answers(address: str) -> bool:
    """Whether a web page is there."""
    try:
        with urllib.request.urlopen(address, timeout=2) as page:
            return bool(page.status == 200)
    except OSError:
        return False


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
