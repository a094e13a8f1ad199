"""Reaching a tracking store: its database or MLflow's client, and its experiments."""

from __future__ import annotations

import functools
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from bench.imports import without_collector
from bench.schema.errors import RequestError
from bench.schema.names import checked_name
from bench.track.address import address, checked_uri, redact, sqlite_file, without_secrets
from bench.track.artifacts import location, relocate
from bench.track.index import ExperimentRow, Index
from bench.track.locks import lock
from bench.track.unavailable import StoreUnavailable, refusal, store_errors

# A server that is not there must be noticed in seconds, before anything is trained.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Standard output is for results.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# A table asks for the files of hundreds of runs: a progress bar for each is no progress.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

# MLflow experiment with one run a sweep: who runs what (`bench.track.lease`). Its name is that of version 0.1.
LEASES = "imagebench-claims"
MIGRATES = 120.0  # seconds that making or migrating a database may take, until whoever does it is taken for suspended
MIGRATION = 0x696D616765  # number of PostgreSQL's lock: "image"


def make_whole(file: Path | None) -> None:
    """Make a SQLite store elsewhere and move it into place: MLflow cannot open one whose making was killed."""
    if file is None or file.exists():
        return
    from mlflow.tracking import MlflowClient

    part = file.with_name(f".{file.name}.making")
    part.unlink(missing_ok=True)  # left by a maker that was killed; the lock is ours now
    logs = [part.with_name(part.name + end) for end in ("-wal", "-shm", "-journal")]
    try:
        MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)
        if any(log.exists() for log in logs):
            _checkpoint(part)
        part.replace(file)
    except BaseException:
        for left in (part, *logs):
            left.unlink(missing_ok=True)
        raise


def refuse_foreign(file: Path) -> None:
    """Refuse a SQLite database of something else, in which MLflow would make its tables.

    Raises:
        RequestError: naming some of what it holds.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        tables = [str(name) for (name,) in database.execute(query)]
        if tables and not {"alembic_version", "experiments"} & set(tables):
            raise RequestError(
                f"{file} is the database of something else: it holds {', '.join(tables[:3])[:100]}. It stays as it is. "
                "Expected one of MLflow, or a new file."
            )


def _checkpoint(file: Path) -> None:
    """Bring SQLite's log into the database file, which is then complete by itself."""
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


