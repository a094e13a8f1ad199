"""A grid as HTML. Strings out, no files; all text of users is escaped."""

from __future__ import annotations

import html as escaping
from collections.abc import Sequence

from bench.report.grid import Grid, Panel, number, remarks
from bench.report.notes import MARKED, Note
from bench.report.published import HEADS, Beside, filled_columns
from bench.report.tables import legend_of_marks, panel_title
from bench.schema.label import show


def html(grid: Grid, said: Sequence[Note] = (), published: Sequence[Beside] = ()) -> str:
    """`<table>` elements and a list of notes, all text escaped, no style and no script.

    Cells carry `data-value` (the mean, stored units), `data-n`, `data-values` (by seed) and a class for the mark.
    """
    e = escaping.escape
    stamp = ' class="stamp"'
    lines: list[str] = []
    for panel in grid.panels:
        title = " · ".join(t for t in (panel_title(panel), grid.spanning()) if t)
        lines += ["<table>", *([f"<caption>{e(title)}</caption>"] if title else []), "<thead>"]
        *above, last = grid.head_rows()
        tall = f' rowspan="{len(above) + 1}"' if above else ""
        left = [f'<th scope="col"{tall}>{e(head)}</th>' for head in grid.row_heads()]
        for level in above:
            lines += [
                "<tr>",
                *left,
                *(f'<th scope="colgroup" colspan="{n}">{e(head)}</th>' for head, n in level),
                "</tr>",
            ]
            left = []
        lines += [
            "<tr>",
            *left,
            *(f'<th scope="col">{e(head)}</th>' for head, _ in last),
            "</tr>",
            "</thead>",
            "<tbody>",
        ]
        for i, row in enumerate(panel.rows):
            lines.append("<tr>")
            lines += [f'<th scope="row">{e(show(v))}</th>' for v in row.values()]
            lines += [_html_cell(grid, panel, i, j) for j in range(len(grid.columns))]
            lines.append("</tr>")
        lines += ["</tbody>", "</table>"]
    if published:
        lines += ["<table>", "<caption>Against published numbers</caption>", "<thead><tr>"]
        kept = filled_columns(published)
        lines += [f'<th scope="col">{e(HEADS[i])}</th>' for i in kept]
        lines += ["</tr></thead>", "<tbody>"]
        for one in published:
            first, *rest = (e(one.texts[i]) for i in kept)
            lines.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in rest)}</tr>')
        lines += ["</tbody>", "</table>"]
    if said:
        lines.append('<ul class="notes">')
        for note in said:
            words = legend_of_marks("<strong>bold</strong>", "<em>italic</em>") if note.text == MARKED else e(note.text)
            lines.append(f"<li{stamp if note.stamp else ''}>{words}</li>")
        lines.append("</ul>")
    return "\n".join(lines) + "\n"


def _html_cell(grid: Grid, panel: Panel, i: int, j: int) -> str:
    cell, column = panel.cells[i][j], grid.columns[j]
    if cell is None:
        return '<td class="absent">–</td>'
    mean, spread = number(cell, column.digits)
    shown = f"{mean} {spread}".rstrip()
    classes = " ".join(c for c in (panel.marks[i][j], "incomplete" if cell.incomplete else "") if c)
    by_seed = ", ".join(f"seed {seed}: {column.digits(value)}" for seed, value in cell.values.items())
    data = f' data-n="{cell.interval.n}" data-values="{escaping.escape(by_seed)}"'
    data += f' data-value="{cell.interval.mean!r}"' if cell.values else ""
    small = f"<small>{escaping.escape(', '.join(remarks(cell, column.metric)))}</small>"
    body = {"best": f"<strong>{shown}</strong>", "within": f"<em>{shown}</em>", "": shown}[panel.marks[i][j]]
    data += f' class="{classes}"' if classes else ""
    return f"<td{data}>{body} {small}</td>"
