"""Old runs against new ones: is it the same number, what other seeds would do anyway, or something else?

Only comparison happens here; `bench.sweep.rerun` runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special, stats

from bench.analysis.frame import value
from bench.analysis.naming import Digits
from bench.analysis.stats import LEVEL, t_interval
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text
from bench.schema.metric import metric
from bench.schema.science import NOT_SCIENCE
from bench.track.record import Record

Word = Literal["identical", "equal within rounding", "compatible", "different", "undecided"]


@dataclass(frozen=True)
class CellVerdict:
    """What running a cell again showed.

    Attributes:
        at: axis -> value.
        metric: its name.
        word: identical (same seeds, every metric equal to the last digit), equal within rounding (this metric is, and
            the others nearly), compatible (no difference seen, and `why` says which could have been missed), different,
            or undecided (one seed says nothing about the spread between seeds).
        then, now: seed -> value, stored units.
        low, high: where the mean of the new runs was to be expected; NaN where that cannot be said.
        why: what the word rests on.
    """

    at: dict[str, Any]
    metric: str
    word: Word
    then: dict[int, float]
    now: dict[int, float]
    low: float
    high: float
    why: str


def prediction(values: Sequence[float], count: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval for the mean of `count` further values, from n values of the same normal distribution.

    mean ± t(n-1) * sd * sqrt(1/n + 1/count), sd with ddof=1 (Hahn & Meeker 1991, section 4.8). NaN for n < 2.
    """
    n = len(values)
    if n < 2 or count < 1:
        return math.nan, math.nan
    x = np.asarray(values, dtype=float)
    sd = 0.0 if (x == x[0]).all() else float(x.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.5 + level / 2)) * sd * math.sqrt(1 / n + 1 / count)
    return float(x.mean()) - half, float(x.mean()) + half


def judge(
    then: Sequence[Sequence[Record]], now: Sequence[Sequence[Record]], metrics: Sequence[str]
) -> list[CellVerdict]:
    """A verdict for each cell and metric; the intervals hold for all of them together (Bonferroni).

    Args:
        then, now: the records of each cell, in the same order of cells.
    """
    level = 1 - (1 - LEVEL) / max(1, len(then) * len(metrics))
    return [_cell(list(old), list(new), name, level) for old, new in zip(then, now, strict=True) for name in metrics]


def _cell(old: list[Record], new: list[Record], name: str, level: float) -> CellVerdict:
    at = old[0].axes
    then = {r.seed: v for r in old if (v := value(r, name)) is not None}
    now = {r.seed: v for r in new if (v := value(r, name)) is not None}
    low, high = prediction(list(then.values()), len(now), level)

    def said(word: Word, why: str) -> CellVerdict:
        return CellVerdict(at, name, word, then, now, low, high, why)

    failed = [r for r in new if r.status != "finished"]
    if failed:
        return said("different", f"{len(failed)} of {len(new)} runs failed here: {failed[0].reason}")
    if not now:
        return said("different", f"no run here has {name}")
    if not then:
        return said("undecided", f"no committed run has {name}: there is nothing to hold it against")
    by_seed = {r.seed: r for r in old}
    common = [r for r in new if r.seed in by_seed]
    if len(common) == len(new):
        apart = _apart([(by_seed[r.seed], r) for r in common])
        if not apart:
            return said("identical", f"same seeds, all metrics equal to the last digit ({len(common)} runs)")
        if len(common) == 1 and (found := _one_run(by_seed[new[0].seed], new[0], name)):
            return said(*found)
        return said(*_compare_paired(then, now, name, apart, level))
    if math.isnan(low):
        return said("undecided", "new seeds; one committed seed says nothing about the spread between seeds")
    return said(*_compare_unpaired(then, now, name, low, high, level))


# Where other last digits come from: a network that starts with them ends elsewhere, as with another seed.
DIGITS = ("hardware", "threads", "platform", "python", "packages")


def _one_run(old: Record, new: Record, name: str) -> tuple[Word, str] | None:
    """What a single run can say that came out otherwise on another machine; None where the paired rule decides.

    How far another machine takes it nobody knows from one run. An accuracy that moved by more than other test images
    would move it is different all the same.
    """
    then, now = value(old, name), value(new, name)
    if (
        then is None
        or now is None
        or abs(now - then) <= ROUNDING * max(1.0, abs(then))
        or not math.isfinite(now - then)
    ):
        return None
    elsewhere = any(old.provenance.get(n) != new.provenance.get(n) for n in DIGITS if old.provenance.get(n))
    same = [n for n in ("data_fingerprint", "weights_sha256") if old.provenance.get(n) and new.provenance.get(n)]
    own = [n for n in old.config.keys() & new.config.keys() if n not in NOT_SCIENCE and n != "seed"]
    if (
        not elsewhere
        or any(old.provenance[n] != new.provenance[n] for n in same)
        or any(canonical_text(old.config[n]) != canonical_text(new.config[n]) for n in own)
    ):
        return None
    described, images = metric(name), old.provenance.get("images", "").split("/")
    shown = Digits(described, [abs(now - then)])
    by = f"same seed, one run, other numbers by {shown(now - then)} {described.difference}".strip()
    if described.ends == (0.0, 100.0) and len(images) == 3 and images[2].isdecimal() and int(images[2]):
        middle = (then + now) / 2
        most = special.ndtri((1 + LEVEL) / 2) * math.sqrt(2 * middle * (1 - middle) / int(images[2]))
        if abs(now - then) > most:
            return "different", f"{by}, more than other test images would change it ({shown(most)})"
    return "undecided", f"{by}: how much another machine changes, one run does not say"


