"""From records to tables, figures and verdicts. Never imports torch or MLflow.

Records read
    frame, grid, replicates, naming     by point and seed; as rows and columns; what is drawn anew; words and numbers
    planned                             which points a sweep has at all
    evidence, artifacts, predictions    a results folder; what runs left beside records; what they said of each image
    selection, length                   which candidate val chooses, and what may be read then; how long runs trained
Judged
    claims, contrast, choosing              a claim judged; as numbers; what two ways of choosing find
    statement, verdict                      a claim in words; the outcome
    stats, resampling, outcome, rates       tests and intervals; those without normality; what a test says; shares
    looks, settings                         earlier looks and their price; at which settings, those of single arms too
    subject, rounding                       what a claim is about, however it is written; where digits end
    power, registered                       what n seeds can find; what was planned
    images, whole_images, fairness, across  other test images; whole numbers of images; equal training; many data sets
Written
    writing, tables, markup, latex, notes   all files; a grid as text, HTML, LaTeX; what stands beside it
    figures/, drawings, forest              figures; those of a page; a verdict as a small drawing
    page, facts, runs, single_run, site, readme, published, crate   pages, their parts, the index
    manifest, seal, integrity               what a folder says of itself, and whether it is true
Compared
    compare, compared, reproduce            two results; in words; old runs against new ones
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.report.artifacts import Reader
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

        reader: gives a run's files (`bench.report.artifacts`) to figures that need them; `artifacts.read_kept(folder)`
            reads those of an earlier report.

    Returns:
        A Report: `str(report)` is the text for a terminal, `report.data()` the same for programs.

    Raises:
        RequestError: for no records at all, an axis or a metric that the records do not have.
    """
    from bench.report.writing import write as write_

    return write_(sweep, records, Path(folder), context or {}, reader)
