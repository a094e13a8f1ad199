"""The content of one sweep's page as plain data for the template: nothing here knows HTML."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report import artifacts, verdict
from bench.report.charts import chart, rows
from bench.report.claims import Verdict, judge
from bench.report.evidence import Evidence
from bench.report.forest import forest
from bench.report.frame import Frame, selected
from bench.report.grid import Grid, number, pivot, remarks
from bench.report.naming import Digits, metric, point
from bench.report.notes import notes
from bench.report.runs import listing, shared
from bench.report.tables import panel_title
from bench.report.traces import trace
from bench.schema.label import show
from bench.schema.sweep import Figure, Sweep

RUNS_ON_PAGE = 2_000  # more get a page of their own
RUNS_LISTED = 20_000  # more are in records.csv only
ROWS_BELOW_CHART = 240
POINTS_WITH_SEEDS = 400  # a chart of more points leaves its single seeds to the table
EMBEDDED_BYTES = 300_000
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
    finished = sum(r.status == "finished" for r in records)
    figures, charts = drawings(evidence, frame)
    few = len(records) <= RUNS_ON_PAGE
    listed = listing(sweep, records[:RUNS_LISTED])
    return {
        "name": evidence.name,
        "question": sweep.question or sweep.name,
        "source": sweep.source,
        "summary": summary(evidence),
        "toc": [
            *(("verdicts", "Verdicts"), ("table", "Table")),
            *([("figures", "Figures")] if figures else []),
            *(("runs", "Runs"), ("protocol", "Protocol"), ("provenance", "Provenance"), ("reproduce", "Reproduce")),
        ],
        "verdicts": [judged(v) for v in judge(sweep, records)],
        "tested": TESTED,
        "finished": finished,
        "stamps": [n.text for n in said if n.stamp],
        "notes": [
            n.text for n in said if not n.stamp and not n.text.startswith(("Cells:", "Marked:"))
        ],  # the key says it
        "grid": table(grid),
        "published": published(sweep, frame),
        "table_files": [f for f in ("table.csv", "table.md", "table.tex") if (evidence.folder / f).exists()],
        "figures": figures,
        "charts": charts,
        "runs": listed if few else None,
        "many_runs": None if few else listed,
        "cut": RUNS_LISTED if len(records) > RUNS_LISTED else None,
        "run_count": len(records),
        "shared": shared(records),
        "protocol": protocol(evidence),
        "provenance": provenance(evidence),
        "files": sorted(evidence.manifest.get("files", {}).items()),
        "commands": commands(evidence),
    }


TESTED = (
    "Each claim is tested on one number a seed (differences of runs with the same seed and all else equal), two-sided "
    "at 5%, with Holm's correction over the claims of the sweep. Intervals are 95%, uncorrected. Filled dot: mean; "
    "circles: single seeds; dashed: what is tested against. “Open” means that these runs do not settle it."
)


def summary(evidence: Evidence) -> str:
    """One line under the question: how much was run, and where."""
    records = evidence.records
    finished = [r for r in records if r.status == "finished"]
    seeds = {r.seed for r in records}
    parts = [
        f"{len(finished):,} of {len(records):,} runs finished",
        f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}",
    ]
    if evidence.manifest.get("scale"):
        parts.append(f"scale {evidence.manifest['scale']}")
    datasets = sorted({str(r.config["dataset.name"]) for r in finished if "dataset.name" in r.config})
    if datasets:
        parts.append(", ".join(datasets[:4]) + (" ..." if len(datasets) > 4 else ""))
    hours = sum(r.costs.get("cost/fit_seconds", 0.0) for r in finished)
    if hours:
        parts.append(f"{hours / 3600:.1f} h of training" if hours >= 5400 else f"{hours / 60:.0f} min of training")
    return " · ".join(parts)


def judged(found: Verdict) -> dict[str, Any]:
    """A verdict for the template."""
    described = metric(found.claim.metric)
    digits = Digits(described, [(found.high - found.low) / 2])
    return {
        "word": found.word,
        "says": found.claim.says,
        "numbers": verdict.describe(found),
        "forest": forest(found),
        "seeds": [(seed, digits(v)) for seed, v in list(found.values.items())[:50]],
    }


def table(grid: Grid) -> dict[str, Any]:
    """The pivot, cell by cell."""
    panels = []
    for panel in grid.panels:
        body, several = [], False
        for at, cells, marks in zip(panel.rows, panel.cells, panel.marks, strict=True):
            made: list[dict[str, Any] | None] = []
            for cell, column, mark in zip(cells, grid.columns, marks, strict=True):
                if cell is None:
                    made.append(None)
                    continue
                mean, half = number(cell, column.digits)
                said = remarks(cell, column.metric)
                good = [text for text in said if text.startswith("n=") or text == "all equal"]
                chosen = [f"{text}" for text in said if text in _chosen(cell.chosen)]
                single = [column.digits(v) for v in list(cell.values.values())[:20]]
                made.append(
                    {
                        "mean": mean,
                        "half": half,
                        "mark": WORDS[mark],
                        "classes": " ".join(c for c in (mark, "incomplete" if cell.incomplete else "") if c),
                        "value": f"{cell.interval.mean:.8g}"
                        if cell.values and math.isfinite(cell.interval.mean)
                        else "",
                        "remarks": ", ".join(good + chosen),
                        "gaps": ", ".join(text for text in said if text not in good and text not in chosen),
                        "seeds": ", ".join(single) if len(single) > 1 else "",
                    }
                )
            several = several or any(c and c["seeds"] for c in made)
            body.append({"heads": [show(v) for v in at.values()], "cells": made})
        panels.append({"title": panel_title(panel), "rows": body, "has_seeds": several})
    return {
        "spanning": grid.spanning() or ", ".join(m.label for m in grid.metrics),
        "row_heads": grid.row_heads(),
        "heads": grid.heads(),
        "panels": panels,
        "marked": any(mark for panel in grid.panels for row in panel.marks for mark in row),
    }


def _chosen(chosen: dict[str, Any]) -> set[str]:
    from bench.report.naming import axis

    return {f"{axis(name)} {show(v)}" for name, v in chosen.items()}


def published(sweep: Sweep, frame: Frame) -> list[dict[str, Any]]:
    """Ours beside the numbers of the literature, and what differs."""
    out = []
    for known in sweep.published:
        described = metric(known.metric)
        cells = [
            c for c in frame.cells(known.metric, {k: v for k, v in known.at.items() if k in frame.axes}) if c.values
        ]
        ours = cells[0] if len(cells) == 1 else None
        digits = Digits(described, [c.interval.half for c in cells])
        config = ours.records[0].config if ours else {}
        differs = [
            f"{name}: {show(value)}" + (f", here {show(config[name])}" if name in config else "")
            for name, value in known.setting.items()
            if name not in config or show(config[name]) != show(value)
        ]
        mean, half = number(ours, digits) if ours else ("not one cell here", "")
        out.append(
            {
                "label": known.label or point(known.at) or described.title,
                "value": known.value,
                "shown": f"{digits(known.value)} {described.unit}".strip(),
                "ours": f"{mean}{f' ± {half}' if half else ''} {described.unit if ours else ''}".strip(),
                "our_value": ours.interval.mean if ours else "",
                "source": known.source,
                "differs": "; ".join(differs) or "nothing that is stated",
            }
        )
    return out


def drawings(evidence: Evidence, frame: Frame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The figures in the sweep's order, and the data of those that the page draws itself."""
    sweep = evidence.sweep
    figures: list[dict[str, Any]] = []
    charts: list[dict[str, Any]] = []
    reader = artifacts.kept(evidence.folder)
    for i, asked in enumerate([sweep.figure, *sweep.figures]):
        stem = "figure" if i == 0 else f"figure-{i + 1}"
        files = [f"{stem}.{kind}" for kind in ("svg", "png") if (evidence.folder / f"{stem}.{kind}").exists()]
        figure = asked or Figure(x=frame.axes[-1], lines=frame.axes[0] if len(frame.axes) > 1 else None)
        shown = frame
        if sweep.select and {figure.x, figure.lines, figure.panels, *figure.at} & set(sweep.select.over):
            shown = Frame(evidence.records, sweep)
        spec = chart(shown, figure)
        if spec is None:
            spec = trace(shown, figure, reader)
        made: dict[str, Any] = {"files": files, "file": files[0] if files else "", "chart": None, "embedded": ""}
        if spec is not None and any(panel["points"] for panel in spec["panels"]):
            heads, body = rows(spec)
            if len(body) > POINTS_WITH_SEEDS:
                for drawn in (p for panel in spec["panels"] for p in panel["points"]):
                    drawn["seeds"], drawn["tip"] = [], drawn["tip"][:2]
            about = "Dots: means over seeds; bars: 95% t-intervals; small dots: single seeds."
            if spec["kind"] == "heat":
                about = "Means over seeds." if figure.kind == "heat" else "Runs of all seeds together."
            elif spec["kind"] == "trace":
                about = (
                    "Dashed: perfect calibration." if spec["diagonal"] else "Means over seeds; bands: 95% t-intervals."
                )
            elif spec["kind"] == "pareto":
                about = "Means over seeds, 95% t-intervals; dashed: the front that nothing beats on both."
            made |= {"title": spec["title"], "about": f"{about} Values on hover.", "chart": len(charts)}
            made |= {"heads": heads, "rows": body if len(body) <= ROWS_BELOW_CHART else []}
            charts.append(spec)
        elif files:
            title = figure.title or f"{figure.kind or 'figure'}: {metric(figure.y).title}"
            made |= {"title": title, "about": "", "embedded": _embedded(evidence.folder / files[0]), "rows": []}
        else:
            continue
        figures.append(made)
    return figures, charts


