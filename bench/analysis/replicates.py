"""What is drawn anew: seeds, splits, or both crossed. From one number a replicate to a mean and its error.

A replicate is called by its seed, or, where a sweep states others (`replicates: [seed, split.seed]`), by its seed and
its split: "0/2".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.stats import Interval, Sample, interval_of, sample
from bench.schema.label import show
from bench.track.record import Record

Replicate = Any  # a seed (int), or seed and split (str)
SPLIT = ("split.seed", "split.fold")


@dataclass(frozen=True)
class Contrast:
    """One number a replicate.

    Attributes:
        values: replicate -> contrast, where every needed run finished.
        counted: the same with the replicates that lack a run, which counts as `worst` there; None where a metric has
            no worst value. A run that diverges is not better than any that finished.
        worst: what a run that did not finish counts as.
        dropped: replicates in `counted` only.
        averaged: axis -> number of values that the contrast averages over within each replicate.
        absent: which point the records do not have, or "".
        largest: the largest number that went into it, by which its last digits are rounding.
    """

    values: dict[Replicate, float] = field(default_factory=dict)
    counted: dict[Replicate, float] | None = None
    worst: float = math.nan
    dropped: list[Replicate] = field(default_factory=list)
    averaged: dict[str, int] = field(default_factory=dict)
    absent: str = ""
    largest: float = 0.0


def replicate(record: Record, axes: Sequence[str]) -> Replicate:
    """How a record's replicate is called; `axes` are the sweep's replicates besides the seed."""
    if not axes:
        return record.seed
    return "/".join([str(record.seed), *(show(record.axes[name]) for name in axes if name in record.axes)])


def name_replicates(seeds: Sequence[int], drawn: Sequence[Sequence[Any]]) -> list[Replicate]:
    """The names of all replicates of these seeds; `drawn` are the values of each of the others."""
    if not drawn:
        return list(seeds)
    return ["/".join([str(seed), *map(show, values)]) for seed in seeds for values in itertools.product(*drawn)]


def in_order(names: set[Replicate]) -> list[Replicate]:
    """Replicates by their numbers."""
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else 0 for part in str(name).split("/")])


def overlap(records: Iterable[Record]) -> float:
    """Test images over the others of a split, from the settings: what Nadeau and Bengio's correction adds to 1/J.

    Where runs differ in it, the largest one: that of the others would say too much of these.
    """
    return max((found for record in records if (found := overlap_of(record.config)) is not None), default=0.0)


def own_splits(points: Iterable[Iterable[Record]]) -> bool:
    """Whether seeds of a point differ in their split, as with `split.seed=${seed}`."""
    splits = [{tuple(r.config.get(name) for name in SPLIT) for r in records if r.config} for records in points]
    return any(len(found) > 1 for found in splits)


def overlap_of(config: Mapping[str, Any]) -> float | None:
    """The same by the settings of one run; None where they do not say."""
    if config.get("split.kind") == "kfold" and config.get("split.folds"):
        return 1 / (float(config["split.folds"]) - 1)
    if "split.test" not in config:
        return None
    share = float(config["split.test"] or 0.0)
    return share / (1 - share) if share < 1 else 0.0


def summary(values: Mapping[Replicate, float], ratio: float = 0.0) -> Sample:
    """Mean of a metric or a contrast over replicates, and its standard error.

    Seeds and splits are crossed: var(mean) = V_seeds + V_splits - V_rest, and at least the larger of both, where
    V_seeds is the variance of the means of the seeds over their number, likewise for splits, and V_rest what the grid
    has beyond both (two-way clustering: Cameron, Gelbach & Miller 2011). Splits share images, so the variance of their
    means counts 1/J + ratio instead of 1/J (Nadeau & Bengio 2003). Degrees of freedom: Satterthwaite's.
    A seed that lacks a split is left out. Where each seed has a split of its own (`split.seed=${seed}`), the variance
    counts 1/n + ratio.

    Args:
        ratio: test images over the others (`overlap`).
    """
    if not any(isinstance(name, str) for name in values):
        return sample(list(values.values()), ratio)
    return crossed_mean(grid_of(values), ratio)


def grid_of(values: Mapping[Replicate, float]) -> NDArray[np.float64]:
    """Values of crossed replicates as a grid [seeds, splits]; seeds that lack a split are left out."""
    places = [str(name).partition("/")[::2] for name in values]
    seeds, splits = (list(dict.fromkeys(p[i] for p in places)) for i in (0, 1))
    grid, there = np.full((len(seeds), len(splits)), math.nan), np.zeros((len(seeds), len(splits)), dtype=bool)
    for (seed, split), value in zip(places, values.values(), strict=True):
        place = seeds.index(seed), splits.index(split)
        grid[place], there[place] = value, True  # a NaN is a number that somebody measured, and nothing that is missing
    return grid[there.all(axis=1)]


@dataclass(frozen=True)
class Spread:
    """How much of a grid's variance goes with its seeds, its splits, and neither, so that other grids are foreseen.

    Attributes:
        seeds, splits, rest: variances of one value.
    """

    seeds: float
    splits: float
    rest: float

    def of_mean(self, rows: int, columns: int, ratio: float) -> tuple[float, float]:
        """Standard error of the mean of a grid of so many seeds and splits, and its degrees of freedom."""
        by_seed = (self.seeds + self.rest / columns) / rows if rows > 1 else 0.0
        by_split = (self.splits + self.rest / rows) * (1 / columns + ratio) if columns > 1 else 0.0
        shared = self.rest / (rows * columns) if rows > 1 and columns > 1 else 0.0
        variance, df = _together(by_seed, by_split, shared, rows, columns)
        return math.sqrt(variance), df


def spread_of(grid: NDArray[np.float64]) -> Spread:
    """The parts of a grid's variance (two-way, one value a cell): mean squares less what the rest puts into them."""
    rows, columns = grid.shape
    by_seed, by_split = grid.mean(axis=1), grid.mean(axis=0)
    rest = 0.0
    if rows > 1 and columns > 1:
        left = grid - by_seed[:, None] - by_split[None, :] + grid.mean()
        rest = float((left**2).sum()) / ((rows - 1) * (columns - 1))
    seeds = float(by_seed.var(ddof=1)) - rest / columns if rows > 1 else 0.0
    splits = float(by_split.var(ddof=1)) - rest / rows if columns > 1 else 0.0
    return Spread(max(seeds, 0.0), max(splits, 0.0), rest)


