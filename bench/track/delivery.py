"""Bringing sealed outcomes from the spool into the store, each whole and once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.schema.errors import RequestError
from bench.schema.label import dataset_name
from bench.track.artifacts import clear_parts, plain_files
from bench.track.attempt import attempt_of
from bench.track.index import Row
from bench.track.lease import LeaseLost
from bench.track.locks import lock
from bench.track.pieces import CUT, PARAMETER, TAG, cut
from bench.track.record import Record, parse_json
from bench.track.rows import ENDED, counts
from bench.track.spool import OUTCOME, Spool
from bench.track.sweep_runs import SweepRuns
from bench.track.unavailable import store_errors

DIGEST = 36  # letters of a data set's digest that MLflow takes
# How PostgreSQL, SQLite, MySQL and SQL Server say that a row is there already.
TWICE = ("duplicate key", "UNIQUE constraint failed", "Duplicate entry", "PRIMARY KEY constraint")
BATCH = 900  # a request takes at most 1,000 metrics


class NotTaken(RequestError):
    """An outcome with something that MLflow refuses: a name of a metric, say."""


def deliver(store: SweepRuns, place: Path, fresh: bool = False) -> str:
    """Log an outcome into its run, mark that as ended and forget the outcome; returns the MLflow run id.

    Delivering twice, by two processes at once, or again after a kill in the middle, is harmless: the outcome goes
    into the run that its lease names, or into one of its own, never into one that another outcome may go into; its
    values carry the time of its seal, so that writing them again changes nothing; and a finished run of the same key is
    left as it is, unless `fresh` adds another.

    Raises:
        FileNotFoundError: when another process has delivered it before this one could read it.
        Held: when another one delivers it, and does not come to an end.
        LeaseLost: when the point has been taken over since this outcome was begun; it stays where it is.
        StoreUnavailable: when the store does not answer; the outcome stays where it is.
    """
    record, meta = Spool.read(place)
    with ExitStack() as held:
        try:
            held.enter_context(lock(place / ".lock"))
        except FileNotFoundError:  # the folder went away in this moment
            return _run_of(store, record, meta)
        if not (place / OUTCOME).exists():  # another process has just delivered it
            Spool.clear(place)
            return _run_of(store, record, meta)
        return _deliver(store, place, record, meta, fresh)


def _deliver(store: SweepRuns, place: Path, record: Record, meta: dict[str, Any], fresh: bool) -> str:
    """The same, for whoever holds the lock."""
    experiment = store.experiment(meta["experiment"])
    # An ended run whose tags somebody broke counts for nobody: it neither holds this outcome nor takes it.
    earlier = [r for r in store.runs_of_key(record.key, experiment) if r.status not in ENDED or counts(r)]
    same = [r for r in earlier if r.tags.get("outcome") == meta["id"]]
    if not same and not fresh:
        same = [r for r in earlier if r.status == "FINISHED"]
    ended = next((r for r in same if r.status in ENDED), None)
    # The lease of another store says nothing here: somebody moves the outcome by hand.
    here = Spool.store_of(place) in ("", store.address)
    lease = Spool.lease(place) if here and not fresh else None
    if ended is None:
        run_id = _run_for(store, record, meta, lease, same if fresh else earlier)
        with fence(record):
            _log(store, run_id, record, meta, place)
            if record.status == "finished" and lease is None and not fresh:
                run_id = _finish_one(store, record, meta["experiment"], run_id)
            else:
                store.mark(run_id, "FINISHED" if record.status == "finished" else "FAILED")
    else:
        run_id = ended.run_id
        for run in earlier:  # begun for this outcome, which is not needed any more
            ours = lease is not None and run.run_id == lease[1] and attempt_of(run) <= lease[0]
            if ours and run.status not in ENDED:
                store.remove(run.run_id)
    Spool.clear(place)
    return run_id


def _run_for(
    store: SweepRuns, record: Record, meta: dict[str, Any], lease: tuple[int, str] | None, earlier: list[Row]
) -> str:
    """The run that an outcome goes into: that of its lease, or without one its own, which carries its id.

    Others may deliver outcomes of the same key at this moment, from other machines.

    Raises:
        LeaseLost: when there is a later attempt, or the lease's run was deleted for one.
    """
    begun = [r for r in earlier if r.status not in ENDED]
    if lease is None:
        mine = [r.run_id for r in begun if r.tags.get("outcome") == meta["id"]]
        return mine[0] if mine else _start(store, record, meta)
    attempt, run_id = lease
    if run_id not in {r.run_id for r in begun} or any(attempt_of(r) > attempt for r in earlier):
        raise _lease_lost(record)
    return run_id


def _finish_one(store: SweepRuns, record: Record, experiment: str, mine: str) -> str:
    """Mark one run of a key as finished, and remove ours where another machine has delivered the same meanwhile.

    Runs without a sweep have no lease: folders that share a store may run the same at once. A parameter that is written
    once names the run that counts. Whoever is named has brought all but its status: whoever finds it marks it.
    """
    lease_run = store.lease_run(experiment)
    store.revive(lease_run)
    chosen, number = mine, 1
    while not store.set_once(lease_run, name := f"only/{record.key}/{number}", mine):
        named = store.param(lease_run, name)
        rows = store.runs_of_key(record.key, store.experiment(experiment))
        if any(r.run_id == named and (r.status not in ENDED or counts(r)) for r in rows):
            chosen = str(named)
            break
        number += 1  # somebody has deleted that one since
    store.mark(chosen, "FINISHED")
    if chosen != mine:
        store.remove(mine)
    return chosen


@contextmanager
def fence(record: Record) -> Iterator[None]:
    """A run that was deleted in the middle of a delivery belonged to an attempt that somebody has taken over.

    Raises:
        LeaseLost: then.
        NotTaken: for anything else that MLflow refuses.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if "must be in the 'active' state" not in str(error):
            raise NotTaken(f"MLflow does not take run {record.key[:12]}: {str(error).splitlines()[0][:200]}") from None
        raise _lease_lost(record) from None


