"""Several data sets: which method is better across them all.

Mean ranks with the critical difference of Nemenyi's test (Demsar 2006, JMLR 7), the interquartile mean and the
probability of improvement with stratified bootstrap intervals (Agarwal et al. 2021, arXiv:2108.13264).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.frame import Frame, value
from bench.analysis.naming import key, point
from bench.analysis.resampling import signed_ranks
from bench.analysis.stats import LEVEL, holm
from bench.schema.claim import Across as AcrossClaim
from bench.schema.metric import metric
from bench.schema.sweep import Sweep

Scores = NDArray[np.float64]  # [datasets, seeds] of one method, higher is better


@dataclass(frozen=True)
class Across:
    """Methods on the data sets that all of them have, with equally many seeds.

    Attributes:
        scores: method -> its scores.
        ranks: mean rank over the data sets, 1 for the best; equals share.
        critical: mean ranks that differ by less are not told apart at 5%; NaN for one method.
        lost: data sets and seeds that not every method has a number for.
        p: of Friedman's test that all rank alike; NaN for two methods or fewer.
    """

    names: list[str]
    datasets: list[str]
    scores: list[Scores]
    ranks: list[float]
    critical: float
    p: float
    lost: list[str]


def axis_of(sweep: Sweep | None) -> str:
    """The axis of data sets: that which a claim is judged across, else `dataset`."""
    return next((c.over for c in (sweep.claims if sweep else ()) if isinstance(c, AcrossClaim)), "dataset")


def across(frame: Frame, of: str, sets: str = "dataset") -> Across | None:
    """The methods of a frame with an axis of data sets; None where it has none, or too little is common to all."""
    if sets not in frame.axes or len(frame.levels[sets]) < 2 or not metric(of).better:
        return None
    sign = -1.0 if metric(of).better == "less" else 1.0
    rest = [name for name in frame.axes if name != sets]
    found: dict[tuple[str, ...], tuple[str, dict[str, dict[object, float]]]] = {}
    for runs in frame.points.values():
        at = next(iter(runs.values())).axes
        mine = found.setdefault(key(at, rest), (point({n: at[n] for n in rest if n in at}), {}))[1]
        known = {s: value(r, of) for s, r in runs.items()}
        # A run that diverged is as one that failed: no rank, and no win, can be made of it.
        mine[str(at[sets])] = {s: sign * v for s, v in known.items() if v is not None and math.isfinite(v)}
    datasets = [str(d) for d in frame.levels[sets] if all(by.get(str(d)) for _, by in found.values())]
    if len(found) < 2 or len(datasets) < 2:
        return None
    seeds = set.intersection(*(set(by[d]) for _, by in found.values() for d in datasets))
    if len(seeds) < 2:
        return None
    order = sorted(seeds, key=str)
    scores = [np.array([[by[d][s] for s in order] for d in datasets]) for _, by in found.values()]
    means = np.array([s.mean(axis=1) for s in scores])  # [methods, datasets]
    from scipy import stats  # slow to import

    ranks = stats.rankdata(-means, axis=0)
    p = float(stats.friedmanchisquare(*means).pvalue) if len(scores) > 2 else math.nan
    critical = critical_difference(len(scores), len(datasets))
    every = {s for _, by in found.values() for values in by.values() for s in values} | set(frame.seeds)
    lost = [str(d) for d in frame.levels[sets] if str(d) not in datasets]
    lost += [f"seed {s}" for s in sorted(every - seeds, key=str)]
    names = [n for n, _ in found.values()]
    return Across(names, datasets, scores, list(map(float, ranks.mean(axis=1))), critical, p, lost)


def compare_pairs(found: Across) -> dict[tuple[int, int], float]:
    """Each pair of methods -> p of Wilcoxon's signed-rank test over the data sets, Holm's correction for all pairs.

    Benavoli, Corani & Mangili 2016 (JMLR 17): Nemenyi's ranks of two methods hang on the others, these p do not.
    """
    means = [s.mean(axis=1) for s in found.scores]
    pairs = [(i, j) for i in range(len(means)) for j in range(i + 1, len(means))]
    p = []
    for i, j in pairs:
        apart = np.round(means[i] - means[j], 13)
        p.append(min(1.0, 2 * min(signed_ranks(apart))))
    return dict(zip(pairs, holm(p), strict=True))


def critical_difference(methods: int, datasets: int) -> float:
    """Nemenyi's: q sqrt(k (k + 1) / (6 N)), q the studentized range's 95% point over the root of 2."""
    from scipy import stats  # slow to import

    q = float(stats.studentized_range.ppf(LEVEL, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def interquartile_mean(scores: Scores) -> float:
    """Mean of the middle half of all runs of all data sets."""
    from scipy import stats  # slow to import

    return float(stats.trim_mean(scores, 0.25, axis=None))


def improvement(one: Scores, other: Scores) -> float:
    """Probability that a run of `one` beats a run of `other` on the same data set, mean over data sets; equals half."""
    greater = one[:, :, None] - other[:, None, :]
    return float(((greater > 0) + 0.5 * (greater == 0)).mean())


def resample(scores: Scores, rng: np.random.Generator) -> Scores:
    """As many runs of each data set, drawn with replacement."""
    return np.take_along_axis(scores, rng.integers(0, scores.shape[1], scores.shape), axis=1)


def interval(values: list[float]) -> tuple[float, float]:
    """Percentile bootstrap at 95%."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