def crossed_mean(grid: NDArray[np.float64], ratio: float = 0.0) -> Sample:
    """Mean of a grid [J, K] whose rows and columns are both drawn anew, by the formula of `summary`."""
    rows, columns = grid.shape
    flat = tuple(float(v) for v in grid.ravel())
    if not flat:
        return sample([])
    if not np.isfinite(grid).all():
        return Sample(flat, sum(flat), math.nan, len(flat) - 1, math.nan)
    mean = math.fsum(flat) / len(flat)
    if len(set(flat)) == 1:
        return Sample(flat, flat[0], 0.0 if len(flat) > 1 else math.nan, len(flat) - 1, 0.0)
    by_seed, by_split = grid.mean(axis=1), grid.mean(axis=0)
    seed_part = float(by_seed.var(ddof=1)) / rows if rows > 1 else 0.0
    split_part = float(by_split.var(ddof=1)) * (1 / columns + ratio) if columns > 1 else 0.0
    rest = grid - by_seed[:, None] - by_split[None, :] + mean
    both = rows > 1 and columns > 1
    shared = float((rest**2).sum()) / ((rows - 1) * (columns - 1) * rows * columns) if both else 0.0
    variance, df = _together(seed_part, split_part, shared, rows, columns)
    return Sample(flat, mean, math.sqrt(variance), df, math.sqrt(variance * len(flat)))


def _together(by_seed: float, by_split: float, shared: float, rows: int, columns: int) -> tuple[float, float]:
    """Variance of a mean from its parts, and Satterthwaite's degrees of freedom.

    Of what is left after the shared part is taken off: those of the sum are too many, and three splits erred in 7%.
    """
    variance = max(by_seed + by_split - shared, by_seed, by_split)
    terms = (by_seed**2 / (rows - 1) if rows > 1 else 0.0) + (by_split**2 / (columns - 1) if columns > 1 else 0.0)
    return variance, max(variance**2 / terms, 1.0) if terms > 0 else 1.0


def interval(values: Mapping[Replicate, float], ratio: float = 0.0) -> Interval:
    """Mean over replicates and its 95% interval."""
    return interval_of(summary(values, ratio))
