"""How MLflow's own pages show our runs: which columns stand beside their names, which runs are open."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.track.index import Row

VIEW = "mlflow.sharedViewState.imagebench"  # a tag of the experiment, which `viewStateShareKey=imagebench` asks for
MOST_COLUMNS = 12
METRICS = ("test/accuracy", "val/accuracy", "test/nll", "test/ece", "cost/fit_seconds")
QUIET = ("trainer.threads", "seed")


def view(rows: Sequence[Row]) -> str:
    """The state of the page for these runs: what differs between them, the seed, the metrics; parents open."""
    runs = [row for row in rows if row.params]
    names = sorted({name for row in runs for name in row.params})
    differ = [n for n in names if n not in QUIET and len({row.params.get(n) for row in runs}) > 1]
    axes = {name for row in runs for name in json.loads(row.tags.get("axes", "{}"))}
    differ.sort(key=lambda name: (name not in axes, name))
    have = {name for row in runs for name in row.metrics}
    metrics = [name for name in METRICS if name in have]
    settings = [*differ[: MOST_COLUMNS - len(metrics) - 1], "seed"]
    columns = [f"params.`{name}`" for name in settings] + [f"metrics.`{name}`" for name in metrics]
    parents = {row.tags["mlflow.parentRunId"]: True for row in runs if "mlflow.parentRunId" in row.tags}
    state = {
        "selectedColumns": ["attributes.`Dataset`", *columns],
        "runsExpanded": parents,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }
    return json.dumps(state)
