"""A metric over two axes as the colour of a grid."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure as Drawing

from bench.report.figures.style import canvas, caption
from bench.report.frame import Frame
from bench.report.naming import Digits, axis, key
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Figure, Sweep


def heat(figure: Figure, frame: Frame, sweep: Sweep) -> Drawing:
    """Mean and half width in every square; cividis, which is even for all kinds of colour vision."""
    assert figure.x is not None
    assert figure.lines is not None
    shown = metric(figure.y)
    sheet = canvas(figure, frame, sweep, [figure.x, figure.lines], share_y=False)
    cells = frame.cells(figure.y, figure.at)
    across, down = frame.levels[figure.x], frame.levels[figure.lines]
    axes = [figure.x, figure.lines, *(sheet.panels[0][0])]
    by_point = {key(c.at, axes): c for c in cells}
    if len(down) > 8:
        sheet.drawing.set_figheight(sheet.drawing.get_figheight() + 0.28 * (len(down) - 8))
    means = [c.interval.mean * shown.factor for c in cells if c.values and math.isfinite(c.interval.mean)]
    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    digits = Digits(shown, [c.interval.half for c in cells])
    image = None
    for at, ax in sheet.panels:
        field = np.full((len(down), len(across)), np.nan)
        for i, row in enumerate(down):
            for j, column in enumerate(across):
                cell = by_point.get(key({**at, figure.x: column, figure.lines: row}, axes))
                if cell is None:
                    continue
                field[i, j] = cell.interval.mean * shown.factor
                text = digits(cell.interval.mean) if cell.values else "failed" if cell.failed else "not run"
                if cell.values and cell.interval.half > 0:
                    text += f"\n±{digits(cell.interval.half)}"
                if cell.values and cell.incomplete:
                    text += f"\nn={cell.interval.n}"
                dark = not math.isfinite(field[i, j]) or (field[i, j] - low) / ((high - low) or 1.0) > 0.55
                size = 8 if len(across) <= 8 else 6
                ax.text(j, i, text, ha="center", va="center", fontsize=size, color="black" if dark else "white")
        image = ax.imshow(field, cmap="cividis", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
        ax.set_xticks(range(len(across)), [show(v) for v in across])
        ax.set_yticks(range(len(down)), [show(v) for v in down])
        ax.set_xlabel(axis(figure.x))
        ax.set_ylabel(axis(figure.lines))
        ax.grid(False)
        ax.tick_params(length=0)
        ax.set_xticks(np.arange(len(across) - 1) + 0.5, minor=True)  # white gaps between the squares
        ax.set_yticks(np.arange(len(down) - 1) + 0.5, minor=True)
        ax.grid(True, which="minor", color="white", linewidth=1.5)
        ax.tick_params(which="minor", length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
    if image is not None:
        sheet.drawing.colorbar(image, ax=[ax for _, ax in sheet.panels], label=shown.label)
    caption(sheet.drawing, figure, cells, "Mean over seeds and half width of its 95% t-interval")
    return sheet.drawing
