"""The list of runs as columns of plain values, compact enough for ten thousand of them on one page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.report.frame import value
from bench.report.naming import axis
from bench.schema.label import same, show
from bench.schema.metric import metric
from bench.schema.sweep import Sweep, names
from bench.track.record import Record

STORE_PAGE = "http://127.0.0.1:5000"  # where `bench ui` answers


def listing(sweep: Sweep, records: Sequence[Record]) -> dict[str, Any]:
    """What page.js needs to list the runs.

    Returns:
        columns: [{head, values, names?, digits?, searched?}]; `values` index `names` where there are any.
        seed, key, run_id, reason, status (index into status_names): one entry a run.
        settings: [name, names, values]: the settings in which runs differ.
    """
    columns = []
    axes = list(dict.fromkeys(name for record in records for name in record.axes))
    for name in axes:
        columns.append({"head": axis(name), "searched": True, **_coded([r.axes.get(name) for r in records])})
    columns.append({"head": "seed", "values": [r.seed for r in records], "searched": True})
    coded = _coded([r.status for r in records])
    columns.append({"head": "status", "status": True, "searched": True, **coded})
    for name in dict.fromkeys([*names(sweep.table.metric if sweep.table else "test/accuracy"), "val/accuracy"]):
        columns += _numbers(records, name, 2)
    columns += _numbers(records, "cost/fit_seconds", 1)
    return {
        "columns": columns,
        "seed": [r.seed for r in records],
        "key": [r.key[:16] for r in records],
        "run_id": [r.run_id for r in records],
        "reason": [r.reason for r in records],
        "status": coded["values"],
        "status_names": coded["names"],
        "settings": settings(records),
        "ui": STORE_PAGE,
    }


def settings(records: Sequence[Record]) -> list[list[Any]]:
    """[name, values as shown, index into them by run] for each setting that is not the same in every run."""
    out = []
    for name in sorted({name for record in records for name in record.config}):
        coded = _coded([record.config.get(name) for record in records], empty=[not r.config for r in records])
        if len(coded["names"]) > 1 and name != "seed":
            out.append([name, coded["names"], coded["values"]])
    return out


def shared(records: Sequence[Record]) -> dict[str, str]:
    """The settings that are the same in every run that has a configuration."""
    configured = [r.config for r in records if r.config]
    if not configured:
        return {}
    first = configured[0]
    return {
        name: show(first[name])
        for name in sorted(first)
        if name != "seed" and all(name in c and same(c[name]) == same(first[name]) for c in configured)
    }


def _coded(values: Sequence[Any], empty: Sequence[bool] = ()) -> dict[str, Any]:
    """Values as indices into the list of different ones; None where there is nothing to show."""
    names: dict[str, int] = {}
    codes = []
    for i, item in enumerate(values):
        nothing = empty[i] if empty else item is None
        codes.append(None if nothing else names.setdefault(show(item), len(names)))
    return {"names": list(names), "values": codes}


def _numbers(records: Sequence[Record], name: str, digits: int) -> list[dict[str, Any]]:
    """One column of shown numbers; none where no run has them."""
    described = metric(name)
    found = [value(r, name) for r in records]
    if all(v is None for v in found):
        return []
    shown = [round(v * described.factor, 4) if v is not None and math.isfinite(v) else None for v in found]
    if described.unit not in ("%", "s"):
        digits = 0 if all(v is None or float(v).is_integer() for v in shown) else 4  # counts have no decimals
    return [{"head": described.label, "values": shown, "digits": digits}]
