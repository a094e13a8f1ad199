"""A run as a Record, and what makes a run unreadable: tags that somebody changed or deleted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bench.track.index import Row
from bench.track.record import OWN_METRICS, TUNING, Record

ENDED = ("FINISHED", "FAILED")
PROVENANCE = (
    *("data_fingerprint", "test_fingerprint", "git_commit", "git_dirty", "packages", "python", "platform"),
    *(
        "hardware",
        "threads",
        "started",
        "weights_sha256",
        "skipped_images",
        "claims_sha256",
        "images",
        "repeatable",
        OWN_METRICS,
        TUNING,
    ),
)
METRICS = ("val", "test", "train", "corrupt")


def odd(row: Row) -> str:
    """Why an ended run of ours is no Record; "" where it is one."""
    tags = row.tags
    if tags.get("status") != {"FINISHED": "finished", "FAILED": "failed"}.get(row.status):
        return f"its tag status is {tags.get('status', 'missing')!r}, and MLflow calls it {row.status}"
    if not tags.get("seed", "0").isdecimal():
        return f"its tag seed is {tags['seed']!r}, which is no number"
    try:
        if not isinstance(json.loads(tags.get("axes", "{}")), dict):
            raise ValueError
    except ValueError:
        return f"its tag axes is {tags['axes'][:60]!r}, which is no JSON object"
    return ""


def counts(row: Row) -> bool:
    """Whether a run is one of ours that has ended and can be read."""
    return "run_key" in row.tags and row.status in ENDED and not odd(row)


def oddities(rows: Iterable[Row]) -> list[str]:
    """A line for each ended run of ours that does not count."""
    found = [r for r in rows if "run_key" in r.tags and r.status in ENDED and odd(r)]
    return [f"run {r.run_id} does not count: {odd(r)}. Delete it in MLflow, or put the tag right." for r in found]


def record_of(row: Row) -> Record:
    """The Record that a run of ours holds."""
    tags = row.tags
    return Record(
        key=tags["run_key"],
        sweep=tags.get("sweep", ""),
        axes=json.loads(tags.get("axes", "{}")),
        seed=int(tags.get("seed", "0")),
        status=tags.get("status", "running"),  # type: ignore[arg-type]
        reason=" ".join(tags.get("reason", "").split()),  # one line
        run_id=row.run_id,
        metrics={k: v for k, v in row.metrics.items() if k.split("/")[0] in METRICS},
        costs={k: v for k, v in row.metrics.items() if k.startswith("cost/")},
        config={k: _value(v) for k, v in row.params.items()},
        provenance={k: tags[k] for k in PROVENANCE if k in tags},
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
