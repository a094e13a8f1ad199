"""A run as a Record, and what makes a run unreadable: tags that somebody changed or deleted."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterable
from typing import Any

from bench.schema.metric import METRICS, from_facts, last_part
from bench.track.index import Row
from bench.track.record import OWN_METRICS, TUNING, Record, parse_json

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
SCOPES = ("val", "test", "train", "corrupt")
# Tags that are read as numbers, as this project writes them.
FORMS = (
    ("seed", r"[0-9]{1,19}", "number"),
    ("threads", r"[0-9]{1,6}", "number of threads"),
    ("started", r"[0-9]{1,11}(\.[0-9]*)?", "time"),
)


def odd_because(row: Row) -> str:
    """Why an ended run of ours is no Record; "" where it is one.

    Everything that a Record, its file and its figures rely on is looked at: one run that somebody changed, or that came
    with somebody's store, must not hide the others.
    """
    tags = row.tags
    if (name := next((n for n, v in (*tags.items(), *row.params.items()) if not isinstance(v, str)), None)) is not None:
        return f"{name[:60]!r} is no text in it"
    if tags.get("status") != {"FINISHED": "finished", "FAILED": "failed"}.get(row.status):
        return f"its tag status is {tags.get('status', 'missing')[:60]!r}, and MLflow calls it {row.status}"
    for name, form, what in FORMS:
        if name in tags and not re.fullmatch(form, tags[name]):
            return f"its tag {name} is {tags[name][:60]!r}, which is no {what}"
    for name in ("axes", "packages"):
        try:
            if not isinstance(parse_json(tags.get(name, "{}")), dict):
                raise ValueError
        except ValueError:
            return f"its tag {name} is {tags[name][:60]!r}, which is no JSON object"
    try:
        check_descriptions(tags.get(OWN_METRICS, "{}"))
    except ValueError:
        return f"its tag {OWN_METRICS} is {tags[OWN_METRICS][:60]!r}, which describes no metrics"
    for name, value in row.metrics.items():
        known = METRICS.get(last_part(name))
        if not isinstance(value, int | float) or (known is not None and known.outside(value)):
            return f"its metric {name[:60]!r} is {str(value)[:20]}, and there is no such value"
    return ""


def counts(row: Row) -> bool:
    """Whether a run is one of ours that has ended and can be read."""
    return "run_key" in row.tags and row.status in ENDED and not odd_because(row)


def oddities(rows: Iterable[Row]) -> list[str]:
    """A line for each ended run of ours that does not count."""
    found = [r for r in rows if "run_key" in r.tags and r.status in ENDED and odd_because(r)]
    return [
        f"run {r.run_id} does not count: {odd_because(r)}. Delete it in MLflow, or put the tag right." for r in found
    ]


def record_of(row: Row) -> Record:
    """The Record that a run of ours holds."""
    tags = row.tags
    return Record(
        key=tags["run_key"],
        sweep=tags.get("sweep", ""),
        axes=parse_json(tags.get("axes", "{}")),
        seed=int(tags.get("seed", "0")),
        status=tags.get("status", "running"),  # type: ignore[arg-type]
        reason=" ".join(tags.get("reason", "").split()),  # one line
        run_id=row.run_id,
        metrics={k: v for k, v in row.metrics.items() if k.split("/")[0] in SCOPES},
        costs={k: v for k, v in row.metrics.items() if k.startswith("cost/")},
        config={k: _value(v) for k, v in row.params.items()},
        provenance={k: tags[k] for k in PROVENANCE if k in tags},
    )


def _value(text: str) -> Any:
    value = _parsed(text)
    return copy.deepcopy(value) if isinstance(value, list | dict) else value


@functools.lru_cache(maxsize=2**12)  # ten thousand runs have few different settings
def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return text


def check_descriptions(text: str) -> None:
    """See whether a run's own metrics are described as `bench.parts.metrics.describe_metrics` writes them.

    Raises:
        ValueError: where not.
    """
    try:
        for name, facts in parse_json(text).items():
            from_facts(name, facts)
    except (AttributeError, TypeError):
        raise ValueError("not what a decorator says") from None
