"""How metrics and axes are called and counted where people read them: names, units, digits, which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.schema.label import same, show


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        name: as in a record, "test/accuracy".
        title: as in a sentence, "test accuracy".
        unit: of the shown number; "" for none.
        factor: shown number = stored number * factor.
        better: "greater", "less", or "" where neither is.
        difference: unit of a difference ("points" for percentages).
    """

    name: str
    title: str
    unit: str = ""
    factor: float = 1.0
    better: str = ""
    difference: str = ""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Smallest and largest number that can be shown, where there are such: a percentage ends at 0 and 100."""
        return (0.0, 100.0) if self.unit == "%" else None

    def plain(self, value: float) -> str:
        """A stored value as people say it, without an uncertainty that would fix its digits: 90%, 2 points."""
        return f"{value * self.factor:.6g}"

    def amount(self, value: float, of_difference: bool = True) -> str:
        """`plain` with the unit of a difference, or of the metric itself: `2 points`, `1 point`, `90%`."""
        number, unit = self.plain(value), self.difference if of_difference else self.unit
        if number in ("1", "-1") and unit == "points":
            unit = "point"
        return f"{number}{unit}" if unit == "%" else f"{number} {unit}".rstrip()

    @property
    def label(self) -> str:
        """For an axis of a figure or the head of a table: `test accuracy (%)`."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


_PERCENT: dict[str, Any] = {"unit": "%", "factor": 100.0, "difference": "points"}
_KNOWN: dict[str, dict[str, Any]] = {
    "accuracy": {"title": "accuracy", "better": "greater", **_PERCENT},
    "top5": {"title": "top-5 accuracy", "better": "greater", **_PERCENT},
    "balanced_accuracy": {"title": "balanced accuracy", "better": "greater", **_PERCENT},
    "macro_f1": {"title": "macro F1", "better": "greater", **_PERCENT},
    "ece": {"title": "calibration error", "better": "less", **_PERCENT},
    "nll": {"title": "NLL", "better": "less", "unit": "nats"},
    "brier": {"title": "Brier score", "better": "less"},
    "loss": {"title": "loss", "better": "less"},
    "params": {"title": "parameters"},
    "flops": {"title": "FLOPs per image"},
    "fit_seconds": {"title": "fit time", "unit": "s"},
    "images_per_second": {"title": "throughput", "unit": "images/s"},
    "peak_memory_mb": {"title": "peak memory", "unit": "MB"},
    "selected_epoch": {"title": "selected epoch"},
}


def metric(name: str) -> Metric:
    """How the metric `name` is shown; an unknown one under its own name, as it is stored."""
    scope, _, last = name.rpartition("/")
    known = dict(_KNOWN.get(last, {"title": last.replace("_", " ")}))
    scope = scope.replace("cost", "").replace("/", " ").replace("_", " ").strip()
    known["title"] = f"{scope} {known['title']}".strip()
    known.setdefault("difference", known.get("unit", ""))
    return Metric(name=name, **known)


_AXES = {
    "optim.lr": "learning rate",
    "model.k": "k (neighbours)",
    "trainer.batch_size": "batch size (images)",
    "split.train_per_class": "training images a class",
    "split.train_fraction": "fraction of the training images",
}
_UNSAID = (".name", ".source", ".mode", ".family")  # `dataset.source` says which dataset


def axis(name: str) -> str:
    """How an axis or a setting is called: `optim.lr` is the learning rate; otherwise the last part that says what."""
    if name in _AXES:
        return _AXES[name]
    for end in _UNSAID:
        name = name.removesuffix(end)
    return name.rpartition(".")[2].replace("_", " ")


@dataclass
class Digits:
    """How many decimals a column of numbers takes: two significant digits of its typical uncertainty.

    Attributes:
        halves: half widths of the intervals to be shown, in stored units; those that are not positive do not count.
    """

    metric: Metric
    halves: list[float] = field(default_factory=list)

    @cached_property
    def decimals(self) -> int:
        """0 to 4; at least one and at most two for percentages."""
        finite = sorted(h * self.metric.factor for h in self.halves if math.isfinite(h) and h > 0)
        percent = self.metric.unit == "%"
        if not finite:
            return 2 if percent else 3
        wanted = 1 - math.floor(math.log10(finite[len(finite) // 2]))
        return max(1 if percent else 0, min(2 if percent else 4, wanted))

    def __call__(self, value: float) -> str:
        """A stored value as shown; counts and large numbers with SI suffixes."""
        shown = value * self.metric.factor
        if not math.isfinite(shown):
            return "inf" if shown > 0 else "-inf" if shown < 0 else "NaN"
        if abs(shown) >= 1e4:
            return si(shown)
        if float(shown).is_integer() and self.metric.unit not in ("%", "nats"):
            return f"{shown:,.0f}"
        return f"{shown:,.{self.decimals}f}".replace("-0." + "0" * self.decimals, "0." + "0" * self.decimals)


def si(value: float) -> str:
    """11,234,567 as 11.2 M: three significant digits."""
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * limit:
            return f"{value / limit:.3g} {suffix}" if abs(value) < 999.5 * limit else f"{value / limit:,.0f} {suffix}"
    return f"{value:.3g}"


def point(at: Mapping[str, Any]) -> str:
    """A point of the axes in words: `norm layer batch, learning rate 0.1`; "" for no axes."""
    return ", ".join(f"{axis(name)} {show(value)}" for name, value in at.items())


def key(at: dict[str, Any], axes: list[str]) -> tuple[str, ...]:
    """A point as a hashable: canonical spellings in the order of `axes`; "" where the point has no such axis."""
    return tuple(same(at[name]) if name in at else "" for name in axes)
