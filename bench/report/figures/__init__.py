"""Figures: records in, one description out (`chart`), drawn for print here and by the page's script.

chart       the description: scales, marks, panels, ranges
choice      which figures a sweep asks for, titles, small print
cells, epochs, classes, corruption, verdicts   build descriptions from records and runs' files
paper, paper_marks, labels, style              draw one with Matplotlib, a column wide
beside      describes two results that are compared
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from typing import TYPE_CHECKING

from bench.analysis.artifacts import Reader
from bench.analysis.frame import select_frame
from bench.report.figures import cells, classes, corruption, epochs
from bench.report.figures.chart import Chart
from bench.report.figures.choice import default, frame_for, kind_of
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure, Sweep
from bench.track.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

FLAT = {
    "line": cells.over_axis,
    "bars": cells.over_axis,
    "heat": cells.heat,
    "pareto": cells.pareto,
    "corruption": corruption.corruption,
}
WITH_ARTIFACTS = {
    "curves": epochs.curves,
    "gradients": epochs.gradients,
    "confusion": classes.confusion,
    "reliability": classes.reliability,
}


def describe(figure: Figure | None, sweep: Sweep, records: list[Record], reader: Reader | None = None) -> Chart:
    """The figure that a sweep asks for; without one, its last axis against test accuracy.

    Args:
        reader: the runs' files, for the kinds of figure that need more than records.

    Raises:
        RequestError: for an axis, a metric or a file that the records do not have.
    """
    if figure is None:
        figure = default(select_frame(sweep, records))
    frame = frame_for(figure, sweep, records)
    for role, name in zip(("x", "lines", "panels"), (figure.x, figure.lines, figure.panels), strict=True):
        if name is not None:
            frame.need_axis(name, f"figure.{role}")
    if figure.kind in WITH_ARTIFACTS:
        if reader is None:
            raise RequestError(
                f"A figure of kind '{figure.kind}' needs the runs' files, which a table of records has not."
            )
        return WITH_ARTIFACTS[figure.kind](frame, figure, reader)
    frame.need_metric(figure.y)
    return FLAT[kind_of(figure, frame)](frame, figure)


def draw(figure: Figure | None, sweep: Sweep, records: list[Record], reader: Reader | None = None) -> Drawing:
    """`describe`, drawn for print."""
    from bench.report.figures.paper import draw_chart

    return draw_chart(describe(figure, sweep, records, reader))


def drawable(figure: Figure | None, records: list[Record]) -> bool:
    """Whether there is anything to draw: kinds that show more than cells need a finished run."""
    return (
        any(r.status == "finished" for r in records) or figure is None or figure.kind in (None, "line", "bars", "heat")
    )


def files(name: str, drawing: Drawing) -> dict[str, bytes]:
    """The figure as files: for the page and code hosts, for papers, for slides."""
    first = svg(drawing)
    drawing.set_layout_engine("none")  # it is laid out now: the same places in all three, in a third of the time
    return {f"{name}.svg": first, f"{name}.pdf": pdf(drawing), f"{name}.png": png(drawing)}


def svg(drawing: Drawing) -> bytes:
    """The figure as SVG: no date, no random ids, text as paths so that it looks alike everywhere."""
    body = _save(drawing, "svg", metadata={"Date": None, "Creator": "imagebench"})
    return _clips_by_what_is_written(b"\n".join(text.rstrip() for text in body.splitlines()) + b"\n")


# Matplotlib makes a clip's id of its unrounded bounds, and their last bits depend on the order in which the layout's
# solver meets its terms, which is that of addresses in memory.
CLIP = re.compile(rb'<clipPath id="(p[0-9a-f]{10})">(.*?)</clipPath>', re.DOTALL)


def _clips_by_what_is_written(body: bytes) -> bytes:
    """The same SVG, the id of each clip made of its bounds as they stand in the file."""
    for found in CLIP.finditer(body):
        body = body.replace(found[1], b"p" + hashlib.sha256(found[2]).hexdigest()[:10].encode())
    return body


def png(drawing: Drawing, dpi: int = 300) -> bytes:
    """The figure as PNG."""
    return _save(drawing, "png", dpi=dpi, metadata={"Software": "imagebench"})


def pdf(drawing: Drawing) -> bytes:
    """The figure as PDF, its type as text."""
    return _save(drawing, "pdf", metadata={"CreationDate": None, "Creator": "imagebench", "Producer": "matplotlib"})


def _save(drawing: Drawing, kind: str, **how: object) -> bytes:
    from matplotlib import rc_context

    from bench.report.figures.style import RC

    out = io.BytesIO()
    with rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name's sign that the font lacks is a box
        drawing.savefig(out, format=kind, **how)  # type: ignore[arg-type]
    return out.getvalue()
