"""The list of runs as columns of plain values, and what each left behind: all that page.js shows of single runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.analysis import artifacts
from bench.analysis.frame import value
from bench.analysis.naming import axis
from bench.analysis.selection import is_tuning
from bench.report.evidence import Evidence
from bench.report.pages import single_run
from bench.schema.label import canonical_text, show
from bench.schema.metric import metric
from bench.schema.sweep import Sweep, names
from bench.track.record import Record

LISTED = 20_000  # more are in records.csv only
STATIC = 200  # so many stand in the page itself, for those without JavaScript
WITH_FILES = 500  # of so many runs what they left behind travels with the page


def listing(evidence: Evidence) -> dict[str, Any]:
    """What page.js needs to list the runs and to show each one's evidence.

    Returns:
        columns: [{head, values, names?, digits?, field?}]; `values` index `names` where there are any; `field` columns
            have filters of their own, `extra` ones show in comparisons only.
        order: in which the runs are listed, those that were read for choosing only last; absent: as they come.
        seed, key, run_id, reason, status, command, commit: one entry a run, the last three as indices into
            status_names, command_names (without the seed) and commit_names.
        settings: [name, names, values]: the settings in which runs differ, those of the axes first.
        files: run -> what it left behind (`single_run.left_behind`).
    """
    sweep, records = evidence.sweep, evidence.records[:LISTED]
    columns = []
    for name in dict.fromkeys(name for record in records for name in record.axes):
        columns.append({"head": axis(name), "field": True, **_encode([r.axes.get(name) for r in records])})
    columns.append({"head": "seed", "field": True, **_encode([r.seed for r in records])})
    status = _encode([r.status for r in records])
    columns.append({"head": "status", "status": True, "field": True, **status})
    shown = list(dict.fromkeys([*names(sweep.table.metric if sweep.table else "test/accuracy"), "val/accuracy"]))
    shown += ["cost/fit_seconds"] if "cost/fit_seconds" not in shown else []
    for name in shown:
        columns += _numbers(records, name)
    for name in sorted({n for r in records for n in (*r.metrics, *r.costs) if not n.startswith("corrupt/")}):
        if name not in shown:
            columns += [{**one, "extra": True} for one in _numbers(records, name)]
    words = [single_run.run_words(evidence, r) for r in records]
    command = _encode([single_run.quote_command(w[:-1]) if w else None for w in words])
    commit = _encode([r.provenance.get("git_commit") for r in records])
    reader = artifacts.read_kept(evidence.folder)
    kept = {i: single_run.left_behind(r, reader) for i, r in enumerate(records)} if len(records) <= WITH_FILES else {}
    tuning = [i for i, r in enumerate(records) if is_tuning(sweep, r.seed)]
    judged = sorted(set(range(len(records))) - set(tuning))
    return {
        "columns": columns,
        **({"order": [*judged, *tuning]} if tuning else {}),
        "seed": [r.seed for r in records],
        "key": [r.key for r in records],
        "run_id": [r.run_id for r in records],
        "reason": [r.reason for r in records],
        "status": status["values"],
        "status_names": status["names"],
        "command": command["values"],
        "command_names": command["names"],
        "commit": commit["values"],
        "commit_names": commit["names"],
        "repository": evidence.manifest.get("context", {}).get("repository", ""),
        "settings": settings(sweep, records),
        "files": {i: files for i, files in kept.items() if files},
    }


def static(listed: dict[str, Any]) -> dict[str, Any]:
    """The first runs as text, for readers without JavaScript: heads and rows."""
    columns = [c for c in listed["columns"] if not c.get("extra")]

    def cell(column: dict[str, Any], i: int) -> str:
        found = column["values"][i]
        if found is None:
            return "–"
        return str(column["names"][found]) if "names" in column else f"{found:,.{column['digits']}f}"

    rows = [[cell(column, i) for column in columns] for i in listed.get("order", range(len(listed["seed"])))[:STATIC]]
    return {"heads": columns, "rows": rows, "count": len(listed["seed"])}


def settings(sweep: Sweep, records: Sequence[Record]) -> list[list[Any]]:
    """[name, values as shown, index into them by run] for each setting that is not the same in every run."""
    out = []
    for name in single_run.differing(sweep, records):
        coded = _encode([record.config.get(name) for record in records], empty=[not r.config for r in records])
        out.append([name, coded["names"], coded["values"]])
    return out


def shared_settings(records: Sequence[Record]) -> dict[str, str]:
    """The settings that are the same in every run that has a configuration."""
    configured = [r.config for r in records if r.config]
    if not configured:
        return {}
    first = configured[0]
    return {
        name: show(first[name])
        for name in sorted(first)
        if name != "seed"
        and all(name in c and canonical_text(c[name]) == canonical_text(first[name]) for c in configured)
    }


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers as text: `0-9 12`."""
    out: list[list[int]] = []
    for n in sorted(numbers):
        if out and n == out[-1][1] + 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return " ".join(f"{a}-{b}" if b > a else str(a) for a, b in out)


def _encode(values: Sequence[Any], empty: Sequence[bool] = ()) -> dict[str, Any]:
    """Values as indices into the list of different ones; None where there is nothing to show."""
    names: dict[str, int] = {}
    codes = []
    for i, item in enumerate(values):
        nothing = empty[i] if empty else item is None
        codes.append(None if nothing else names.setdefault(show(item), len(names)))
    return {"names": list(names), "values": codes}


def _numbers(records: Sequence[Record], name: str) -> list[dict[str, Any]]:
    """One column of shown numbers; none where no run has them."""
    described = metric(name)
    found = [value(r, name) for r in records]
    if all(v is None for v in found):
        return []
    exact = [v * described.factor if v is not None and math.isfinite(v) else None for v in found]
    largest = max((abs(v) for v in exact if v is not None), default=0.0)
    digits = {"%": 2, "s": 1}.get(described.unit)
    if digits is None:
        whole = all(v is None or float(v).is_integer() for v in exact)  # counts have no decimals
        digits = 0 if whole else 4 if largest < 10 else 2 if largest < 1000 else 0
        if 0 < largest < 0.01:  # four digits of it: runs would look alike that are not
            digits = 3 - math.floor(math.log10(largest))
    shown = [None if v is None else round(v, max(4, digits)) for v in exact]
    return [{"head": described.label, "values": shown, "digits": digits}]
