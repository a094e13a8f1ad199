"""A grid typeset for a paper: booktabs rules, a label, one column of a two-column article. All text is escaped."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence

from bench.analysis.naming import axis
from bench.report.grid import Grid, Panel, number, remarks
from bench.report.notes import MARKED, Note
from bench.report.published import Beside
from bench.report.tables import blocks, legend_of_marks, panel_title
from bench.schema.label import show

COLUMN = 220.0  # points: of LaTeX's own two-column article on A4; most venues have some more
PAGE = 430.0  # both columns; estimates of wider blocks are further off
MOST = 4  # blocks below each other; of more a table is as high as a page, and spans both columns
LETTER = 4.25  # points that a letter of \footnotesize takes, generously
SIGN = 0.35  # letters that ± takes beyond one, in the larger type
GAP = 6.0  # points between two columns of the table
SIZES = (("footnotesize", 1.0), ("scriptsize", 0.88))  # 8 and 7 points
SMALL = "\\scriptsize"  # what stands beside a number
NEXT_LINE = " \\\\ "
STACK = "\\begin{tabular}[t]{@{}r@{}}", "\\end{tabular}"
LONGEST = 16  # letters of a row's name in one line


def latex(grid: Grid, said: Sequence[Note] = (), published: Sequence[Beside] = (), name: str = "") -> str:
    """A `table` environment that fits one column, wide panels in blocks of columns; needs \\usepackage{booktabs}.

    Of many blocks it is a `table*`, which fits both columns.

    n stands in the caption once, and in the cells that have another.

    Args:
        name: of the sweep; the label is `tab:NAME`.
    """
    usual = _usual_n(grid)
    caption = grid.title.rstrip(".")
    caption += "" if caption.endswith(("?", "!")) else "."
    caption += " Mean ± half width of the 95% interval"
    caption += " ([from, to] where it ends with the metric)" if any(c.interval.cut for c in grid.cells()) else ""
    chosen = list(dict.fromkeys(axis(name) for c in grid.cells() for name in c.chosen))
    caption += f", in brackets {', '.join(chosen)}" if chosen and not _chosen_by_row(grid) else ""
    caption += f", n = {usual} unless said." if usual else "."
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    width, (size, made) = COLUMN, _layout(grid, usual, COLUMN)
    if sum(len(found) for _, _, found, _ in made) > MOST:
        width, (size, made) = PAGE, _layout(grid, usual, PAGE)
    kind = "table" if width == COLUMN else "table*"
    lines = ["% \\usepackage{booktabs}", f"\\begin{{{kind}}}", "\\centering", f"\\caption{{{_breakable(caption)}}}"]
    lines += [f"\\label{{tab:{label}}}"] if label else []
    lines += [f"\\{size}", f"\\setlength{{\\tabcolsep}}{{{GAP / 2:g}pt}}"]
    for panel, (cells, left, found, _) in zip(grid.panels, made, strict=True):
        for k, block in enumerate(found):  # what was chosen for the rows stands once
            lines += _tabular(grid, panel, cells, left if k == 0 else left[: len(grid.row_axes)], block)
    # What stands below is running text, smaller, so that a table of many notes fits a page: a published number beside
    # ours is a sentence, not a column.
    lines += ["", SMALL] if published or said else []
    notes = [note for note in said if not note.text.startswith("Cells:")]
    for one in published:
        label_, theirs, ours, gap, source, differs = one.texts
        words = f"{label_}: published {theirs}, ours {ours}{f', {gap}' if gap else ''}. {source}. Differs: {differs}."
        lines += ["", f"\\par\\raggedright {_breakable(words)}"]
    for note in notes:
        sentence = (
            legend_of_marks("\\textbf{bold}", "\\textit{italic}") if note.text == MARKED else _breakable(note.text)
        )
        lines += ["", f"\\par\\raggedright {sentence}"]
    lines.append(f"\\end{{{kind}}}")
    if foreign := sorted({sign for line in lines for sign in line if _is_foreign(sign)}):
        lines.insert(1, f"% {' '.join(foreign[:12])}: compile with LuaLaTeX or XeLaTeX, and a font that has them")
    return "\n".join(lines) + "\n"


def _is_foreign(sign: str) -> bool:
    """Whether pdfLaTeX stops at it: what is neither ASCII, nor a letter of a Latin alphabet, nor its punctuation."""
    return ord(sign) > 0x17E and not 0x2010 <= ord(sign) <= 0x2026 and sign != "€"


# Cells, columns of row names, blocks of columns, and whether every block is narrow enough.
Laid = tuple[list[list[str]], list[list[str]], list[list[int]], bool]


def _layout(grid: Grid, usual: int, width: float) -> tuple[str, list[Laid]]:
    """The panels laid out in so many points, in the larger size of type where that fits as well."""
    layouts = [(size, [_lay_out(grid, panel, usual, factor, width) for panel in grid.panels]) for size, factor in SIZES]
    fitting = [one for one in layouts if all(fits for *_, fits in one[1])] or layouts[-1:]
    return next((one for one in fitting if _in_one(one[1])), fitting[0])


def _lay_out(grid: Grid, panel: Panel, usual: int, factor: float, width: float) -> Laid:
    letter, sign = LETTER * factor, SIGN if factor == 1 else 0.0
    heads = [head for head, _ in grid.head_rows()[-1]]
    left = _row_names(panel, grid)
    names = [min(max(map(len, of)), LONGEST) * letter + GAP for of in left]
    room, later = width - sum(names), width - sum(names[: len(grid.row_axes)])
    places = range(len(heads))
    columns = [[_cell(grid, panel, i, j, usual) for i in range(len(panel.rows))] for j in places]
    widths = [max(len(heads[j]), sign + max(map(_length, columns[j]))) * letter + GAP for j in places]
    for j in places:
        if widths[j] > (later if j else room):  # no tabular can hold it beside the names of its rows
            columns[j] = [_cell(grid, panel, i, j, usual, stacked=True) for i in range(len(panel.rows))]
            widths[j] = max(len(heads[j]), sign + max(map(_length, columns[j]))) * letter + GAP
    cells = [list(row) for row in zip(*columns, strict=True)]
    found = blocks([int(w) for w in widths], int(room), gap=0)
    fits = all(sum(widths[j] for j in block) <= (later if k else room) for k, block in enumerate(found))
    return cells, left, found, fits


def _in_one(made: list[Laid]) -> bool:
    return all(len(found) == 1 for _, _, found, _ in made)


def _tabular(
    grid: Grid, panel: Panel, cells: list[list[str]], left: Sequence[Sequence[str]], block: list[int]
) -> list[str]:
    """The panel's columns of one block as a tabular."""
    long = [max(map(len, names)) > LONGEST for names in left]
    spec = "".join(f"p{{{LONGEST * LETTER:g}pt}}" if one else "l" for one in long) + "r" * len(block)
    lines = ["", f"\\begin{{tabular}}{{{spec}}}", "\\toprule"]
    first, start = len(left) + 1, "& " * len(left)
    title = " · ".join(t for t in (panel_title(panel), grid.spanning()) if t)
    if title:
        lines.append(f"\\multicolumn{{{len(left) + len(block)}}}{{l}}{{{_box(title)}}} \\\\")
        lines.append(f"\\cmidrule(lr){{{first}-{first + len(block) - 1}}}")
    *above, last = grid.head_rows()
    for level in above:
        spans, rules, place = [], [], first
        owner = [head for head, n in level for _ in range(n)]
        for head, n in _runs([owner[j] for j in block]):
            spans.append(f"\\multicolumn{{{n}}}{{c}}{{{tex(head)}}}")
            rules.append(f"\\cmidrule(lr){{{place}-{place + n - 1}}}")
            place += n
        lines += [f"{start}{' & '.join(spans)} \\\\", " ".join(rules)]
    lines.append(" & ".join(map(tex, [*(names[0] for names in left), *(last[j][0] for j in block)])) + " \\\\")
    lines.append("\\midrule")
    for i, body in enumerate(cells, 1):
        names = [
            f"\\raggedright {_breakable(of[i])}" if one else tex(of[i]) for of, one in zip(left, long, strict=True)
        ]
        if names[:1] and names[0].startswith(("[", "*")):  # after the line before, these would be its argument
            names[0] = "{}" + names[0]
        lines.append(" & ".join([*names, *(body[j] for j in block)]) + " \\\\")
    return [*lines, "\\bottomrule", "\\end{tabular}"]


