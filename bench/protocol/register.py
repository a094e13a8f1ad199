"""The log of a sweep: which claims and seeds were planned at each launch, and each look at the verdicts.

It is written before anything runs, line by line and never rewritten, into results/NAME/protocol.jsonl and, one
parameter a line, which a store never changes, into the sweep's parent run. Each line holds the checksum of the one
before it. Who deletes both starts anew, which no tool on that machine can see.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.disk import disk_errors, write_atomically
from bench.track.locks import lock
from bench.track.provenance import code_version
from bench.track.record import parse_json
from bench.track.spool import state_folder

if TYPE_CHECKING:
    from bench.track.store import Store

FILE = "protocol.jsonl"
PARAMETER = "protocol."  # of the parent run, and a number
ROOM = 5000  # characters of a parameter


def log_file(title: str, results: Path = Path("results")) -> Path:
    """Where the log of a sweep is."""
    return results / title / FILE


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a log, oldest first; those that are no JSON are left out (`broken` names them)."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = parse_json(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") in ("launch", "look"):
            out.append(entry)
    return out


def find_breaks(path: Path) -> list[str]:
    """Where the chain of checksums does not hold: a line was edited, removed or put in."""
    before, out = "", []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], 1):
        try:
            entry = parse_json(line)
            if not isinstance(entry, dict) or entry.get("previous") != before:
                out.append(f"{FILE}, line {number}: not what followed the line before it")
        except ValueError:
            out.append(f"{FILE}, line {number}: not JSON")
        before = _checksum(line)
    return out


def append(path: Path, entry: dict[str, Any]) -> None:
    """Add a line that holds the checksum of the last one; an entry of another copy keeps its time and commit."""
    with _alone():
        _append(path, entry)


def _append(path: Path, entry: dict[str, Any]) -> None:
    """The same, for whoever holds the lock."""
    commit, dirty = code_version()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    whole = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit + ("+" if dirty == "true" else ""),
        **entry,
        "previous": _checksum(lines[-1]) if lines else "",
    }
    # Whole or not at all: half a line, of a full disk, would swallow the next one.
    write_atomically(path, "".join(f"{line}\n" for line in (*lines, json.dumps(whole, sort_keys=True))))


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other launches of this folder from adding a line meanwhile: both would follow the same one."""
    state = state_folder()
    with disk_errors(state):
        state.mkdir(parents=True, exist_ok=True)
        with lock(state / "protocol.lock"):
            yield


def launch(
    path: Path, claims: str, seeds: Sequence[int], ended: int, planned: int, settings: Mapping[str, Any] | None = None,
    stored: Iterable[dict] = (),
) -> bool:  # fmt: skip
    """Register a launch: claims' digest, planned seeds, how many of the runs had ended. False where nothing is new.

    Args:
        settings: at which the claims are to be judged (`bench.analysis.looks`).
        stored: entries that the store remembers.
    """
    entry = {"event": "launch", "claims": claims, "seeds": list(seeds), "ended": ended, "planned": planned}
    if settings:
        entry["settings"] = json.loads(json.dumps(settings, default=str))
    with _alone():
        known = [e for e in merge(read(path), stored) if e["event"] == "launch"]
        if settings:
            known = [e for e in known if e.get("settings") in (None, entry["settings"])]
        if known and all(known[-1][name] == entry[name] for name in ("claims", "seeds")):
            return False
        _append(path, entry)
    return True


def read_stored(store: Store | None, title: str) -> list[dict[str, Any]]:
    """The entries that a sweep's parent run holds."""
    parent = store.parent(title) if store is not None else None
    if store is None or parent is None:
        return []
    out = []
    for text in _join_pieces(store.params(parent)).values():
        try:
            out.append(parse_json(text))
        except ValueError:  # whoever wrote it was killed between two pieces; the folder has it whole
            continue
    return out


def publish(store: Store, title: str, path: Path) -> None:
    """Write the lines of a log that the parent run does not have yet into it, long ones in pieces."""
    entries = read(path)
    if not entries:
        return
    parent = store.parent(title, make=True)
    assert parent is not None
    known = _join_pieces(store.params(parent))
    number = len(known)
    for entry in entries:
        text = json.dumps(entry, sort_keys=True)
        if text in known.values():
            continue
        first, *rest = [text[i : i + ROOM] for i in range(0, len(text), ROOM)]
        while not store.set_once(parent, f"{PARAMETER}{number:04d}", first):
            number += 1  # another launch has written that one
        for k, piece in enumerate(rest, 1):
            store.set_once(parent, f"{PARAMETER}{number:04d}.{k:03d}", piece)
        number += 1


def _join_pieces(params: Mapping[str, str]) -> dict[str, str]:
    """Number -> entry, its pieces put together."""
    found: dict[str, str] = {}
    for name in sorted(name for name in params if name.startswith(PARAMETER)):
        number = name.removeprefix(PARAMETER).partition(".")[0]
        found[number] = found.get(number, "") + params[name]
    return found


def merge(*logs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of several copies of a log, each once, by time."""
    found: dict[str, dict[str, Any]] = {}
    for log in logs:
        for entry in log:
            found.setdefault(_content(entry), entry)
    return sorted(found.values(), key=lambda entry: str(entry.get("time", "")))


def unknown(entries: Iterable[dict[str, Any]], log: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that a log does not hold yet."""
    known = {_content(entry) for entry in log}
    return [entry for entry in entries if _content(entry) not in known]


def _content(entry: Mapping[str, Any]) -> str:
    """An entry but for its place in the chain, which is another one in each copy of a log."""
    return json.dumps({name: value for name, value in entry.items() if name != "previous"}, sort_keys=True)


def _checksum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
