"""What is done already: in the store, and in the records that somebody committed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.analysis.artifacts import Reader, read_kept, read_stored
from bench.analysis.naming import key
from bench.analysis.predictions import read_predictions
from bench.analysis.selection import was_tuning
from bench.report import seal
from bench.report.seal import faults
from bench.schema.errors import RequestError
from bench.schema.sweep import CONFIRM, Sweep
from bench.sweep.launch_result import LaunchResult
from bench.sweep.plan import Point
from bench.track.record import Record, read_csv
from bench.track.store import Store
from bench.track.unavailable import StoreUnavailable


@dataclass
class Completed:
    """Ended points of a plan, by run key.

    Attributes:
        stored: from the store, finished or failed.
        committed: finished ones that only the committed records have.
        complete: whether the store was asked after all that was done here.
    """

    stored: dict[str, Record] = field(default_factory=dict)
    committed: dict[str, Record] = field(default_factory=dict)
    complete: bool = True

    @property
    def found(self) -> dict[str, Record]:
        """Both, the store's first."""
        return {**self.committed, **self.stored}

    def ended(self, retry: bool) -> dict[str, Record]:
        """What has ended and is not to be run again; `retry`: what failed is."""
        return {key: r for key, r in self.found.items() if r.status == "finished" or not retry}

    def with_status(self, planned: Sequence[Point], status: str) -> list[Point]:
        """The planned points that ended so."""
        return [p for p in planned if p.key in self.found and self.found[p.key].status == status]

    def reader(self, title: str, store: Store) -> Reader:
        """Reads the files of these runs: from the store, or from what the report kept beside committed records."""
        here, beside = read_stored(store), committed_files(records_file(title).parent)
        return lambda run, name: (beside if run.key in self.committed else here)(run, name)


def committed_files(folder: Path) -> Reader:
    """Reads what the report kept of runs beside their records, for those that no store here has."""
    return read_predictions(folder, read_kept(folder))


def records_file(title: str) -> Path:
    """Where the records of a sweep are committed: `results/<title>/records.csv` in the working directory."""
    return Path("results") / title / "records.csv"


def find_completed(planned: Sequence[Point], title: str, store: Store | None, fresh: bool = False) -> Completed:
    """What is known of the planned points; with `fresh` committed records do not count. No store knows nothing.

    Fresh seeds (`--confirm`) judge what the sweep's own tuning runs chose: with the same tuning seeds those would only
    say the same again.

    Raises:
        RequestError: when the committed records are damaged.
    """
    keys = {p.key for p in planned}
    judged = {p.key for p in planned if not p.tuning}
    stored = store.find(keys, title) if store is not None else {}
    committed: dict[str, Record] = {}
    if not fresh and records_file(title).is_file():
        for record in read_csv(records_file(title)):
            whole = record.key not in judged or not was_tuning(record)
            if record.key in keys and record.status == "finished" and whole and _is_unfinished(stored.get(record.key)):
                committed[record.key] = record
                stored.pop(record.key, None)
    # Where nothing of the folder counts, what became of it does not matter; nor ever what is made from its sources.
    if committed and (changed := _changed_sources(records_file(title).parent)):
        raise RequestError(
            f"{records_file(title).parent} was changed {changed}, so that its records "
            "count for nothing. Restore it, or say --fresh to run what it holds again."
        )
    before, tuning = title.removesuffix(CONFIRM), [p for p in planned if p.tuning]
    if before != title and tuning:
        theirs = find_completed(tuning, before, store, fresh)
        stored, committed = {**theirs.stored, **stored}, {**theirs.committed, **committed}
    return Completed(stored, committed)


def _changed_sources(folder: Path) -> str:
    """When and what was edited of what a results folder is made from; "" for nothing; no digest is no edit."""
    found = [fault for fault in faults(folder) if not fault.startswith(f"{seal.FILE}: missing")]
    for when, edits in (
        ("after it was written", [fault for fault in found if fault.startswith(seal.SOURCES)]),
        ("before it was written", seal.edited_before(folder)),  # 'bench table --records' writes that with a stamp
    ):
        if edits:
            return f"{when} ({edits[0]})"
    return ""


def ended_runs(sweep: Sweep, title: str, store: Store | None) -> list[Record]:
    """Ended runs of a sweep's axes by the store and the committed records, each point and seed once, for a forecast."""
    records = read_csv(records_file(title)) if records_file(title).is_file() else []
    records += store.records(title) if store is not None else []
    found = {
        (key(r.axes, list(sweep.axes)), r.seed): dataclasses.replace(r, sweep=sweep.name)
        for r in records
        if set(r.axes) == set(sweep.axes)
    }
    return list(found.values())


def completed_after(
    planned: Sequence[Point], before: Completed, outcome: LaunchResult, title: str, store: Store, fresh: bool,
    say: Callable[[str], None],
) -> Completed:  # fmt: skip
    """What is known after a launch: by the store, or where that has gone away by what was seen from here."""
    if not outcome.undelivered and not outcome.cut:
        try:
            return find_completed(planned, title, store, fresh)
        except StoreUnavailable as error:
            say(str(error))
    ended = {r.key: r for r in [*outcome.ran, *outcome.elsewhere]}
    return Completed({**before.stored, **ended}, before.committed, complete=False)


def _is_unfinished(record: Record | None) -> bool:
    return record is None or record.status != "finished"
