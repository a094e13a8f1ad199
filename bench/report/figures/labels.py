"""Names beside points, placed so that none covers another, a point, or the edge of the panel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.transforms import Bbox

# Offsets from the point in units of text points, and how the text is aligned there; the first that is free is taken.
PLACES: tuple[tuple[float, float, str, str], ...] = (
    (6, 5, "left", "bottom"), (6, -5, "left", "top"), (-6, 5, "right", "bottom"), (-6, -5, "right", "top"),
    (0, 9, "center", "bottom"), (0, -9, "center", "top"), (9, 0, "left", "center"), (-9, 0, "right", "center"),
    (8, 16, "left", "bottom"), (8, -16, "left", "top"), (-8, 16, "right", "bottom"), (-8, -16, "right", "top"),
)  # fmt: skip
POINT = 5.0  # half the side of the square that a marker takes, in points


MOST = 30  # letters of a name beside an axis: of more there is no room for what is drawn


def abbreviate(names: Sequence[str]) -> list[str]:
    """Names of at most MOST letters, cut in their middle, all of them still different."""
    short = [name if len(name) <= MOST else f"{name[: MOST - 12]}…{name[-10:]}" for name in names]
    return [f"{name} ({short[:i].count(name) + 1})" if short.count(name) > 1 else name for i, name in enumerate(short)]


def place(drawing: Drawing, ax: Axes, named: Sequence[tuple[str, float, float]]) -> list[str]:
    """Write (text, x, y) beside the points of `ax`, the earlier ones first; what finds no room is left out.

    The drawing must be complete but for these names: they are laid out on its final positions.

    Returns:
        The texts that were left out.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        drawing.draw_without_rendering()
    scale = drawing.dpi / 72
    spots = [ax.transData.transform((x, y)) for _, x, y in named]
    side = POINT * scale
    taken = [Bbox([[x - side, y - side], [x + side, y + side]]) for x, y in spots]
    inside, out = ax.get_window_extent(), []
    for text, x, y in named:
        for dx, dy, across, up in PLACES:
            aligned: Any = {"ha": across, "va": up}
            made = ax.annotate(text, (x, y), (dx, dy), textcoords="offset points", fontsize=7.5, **aligned)
            made.set_in_layout(False)
            box = made.get_window_extent()
            within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if within and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            made.remove()
        else:
            out.append(text)
    return out
