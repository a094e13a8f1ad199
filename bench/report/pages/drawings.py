"""The figures of a page: each one's description for the page's renderer, its values as a table, its files."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.analysis import across, artifacts
from bench.analysis.frame import Frame
from bench.report import figures, ranks
from bench.report.evidence import Evidence
from bench.report.figures.chart import Chart, data, marks, rows
from bench.report.figures.choice import all_figures, stem
from bench.schema.sweep import names

ROWS_BELOW_CHART = 240
POINTS_WITH_SEEDS = 400  # a chart of more points leaves its single seeds to the table
MOST_MARKS = 2_000  # a figure of more stays a picture
KINDS = ("svg", "pdf", "png")


def drawings(evidence: Evidence, frame: Frame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The figures in the sweep's order, and the descriptions of those that the page draws itself.

    Raises:
        RequestError: for a figure that does not fit the records.
    """
    out: list[dict[str, Any]] = []
    charts: list[dict[str, Any]] = []
    reader = artifacts.read_kept(evidence.folder)
    for i, figure in enumerate(all_figures(evidence.sweep, frame)):
        if not figures.drawable(figure, evidence.records):
            continue
        # A folder written without the runs' files has no such figure.
        if figure.kind in figures.WITH_ARTIFACTS and not (evidence.folder / f"{stem(i)}.svg").exists():
            continue
        chart = figures.describe(figure, evidence.sweep, evidence.records, reader)
        made = {**figure_files(evidence, stem(i), chart), "chart": None, "rows": []}
        if 0 < sum(1 for _ in marks(chart)) <= MOST_MARKS:
            heads, body = rows(chart)
            if len(body) > POINTS_WITH_SEEDS:
                chart = without_seeds(chart)
            made |= {"chart": len(charts), "heads": heads, "rows": body if len(body) <= ROWS_BELOW_CHART else []}
            charts.append(data(chart))
        elif not made["files"]:
            continue
        out.append(made)
    of = names(evidence.sweep.table.metric)[0] if evidence.sweep.table else "test/accuracy"
    if (methods := across.across(frame, of, across.axis_of(evidence.sweep))) is not None:
        chart = ranks.chart(methods, of)
        heads, body = rows(chart)
        out.append({**figure_files(evidence, "across", chart), "chart": len(charts), "heads": heads, "rows": body})
        charts.append(data(chart))
    return out, charts


def figure_files(evidence: Evidence, name: str, chart: Chart) -> dict[str, Any]:
    """A figure's title, small print and files."""
    files = [f"{name}.{kind}" for kind in KINDS if (evidence.folder / f"{name}.{kind}").exists()]
    return {"title": chart.title, "about": chart.caption, "files": files, "file": files[0] if files else ""}


def without_seeds(chart: Chart) -> Chart:
    """The chart without its single seeds."""
    panels = tuple(
        dataclasses.replace(
            panel, marks=tuple(dataclasses.replace(m, seeds=(), tip=m.tip[:2]) for m in panel.marks), threads=()
        )
        for panel in chart.panels
    )
    return dataclasses.replace(chart, panels=panels)
