"""The content of one sweep's page as plain data for the template: nothing here knows HTML."""

from __future__ import annotations

import math
from typing import Any

from bench.report import facts, verdict
from bench.report.claims import Verdict, judge
from bench.report.drawings import drawings
from bench.report.evidence import Evidence
from bench.report.forest import forest
from bench.report.frame import Cell, selected
from bench.report.grid import Column, Grid, number, pivot, remarks
from bench.report.naming import Digits, axis
from bench.report.notes import notes
from bench.report.published import HEADS, Beside, beside
from bench.report.runs import listing, shared
from bench.report.tables import panel_title
from bench.schema.label import show
from bench.schema.metric import metric

RUNS_ON_PAGE = 2_000  # more get a page of their own
RUNS_LISTED = 20_000  # more are in records.csv only
MOST_SEEDS = 50  # single values of a verdict; records.csv has all
WORDS = {"best": "best of its column", "within": "within the best one's interval", "": ""}


def content(evidence: Evidence) -> dict[str, Any]:
    """Everything that sweep.html.j2 shows.

    Raises:
        RequestError: for records that do not fit the sweep's table, claims or figures.
    """
    sweep, records = evidence.sweep, evidence.records
    frame = selected(sweep, records)
    grid = pivot(frame, sweep)
    said = notes(grid, frame, sweep, records, evidence.context)
    figures, charts = drawings(evidence, frame)
    few = len(records) <= RUNS_ON_PAGE
    listed = listing(sweep, records[:RUNS_LISTED])
    return {
        "name": evidence.name,
        "question": sweep.question or sweep.name,
        "source": sweep.source,
        "summary": facts.summary(evidence),
        "toc": [
            *(("verdicts", "Verdicts"), ("table", "Table")),
            *([("figures", "Figures")] if figures else []),
            *(("runs", "Runs"), ("protocol", "Protocol"), ("provenance", "Provenance"), ("reproduce", "Reproduce")),
        ],
        "verdicts": [judged(v) for v in judge(sweep, records, evidence.context)],
        "tested": TESTED,
        "finished": sum(r.status == "finished" for r in records),
        "stamps": [n.text for n in said if n.stamp],
        # The key below the table says how to read it.
        "notes": [n.text for n in said if not n.stamp and not n.text.startswith(("Cells:", "Marked:"))],
        "grid": table(grid),
        "published": {"heads": HEADS, "rows": [published(one) for one in beside(frame, sweep)]},
        "table_files": [f for f in ("table.csv", "table.md", "table.tex") if (evidence.folder / f).exists()],
        "figures": figures,
        "charts": charts,
        "runs": listed if few else None,
        "many_runs": None if few else listed,
        "cut": RUNS_LISTED if len(records) > RUNS_LISTED else None,
        "run_count": len(records),
        "shared": shared(records),
        "protocol": facts.protocol(evidence),
        "provenance": facts.provenance(evidence),
        "files": sorted(evidence.manifest.get("files", {}).items()),
        "commands": facts.commands(evidence),
    }


TESTED = f"{verdict.TESTED} Filled dot: mean; circles: single seeds; dashed: what is tested against."


def judged(found: Verdict) -> dict[str, Any]:
    """A verdict for the template."""
    digits = Digits(metric(found.claim.metric), [(found.high - found.low) / 2])
    return {
        "word": found.word,
        "says": found.claim.says,
        "numbers": verdict.numbers(found),
        "remarks": " ".join(verdict.remarks(found)),
        "forest": forest(found),
        "seeds": [(seed, digits(v)) for seed, v in list(found.values.items())[:MOST_SEEDS]],
    }


def table(grid: Grid) -> dict[str, Any]:
    """The pivot, cell by cell."""
    panels = []
    for panel in grid.panels:
        body: list[dict[str, Any]] = [
            {
                "heads": [show(v) for v in at.values()],
                "cells": [
                    _cell(cell, column, mark) if cell else None
                    for cell, column, mark in zip(cells, grid.columns, marks, strict=True)
                ],
            }
            for at, cells, marks in zip(panel.rows, panel.cells, panel.marks, strict=True)
        ]
        several = any(c and c["seeds"] for row in body for c in row["cells"])
        panels.append({"title": panel_title(panel), "rows": body, "has_seeds": several})
    *above, last = grid.head_rows()
    return {
        "spanning": grid.spanning() or ", ".join(m.label for m in grid.metrics),
        "row_heads": grid.row_heads(),
        "above": above,
        "heads": [head for head, _ in last],
        "panels": panels,
        "marked": any(mark for panel in grid.panels for row in panel.marks for mark in row),
    }


def _cell(cell: Cell, column: Column, mark: str) -> dict[str, Any]:
    mean, half = number(cell, column.digits)
    said = remarks(cell, column.metric)
    chosen = {f"{axis(name)} {show(value)}" for name, value in cell.chosen.items()}
    good = [text for text in said if text.startswith("n=") or text == "all equal" or text in chosen]
    single = [column.digits(v) for v in list(cell.values.values())[:20]]
    return {
        "mean": mean,
        "half": half,
        "mark": WORDS[mark],
        "classes": " ".join(c for c in (mark, "incomplete" if cell.incomplete else "") if c),
        "value": f"{cell.interval.mean:.8g}" if cell.values and math.isfinite(cell.interval.mean) else "",
        "remarks": ", ".join(good),
        "gaps": ", ".join(text for text in said if text not in good),
        "seeds": ", ".join(single) if len(single) > 1 else "",
    }


def published(one: Beside) -> dict[str, Any]:
    """A row of the table of published numbers: its texts, and the two numbers to sort by."""
    means = [c.interval.mean for c in one.cells if c.values]
    ours = means[0] if len(means) == 1 else ""
    gap = means[0] - one.published.value if len(means) == 1 else ""
    return {"texts": one.texts, "values": {1: one.published.value, 2: ours, 3: gap}}
