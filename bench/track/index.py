"""Reading runs straight from the tracking database, without MLflow.

Importing MLflow takes seconds, and its search builds objects page by page; a finished sweep called again must
answer before that. So the tables of a SQLite or PostgreSQL store are read directly, and only read, and only where
the database says that it has the schema which this file was written for. Everything else (an HTTP server, another
schema, a database that does not answer) goes through MLflow's API, which also has the better error messages.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bench.track.address import sqlite_file
from bench.track.pieces import CUT, join
from bench.track.unavailable import StoreUnavailable, refusal

# Alembic revisions of MLflow's schema whose tables experiments, experiment_tags, runs, tags, params and
# latest_metrics are known to be as they are read here. MLflow 3.17: dc11669786a5.
KNOWN_SCHEMAS = frozenset({"dc11669786a5"})


@dataclass
class Row:
    """One run as the store has it."""

    run_id: str
    status: str  # MLflow's: RUNNING, FINISHED, FAILED, KILLED
    start_time: int  # ms since 1970
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)  # latest value of each

    def join(self) -> None:
        """Make long values whole, where they were written in pieces."""
        if CUT in self.tags:
            join(self.tags)
            join(self.params)


def infinite_again(number: Any) -> Any:
    """A metric as it was logged: MLflow keeps what is infinite as the largest number; what is none stays as it is."""
    large = isinstance(number, float | int) and abs(number) >= sys.float_info.max
    return math.copysign(math.inf, number) if large else number


@dataclass(frozen=True)
class ExperimentRow:
    """One MLflow experiment."""

    id: str
    name: str
    lifecycle_stage: str  # active or deleted
    tags: dict[str, str]
    location: str = ""  # address of its runs' files


class Index:
    """A read-only view on the tracking tables of one database."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.sqlite = sqlite_file(uri)
        self._mark = "?" if self.sqlite is not None else "%s"

    @classmethod
    def open(cls, uri: str) -> Index | None:
        """The index of a store, or None where it must be asked through MLflow."""
        if not uri.startswith(("sqlite:///", "postgresql+psycopg2:")):
            return None
        index = cls(uri)
        if index.sqlite is not None and not index.sqlite.is_file():
            return None
        # Whatever is wrong, MLflow meets it next and says it better.
        with suppress(Exception), index._cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            found = {str(version) for (version,) in cursor.fetchall()}
            if found and found <= KNOWN_SCHEMAS:
                return index
        return None

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor on a snapshot of the database.

        Raises:
            StoreUnavailable: when PostgreSQL does not answer or goes away meanwhile, or SQLite's file stays locked.
            RequestError: when that file cannot be read.
        """
        if self.sqlite is not None:
            try:
                with self._reading() as cursor:
                    yield cursor
            except sqlite3.Error as error:
                if "locked" in str(error):
                    raise StoreUnavailable.of(self.uri, error) from None
                raise refusal(self.uri, error) from None
            return
        import psycopg2

        try:
            with self._reading() as cursor:
                yield cursor
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise StoreUnavailable.of(self.uri, error) from None

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        connection: Any
        if self.sqlite is not None:
            connection = sqlite3.connect(f"{self.sqlite.as_uri()}?mode=rw", uri=True, timeout=20)
            connection.execute("PRAGMA query_only = ON")  # rw, so that a killed writer's journal can be rolled back
        else:
            import psycopg2

            connection = psycopg2.connect(self.uri.replace("postgresql+psycopg2:", "postgresql:", 1), connect_timeout=5)
        try:
            cursor = connection.cursor()
            if self.sqlite is None:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            else:
                cursor.execute("BEGIN")  # all tables as of one moment
            yield cursor
        finally:
            connection.close()

    def _all(self, cursor: Any, query: str, *values: Any) -> Iterable[Any]:
        cursor.execute(query.replace("?", self._mark), values)
        return cursor

    def experiments(self, name: str | None = None) -> list[ExperimentRow]:
        """Every experiment, or the one of that name; deleted ones too."""
        with self._cursor() as cursor:
            where, values = (" AND name = ?", (name,)) if name is not None else ("", ())
            query = (
                "SELECT experiment_id, name, lifecycle_stage, artifact_location FROM experiments "
                "WHERE workspace = 'default'"
            )
            found = [(str(i), str(n), str(s), str(p or "")) for i, n, s, p in self._all(cursor, query + where, *values)]
            out = []
            for identity, title, stage, place in found:
                query = 'SELECT "key", value FROM experiment_tags WHERE experiment_id = ?'
                out.append(ExperimentRow(identity, title, stage, dict(self._all(cursor, query, int(identity))), place))
            return out

    def runs(self, experiment_id: str, values: bool = True, run_key: str | None = None) -> list[Row]:
        """Every run of an experiment that was not deleted, oldest first.

        Args:
            values: parameters and metrics too; tags are always read.
            run_key: only runs with this run key.
        """
        chosen = "r.experiment_id = ? AND r.lifecycle_stage = 'active'"
        asked: tuple[Any, ...] = (int(experiment_id),)
        if run_key is not None:
            chosen += " AND r.run_uuid IN (SELECT run_uuid FROM tags WHERE \"key\" = 'run_key' AND value = ?)"
            asked += (run_key,)
        mine = f"t JOIN runs r ON r.run_uuid = t.run_uuid WHERE {chosen}"
        with self._cursor() as cursor:
            query = f"SELECT r.run_uuid, r.status, r.start_time FROM runs r WHERE {chosen} ORDER BY 3, 1"
            rows = {i: Row(i, status, start or 0) for i, status, start in self._all(cursor, query, *asked)}
            for i, key, value in self._all(cursor, f'SELECT t.run_uuid, t."key", t.value FROM tags {mine}', *asked):
                rows[i].tags[key] = value
            if values:
                query = f'SELECT t.run_uuid, t."key", t.value FROM params {mine}'
                for i, key, value in self._all(cursor, query, *asked):
                    rows[i].params[key] = value
                query = f'SELECT t.run_uuid, t."key", t.value, t.is_nan FROM latest_metrics {mine}'
                for i, key, number, is_nan in self._all(cursor, query, *asked):
                    rows[i].metrics[key] = math.nan if is_nan else infinite_again(number)
        for row in rows.values():
            row.join()
        return list(rows.values())

    def params(self, run_id: str) -> dict[str, str]:
        """The parameters of one run."""
        with self._cursor() as cursor:
            return dict(self._all(cursor, 'SELECT "key", value FROM params WHERE run_uuid = ?', run_id))

    def param(self, run_id: str, key: str) -> str | None:
        """One parameter of one run; None where it has none."""
        with self._cursor() as cursor:
            found = list(self._all(cursor, 'SELECT value FROM params WHERE run_uuid = ? AND "key" = ?', run_id, key))
        return str(found[0][0]) if found else None

    def place(self, run_id: str) -> tuple[str, str] | None:
        """Name of a run's experiment and the address of its files; None where there is no such run."""
        query = (
            "SELECT e.name, r.artifact_uri FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
            "WHERE r.run_uuid = ?"
        )
        with self._cursor() as cursor:
            found = list(self._all(cursor, query, run_id))
        return (str(found[0][0]), str(found[0][1] or "")) if found else None

    def tag(self, run_id: str, key: str) -> str | None:
        """One tag of one run; None where it has none."""
        with self._cursor() as cursor:
            found = list(self._all(cursor, 'SELECT value FROM tags WHERE run_uuid = ? AND "key" = ?', run_id, key))
        return str(found[0][0]) if found else None
