"""A grid printed: plain text, Markdown, CSV; `bench.report.markup` has HTML, `latex` LaTeX. Strings out, no files."""

from __future__ import annotations

import csv
import html as escaping
import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from bench.analysis.artifacts import Reader
from bench.analysis.frame import select_frame
from bench.analysis.naming import point
from bench.disk import show_cell
from bench.report.grid import Grid, Panel, number, pivot, remarks
from bench.report.notes import MARKED, Note, notes
from bench.report.published import HEADS, Beside, compare_published, filled_columns
from bench.schema.label import show
from bench.schema.sweep import Sweep
from bench.track.record import Record

MARK = {"best": "*", "within": "~", "": ""}


def text(sweep: Sweep, records: list[Record], reader: Reader | None = None, width: int = 100) -> str:
    """The sweep's table with its notes, for a terminal of `width` columns."""
    frame = select_frame(sweep, records)
    grid = pivot(frame, sweep, reader)
    return plain_text(grid, notes(grid, frame, sweep, records, {}), width, compare_published(frame, sweep))


def plain_text(grid: Grid, said: Sequence[Note] = (), width: int = 100, published: Sequence[Beside] = ()) -> str:
    """Plain text for a terminal of `width` columns; a table that is wider is printed in blocks of columns."""
    lines: list[str] = []
    for panel in grid.panels:
        heads = [panel_title(panel), grid.spanning()]
        lines += [*heads, ""] if (heads := [line for line in heads if line]) else []
        left = [grid.row_heads(), *([show(v) for v in row.values()] for row in panel.rows)]
        if not grid.row_axes:
            left = [[""] for _ in left]
        columns = [
            [head, *(_plain(grid, panel, i, j) for i in range(len(panel.rows)))] for j, head in enumerate(grid.heads())
        ]
        widths = [max(len(line[k]) for line in left) for k in range(len(left[0]))]
        for block in blocks([max(map(len, c)) for c in columns], width - sum(w + 2 for w in widths)):
            for i, row in enumerate(left):
                cells = [cell.ljust(w) for cell, w in zip(row, widths, strict=True)]
                cells += [columns[j][i].ljust(max(map(len, columns[j]))) for j in block]
                lines.append("  ".join(cells).rstrip())
                if i == 0:
                    lines.append("─" * len("  ".join(cells)))
            lines.append("")
    for one in published:
        label, theirs, ours, gap, source, differs = one.texts
        words = f"{label}: published {theirs}, ours {ours}{f', {gap}' if gap else ''}. {source}. Differs: {differs}."
        lines.append(wrap(words, width, "    "))
    lines += [""] if published else []
    for note in said:
        lines.append(wrap(("! " if note.stamp else "  ") + note.text, width, "  "))
    return "\n".join(lines).rstrip() + "\n"


def markdown(grid: Grid, said: Sequence[Note] = (), published: Sequence[Beside] = ()) -> str:
    """GitHub-flavoured Markdown: best bold, those not told apart from it italic."""
    lines = [f"**{escape_md(grid.title)}**", ""]
    for panel in grid.panels:
        title = " · ".join(t for t in (panel_title(panel), grid.spanning()) if t)
        lines += [escape_md(title), ""] if title else []
        heads = [*grid.row_heads(), *grid.heads()]
        lines.append("| " + " | ".join(map(escape_md, heads)) + " |")
        lines.append("|" + " --- |" * len(grid.row_axes) + " ---: |" * len(grid.columns))
        for i, row in enumerate(panel.rows):
            cells = [escape_md(show(v)) for v in row.values()]
            cells += [_md_cell(grid, panel, i, j) for j in range(len(grid.columns))]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    if published:
        kept = filled_columns(published)
        lines += [
            "Against published numbers",
            "",
            f"| {' | '.join(HEADS[i] for i in kept)} |",
            "|" + " --- |" * len(kept),
        ]
        lines += [f"| {' | '.join(escape_md(one.texts[i]) for i in kept)} |" for one in published]
        lines.append("")
    for note in said:
        sentence = legend_of_marks("**bold**", "*italic*") if note.text == MARKED else escape_md(note.text)
        lines.append(f"- {'**' + sentence + '**' if note.stamp else sentence}")
    return "\n".join(lines).rstrip() + "\n"


def tidy_csv(grid: Grid) -> str:
    """One row a cell in stored units: axes, metric, n, mean, interval, sd, unfinished runs, mark, values by seed."""
    axes = grid.panel_axes + grid.row_axes + grid.column_axes
    chosen = list(dict.fromkeys(name for cell in grid.cells() for name in cell.chosen))
    counts = ["failed", "running", "missing", "without"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = [*axes, *(f"selected {name}" for name in chosen), "metric", "n", "mean", "ci_low", "ci_high", "sd"]
    writer.writerow([*map(show_cell, head), *counts, "mark", "values"])
    for panel in grid.panels:
        for body, marks in zip(panel.cells, panel.marks, strict=True):
            for cell, mark in zip(body, marks, strict=True):
                if cell is None:
                    continue
                i = cell.interval
                row: list[Any] = [show_cell(show(cell.at[name])) if name in cell.at else "" for name in axes]
                row += [show_cell(show(cell.chosen[name])) if name in cell.chosen else "" for name in chosen]
                row += [cell.metric, i.n, *("" if math.isnan(v) else repr(v) for v in (i.mean, i.low, i.high, i.sd))]
                row += [getattr(cell, name) for name in counts]
                row += [mark, " ".join(f"{seed}:{value!r}" for seed, value in cell.values.items())]
                writer.writerow(row)
    return out.getvalue()


def legend_of_marks(best: str, within: str) -> str:
    """The legend of the marks, for tables that mark by typeface."""
    return MARKED.replace("*", best, 1).replace("~", within, 1)


def panel_title(panel: Panel) -> str:
    """`norm layer batch, depth 20`, or "" where there is one panel only."""
    return point(panel.at)


def _plain(grid: Grid, panel: Panel, i: int, j: int) -> str:
    cell, column = panel.cells[i][j], grid.columns[j]
    if cell is None:
        return "–"
    mean, spread = number(cell, column.digits)
    shown = (f"{mean} {spread}".rstrip()) + MARK[panel.marks[i][j]]
    return f"{shown} ({', '.join(remarks(cell, column.metric))})".strip()


def _md_cell(grid: Grid, panel: Panel, i: int, j: int) -> str:
    cell, column = panel.cells[i][j], grid.columns[j]
    if cell is None:
        return "–"
    mean, spread = number(cell, column.digits)
    shown = f"{mean} {spread}".rstrip()
    mark = {"best": "**", "within": "*", "": ""}[panel.marks[i][j]] if shown else ""
    return f"{mark}{shown}{mark} ({escape_md(', '.join(remarks(cell, column.metric)))})".strip()


def blocks(widths: list[int], room: int, gap: int = 2) -> list[list[int]]:
    """Columns in groups that fit `room` with a gap before each, at least one each."""
    found: list[list[int]] = [[]]
    used = 0
    for j, width in enumerate(widths):
        if found[-1] and used + width + gap > room:
            found.append([])
            used = 0
        found[-1].append(j)
        used += width + gap
    return found


def wrap(words: str, width: int, indent: str) -> str:
    """A long line broken at spaces, the parts after the first indented."""
    return textwrap.fill(words, width, subsequent_indent=indent, break_long_words=False) or words


def escape_md(words: str) -> str:
    """Text that cannot be taken for Markdown or HTML."""
    words = escaping.escape(words, quote=False)
    for sign in "\\`*_[]|~":
        words = words.replace(sign, "\\" + sign)
    return " ".join(words.split())
