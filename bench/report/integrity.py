"""Do the files of a results folder agree with each other? What a changed number would contradict.

Three witnesses: records.csv, the values by seed in manifest.json, and the table that follows from the records.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from pathlib import Path
from typing import Any

from bench.analysis import artifacts, predictions, whole_images
from bench.analysis.naming import point
from bench.analysis.registered import broken_promises
from bench.report import seal
from bench.report.evidence import MANIFEST, Evidence, context
from bench.report.writing import texts
from bench.schema.label import canonical_text
from bench.track.record import Record

TEXTS = (".md", ".csv", ".tex", ".html", ".json")
MOST = 20  # contradictions that are listed


def faults(evidence: Evidence) -> list[str]:
    """Every contradiction, one line each, the most exact first; at most MOST and a line that counts the rest."""
    reader = predictions.read_predictions(evidence.folder, artifacts.read_kept(evidence.folder))
    found = [*_records(evidence), *whole_images.faults(evidence.records, reader), *_files(evidence, reader)]
    found += broken_promises(evidence.sweep, evidence.records, context(evidence.manifest))
    named = {fault.partition(":")[0].partition(",")[0] for fault in found}
    found += [fault for fault in evidence.changed if fault.partition(":")[0] not in named]
    return found if len(found) <= MOST else [*found[:MOST], f"... and {len(found) - MOST} more"]


def page_faults(results: Path) -> list[str]:
    """What is no longer as 'bench report' wrote it of the pages above all sweeps; nothing where there are none.

    Apart from `faults`: who makes these pages anew, as 'bench publish' does, need not mind what they were.
    """
    if not any((results / name).is_file() for name in (seal.FILE, "site.css", "options.html")):
        return []
    return [f"{results.resolve().name}/{fault}" for fault in seal.faults(results, ("README.md", "index.html"))]


def _records(evidence: Evidence) -> list[str]:
    """records.csv against the manifest, value by value."""
    points = {_place(p["axes"]): p for p in evidence.manifest["points"]}
    out, seen = [], set()
    for record in evidence.records:
        place = _place(record.axes)
        where = f"{point(record.axes)}, seed {record.seed}"
        runs = [r for r in points.get(place, {}).get("runs", []) if r.get("seed") == record.seed]
        if not runs:
            out.append(f"{where}: in records.csv, but not in {MANIFEST}")
            continue
        seen.add((place, record.seed))
        out += [f"{where}: {text}" for text in _unequal(record, runs[0], evidence, points[place]["config"])]
    for place, known in points.items():
        for run in known["runs"]:
            if (place, run.get("seed")) not in seen:
                out.append(f"{point(known['axes'])}, seed {run.get('seed')}: in {MANIFEST}, not in records.csv")
    return out


def _unequal(record: Record, run: dict[str, Any], evidence: Evidence, own: dict[str, Any]) -> list[str]:
    pairs: list[tuple[str, Any, Any]] = [
        ("status", record.status, run.get("status")),
        ("run id", record.run_id, run.get("run_id", "")),
        ("run key", record.key, run.get("key", "")),
    ]
    for mine, kept in ((record.metrics, run.get("metrics", {})), (record.costs, run.get("costs", {}))):
        pairs += [(name, mine.get(name), kept.get(name)) for name in sorted(mine.keys() | kept.keys())]
    if record.config:
        kept = {**evidence.manifest["config"], **own}
        mine = {k: v for k, v in record.config.items() if k != "seed"}
        pairs += [(n, mine.get(n), kept.get(n)) for n in sorted(mine.keys() | kept.keys()) if n != "seed"]
    return [f"{n} is {a} in records.csv and {b} in {MANIFEST}" for n, a, b in pairs if not _equal(a, b)]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    return a == b or (a is not None and b is not None and canonical_text(a) == canonical_text(b))


def _files(evidence: Evidence, reader: artifacts.Reader) -> list[str]:
    """Each file against its checksum, and against what the records give now."""
    out = predictions.faults(evidence.records, reader)
    fresh = texts(evidence.sweep, evidence.records, context(evidence.manifest), reader).files
    for name, digest in sorted(evidence.manifest.get("files", {}).items()):
        path = evidence.folder / name
        if not path.is_file():
            out.append(f"{name}: in {MANIFEST}, but not in the folder")
            continue
        body = path.read_bytes()
        # A checkout may have changed the ends of lines; that is no change of content.
        intact = digest in {hashlib.sha256(b).hexdigest() for b in (body, body.replace(b"\r\n", b"\n"))}
        if path.suffix in TEXTS and isinstance(text := fresh.get(name), str):
            changes = _changes(name, body.decode("utf-8", "replace"), text)
            out += changes
            intact = intact or bool(changes)
        if not intact:
            out.append(f"{name}: not the file that was written (SHA-256 differs from the one in {MANIFEST})")
    return out


def _changes(name: str, kept: str, fresh: str) -> list[str]:
    if name == "table.csv":
        return _cells(name, kept, fresh)
    if name.endswith((".csv", ".json")):
        return []  # the records themselves, and files that figures are drawn from
    out = []
    one, other = kept.splitlines(), fresh.splitlines()
    for i in range(max(len(one), len(other))):
        a, b = (lines[i].strip() if i < len(lines) else "" for lines in (one, other))
        if a != b:
            out.append(f"{name}, line {i + 1}: “{_short(a, b)}”, but the records give “{_short(b, a)}”")
    return out[:3]


def _cells(name: str, kept: str, fresh: str) -> list[str]:
    """Cells of two tables with the same columns, by the row's first cells."""
    one, other = (list(csv.DictReader(io.StringIO(text))) for text in (kept, fresh))
    if len(one) != len(other):
        return [f"{name}: {len(one)} rows, but the records give {len(other)}"]
    out = []
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        for column in b:
            if a.get(column) != b[column]:
                found = a.get(column, "missing")
                out.append(f"{name}, line {i + 2}: {column} is {found}, but the records give {b[column]}")
    return out


def _short(text: str, other: str) -> str:
    """The part of a line around its first difference from another."""
    start = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    begin = max(0, start - 40)
    return ("…" if begin else "") + text[begin : start + 40] + ("…" if start + 40 < len(text) else "")


def _place(axes: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, canonical_text(v)) for name, v in axes.items()))
