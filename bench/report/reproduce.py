"""Old runs against new ones: is it the same number, what other seeds would do anyway, or something else?

Only comparison happens here; `bench.sweep.rerun` runs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from bench.report.frame import value
from bench.report.naming import Digits
from bench.report.stats import LEVEL
from bench.schema.errors import RequestError
from bench.schema.label import same
from bench.schema.metric import metric
from bench.track.record import Record

Word = Literal["identical", "within seed noise", "different", "undecided"]
PACKAGE_WEIGHT = {"torch": 80, "torchvision": 62, "pytorch-lightning": 60, "timm": 58, "faiss-cpu": 52, "numpy": 50}


@dataclass(frozen=True)
class CellVerdict:
    """What running a cell again showed.

    Attributes:
        at: axis -> value.
        metric: its name.
        word: identical (same seeds, every metric equal to the last digit), within seed noise, different, or undecided
            (one seed says nothing about the spread between seeds).
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
    by_seed = {r.seed: r for r in old}
    common = [r for r in new if r.seed in by_seed]
    kind = "new seeds"
    if len(common) == len(new):
        other = sorted({n for r in common for n in _unequal(by_seed[r.seed], r)})
        if not other:
            return said("identical", f"same seeds, all metrics equal to the last digit ({len(common)} runs)")
        equal = all(v == then.get(seed) for seed, v in now.items())
        kind = f"same seeds, equal here but not in {other[0]}" if equal else "same seeds, other numbers"
    mean = float(np.mean(list(now.values())))
    if math.isnan(low):
        word: Word = "different" if len(common) == len(new) and then != now else "undecided"
        return said(word, f"{kind}; one committed seed says nothing about the spread between seeds")
    described = metric(name)
    shown = Digits(described, [(high - low) / 2])
    expected = f"expected {shown(low)} to {shown(high)} {described.unit}".strip()
    # Rounding in the last digits must not make a spread of zero a difference.
    near = 1e-12 * max(1.0, abs(mean))
    inside = low - near <= mean <= high + near
    return said("within seed noise" if inside else "different", f"{kind}: mean {shown(mean)}, {expected}")


def _unequal(old: Record, new: Record) -> list[str]:
    """The val and test metrics that two runs of one seed do not share exactly; two NaN are equal."""
    names = {n for r in (old, new) for n in r.metrics}
    pairs = ((n, old.metrics.get(n), new.metrics.get(n)) for n in names)
    return [n for n, a, b in pairs if a != b and not (_nan(a) and _nan(b))]


def _nan(number: float | None) -> bool:
    return number is not None and math.isnan(number)


@dataclass(frozen=True)
class Difference:
    """One way in which two environments differ; a higher weight is more suspicious."""

    name: str
    then: str
    now: str
    weight: int
    why: str


def environment(then: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> list[Difference]:
    """How two environments differ, most suspicious first.

    Args:
        then, now: provenance of each run on the one and on the other side.
    """
    found = []
    for name, (weight, why) in _SUSPECTS.items():
        old, new = (list(dict.fromkeys(p[name] for p in side if p.get(name))) for side in (then, now))
        if old and new and set(old) != set(new):
            rank = weight + 15 * (name == "hardware" and len({" x " in text for text in (*old, *new)}) > 1)
            found.append(Difference(name, " / ".join(old), " / ".join(new), rank, why))
    old_packages = _packages([p.get("packages", "") for p in then])
    new_packages = _packages([p.get("packages", "") for p in now])
    for name in sorted(old_packages.keys() | new_packages.keys()):
        a, b = old_packages.get(name, "not recorded"), new_packages.get(name, "not recorded")
        if a != b and name != "imagebench":
            step = _step(a, b)
            weight = PACKAGE_WEIGHT.get(name, 20) + {"major": 8, "minor": 4}.get(step, 0)
            found.append(Difference(name, a, b, weight, f"package, other {step} version"))
    return sorted(found, key=lambda d: (-d.weight, d.name))


_SUSPECTS = {
    "data_fingerprint": (100, "other images, labels or split"),
    "weights_sha256": (95, "other weights to start from"),
    "git_commit": (90, "other code"),
    "git_dirty": (85, "uncommitted changes in the code"),
    "hardware": (68, "other kernels, other last digits"),
    "threads": (66, "sums in another order, other last digits"),
    "platform": (55, "other system"),
    "python": (30, "other Python"),
}


def _packages(texts: Sequence[str]) -> dict[str, str]:
    out: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        try:
            versions = json.loads(text) if text else {}
        except ValueError:
            continue
        for name, version in versions.items() if isinstance(versions, dict) else ():
            out.setdefault(name, []).append(str(version))
    return {name: " / ".join(dict.fromkeys(versions)) for name, versions in out.items()}


def _step(a: str, b: str) -> str:
    """Which part of two version numbers differs first."""
    one, other = (re.findall(r"\d+", text)[:3] for text in (a, b))
    for name, x, y in zip(("major", "minor", "patch"), one, other, strict=False):
        if x != y:
            return name
    return "build"


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


def same_point(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two mappings axis -> value are the same point, however the values are spelled."""
    return {k: same(v) for k, v in one.items()} == {k: same(v) for k, v in other.items()}