ROUNDING = 1e-6  # sums in another order on another machine; of fractions far less than an image


NEARLY = 1e-3  # of its size: by as much another metric may differ where this one is equal


def _compare_paired(
    then: Mapping[int, float], now: Mapping[int, float], name: str, apart: Mapping[str, float], level: float
) -> tuple[Word, str]:
    """The same seeds again: their paired differences decide, as everything but last digits should be equal.

    Args:
        apart: metric -> by how much of its size it differs at most, where it does (`_apart`).
    """
    described = metric(name)
    pairs = [(then[seed], v) for seed, v in now.items() if seed in then]
    changes = [0.0 if a == b or (_nan(a) and _nan(b)) else b - a for a, b in pairs]
    if all(abs(d) <= ROUNDING * max(1.0, abs(a)) for d, (a, _) in zip(changes, pairs, strict=True)):
        other = max(apart, key=lambda n: (apart[n], n))
        if apart[other] > NEARLY:
            return "compatible", f"same seeds, equal here, but {other} differs by {100 * apart[other]:.2g}% of its size"
        return "equal within rounding", f"same seeds, equal here but not in {other}"
    interval = t_interval(changes, level)
    shown = Digits(described, [abs(interval.mean), interval.half])
    if interval.n < 2 or interval.sd == 0:
        by = shown(interval.mean)
        if not by.strip("-+0."):  # the third of an image that a tie is worth
            by = f"{described.factor * interval.mean:.1g}"
        return "different", f"same seeds, other numbers by {by} {described.difference}".strip()
    miss = max(abs(interval.low), abs(interval.high))
    said = f"same seeds, other numbers: {shown(interval.mean)} [{shown(interval.low)}, {shown(interval.high)}]"
    said = f"{said} {described.difference}".strip()
    if not interval.low <= 0 <= interval.high:
        return "different", said
    return "compatible", f"{said}; could have missed a change of {shown(miss)} {described.difference}".strip()


def _compare_unpaired(
    then: Mapping[int, float], now: Mapping[int, float], name: str, low: float, high: float, level: float
) -> tuple[Word, str]:
    """Other seeds: their mean against the prediction interval of the committed ones."""
    described = metric(name)
    old, new = list(then.values()), list(now.values())
    mean = math.fsum(new) / len(new)
    shown = Digits(described, [(high - low) / 2])
    if _has_collapsed(old) or _has_collapsed(new):
        p = permutation(old, new)
        said = f"new seeds, some runs collapsed: permutation test p = {p:.2g} ({len(old)} and {len(new)} runs)"
        return ("different" if p <= 1 - level else "compatible"), said
    expected = f"expected {shown(low)} to {shown(high)} {described.unit}".strip()
    # Rounding in the last digits must not make a spread of zero a difference.
    near = 1e-12 * max(1.0, abs(mean))
    inside = low - near <= mean <= high + near
    said = f"new seeds: mean {shown(mean)}, {expected}"
    if not inside:
        return "different", said
    missed = f"{shown((high - low) / 2)} {described.difference}".strip()
    return "compatible", f"{said}; could have missed a change of {missed}"


def _has_collapsed(values: Sequence[float]) -> bool:
    """Whether values fall into two groups far apart, as where some runs collapse to chance: no normal spread.

    The largest gap between neighbours is more than half of the range, and more than ten times the spread within.
    """
    x = np.sort(np.asarray(values, dtype=float))
    if len(x) < 3 or x[0] == x[-1]:
        return False
    gaps = np.diff(x)
    cut = int(gaps.argmax())
    within = max(float(np.ptp(x[: cut + 1])), float(np.ptp(x[cut + 1 :])))
    return bool(gaps[cut] > (x[-1] - x[0]) / 2 and gaps[cut] > 10 * within / max(1, len(x) - 2) ** 0.5)


def permutation(one: Sequence[float], other: Sequence[float]) -> float:
    """Two-sided p of the difference of two means by permutation: exact for few values, else 9,999 draws."""
    found = stats.permutation_test(
        (np.asarray(one), np.asarray(other)),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def _apart(pairs: Sequence[tuple[Record, Record]]) -> dict[str, float]:
    """Metric -> largest difference between two runs of one seed, as a share of its size; two NaN are equal."""
    out: dict[str, float] = {}
    for old, new in pairs:
        for name, a in old.metrics.items():  # what a later version measures beside them says nothing about these
            b = new.metrics.get(name)
            if a != b and not (_nan(a) and _nan(b)):
                finite = b is not None and math.isfinite(a) and math.isfinite(b)
                far = abs(a - b) / max(abs(a), abs(b)) if finite and b is not None else math.inf
                out[name] = max(out.get(name, 0.0), far)
    return out


def _nan(number: float | None) -> bool:
    return number is not None and math.isnan(number)


def spread_out(cells: Sequence[Any], count: int) -> list[Any]:
    """`count` of the cells, evenly over their order, the first and the last among them.

    Raises:
        RequestError: for a count below one.
    """
    if count < 1:
        raise RequestError(f"--cells {count}: expected a number from 1, or 'all'.")
    if count >= len(cells):
        return list(cells)
    places = np.linspace(0, len(cells) - 1, count).round().astype(int) if count > 1 else [len(cells) // 2]
    return [cells[i] for i in dict.fromkeys(int(p) for p in places)]


def new_seeds(used: Sequence[int], count: int) -> list[int]:
    """Seeds that no committed run has used: those after the largest."""
    return [max(used, default=-1) + 1 + i for i in range(count)]
