"""How MLflow's own pages show our runs: which columns stand beside their names, in which order."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.track.index import Row

NOTE = "mlflow.note.content"  # what MLflow shows as a run's description
VIEW = "mlflow.sharedViewState.imagebench"  # a tag of the experiment, which `viewStateShareKey=imagebench` asks for
NAME = "attributes.`Run Name`"
MOST_COLUMNS = 12
METRICS = ("test/accuracy", "val/accuracy", "test/nll", "test/ece", "cost/fit_seconds")
QUIET = ("trainer.threads", "seed")


def view(rows: Sequence[Row]) -> str:
    """The state of the page for these runs: what differs between them, the seed, the metrics; every run in sight.

    Sorted by date MLflow 3.17 nests a sweep's runs below their parent, closed, and takes from no saved view which ones
    are open. Sorted by anything else it lists them all: by description the parent, which has one, comes first.
    """
    runs = [row for row in rows if "run_key" in row.tags]  # not the parent, whose parameters are its protocol
    names = sorted({name for row in runs for name in row.params})
    differ = [n for n in names if n not in QUIET and len({row.params.get(n) for row in runs}) > 1]
    axes = {name for row in runs for name in json.loads(row.tags.get("axes", "{}"))}
    differ.sort(key=lambda name: (name not in axes, name))
    have = {name for row in runs for name in row.metrics}
    metrics = [name for name in METRICS if name in have]
    settings = [*differ[: MOST_COLUMNS - len(metrics) - 1], "seed"]
    # Metrics first: a run's name says its settings already, and the page has room for few columns.
    named = {f"metrics.`{name}`": name for name in metrics} | {f"params.`{name}`": name for name in settings}
    columns = list(named)
    state = {
        "selectedColumns": ["attributes.`Dataset`", "attributes.`Source`", *columns],
        "columnOrder": ["0", NAME, *columns],  # "0" is the boxes to select runs by
        "columnWidths": {NAME: 330, **{column: 50 + 8 * len(name) for column, name in named.items()}},
        "orderByKey": f"tags.`{NOTE}`",
        "orderByAsc": True,
    }
    return json.dumps(state)
