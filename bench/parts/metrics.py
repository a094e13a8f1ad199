"""Own metrics: entered into the one table of metrics from what their decorator says, without running their code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.parts import listing
from bench.schema.errors import RequestError
from bench.schema.metric import METRICS, from_facts

OURS = frozenset(METRICS)


def enter_listed() -> tuple[str, ...]:
    """Enter every metric that is offered here; gives their names.

    Raises:
        RequestError: for a name that a metric of ours has.
    """
    found = [part for part in listing.own() if part.kind == "metric"]
    for part in found:
        if part.name in OURS:
            raise RequestError(f"metric '{part.name}' exists already ({METRICS[part.name].title}), and is offered by "
                               f"{part.where}. Rename the function.")  # fmt: skip
        enter(part.name, part.facts)
    return tuple(part.name for part in found)


def enter(name: str, facts: Mapping[str, Any]) -> None:
    """Enter a metric by what its decorator says; the newest word counts, one of ours stays as it is."""
    if name not in OURS:
        METRICS[name] = from_facts(name, facts)


def describe_metrics(names: list[str]) -> str:
    """What own metrics of these names are (JSON), for a record that others read without the code."""
    return json.dumps({n: {"range": [METRICS[n].low, METRICS[n].high], "unit": METRICS[n].unit,
                           "words": METRICS[n].title, "higher_is_better": METRICS[n].higher_is_better}
                       for n in names if n in METRICS}, sort_keys=True)  # fmt: skip
