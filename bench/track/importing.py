"""Bringing runs of another store into this one, each whole and once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.schema.errors import RequestError
from bench.track.address import sqlite_file
from bench.track.index import Row
from bench.track.lease import Leases
from bench.track.owner import Owner
from bench.track.spool import Spool
from bench.track.store import ENDED, Store, record_of


@dataclass
class Brought:
    """What an import did.

    Attributes:
        new: runs that were brought.
        known: runs that the store had already.
        elsewhere: points that somebody else is bringing or running at this moment.
    """

    new: int = 0
    known: int = 0
    elsewhere: int = 0


def bring(source: Store, target: Store, spool: Spool, say: Callable[[str], None]) -> Brought:
    """Bring every ended run of ours from `source` into `target`, into experiments of the same names.

    Each run is first put into the spool and then delivered as a run of this machine is: whole or not at all, and
    skipped where the target has a finished run of the same key. An import that was killed goes on when called again.

    Raises:
        RequestError: when an artifact cannot be read.
        StoreUnavailable: when a store does not answer.
    """
    brought = Brought()
    for name in source.experiments():
        rows = [r for r in source.rows(name) if "run_key" in r.tags and r.status in ENDED]
        if not rows:
            continue
        with Leases(target, target.lease_run(name), Owner.here(spool.root)) as leases:
            _bring(source, target, spool, say, name, rows, leases, brought)
    return brought


def _bring(
    source: Store, target: Store, spool: Spool, say: Callable[[str], None],
    name: str, rows: list[Row], leases: Leases, brought: Brought,
) -> None:  # fmt: skip
    """Bring the runs of one experiment; claimed, as a second import or a sweep may be at the same points."""
    if any(r.tags.get("sweep") for r in rows):
        target.parent(name, make=True)
    leases.refresh()
    there = target.rows(name, values=False)
    finished = {r.tags["run_key"] for r in there if "run_key" in r.tags and r.status == "FINISHED"}
    copied = {r.tags.get("outcome") for r in there if r.status in ENDED}
    for row in rows:
        if row.tags["run_key"] in finished or row.tags.get("outcome", "-") in copied:
            brought.known += 1
            continue
        if leases.owner_of(row.tags["run_key"]) is not None or not leases.take(row.tags["run_key"]):
            brought.elsewhere += 1
            continue
        say(f"{name}: {row.tags.get('mlflow.runName', row.run_id)}")
        target.deliver(_spooled(source, row, name, spool))
        leases.end(row.tags["run_key"], row.tags["status"])
        finished |= {row.tags["run_key"]} if row.status == "FINISHED" else set()
        brought.new += 1


def _spooled(source: Store, row: Row, experiment: str, spool: Spool) -> Path:
    """A run of another store as a sealed outcome in the spool."""
    sealed = spool.sealed(row.tags["run_key"])
    if sealed is not None:
        return sealed
    folder = spool.folder(row.tags["run_key"])
    for file in _files(source, row, experiment):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    return spool.put(record_of(row), row.tags.get("mlflow.runName", row.run_id), experiment, row.tags.get("outcome"))


def _files(source: Store, row: Row, experiment: str) -> list[Path]:
    """The run's artifacts. A SQLite store's lie beside it, also after both were copied to another machine."""
    database = sqlite_file(source.uri)
    if database is not None:
        beside = database.parent / "mlartifacts" / experiment / row.run_id / "artifacts"
        if beside.is_dir():
            return sorted(beside.iterdir())
    try:
        return sorted(source.artifacts(row.run_id).iterdir())
    except (OSError, RequestError) as error:
        raise RequestError(
            f"The files of run {row.run_id} ({experiment}) cannot be read: {error}\n"
            "Copy the folder 'mlartifacts' that lies beside the database too, and put it beside it here."
        ) from None