def _usual_n(grid: Grid) -> int:
    """The n that most cells have; 0 where there is none."""
    counted = Counter(c.interval.n for c in grid.cells() if c.values)
    return counted.most_common(1)[0][0] if counted else 0


def _row_names(panel: Panel, grid: Grid) -> list[list[str]]:
    """The columns of row names, each with its head; what was chosen for whole rows is among them."""
    rows = [[show(v) for v in row.values()] for row in panel.rows]
    out = [[head, *names] for head, *names in zip(grid.row_heads(), *rows, strict=True)]
    if _chosen_by_row(grid):
        chosen = [next((c.chosen for c in cells if c is not None and c.chosen), {}) for cells in panel.cells]
        for name in dict.fromkeys(name for one in chosen for name in one):
            out.append([axis(name), *(show(one[name]) if name in one else "" for one in chosen)])
    return out


def _chosen_by_row(grid: Grid) -> bool:
    """Whether the columns are metrics of the same runs, so that a hyperparameter is chosen once for a whole row."""
    return all(not column.at for column in grid.columns)


def _runs(texts: Sequence[str]) -> list[tuple[str, int]]:
    """Equal neighbours together: (text, how many)."""
    out: list[tuple[str, int]] = []
    for text in texts:
        out = [*out[:-1], (text, out[-1][1] + 1)] if out and out[-1][0] == text else [*out, (text, 1)]
    return out


