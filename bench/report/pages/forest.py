"""A verdict as a small drawing on the page: the panel of `figures.verdicts` in percent of the drawing's width."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analysis.judged import Verdict
from bench.report.figures.verdicts import MEAN, SEED, claims_figure

EDGE = 4.0  # percent of the drawing kept free at each side
TICKS = 6


@dataclass(frozen=True)
class Forest:
    """Positions in percent of the drawing's width; `low` and `high` are None where there is no interval.

    Attributes:
        seeds: (position, height above the axis, value as shown). thresholds, ticks: (position, value as shown).
        shade: (start, width) of the differences too small to matter; None where the claim names none.
        label: what the numbers are.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: list[tuple[float, float, str]]
    thresholds: list[tuple[float, str]]
    ticks: list[tuple[float, str]]
    shade: tuple[float, float] | None
    label: str


def forest(verdict: Verdict) -> Forest | None:
    """The drawing of a verdict, or None where it has no finite effect."""
    chart = claims_figure([verdict])
    if chart is None:
        return None
    (panel,) = chart.panels
    least, most = panel.x_range

    def at(v: float) -> float:
        return round(EDGE + (v - least) / (most - least) * (100 - 2 * EDGE), 2)

    mean = next(m for m in panel.marks if m.series == MEAN)
    shade = (at(max(panel.shade[0], least)), at(min(panel.shade[1], most))) if panel.shade else None
    return Forest(
        mean=at(float(mean.x)),
        low=None if mean.left is None else at(mean.left),
        high=None if mean.right is None else at(mean.right),
        seeds=[(at(float(m.x)), round(-9 * (m.y or 0.0), 1), m.text) for m in panel.marks if m.series == SEED],
        thresholds=[(at(x), text) for x, text in panel.lines],
        ticks=[(at(v), f"{v:.6g}") for v in round_numbers(least, most)],
        shade=(shade[0], round(shade[1] - shade[0], 2)) if shade else None,
        label=chart.scale(0).label,
    )


def round_numbers(low: float, high: float) -> list[float]:
    """Numbers for ticks between low and high: multiples of 1, 2 or 5 times a power of ten, TICKS or fewer."""
    exact = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(exact))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= exact)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]
