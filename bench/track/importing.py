"""Bringing runs of another store into this one, each whole and once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.disk import free_bytes
from bench.schema.errors import RequestError
from bench.schema.names import checked_name
from bench.track.address import redact, sqlite_file
from bench.track.artifacts import FOLDER, VARIABLE, files_folder, first_name, local, plain_files
from bench.track.attempt import begin
from bench.track.delivery import NotTaken
from bench.track.index import Row
from bench.track.lease import Lease, LeaseLost, Leases
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.rows import counts, odd_because
from bench.track.spool import Spool
from bench.track.store import ENDED, Store, record_of

NAME = 250  # letters of a run's name


@dataclass
class Brought:
    """What an import did.

    Attributes:
        new: runs that were brought.
        known: runs that the store had already.
        elsewhere: points that somebody else is bringing or running at this moment.
        refused: runs, or whole experiments, that are left out, and why.
    """

    new: int = 0
    known: int = 0
    elsewhere: int = 0
    refused: list[str] = field(default_factory=list)


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
        try:
            checked_name(name, "the experiment")
        except RequestError as error:
            brought.refused.append(f"{len(rows)} runs: {error}")
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
    there = [r for r in target.rows(name, values=False) if counts(r)]
    finished = {r.tags["run_key"] for r in there if "run_key" in r.tags and r.status == "FINISHED"}
    copied = {r.tags.get("outcome") for r in there if r.status in ENDED}
    before = {r.run_id for r in there}
    for row in rows:
        try:
            _believe(row)
        except Unbelievable as error:
            brought.refused.append(f"{name}, run {row.run_id[:32]!r}: {error}.")
            continue
        if row.tags["run_key"] in finished or row.tags.get("outcome", "-") in copied:
            brought.known += 1
            continue
        replaced = leases.known.get(row.tags["run_key"])
        if leases.owner_of(row.tags["run_key"]) is not None or not leases.take(row.tags["run_key"]):
            brought.elsewhere += 1
            continue
        say(f"{name}: {row.tags.get('mlflow.runName', row.run_id)}")
        try:
            new = _deliver(source, target, row, name, spool.of(name), leases, replaced, before)
        except Unbelievable as error:
            leases.end(row.tags["run_key"], "interrupted")
            brought.refused.append(f"{name}, run {row.run_id[:32]!r}: {error}.")
            continue
        except LeaseLost:
            leases.lose(row.tags["run_key"])
            brought.elsewhere += 1
            continue
        finished |= {row.tags["run_key"]} if row.status == "FINISHED" else set()
        before.add(new)
        brought.new += bool(new)
        brought.known += not new


def _deliver(
    source: Store, target: Store, row: Row, experiment: str, spool: Spool,
    leases: Leases, replaced: Lease | None, before: Collection[str],
) -> str:  # fmt: skip
    """Bring one run whose point is taken; its id here, or "" where somebody else was faster.

    Raises:
        LeaseLost: when somebody took the point over, as this process was suspended.
        Unbelievable: for a run that cannot be one of ours.
    """
    key, name = row.tags["run_key"], row.tags.get("mlflow.runName") or row.run_id
    place = spool.find_sealed(key) or _to_spool(source, row, experiment, spool)
    tags = {"sweep": row.tags.get("sweep", "")[:NAME], "seed": row.tags.get("seed", "0")}
    begun = ""
    try:
        found = begin(target, leases, key, replaced, experiment, name[:NAME], tags, before, look=True)
        if isinstance(found, Record):
            Spool.clear(place)
            return ""
        begun = found
        spool.lend(key, leases.mine[key], begun)
        delivered = target.deliver(place)
    except LeaseLost:
        Spool.clear(place)  # it is still where it came from
        raise
    except (NotTaken, LookupError, ValueError, OverflowError, TypeError) as error:  # its names, its curves
        if begun:
            target.remove(begun)
        Spool.clear(place)
        raise Unbelievable(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from None
    leases.end(key, row.tags["status"])
    return delivered


def _to_spool(source: Store, row: Row, experiment: str, spool: Spool) -> Path:
    """A run of another store as a sealed outcome in the spool."""
    files = own_files(source, row.run_id, experiment)
    size, free = sum(file.lstat().st_size for file in files), free_bytes(spool.root)
    if 2 * size > free:  # in the spool and in the store; a file of holes says any size
        raise Unbelievable(f"its files take {size >> 20:,} MiB twice, and {free >> 20:,} are free here")
    folder = spool.folder(row.tags["run_key"])
    for file in files:
        shutil.copyfile(file, folder / file.name, follow_symlinks=False)
    name = (row.tags.get("mlflow.runName") or row.run_id)[:NAME]
    return spool.put(record_of(row), name, experiment, row.tags.get("outcome"))


def own_files(source: Store, run_id: str, experiment: str) -> list[Path]:
    """A run's files, from the store's own place only, and never through links.

    What a store says about where its files lie is not believed where that is a folder of this machine: a store that
    somebody sent could name any.

    Raises:
        RequestError: when they are not there.
        Unbelievable: when they are said to lie elsewhere.
    """
    database = sqlite_file(source.uri)
    if database is not None:
        root = database.parent.resolve() / FOLDER
        place = source.place_of(run_id)[1].removesuffix(f"/{run_id}/artifacts")
        name = first_name(place, experiment) or experiment
        folder = files_folder(database, name, run_id)
        if folder.is_dir() and folder.resolve() == root / name / run_id / "artifacts":
            return list(plain_files(folder))
        raise RequestError(
            f"The files of run {run_id} ({experiment}) are not in {folder}.\n"
            "Copy the folder 'mlartifacts' that lies beside the database too, and put it beside it here."
        )
    address = source.place_of(run_id)[1]
    if local(address) is not None:
        allowed = os.environ.get(VARIABLE)
        folder = Path(local(address) or "")
        if not allowed or not folder.resolve().is_relative_to(Path(allowed).resolve()):
            raise Unbelievable(
                f"its files are said to lie in {folder}. Where that is a folder of this machine and the "
                f"store is yours, set {VARIABLE} to a folder that holds it"
            )
        return list(plain_files(folder))
    _own_place(address, source.uri)
    try:
        return list(plain_files(source.artifacts(run_id)))
    except OSError as error:
        raise RequestError(f"The files of run {run_id} ({experiment}) cannot be read: {error}") from None


def _own_place(address: str, uri: str) -> None:
    """See that files elsewhere lie where the store keeps its own: MLflow would fetch them with this user's credentials.

    Raises:
        Unbelievable: for another host, a bucket that nobody named, or a way up out of either.
    """
    parts, server, named = urlsplit(address), urlsplit(uri), os.environ.get(VARIABLE, "")
    same = not parts.netloc or (parts.hostname, parts.port) == (server.hostname, server.port)
    served = parts.scheme == "mlflow-artifacts" and same and uri.startswith("http")
    ours = urlsplit(named).scheme not in ("", "file") and address.startswith(f"{named.rstrip('/')}/")
    if ".." in unquote(unquote(parts.path)).split("/") or not (served or ours):
        raise Unbelievable(
            f"its files are said to lie in {redact(address)[:200]}, which is no place of the store's own. Where it is, "
            f"set {VARIABLE} to the address that holds it"
        )


class Unbelievable(Exception):
    """A run that is left out of an import, and why; the others go on."""


def _believe(row: Row) -> None:
    """A run's tags, before anything of it becomes a path or a number here.

    Raises:
        Unbelievable: for what no run of ours says.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", row.tags["run_key"]):
        raise Unbelievable(f"its run key is {row.tags['run_key'][:80]!r}, which is no SHA-256")
    if not re.fullmatch(r"[0-9a-f]{32}", row.run_id):
        raise Unbelievable(f"its id is {row.run_id[:80]!r}, which is none of MLflow's")
    if reason := odd_because(row):
        raise Unbelievable(reason)