def _embedded(path: Path) -> str:
    """A drawing as a data URI, so that a page passed on alone stays whole; "" for one that is too large."""
    kinds = {".svg": "image/svg+xml", ".png": "image/png"}
    for place in (path, path.with_suffix(".png")):
        if place.exists() and place.stat().st_size <= EMBEDDED_BYTES:
            return f"data:{kinds[place.suffix]};base64,{base64.b64encode(place.read_bytes()).decode()}"
    return ""


def protocol(evidence: Evidence) -> list[tuple[str, str]]:
    """How the numbers were made, in the order in which a reviewer asks."""
    config, sweep = shared(evidence.records), evidence.sweep
    seeds = sorted({r.seed for r in evidence.records})
    out = [
        ("selection", "the epoch is chosen on val; test is scored once a run, at that epoch"),
        (
            "seeds",
            f"{len(seeds)}: {', '.join(map(str, seeds[:12]))}{' ...' if len(seeds) > 12 else ''}; pairs share a seed",
        ),
        ("split", f"has a seed of its own, {config['split.seed']}" if "split.seed" in config else "as the axes say"),
        ("intervals", "95% Student's t over seeds, standard deviation with ddof=1"),
        ("claims", f"{len(sweep.claims)}, Holm's correction over all of them" if sweep.claims else "none"),
    ]
    if sweep.select:
        out.insert(1, ("hyperparameters", f"{', '.join(sweep.select.over)}: chosen on {sweep.select.by}"))
    shown = {
        "dataset": "dataset.name",
        "epochs": "trainer.epochs",
        "batch size": "trainer.batch_size",
        "augmentation": "augment.name",
    }
    out += [(name, config[setting]) for name, setting in shown.items() if setting in config]
    return out


