"""The best of several cells, and those that are not told apart from it.

Multiple comparisons with the best (Hsu 1984), by Bonferroni: a cell is out where any other one is better in paired
differences with a one-sided p of at most 5% / (k (k - 1)), among k cells. So in 95% of tables no cell is out that is as
good as the best. Two models that say the same at every seed are compared as a claim compares them: image by image.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from bench.analysis.artifacts import Reader
from bench.analysis.frame import Cell, Frame
from bench.analysis.images import METRIC, compare_points, problem
from bench.analysis.replicates import Replicate, in_order, summary
from bench.analysis.rounding import without_noise
from bench.analysis.stats import LEVEL, one_sample
from bench.schema.metric import Metric

Mark = Literal["", "best", "within"]


def marks(cells: Mapping[int, Cell], of: Metric, frame: Frame, reader: Reader | None = None) -> dict[int, Mark]:
    """`best` for the best mean, `within` where not told apart from it; nothing where neither way is better.

    Args:
        cells: by the row that they stand in. Only those of one problem are compared: on other data, or with other
            classes of the same, nobody competes.
        reader: gives the runs' predictions; without it models without any spread are never told apart.
    """
    out: dict[int, Mark] = dict.fromkeys(cells, "")
    problems: dict[frozenset[tuple[str, str]], dict[int, Cell]] = defaultdict(dict)
    for place, cell in cells.items():
        if of.better and math.isfinite(cell.interval.mean):
            problems[problem(cell.records)][place] = cell
    for rivals in problems.values():
        if len(rivals) > 1:
            out |= _among(rivals, of, frame, reader)
    return out


def _among(cells: Mapping[int, Cell], of: Metric, frame: Frame, reader: Reader | None) -> dict[int, Mark]:
    sign = 1.0 if of.better == "greater" else -1.0
    ranked = sorted(cells, key=lambda place: -sign * cells[place].interval.mean)
    best = cells[ranked[0]].interval.mean
    same = len({frozenset(cell.values) for cell in cells.values()}) == 1
    out: dict[int, Mark] = {}
    for rank, place in enumerate(ranked):
        cell = cells[place]
        if cell.interval.mean == best:
            out[place] = "best"
        elif cell.interval.n > 1 and not any(
            _p_better(cells[other], cell, of, frame, reader) <= (1 - LEVEL) / (len(cells) * (len(cells) - 1))
            # The best first: most cells are out by it alone. By the same replicates, no worse mean is a better cell.
            for other in (ranked[:rank] if same else ranked)
            if other != place
        ):
            out[place] = "within"
    return out


def _p_better(one: Cell, other: Cell, of: Metric, frame: Frame, reader: Reader | None) -> float:
    """One-sided p for "`one` is better"; 1 where no test can say so.

    As in a claim, a run that did not finish is left out and counted as the worst there can be: the larger p of both.
    """
    both = [n for n in one.values if n in other.values]
    alone = one.values.keys() ^ other.values.keys()
    if of.name == METRIC and not alone and all(len({*cell.values.values()}) == 1 for cell in (one, other)):
        by_images = compare_points(frame, one.at, other.at, reader)
        if by_images is not None and by_images.fixed:
            return by_images.outcome(len(both)).p_greater
    found = [_p_by_replicates(one, other, both, of, frame)]
    if alone:
        found.append(1.0 if of.worst is None else _p_by_replicates(one, other, in_order({*both, *alone}), of, frame))
    return max(found)


def _p_by_replicates(one: Cell, other: Cell, names: Iterable[Replicate], of: Metric, frame: Frame) -> float:
    """The same by these replicates, paired; one that a cell lacks is the worst there can be."""
    worst = math.nan if of.worst is None else of.worst
    pairs = {n: (one.values.get(n, worst), other.values.get(n, worst)) for n in names}
    # Rounding is no spread. Equal differences prove nothing: no test can say so.
    largest = max((abs(v) for pair in pairs.values() for v in pair if math.isfinite(v)), default=0.0)
    sign = 1.0 if of.better == "greater" else -1.0
    changes = {n: without_noise(sign * (a - b), largest) for n, (a, b) in pairs.items()}
    p = one_sample(summary(changes, frame.overlap([*one.records, *other.records]))).p_greater
    return 1.0 if math.isnan(p) else p