class Connection:
    """An open tracking store.

    Args:
        uri: whatever MLflow takes; None for SQLite in the working directory.

    Raises:
        RequestError: when the store cannot be reached, is of a kind that MLflow refuses, or needs a migration.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri = checked_uri(uri)
        self.shown = redact(self.uri)
        self.address = address(self.uri)
        self._experiments: dict[str, str] = {}
        self._places: set[str] = set()  # experiments whose files this user can write
        self._index: Index | None = None
        self._file = 0  # inode of the SQLite file that MLflow has opened, and stays with; 0 for none
        if self.index is None:
            _ = self.client

    @property
    def index(self) -> Index | None:
        """The database read directly, where that is possible."""
        file = sqlite_file(self.uri)
        if self._index is not None and file is not None and not file.exists():
            self._index = None  # somebody removed the file: MLflow makes a new one
        if self._index is None:
            self._index = Index.open(self.uri)
        return self._index

    @functools.cached_property
    def client(self) -> Any:
        """MLflow's client, imported when something is first written (2 to 4 s)."""
        _postgres_answers(self.uri)
        for noisy in ("alembic", "mlflow"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)  # errors are ours to tell, without the address
        try:
            with without_collector():
                from mlflow.tracking import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.CRITICAL)
            with self._migration_lock():
                file = sqlite_file(self.uri)
                if file is not None and file.exists():
                    refuse_foreign(file)
                make_whole(file)
                client = MlflowClient(self.uri)
                client.search_experiments(max_results=1)
                if file is not None:
                    relocate(file)
                    self._file = file.stat().st_ino
            return client
        except RequestError:
            raise
        except Exception as error:
            raise refusal(self.uri, error) from None

    def _migration_lock(self) -> Any:
        """Processes that open a new database together race in its migration: one at a time."""
        file = sqlite_file(self.uri)
        if file is not None:
            return lock(file.with_name(f".{file.name}.lock"), MIGRATES)
        if self.uri.startswith("http"):
            return nullcontext()
        if self.uri.startswith("postgresql+psycopg2:"):
            return _advisory_lock(self.uri)
        mine = f"imagebench-{os.getuid() if hasattr(os, 'getuid') else 0}.lock"
        return lock(Path(tempfile.gettempdir()) / mine, MIGRATES)

    def _clean(self, error: BaseException) -> str:
        """The error's first line without the URI's credentials."""
        return without_secrets(str(error) or type(error).__name__, self.uri).splitlines()[0][:300]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Around whatever MLflow's client is asked; errors of `store_errors`."""
        file = sqlite_file(self.uri)
        _ = self.client  # makes it
        if file is not None and not file.exists():  # SQLite would go on in the moved one, or make an empty one
            raise StoreUnavailable.of(self.uri, FileNotFoundError("unable to open database file"))
        if file is not None and self._file and file.stat().st_ino != self._file:
            raise RequestError(
                f"{self.shown} is another file than before: it was put back from a backup, or copied over. "
                "Results that it lacks wait in the spool; the same command goes on."
            )
        with store_errors(self.uri):
            yield

    def experiment(self, name: str) -> str:
        """The id of the MLflow experiment `name`, made if needed; two makers at once get the same one.

        Raises:
            RequestError: when it was deleted.
            StoreUnavailable: when the store does not answer.
        """
        if name not in self._experiments:
            found = self._known(name) or self._make(name, {})
            self._standing(found)
            self._experiments[name] = found.id
        return self._experiments[name]

    def _standing(self, found: ExperimentRow) -> None:
        """Refuse an experiment that somebody deleted: its runs would seem never to have been.

        Raises:
            RequestError: with what restores it.
        """
        if found.lifecycle_stage == "deleted":
            raise RequestError(
                f"The MLflow experiment '{found.name}' in {self.shown} was deleted. Restore it with "
                f"'MLFLOW_TRACKING_URI={self.shown} mlflow experiments restore --experiment-id {found.id}', "
                "or use another --name or tracking.uri."
            )

    def experiments(self) -> list[str]:
        """Names of the experiments with runs of ours, or of anybody's."""
        found = [e.name for e in self._active()]
        return sorted(n for n in found if n != LEASES and not n.startswith(f"{LEASES}/"))

    def _active(self) -> list[ExperimentRow]:
        """Every experiment that is not deleted."""
        if self.index is not None:
            return [e for e in self.index.experiments() if e.lifecycle_stage == "active"]
        with self._asking():
            return [_row(e) for e in self.client.search_experiments()]

    def _known(self, name: str) -> ExperimentRow | None:
        if self.index is not None:
            found = self.index.experiments(name)
            return found[0] if found else None
        with self._asking():
            known = self.client.get_experiment_by_name(name)
        return _row(known) if known else None

    def _make(self, name: str, tags: dict[str, str]) -> ExperimentRow:
        """Make an experiment; where another process was faster, its one."""
        from mlflow.exceptions import MlflowException

        checked_name(name.removeprefix(f"{LEASES}/"), "the MLflow experiment")
        chosen = self._known(LEASES) if name != LEASES else None
        place = location(self.uri, name, (LEASES, chosen.location) if chosen else None)
        tags = {**PAGES, **(LEASES_TAGS if name.startswith(LEASES) else {}), **tags}
        try:
            with self._asking():
                made = self.client.create_experiment(name, place, tags)
            return ExperimentRow(made, name, "active", tags, place or "")
        except MlflowException:
            found = self._known(name)
            if found is None:
                raise
            return found


# MLflow 3 shows an experiment as traces of language models unless it says that it trains models.
PAGES = {"mlflow.experimentKind": "custom_model_development"}
# MLflow's list of experiments (3.17) leaves out those with the second tag, which its gateway's logs have: nobody should
# look for results in this one, nor remove it.
LEASES_TAGS = {
    "mlflow.note.content": "Who runs which point: kept by imagebench so that no point runs twice. Leave it as it is.",
    "mlflow.experiment.isGateway": "true",
}


def _row(known: Any) -> ExperimentRow:
    """MLflow's Experiment as a row."""
    tags, place = dict(known.tags), known.artifact_location or ""
    return ExperimentRow(known.experiment_id, known.name, known.lifecycle_stage, tags, place)


@contextmanager
def _advisory_lock(uri: str) -> Iterator[None]:
    """A lock that PostgreSQL itself keeps: for processes of other users and other machines too."""
    import psycopg2

    connection = psycopg2.connect(uri.replace("postgresql+psycopg2:", "postgresql:", 1), connect_timeout=5)
    try:
        connection.autocommit = True
        connection.cursor().execute(f"SET lock_timeout = {1000 * MIGRATES:.0f}")
        connection.cursor().execute("SELECT pg_advisory_lock(%s)", (MIGRATION,))
        yield
    finally:
        connection.close()


def _postgres_answers(uri: str) -> None:
    """Notice at once that a PostgreSQL server is away: MLflow would try for minutes.

    Raises:
        RequestError: when it is, or its driver is not installed.
    """
    if not uri.startswith("postgresql+psycopg2:"):
        return
    try:
        import psycopg2
    except ImportError:
        raise RequestError("PostgreSQL needs its driver: pip install 'imagebench[postgres]'.") from None
    try:
        psycopg2.connect(uri.replace("postgresql+psycopg2:", "postgresql:", 1), connect_timeout=5).close()
    except psycopg2.Error as error:
        raise refusal(uri, error) from None
