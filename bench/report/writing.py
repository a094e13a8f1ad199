"""All files of a sweep's evidence, and the text for the terminal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.analysis import across, artifacts, images, predictions
from bench.analysis.artifacts import Reader
from bench.analysis.claims import judge
from bench.analysis.frame import Frame, select_frame
from bench.analysis.judged import Verdict
from bench.analysis.looks import look
from bench.analysis.selection import judged_records
from bench.analysis.settings import settings_of_records
from bench.disk import write_atomically
from bench.report import figures, markup, ranks, tables, verdict
from bench.report.figures.choice import stem
from bench.report.figures.verdicts import claims_figure
from bench.report.grid import Grid, pivot
from bench.report.latex import latex
from bench.report.manifest import manifest
from bench.report.notes import Note, notes
from bench.report.pages import single_run
from bench.report.pages.runs import WITH_FILES
from bench.report.published import HEADS, Beside, compare_published
from bench.report.seal import seal
from bench.schema.names import CONTROL
from bench.schema.sweep import CONFIRM, Sweep
from bench.track.record import Record, to_csv

MADE_FROM = ("records.csv", artifacts.KEPT)  # stay as runs left them


@dataclass(frozen=True)
class Report:
    """What was written, and what it says.

    Attributes:
        folder: where.
        files: names of the files, in the order they were written.
    """

    sweep: Sweep
    folder: Path
    files: list[str]
    grid: Grid
    notes: list[Note]
    published: list[Beside]
    verdicts: list[Verdict]
    look: dict[str, Any] = field(default_factory=dict)  # for the sweep's log; {} where nothing was judged

    def text(self, width: int = 100) -> str:
        """The question, the table, the verdicts and where the files are, for a terminal."""
        parts = [self.sweep.question, "", tables.plain_text(self.grid, self.notes, width, self.published)]
        if self.verdicts:
            parts += [*(tables.wrap(verdict.line(v), width, "           ") for v in self.verdicts), ""]
        parts.append(f"{self.folder}: {', '.join(self.files)}")
        return "\n".join(parts)

    __str__ = text

    def data(self) -> dict[str, Any]:
        """The same as plain data for `--json`; NaN becomes None."""
        return {
            "sweep": self.sweep.name,
            "question": self.sweep.question,
            "folder": str(self.folder),
            "files": self.files,
            "cells": [
                {
                    "axes": c.at,
                    "metric": c.metric,
                    "n": c.interval.n,
                    "mean": _finite(c.interval.mean),
                    "low": _finite(c.interval.low),
                    "high": _finite(c.interval.high),
                    "values": {str(seed): _finite(value) for seed, value in c.values.items()},
                    "failed": c.failed,
                    "running": c.running,
                    "missing": c.missing,
                    "selected": c.chosen,
                }
                for c in self.grid.cells()
            ],
            "verdicts": [
                {
                    "claim": v.claim.says,
                    "verdict": v.word,
                    "effect": _finite(v.effect),
                    "low": _finite(v.low),
                    "high": _finite(v.high),
                    "n": v.n,
                    "p": _finite(v.p),
                    "p_holm": _finite(v.p_holm),
                    "level": v.level,
                    "tested": v.tested,
                    "scope": v.scope,
                    "differs": v.differs,
                    "equal": v.equal,
                    "doubts": dict(v.doubts),
                    "looks": [dataclasses.asdict(look) for look in v.looks.earlier],
                    "left_out": len(v.dropped),
                    "detects": v.detects,
                    "seeds_needed": v.seeds if v.seeds is not None and math.isfinite(v.seeds) else None,
                    "note": v.note,
                    "text": verdict.line(v),
                }
                for v in self.verdicts
            ],
            "published": [dict(zip(HEADS, one.texts, strict=True)) for one in self.published],
            "notes": [{"text": n.text, "stamp": n.stamp} for n in self.notes],
        }


@dataclass(frozen=True)
class Texts:
    """What the records say, in words and tables, before anything is drawn.

    Attributes:
        files: name -> content of all files but figures and the manifest, in the order they are written.
        reader: of the runs' files, as far as they are read here.
        methods: over all data sets, where the sweep compares any.
    """

    frame: Frame
    grid: Grid
    notes: list[Note]
    published: list[Beside]
    verdicts: list[Verdict]
    methods: across.Across | None
    reader: Reader | None
    files: dict[str, str | bytes]


def texts(sweep: Sweep, records: list[Record], context: Mapping[str, Any], reader: Reader | None = None) -> Texts:
    """See `Texts`; whoever only asks what the records say need not wait for figures."""
    frame = select_frame(sweep, records)
    of_some = ""
    if reader is not None:
        reader, of_some = predictions.limit(judged_records(sweep, records), reader, frame.drawn)
    grid = pivot(frame, sweep, reader)
    said = notes(grid, frame, sweep, records, context)
    said += [Note(of_some)] if of_some else []
    theirs = compare_published(frame, sweep)
    verdicts = judge(sweep, records, context, reader)
    files: dict[str, str | bytes] = {
        "records.csv": to_csv(records),
        "table.md": tables.markdown(grid, said, theirs),
        "table.csv": tables.tidy_csv(grid),
        "table.tex": latex(grid, said, theirs, _label(sweep, context)),
        "table.html": markup.html(grid, said, theirs),
        "verdict.md": verdict.markdown(sweep, verdicts),
    }
    wanted = {artifacts.FILE[f.kind] for f in (sweep.figure, *sweep.figures) if f and f.kind in artifacts.FILE}
    if reader is not None:
        # What a reader of the page asks of each run; of very many runs only what figures need.
        of_each = {artifacts.FILE[kind] for kind in single_run.KINDS} if len(records) <= WITH_FILES else set()
        kept = artifacts.keep(judged_records(sweep, records), wanted | of_each, reader)
        if wanted or kept != artifacts.keep([], [], reader):
            files[artifacts.KEPT] = kept
    if reader is not None and (said_of_images := predictions.keep(judged_records(sweep, records), reader)) is not None:
        files[predictions.FILE] = said_of_images
        if (by_image := images.markdown(frame, reader)) is not None:
            files["images.md"] = by_image
    if (methods := across.across(frame, grid.metrics[0].name, across.axis_of(sweep))) is not None:
        files["across.md"] = ranks.markdown(methods, grid.metrics[0].name)
    for name, body in files.items():
        if isinstance(body, str) and name not in MADE_FROM:  # a question or a reason, printed by `cat`
            files[name] = CONTROL.sub("?", body)
    return Texts(frame, grid, said, theirs, verdicts, methods, reader, files)


def write(
    sweep: Sweep, records: list[Record], folder: Path, context: Mapping[str, Any], reader: Reader | None = None
) -> Report:
    """See `bench.report.write`."""
    from bench.report.figures.paper import draw_chart  # with Matplotlib, which `texts` does without

    told = texts(sweep, records, context, reader)
    files = dict(told.files)
    if told.methods is not None:
        files |= figures.files("across", draw_chart(ranks.chart(told.methods, told.grid.metrics[0].name)))
    for i, figure in enumerate([sweep.figure, *sweep.figures]):
        if not figures.drawable(figure, records):
            continue
        files |= figures.files(stem(i), figures.draw(figure, sweep, records, told.reader))
    if (chart := claims_figure(told.verdicts)) is not None:
        files |= figures.files("claims", draw_chart(chart))
    files["manifest.json"] = manifest(sweep, records, files, context)
    for name, body in files.items():
        write_atomically(folder / name, body)
    seal(folder, files)
    seen = {}
    if told.verdicts:
        seen = look(told.verdicts, told.frame, sweep, context, settings_of_records(sweep, records))
    return Report(sweep, folder, list(files), told.grid, told.notes, told.published, told.verdicts, seen)


def _label(sweep: Sweep, context: Mapping[str, Any]) -> str:
    """What a paper calls the table by: another name for each scale, and for fresh seeds."""
    scale = context.get("scale", "small") or "small"
    name = sweep.name if scale == "small" else f"{sweep.name}-{scale}"
    return name + (CONFIRM if "--confirm" in str(context.get("command", "")).split() else "")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