def _lease_lost(record: Record) -> LeaseLost:
    return LeaseLost(f"Run {record.key[:12]} was taken over by another launch: this outcome of it does not count.")


def _run_of(store: SweepRuns, record: Record, meta: dict[str, Any]) -> str:
    return store.runs_of_key(record.key, store.experiment(meta["experiment"]))[-1].run_id


def _start(store: SweepRuns, record: Record, meta: dict[str, Any]) -> str:
    tags = {"run_key": record.key, "outcome": meta["id"]}
    parent = store.parent(meta["experiment"]) if record.sweep else None
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    return store.start(meta["experiment"], meta["name"], tags, float(record.provenance.get("started", meta["sealed"])))


def _log(store: SweepRuns, run_id: str, record: Record, meta: dict[str, Any], place: Path) -> None:
    from mlflow.entities import Metric, Param, RunTag

    sealed = int(float(meta["sealed"]) * 1000)
    metrics = [Metric(name, value, sealed, 0) for name, value in {**record.metrics, **record.costs}.items()]
    curves = place / "curves.csv"
    if curves.exists():
        header, *rows = (line.split(",") for line in curves.read_text().splitlines())
        for row in rows:
            values = dict(zip(header, map(float, row), strict=True))
            step = int(values.pop("epoch"))
            metrics += [Metric(f"epoch/{name}", value, sealed, step) for name, value in values.items()]
    texts = {name: _text(value) for name, value in record.config.items()}
    tags = {
        "outcome": meta["id"],
        "status": record.status,
        "sweep": record.sweep,
        "seed": str(record.seed),
        "reason": record.reason,
        "axes": json.dumps(record.axes),
        **record.provenance,
    }
    # What MLflow's pages show as source and as data.
    tags |= {"mlflow.source.name": f"bench {f'sweep {record.sweep}' if record.sweep else 'run'}"}
    tags |= {"mlflow.source.type": "LOCAL"}
    if "git_commit" in record.provenance:
        tags["mlflow.source.git.commit"] = record.provenance["git_commit"]
    pieces, labels = cut(texts, PARAMETER), cut({name: value for name, value in tags.items() if value != ""}, TAG)
    if len(pieces) + len(labels) > len(texts) + sum(value != "" for value in tags.values()):
        labels[CUT] = "true"
    params = [Param(name, text) for name, text in pieces.items()]
    entries = [RunTag(name, text) for name, text in labels.items()]
    with store_errors(store.uri):
        for start in range(0, max(len(metrics), 1), BATCH):
            first = start == 0
            store.client.log_batch(
                run_id,
                metrics[start : start + BATCH],
                params if first else [],
                entries if first else [],
                synchronous=True,
            )
        if inputs := _inputs(record):
            _log_inputs(store, run_id, inputs)
    # An earlier attempt at this delivery may have been killed in the middle of a file; the lock keeps others out.
    if (folder := store.files_of(run_id)) is not None:
        clear_parts(folder)
    store.add_files(run_id, (p for p in plain_files(place) if p.name != OUTCOME))


def _log_inputs(store: SweepRuns, run_id: str, inputs: list[Any]) -> None:
    """Log the data set, which all runs of an experiment share.

    MLflow looks for its row, then adds it: of two jobs that do so at once the database refuses one, which finds the
    other's row when it looks again.
    """
    from mlflow.exceptions import MlflowException

    try:
        store.client.log_inputs(run_id, datasets=inputs)
    except MlflowException as error:
        if not any(sign in str(error) for sign in TWICE):
            raise
        store.client.log_inputs(run_id, datasets=inputs)


def _inputs(record: Record) -> list[Any]:
    """The data set of a run as MLflow's pages know data sets, with its digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = record.provenance.get("data_fingerprint")
    if not digest:
        return []
    source = str(record.config.get("dataset.source") or "dataset")
    name = dataset_name(record.config)[:500] or source
    data = Dataset(name=name, digest=digest[:DIGEST], source_type="imagebench", source=json.dumps({"source": source}))
    return [DatasetInput(dataset=data, tags=[InputTag("mlflow.data.context", "train, val and test")])]


def _text(value: Any) -> str:
    """A setting as MLflow shows it; a word that would be read back as a number ("32") keeps its quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        parse_json(value)
    except ValueError:
        return value
    return json.dumps(value)
