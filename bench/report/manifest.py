"""manifest.json: what is needed to run a sweep again and to check a committed table against it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bench.analysis.frame import Frame
from bench.analysis.selection import judged_records
from bench.analysis.settings import common
from bench.schema.own import codes
from bench.schema.sweep import Sweep
from bench.track.record import Record

FORMAT = 1  # raise it when a reader of the former format would go wrong


def manifest(sweep: Sweep, records: list[Record], files: Mapping[str, str | bytes], context: Mapping[str, Any]) -> str:
    """The manifest's text: JSON, the same for the same input.

    Args:
        files: name -> content of what is written beside it; their SHA-256 is kept.
        context: see `bench.report.write`.
    """
    frame = Frame(records, dataclasses.replace(sweep, replicates=["seed"]))  # every split is a point of its own here
    shared = common([r.config for r in records if r.config])
    points = []
    for runs in frame.points.values():
        first = next(iter(runs.values()))
        configured = next((r.config for r in runs.values() if r.config), {})
        point = {
            "axes": first.axes,
            "config": {k: v for k, v in configured.items() if k not in shared and k != "seed"},
            "runs": [_run(runs[seed]) for seed in sorted(runs)],
        }
        points.append(point)
    finished = [r for r in records if r.status == "finished"]
    content = {
        "format": FORMAT,
        "sweep": sweep.name,
        "scale": context.get("scale", ""),
        "question": sweep.question,
        "source": sweep.source,
        "command": context.get("command", ""),
        "definition": dataclasses.asdict(sweep),
        "seeds": sorted({r.seed for r in judged_records(sweep, records)}),
        "config": shared,
        "points": points,
        "data_fingerprints": _count(finished, "data_fingerprint"),
        "code": {"commits": _count(finished, "git_commit"), "dirty": _count(finished, "git_dirty")},
        **({"parts": parts} if (parts := _parts(finished)) else {}),
        "packages": [_parse(text) for text in _count(finished, "packages")],
        "hardware": _count(finished, "hardware"),
        "platform": {name: _count(finished, name) for name in ("python", "platform", "threads")},
        "context": {k: v for k, v in context.items() if k not in ("scale", "command", "changed")},
        "files": {name: hashlib.sha256(_bytes(body)).hexdigest() for name, body in files.items()},
    }
    # The definition keeps its order: it is the order of axes, rows and panels. All else is sorted, as it depends on
    # where the records came from.
    ordered = {name: part if name == "definition" else _sort_keys(part) for name, part in sorted(content.items())}
    return json.dumps(ordered, indent=1, default=str) + "\n"


def _sort_keys(part: Any) -> Any:
    """The same with the keys of every mapping in it sorted."""
    if isinstance(part, dict):
        return {name: _sort_keys(part[name]) for name in sorted(part)}
    return [_sort_keys(one) for one in part] if isinstance(part, list | tuple) else part


def _run(record: Record) -> dict[str, Any]:
    run = {"seed": record.seed, "key": record.key, "run_id": record.run_id, "status": record.status}
    if record.reason:
        run["reason"] = record.reason
    return {**run, "metrics": record.metrics, "costs": record.costs}


def _count(records: list[Record], name: str) -> dict[str, int]:
    out: dict[str, int] = {}
    for record in records:
        text = record.provenance.get(name, "")
        if text:
            out[text] = out.get(text, 0) + 1
    return out


def _parts(records: list[Record]) -> dict[str, dict[str, int]]:
    """Own part -> code -> runs; the source is beside, in artifacts.json."""
    out: dict[str, dict[str, int]] = {}
    for record in records:
        for part, code in codes(record.config).items():
            counts = out.setdefault(part, {})
            counts[code] = counts.get(code, 0) + 1
    return out


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body
