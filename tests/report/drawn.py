"""Records, with what each run left behind, and figures of them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from matplotlib.figure import Figure as Drawing

from bench.report import figures
from bench.report.figures.chart import Chart
from bench.schema.sweep import Figure
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES = {"model": ["plain", "residual"], "depth": [8, 20, 32, 56]}


CLASSES = ["cat", "dog", "ship"]


def records() -> list[Record]:
    made = make_records(AXES, lambda p: 0.9 - 0.001 * p["depth"] * (1 if p["model"] == "plain" else -1))
    out = []
    for r in made:
        names = [(f"corrupt/{kind}/{severity}/accuracy", severity) for kind in ("blur", "noise") for severity in (1, 3)]
        corrupted = {name: r.metrics["test/accuracy"] - severity / 20 for name, severity in names}
        costs = {**r.costs, "cost/params": 1000 * r.axes["depth"]}
        out.append(dataclasses.replace(r, metrics={**r.metrics, **corrupted}, costs=costs))
    return out


def reader(record: Record, name: str) -> str | None:
    """What each run left behind; seed 2 stopped early."""
    last = 3 if record.seed == 2 else 5
    if name == "curves.csv":
        rows = [f"{e},{1 / e},{0.8 + e / 50 + record.seed / 100}" for e in range(1, last + 1)]
        return "\n".join(["epoch,train_loss,val_accuracy", *rows])
    if name == "gradients.csv":
        return "epoch,first,last\n0.0,0.001,1\n1.0,0.1,1\n"
    if name == "confusion.json":
        return json.dumps({"classes": CLASSES, "counts": [[8, 2, 0], [0, 10, 0], [5, 0, 5]]})
    if name == "reliability.json":
        bins = {"count": [0, 10, 30], "confidence": [None, 0.5, 0.9], "accuracy": [None, 0.4, 0.9]}
        return json.dumps({"edges": [0, 1 / 3, 2 / 3, 1], **bins})
    return None


KINDS: dict[str, dict[str, Any]] = {
    "line": {"kind": "line", "x": "depth", "lines": "model"},
    "bars": {"kind": "bars", "x": "depth", "lines": "model"},
    "heat": {"kind": "heat", "x": "depth", "lines": "model"},
    "pareto": {"kind": "pareto", "lines": "model"},
    "curves": {"kind": "curves", "lines": "model", "y": "val/accuracy"},
    "gradients": {"kind": "gradients", "lines": "model"},
    "confusion": {"kind": "confusion", "at": {"depth": 20}},
    "reliability": {"kind": "reliability", "at": {"depth": 20}},
    "corruption": {"kind": "corruption", "lines": "model", "at": {"depth": 20}},
}


def describe(made: list[Record] | None = None, **figure: Any) -> Chart:
    return figures.describe(Figure(**figure), make_sweep(AXES, question="Does depth help?"), made or records(), reader)


def draw(made: list[Record] | None = None, **figure: Any) -> Drawing:
    return figures.draw(Figure(**figure), make_sweep(AXES, question="Does depth help?"), made or records(), reader)
