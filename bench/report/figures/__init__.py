"""Figures a paper could print: records in, a matplotlib Figure out, saved as the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib import rc_context
from matplotlib.figure import Figure as Drawing

from bench.report.artifacts import Reader
from bench.report.asked import default, frame_for, kind_of
from bench.report.figures.bars import bars
from bench.report.figures.classes import confusion, reliability
from bench.report.figures.corruption import corruption
from bench.report.figures.curves import curves, gradients
from bench.report.figures.heat import heat
from bench.report.figures.line import line
from bench.report.figures.pareto import pareto
from bench.report.figures.style import RC
from bench.report.frame import Frame, selected
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure, Sweep
from bench.track.record import Record

FLAT: dict[str, Callable[[Figure, Frame, Sweep], Drawing]] = {
    "line": line,
    "bars": bars,
    "heat": heat,
    "pareto": pareto,
    "corruption": corruption,
}
WITH_ARTIFACTS: dict[str, Callable[[Figure, Frame, Sweep, Reader], Drawing]] = {
    "curves": curves,
    "gradients": gradients,
    "confusion": confusion,
    "reliability": reliability,
}


def draw(figure: Figure | None, sweep: Sweep, records: list[Record], reader: Reader | None = None) -> Drawing:
    """The figure that a sweep asks for; without one, its last axis against test accuracy.

    Args:
        reader: the runs' files, for the kinds of figure that need more than records.

    Raises:
        RequestError: for an axis, a metric or a file that the records do not have.
    """
    if figure is None:
        figure = default(selected(sweep, records))
    frame = frame_for(figure, sweep, records)
    for role, name in zip(("x", "lines", "panels"), (figure.x, figure.lines, figure.panels), strict=True):
        if name is not None:
            frame.need_axis(name, f"figure.{role}")
    if figure.kind in WITH_ARTIFACTS:
        if reader is None:
            raise RequestError(
                f"A figure of kind '{figure.kind}' needs the runs' files, which a table of records has not."
            )
        with rc_context(RC):
            return WITH_ARTIFACTS[figure.kind](figure, frame, sweep, reader)
    frame.need_metric(figure.y)
    with rc_context(RC):
        return FLAT[kind_of(figure, frame)](figure, frame, sweep)


def drawable(figure: Figure | None, records: list[Record]) -> bool:
    """Whether there is anything to draw: kinds that show more than cells need a finished run."""
    return (
        any(r.status == "finished" for r in records) or figure is None or figure.kind in (None, "line", "bars", "heat")
    )


def svg(drawing: Drawing) -> bytes:
    """The figure as SVG: no date, no random ids, text as paths so that it looks alike everywhere."""
    out = io.BytesIO()
    with rc_context(RC):
        drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": "imagebench"})
    return b"\n".join(text.rstrip() for text in out.getvalue().splitlines()) + b"\n"


def png(drawing: Drawing, dpi: int = 200) -> bytes:
    """The figure as PNG."""
    out = io.BytesIO()
    with rc_context(RC):
        drawing.savefig(out, format="png", dpi=dpi, metadata={"Software": "imagebench"})
    return out.getvalue()
