"""From what records say to tables, figures and pages. Never imports torch or MLflow.

Written
    writing, verdict                        all files of a results folder; verdicts in words
    grid, tables, markup, latex, notes      rows and columns; as text, HTML, LaTeX; what stands beside them
    ranks, published                        methods across data sets; numbers from the literature beside ours
    figures/                                described once, drawn on paper and on the page
    manifest, seal, integrity, evidence     what a folder says of itself, whether it is true; read back
Shown
    pages/                                  the site
Compared
    compare, matching, compared             two results; which of their runs go together; in words
    reproduce, causes                       old runs against new ones; what else differs
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.artifacts import Reader
    from bench.report.writing import Report
    from bench.schema.sweep import Sweep
    from bench.track.record import Record


def write(
    sweep: Sweep,
    records: list[Record],
    folder: Path,
    context: Mapping[str, Any] | None = None,
    reader: Reader | None = None,
) -> Report:
    """Write a sweep's evidence into `folder`, file by file, each whole or not at all.

    records.csv, table.md, table.csv, table.tex, table.html, figure.svg, figure.png (further ones: figure-2.svg, ...),
    artifacts.json (where a figure needs the runs' files), verdict.md, manifest.json. The same arguments give the same
    bytes.

    Args:
        sweep: at the scale that was run.
        records: one for each planned point and seed, those that failed or never ran included.
        context: what records do not hold, all optional: `scale`, `command` (how to run it again), `test_looks` (how
            often the store's runs scored these test splits), `findings` (of `bench check`: a list of mappings with
            `name`, `level`, `message`).
        reader: gives a run's files (`bench.analysis.artifacts`) to figures that need them; its `read_kept(folder)`
            reads those of an earlier report.

    Returns:
        A Report: `str(report)` is the text for a terminal, `report.data()` the same for programs.

    Raises:
        RequestError: for no records at all, an axis or a metric that the records do not have.
    """
    from bench.report.writing import write as write_

    return write_(sweep, records, Path(folder), context or {}, reader)
