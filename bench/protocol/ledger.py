"""The ledger of test looks: how often a test split was scored, and how often claims were judged on it.

It counts over the store in use, every store that this project has used before, and every committed result. What was
counted once stays counted: it is kept in the state folder, for stores that are away now and runs that were deleted.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.disk import write_atomically
from bench.protocol import register
from bench.schema.errors import RequestError
from bench.track.address import redact
from bench.track.spool import state_folder
from bench.track.store import existing
from bench.track.unavailable import StoreUnavailable

if TYPE_CHECKING:
    from bench.schema.experiment import Experiment
    from bench.track.store import Store

Scored = dict[str, set[str]]  # fingerprint of a test split -> run keys that scored it
SQLITE = "sqlite:///"
RESULTS = Path("results")


def looks(experiments: Sequence[Experiment], keys: Sequence[str]) -> dict[str, int]:
    """Data fingerprint -> how many runs, each counted once, are known to have scored its test split; makes no store.

    Sets that differ in the train split only have one test split, whose looks are added up.
    """
    tests = tests_of(experiments, keys)
    found = _everywhere(experiments[0].tracking.uri, tests)
    return {key: len(found.get(test, ())) for key, test in tests.items()}


def decisions(experiments: Sequence[Experiment], keys: Sequence[str], store: Store | None, title: str) -> int:
    """How often claims of other sweeps than `title` were judged on these test splits, by the logs of looks.

    Args:
        store: whose parent runs hold logs too; None for the committed ones alone.
    """
    wanted = set(tests_of(experiments, keys).values())
    names = {path.parent.name for path in RESULTS.glob(f"*/{register.FILE}")}
    names |= set(store.experiments()) if store is not None else set()
    count = 0
    for name in names - {title}:
        here = {test for test, _ in _read_results(RESULTS / name / "records.csv")}
        entries = register.merge(register.read(register.log_file(name)), register.read_stored(store, name))
        # Entries of earlier versions do not say on which images: then those of the records beside them.
        count += sum(e["event"] == "look" and bool(wanted & set(e.get("tests", here))) for e in entries)
    return count


def tests_of(experiments: Sequence[Experiment], keys: Sequence[str]) -> dict[str, str]:
    """Data fingerprint -> fingerprint of its test split."""
    from bench import data as images

    places = {key: (exp.dataset, exp.split) for exp, key in zip(experiments, keys, strict=True)}
    return {key: images.test_fingerprint(*place) for key, place in places.items()}


def _everywhere(uri: str | None, tests: Mapping[str, str]) -> Scored:
    known = _read_memory()
    store = existing(uri)
    for address in [*known, *([store.shown] if store is not None else [])]:
        try:
            mine = store if store is not None and store.shown == address else None
            # Servers are asked only while they are in use: their address here is without its password.
            mine = mine or (existing(address) if address.startswith(SQLITE) else None)
            found = _of_store(mine, tests) if mine is not None else {}
        except (RequestError, StoreUnavailable):
            continue
        for test, runs in found.items():
            known.setdefault(address, {}).setdefault(test, set()).update(runs)
    _remember(known)
    out: Scored = defaultdict(set)
    for one in known.values():
        for test, runs in one.items():
            out[test] |= runs
    for path in RESULTS.glob("*/records.csv"):
        for test, run in _read_results(path, tests):
            out[test].add(run)
    return out


def _of_store(store: Store, tests: Mapping[str, str]) -> Scored:
    out: Scored = defaultdict(set)
    for name in store.experiments():
        for row in store.rows(name, values=False):
            # Runs of before have no fingerprint of their test split.
            test = row.tags.get("test_fingerprint") or tests.get(row.tags.get("data_fingerprint", ""), "")
            if test and row.status == "FINISHED":
                out[test].add(_short(row.tags.get("run_key") or row.run_id))
    return out


def _read_results(path: Path, tests: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Test split and run of each finished row of a records.csv; none for a file that is not one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                test = row.get("prov.test_fingerprint") or (tests or {}).get(row.get("prov.data_fingerprint") or "", "")
                if test and row.get("status") == "finished":
                    yield test, _short(row.get("key") or row.get("run_id") or "")
    except (OSError, UnicodeDecodeError, csv.Error):
        return


def _short(run: str) -> str:
    return run[:16]


def _file() -> Path:
    return state_folder() / "ledger.json"


def _read_memory() -> dict[str, Scored]:
    """Address of each store, as it may be shown, and what it was known to hold."""
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
        return {store: {test: set(runs) for test, runs in found.items()} for store, found in content.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(known: Mapping[str, Scored]) -> None:
    content = {redact(s): {test: sorted(runs) for test, runs in found.items()} for s, found in known.items() if found}
    text = json.dumps(content, sort_keys=True)
    if content and (not _file().is_file() or _file().read_text(encoding="utf-8") != text):
        write_atomically(_file(), text)
