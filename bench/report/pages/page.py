"""The content of one sweep's page as plain data for the template: nothing here knows HTML."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis import predictions
from bench.analysis.artifacts import Reader, read_kept
from bench.analysis.claims import judge
from bench.analysis.frame import Cell, Frame, select_frame
from bench.analysis.judged import Verdict
from bench.analysis.naming import axis, point, reword
from bench.report import verdict
from bench.report.evidence import Evidence
from bench.report.figures.verdicts import claims_figure
from bench.report.grid import Column, Grid, layout, number, pivot, remarks
from bench.report.notes import notes
from bench.report.pages import facts
from bench.report.pages.drawings import drawings, figure_files
from bench.report.pages.forest import forest
from bench.report.pages.runs import LISTED, listing, ranges, shared_settings, static
from bench.report.published import HEADS, Beside, compare_published, filled_columns
from bench.report.tables import panel_title
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Sweep

MEANINGS = (
    "Supported: in these runs the effect lies on the claimed side, and differs significantly from what it is tested "
    "against. Refuted: significantly on the other side. Open: these runs do not tell. Each word is about the data, "
    "models and budgets of this sweep, not about the idea."
)
MOST_SEEDS = 50  # single values of a verdict; records.csv has all
MOST_SELECTED = 4_000  # cells of all metrics together that a page holds for its selector
WORDS = {"best": "best of its column", "within": "not told apart from the best", "": ""}


def content(evidence: Evidence) -> dict[str, Any]:
    """Everything that sweep.html.j2 shows.

    Raises:
        RequestError: for records that do not fit the sweep's table, claims or figures.
    """
    sweep, records = evidence.sweep, evidence.records
    frame = select_frame(sweep, records)
    reader = predictions.read_predictions(evidence.folder, read_kept(evidence.folder))
    grid = pivot(frame, sweep, reader)
    said = notes(grid, frame, sweep, records, evidence.context)
    figures, charts = drawings(evidence, frame)
    verdicts = judge(sweep, records, evidence.context, reader)
    claims = claims_figure(verdicts)
    places = {r.key or r.run_id: i for i, r in enumerate(records[:LISTED])}
    listed = listing(evidence)
    return {
        "name": evidence.name,
        "question": sweep.question or sweep.name,
        "source": sweep.source,
        "theme": sweep.theme,
        "scale": evidence.manifest.get("scale", ""),
        "date": facts.date(evidence),
        "datasets": facts.datasets(evidence),
        "summary": facts.summary(evidence),
        "toc": [
            *(("verdicts", "Verdicts"), ("table", "Table")),
            *([("figures", "Figures")] if figures else []),
            *(("runs", "Runs"), ("protocol", "Protocol"), ("provenance", "Provenance"), ("reproduce", "Reproduce")),
        ],
        "verdicts": [verdict_row(v) for v in verdicts],
        "claims": figure_files(evidence, "claims", claims) if claims else None,
        "tested": reword(TESTED, frame.replicates),
        "over": reword("n seeds", frame.replicates),
        "words": MEANINGS,
        "finished": sum(r.status == "finished" for r in records),
        "stamps": [n.text for n in said if n.stamp],
        # The key below the table says how to read it.
        "notes": [n.text for n in said if not n.stamp and not n.text.startswith(("Cells:", "Marked:"))],
        "grid": table(grid, places),
        "selector": selector(frame, sweep, grid, places, reader),
        "published": published_table(compare_published(frame, sweep)),
        "table_files": [f for f in ("table.csv", "table.md", "table.tex") if (evidence.folder / f).exists()],
        "figures": figures,
        "charts": charts,
        "runs": listed,
        "static": static(listed),
        "tuned": facts.tuning(sweep),
        "cut": LISTED if len(records) > LISTED else None,
        "shared": shared_settings(records),
        "protocol": facts.protocol(evidence),
        "provenance": facts.provenance(evidence),
        "files": sorted(evidence.manifest.get("files", {}).items()),
        "commands": facts.commands(evidence),
    }


TESTED = (
    f"{verdict.TESTED} Filled dot: mean; circles: single seeds; dashed: what is tested against; grey: too small to "
    "matter, by what the claim itself states."
)


def verdict_row(found: Verdict) -> dict[str, Any]:
    """A verdict for the template."""
    digits = verdict.digits_of(found)
    said = verdict.remarks(found)
    return {
        "word": found.word,
        "says": found.claim.says,
        "scope": said[0],
        "numbers": verdict.numbers(found),
        "remarks": " ".join(said[1:]),
        "forest": forest(found),
        "replicate": "replicate" if verdict.is_crossed(found) else "seed",
        "seeds": [(seed, digits(v)) for seed, v in list(found.values.items())[:MOST_SEEDS]],
    }


def selector(frame: Frame, sweep: Sweep, grid: Grid, places: Mapping[str, int], reader: Reader) -> list[dict[str, Any]]:
    """The same table for each metric that the records have, after the sweep's own; none where that is too much."""
    own = [m.name for m in grid.metrics]
    found = {n for r in frame.records for n in (*r.metrics, *r.costs) if not n.startswith("corrupt/")} - {*own}
    groups = ("test", "val", "cost")
    names = sorted(found, key=lambda n: (groups.index(g) if (g := n.split("/")[0]) in groups else len(groups), n))
    if not names or len(grid.cells()) * len(names) > MOST_SELECTED:
        return []
    stated = layout(frame, sweep.table)
    out: list[dict[str, Any]] = [{"label": ", ".join(m.label for m in grid.metrics), "grid": None}]
    for name in names:
        other = pivot(frame, dataclasses.replace(sweep, table=dataclasses.replace(stated, metric=name)), reader)
        out.append({"label": metric(name).label, "grid": table(other, places)})
    return out