def _cell(grid: Grid, panel: Panel, i: int, j: int, usual: int, stacked: bool = False) -> str:
    """A number and what stands beside it; `stacked` puts each remark into a line of its own, below the number."""
    cell, column = panel.cells[i][j], grid.columns[j]
    if cell is None:
        return "--"
    mean, spread = number(cell, column.digits)
    shown = "\\,".join(tex(part) for part in (mean, *spread.split(" ", 1)) if part)
    command = {"best": "\\textbf", "within": "\\textit", "": ""}[panel.marks[i][j]] if shown else ""
    shown = f"{command}{{{shown}}}" if command else shown
    bare = dataclasses.replace(cell, chosen={})
    said = [text for text in remarks(bare, column.metric) if text != f"n={usual}"]
    said += [] if _chosen_by_row(grid) else [show(value) for value in cell.chosen.values()]  # the caption names them
    if stacked and said:
        lines = [shown, *(f"{{{SMALL} {tex(text)}}}" for text in said)]
        return NEXT_LINE.join(lines).join(STACK)
    return f"{shown} {{{SMALL} ({tex(', '.join(said))})}}".strip() if said else shown


def _length(typeset: str) -> float:
    """About how many letters a typeset cell is wide: its widest line."""
    if typeset.startswith(STACK[0]):
        return max(map(_length, typeset.removeprefix(STACK[0]).removesuffix(STACK[1]).split(NEXT_LINE)))
    number, _, small = typeset.partition("{\\scriptsize")
    bare = [re.sub(r"\\(?:textbf|textit)|\\,|[{}$\\]", "", part.replace("\\pm", "+")) for part in (number, small)]
    return len(bare[0]) + len(bare[1]) * 0.88


def _box(title: str) -> str:
    """A title over the whole width, broken into lines where it is long."""
    if len(title) * LETTER < COLUMN * 0.8:
        return tex(title)
    return f"\\parbox{{{COLUMN - 16:g}pt}}{{\\raggedright {_breakable(title)}}}"


def _breakable(words: str) -> str:
    """Text whose words of more than twelve letters may break after their signs."""
    return " ".join(_break_word(word) if len(word) > 12 else tex(word) for word in words.split())


def _break_word(word: str) -> str:
    parts = re.findall(r"[^\W_]+|[\W_]", word)
    return "".join(tex(part) + ("" if part.isalnum() else "\\allowbreak{}") for part in parts)


_TEX = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    "·": "$\\cdot$",
    "×": "$\\times$",
    "≥": "$\\geq$",
    "≤": "$\\leq$",
    "→": "$\\rightarrow$",
    "…": "\\dots{}",
    "–": "--",
    "\u2212": "$-$",
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),  # nothing to be seen of them
}
_TEX |= {sign: "\\" + sign for sign in "&%$#_{}"}
_TEX |= {"<": "$<$", ">": "$>$"}  # letters of other signs in the older font encoding


def tex(words: str) -> str:
    """Text that cannot be taken for LaTeX, its minus signs as such, blank lines as spaces: they end paragraphs."""
    escaped = "".join(_TEX.get(sign, sign) for sign in " ".join(words.split()))
    return re.sub(r"(?<!\S)-(?=[\d ])", "$-$", escaped)
