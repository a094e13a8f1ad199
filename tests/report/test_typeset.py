"""table.tex as papers use it: in a column of a two-column article, without overfull lines, with labels that resolve."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.analysis.frame import select_frame
from bench.report.grid import pivot
from bench.report.latex import latex
from bench.report.notes import notes
from bench.report.published import compare_published
from tests.records import make_records, make_sweep
from tests.report.test_tables import EVIL

RESULTS = Path(__file__).resolve().parents[2] / "results"
ARTICLE = r"""\documentclass[twocolumn,a4paper,10pt]{article}
\usepackage{booktabs}
\begin{document}
%s
See %s.
\end{document}
"""


def hard_table() -> str:
    """Long names, many columns, several metrics, signs of LaTeX, a published number."""
    axes = {
        "dataset": [
            "a name that no column holds in one line", "imagenet_v2-matched-frequency/2", EVIL,
            "[x] first", "*starred*", "\u2212 and \u200b",
        ],
        "optim.lr": [0.0001, 0.001, 0.01, 0.1, 1.0],
    }  # fmt: skip
    sweep = make_sweep(
        axes,
        question=f"Is {EVIL} safe?",
        table={"rows": "dataset", "columns": "optim.lr", "metric": ["test/accuracy", "test/nll"]},
        published=[
            {"value": 0.9, "source": "Somebody 1998, https://example.org/a/long/address", "at": {"dataset": EVIL}}
        ],
    )
    made = make_records(axes, lambda _: 0.9)
    frame = select_frame(sweep, made)
    grid = pivot(frame, sweep)
    return latex(grid, notes(grid, frame, sweep, made, {}), compare_published(frame, sweep), "hard")


def test_every_table_fits_a_column_of_a_paper(tmp_path: Path) -> None:
    command = shutil.which("pdflatex")
    if command is None:
        message = "No pdflatex here; on Debian: apt-get install texlive-latex-recommended."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    tables = {p.parent.name: p.read_text(encoding="utf-8") for p in sorted(RESULTS.glob("*/table.tex"))}
    tables["hard"] = hard_table()
    for name, text in tables.items():
        (tmp_path / f"{name}.tex").write_text(text, encoding="utf-8")
    inputs = "\n".join(f"\\input{{{name}}}" for name in tables)
    cited = ", ".join(f"\\ref{{tab:{name}}}" for name in tables)
    (tmp_path / "paper.tex").write_text(ARTICLE % (inputs, cited), encoding="utf-8")
    for _ in range(2):  # the second time labels are known
        words = [command, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False, errors="replace"
        )
        assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace").replace("\n", " ")
    assert re.findall(r"Overfull .hbox \(([\d.]+)pt", log) == []
    assert re.findall(r"Float too large for page by ([\d.]+)pt", log) == []
    assert "undefined" not in log
    assert "multiply" not in log


def test_a_table_says_which_of_its_signs_need_another_latex() -> None:
    axes = {"arm": ["日本", "ünïcodé – “a”"], "lr": [0.1, 0.2]}
    sweep, made = make_sweep(axes), make_records(axes, lambda _: 0.9)
    text = latex(pivot(select_frame(sweep, made), sweep))
    assert text.splitlines()[1] == "% 日 本: compile with LuaLaTeX or XeLaTeX, and a font that has them"
