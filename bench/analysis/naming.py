"""How axes are called and numbers are written where people read them; `bench.schema.metric` has the metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.schema.label import canonical_text, show
from bench.schema.metric import Metric

_AXES = {
    "optim.lr": "learning rate",
    "model.k": "k (neighbours)",
    "trainer.batch_size": "batch size (images)",
    "split.train_per_class": "training images a class",
    "split.seed": "split",
    "split.fold": "fold",
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


def replicates(names: Sequence[str]) -> str:
    """What a sweep draws anew: `seeds`, `seeds and splits`, `folds`."""
    return " and ".join(f"{axis(name)}s" for name in names)


def reword(text: str, drawn: str) -> str:
    """A sentence about seeds, said of what is drawn anew (`replicates`)."""
    if drawn == "seeds":
        return text
    for word in ("single seeds", "all seeds", "every seed"):
        text = text.replace(word, word.replace("seed", "replicate"))
    return text.replace("over seeds", f"over {drawn}").replace("n seeds", f"n replicates ({drawn})")


@dataclass
class Digits:
    """How many decimals a column of numbers takes: two significant digits of its typical uncertainty.

    Attributes:
        halves: half widths of the intervals to be shown, in stored units; those that are not positive do not count.
        more: decimals beyond these, where numbers would look equal that are not.
    """

    metric: Metric
    halves: list[float] = field(default_factory=list)
    more: int = 0

    @cached_property
    def decimals(self) -> int:
        """0 to 4, and `more`; at least one and at most two for percentages; more where an interval would vanish."""
        finite = sorted(h * self.metric.factor for h in self.halves if math.isfinite(h) and h > 0)
        percent = self.metric.unit == "%"
        if not finite:
            return (2 if percent else 3) + self.more
        wanted = 1 - math.floor(math.log10(finite[len(finite) // 2]))
        if not percent and wanted > 5:  # half of the half widths are below 0.0001
            return wanted + self.more
        return max(1 if percent else 0, min(2 if percent else 4, wanted)) + self.more

    def __call__(self, value: float) -> str:
        """A stored value as shown; counts and large numbers with SI suffixes."""
        shown = value * self.metric.factor
        if not math.isfinite(shown):
            return "inf" if shown > 0 else "-inf" if shown < 0 else "NaN"
        if abs(shown) >= 1e4:
            return si(shown)
        if float(shown).is_integer() and self.metric.unit not in ("%", "nats"):
            return f"{shown:,.0f}"
        if shown and self.decimals > 9:  # the same decimals, without a row of noughts before them
            return f"{shown:.{max(0, self.decimals + math.floor(math.log10(abs(shown))))}e}"
        text = f"{shown:,.{self.decimals}f}".replace("-0." + "0" * self.decimals, "0." + "0" * self.decimals)
        # A tiny value is no zero, unless the others' uncertainty makes it one.
        small = shown and self.metric.unit in ("", "nats") and not text.strip("-0.")
        return f"{shown:.2g}" if small and (abs(shown) < 1e-6 or not any(h > 0 for h in self.halves)) else text


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
    return tuple(canonical_text(at[name]) if name in at else "" for name in axes)