def table(grid: Grid, places: Mapping[str, int]) -> dict[str, Any]:
    """The pivot, cell by cell.

    Args:
        places: key or run id -> place in the list of runs.
    """
    panels = []
    for panel in grid.panels:
        body: list[dict[str, Any]] = [
            {
                "heads": [show(v) for v in at.values()],
                "cells": [
                    _cell(cell, column, mark, places) if cell else None
                    for cell, column, mark in zip(cells, grid.columns, marks, strict=True)
                ],
            }
            for at, cells, marks in zip(panel.rows, panel.cells, panel.marks, strict=True)
        ]
        several = any(c and c["seeds"] for row in body for c in row["cells"])
        told = any(c and c["chosen"] for row in body for c in row["cells"])
        stack = stack_below(estimate_width(grid.row_heads(), body))
        panels.append({"title": panel_title(panel), "rows": body, "has_seeds": several, "told": told, "stack": stack})
    *above, last = grid.head_rows()
    return {
        "spanning": grid.spanning() or ", ".join(m.label for m in grid.metrics),
        "row_heads": grid.row_heads(),
        "above": above,
        "heads": [head for head, _ in last],
        "whole_heads": grid.heads(),
        "panels": panels,
        "cut": any(cell.interval.cut for cell in grid.cells()),
        "marked": any(mark for panel in grid.panels for row in panel.marks for mark in row),
    }


# Widest table, in pixels of its estimate, that fits a window narrower than the class's own (style.css).
STACKS = ((328, ""), (500, "stack-34"), (720, "stack-50"), (1080, "stack-72"))


def stack_below(width: float) -> str:
    """The class of a table: below which width of the window each row is a paragraph of named values."""
    return next((name for most, name in STACKS if width <= most), "stack-90")


def estimate_width(row_heads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> float:
    """About how many pixels a table needs: its numbers are not wrapped, its heads between words."""

    def words(text: str) -> float:
        return 8.6 * max(map(len, text.split() or [""]))

    wide = [max([words(head), *(words(row["heads"][i]) for row in rows)]) for i, head in enumerate(row_heads)]
    for cells in zip(*(row["cells"] for row in rows), strict=True):
        lines = [
            max(8.9 * len(f"{c['mean']} {c['spread']}"), 6.7 * len(c["remarks"]), 6.7 * len(c["gaps"]))
            for c in cells
            if c
        ]
        wide.append(max(lines, default=0))
    return sum(wide) + len(wide) * (17 if len(wide) > 5 else 36)


def _cell(cell: Cell, column: Column, mark: str, places: Mapping[str, int]) -> dict[str, Any]:
    mean, spread = number(cell, column.digits)
    said = remarks(cell, column.metric)
    chosen = {f"{axis(name)} {show(value)}" for name, value in cell.chosen.items()}
    good = [text for text in said if text.startswith("n=") or text == "all equal" or text in chosen]
    single = [column.digits(v) for v in list(cell.values.values())[:20]]
    return {
        "mean": mean,
        "spread": spread,
        "mark": WORDS[mark],
        "classes": " ".join(c for c in (mark, "incomplete" if cell.incomplete else "") if c),
        "value": f"{cell.interval.mean:.8g}" if cell.values and math.isfinite(cell.interval.mean) else "",
        "remarks": ", ".join(good),
        "gaps": ", ".join(text for text in said if text not in good),
        "seeds": ", ".join(single) if len(single) > 1 else "",
        "chosen": bool(chosen),
        "runs": ranges([places[k] for r in cell.records if (k := r.key or r.run_id) in places]),
        "point": point(cell.at) or column.metric.title,
    }


def published_table(rows: Sequence[Beside]) -> dict[str, Any]:
    """Published numbers beside ours: each cell's text, and the number to sort by where it has one."""
    kept, body = filled_columns(rows), []
    for one in rows:
        means = [c.interval.mean for c in one.cells if c.values]
        ours = means[0] if len(means) == 1 else ""
        gap = means[0] - one.published.value if len(means) == 1 else ""
        numbers: dict[int, Any] = {1: one.published.value, 2: ours, 3: gap}
        body.append([{"text": one.texts[i], "value": numbers.get(i)} for i in kept])
    return {"heads": [{"text": HEADS[i], "number": i in (1, 2, 3)} for i in kept], "rows": body}
