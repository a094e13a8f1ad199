"""The figures of a page: those that the page draws itself as data, the others as pictures."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from bench.report import artifacts
from bench.report.asked import asked, fixed, frame_for, heading, kind_of, stem
from bench.report.charts import chart, rows
from bench.report.evidence import Evidence
from bench.report.frame import Frame
from bench.report.traces import trace
from bench.schema.metric import metric
from bench.schema.sweep import Figure

ROWS_BELOW_CHART = 240
POINTS_WITH_SEEDS = 400  # a chart of more points leaves its single seeds to the table
EMBEDDED_BYTES = 300_000

READ_AS = {
    "line": "Marks: means over seeds; bars: 95% t-intervals; small dots: single seeds.",
    "bars": "Marks: means over seeds; bars: 95% t-intervals; small dots: single seeds.",
    "heat": "Means over seeds.",
    "pareto": "Means over seeds, 95% t-intervals; dashed: the front that nothing beats on both.",
    "curves": "Means over seeds; bands: 95% t-intervals.",
    "gradients": "Geometric means over seeds; bands: 95% t-intervals.",
    "corruption": "Means over seeds; bands: 95% t-intervals.",
    "confusion": "Rows: true class; percent of its test images, runs of all seeds together.",
    "reliability": "Test images of all seeds together; bands: 95% Wilson intervals; dashed: perfect calibration.",
}


def drawings(evidence: Evidence, frame: Frame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The figures in the sweep's order, and the data of those that the page draws itself."""
    sweep = evidence.sweep
    figures: list[dict[str, Any]] = []
    charts: list[dict[str, Any]] = []
    reader = artifacts.kept(evidence.folder)
    for i, figure in enumerate(asked(sweep, frame)):
        named = [f"{stem(i)}.{kind}" for kind in ("svg", "png")]
        files = [name for name in named if (evidence.folder / name).exists()]
        shown = frame_for(figure, sweep, evidence.records)
        spec = chart(shown, figure) or trace(shown, figure, reader)
        made: dict[str, Any] = {"files": files, "file": files[0] if files else "", "chart": None, "embedded": ""}
        made |= {"title": heading(figure, shown), "about": "", "rows": []}
        if spec is not None and any(panel["points"] for panel in spec["panels"]):
            heads, body = rows(spec)
            if len(body) > POINTS_WITH_SEEDS:
                for drawn in (p for panel in spec["panels"] for p in panel["points"]):
                    drawn["seeds"], drawn["tip"] = [], drawn["tip"][:2]
            made |= {"about": about(figure, shown), "chart": len(charts)}
            made |= {"heads": heads, "rows": body if len(body) <= ROWS_BELOW_CHART else []}
            charts.append(spec)
        elif files:
            made["embedded"] = _embedded(evidence.folder / files[0])
        else:
            continue
        figures.append(made)
    return figures, charts


def about(figure: Figure, frame: Frame) -> str:
    """The line under a figure's title: what it is restricted to, how it is read."""
    kind = kind_of(figure, frame)
    what = metric(figure.y).label if kind == "heat" else ""  # the only kind without an axis for it
    said = [what[:1].upper() + what[1:], fixed(figure)]
    return " ".join([*(f"{text}." for text in said if text), READ_AS[kind]])


def _embedded(path: Path) -> str:
    """A drawing as a data URI, so that a page passed on alone stays whole; "" for one that is too large."""
    kinds = {".svg": "image/svg+xml", ".png": "image/png"}
    for place in (path, path.with_suffix(".png")):
        if place.exists() and place.stat().st_size <= EMBEDDED_BYTES:
            return f"data:{kinds[place.suffix]};base64,{base64.b64encode(place.read_bytes()).decode()}"
    return ""