def provenance(evidence: Evidence) -> list[tuple[str, str]]:
    """Where the numbers came from."""
    given = evidence.manifest
    code = given.get("code", {})

    def counted(found: Any) -> str:
        pairs = found.items() if isinstance(found, dict) else ()
        return "; ".join(f"{text} ({count} runs)" if len(found) > 1 else str(text) for text, count in pairs)

    out = [
        ("code", counted(code.get("commits", {}))),
        ("uncommitted changes", counted({"yes" if k == "true" else "no": v for k, v in code.get("dirty", {}).items()})),
        ("data fingerprint", counted(given.get("data_fingerprints", {}))),
        ("hardware", counted(given.get("hardware", {}))),
        ("system", counted(given.get("platform", {}).get("platform", {}))),
        ("Python", counted(given.get("platform", {}).get("python", {}))),
    ]
    for packages in given.get("packages", []):
        if isinstance(packages, dict):
            out.append(("packages", ", ".join(f"{name} {version}" for name, version in packages.items())))
    return [(name, text) for name, text in out if text]


def commands(evidence: Evidence) -> Sequence[tuple[str, str]]:
    """(what it does, command) pairs that lead from this page back to the numbers."""
    name = evidence.name
    scale = evidence.manifest.get("scale", "")
    flag = f" --scale {scale}" if scale and scale != "small" else ""
    ran = evidence.manifest.get("command") or f"bench sweep {evidence.sweep.name}{flag}"
    return [
        (
            "Run three of its cells again here and compare, with a prediction interval for what seeds alone would do:",
            f"bench reproduce {name}",
        ),
        ("Run all of it again:", str(ran)),
        (
            "Look at single runs, with curves, confusion matrix and configuration, in the folder of the store:",
            "bench ui",
        ),
    ]


def plain(data: Any) -> str:
    """JSON as the pages hold it, for measuring."""
    return json.dumps(data, separators=(",", ":"))
