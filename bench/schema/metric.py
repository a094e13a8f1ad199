"""The metrics that there are: how each is called and counted, where it ends, and which way is better.

The one table that tables, axes, marks, intervals, claims and records read. A user's own metric is one more entry
(`add`), and is then shown, marked, judged and checked like ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.schema.errors import RequestError
from bench.schema.offered import shipped_parts


@dataclass(frozen=True)
class Metric:
    """One metric, measured on some images.

    Attributes:
        name: as in a record, "test/accuracy"; in the table its last part, "accuracy".
        title: as in a sentence, "test accuracy".
        unit: of the shown number; "%" for fractions, which are stored in 0..1 and shown times 100; "" for none.
        higher_is_better: None where neither is.
        low, high: smallest and largest value that there can be, as stored; None where there is no such end.
    """

    name: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = None
    low: float | None = None
    high: float | None = None

    @property
    def factor(self) -> float:
        """Shown number = stored number * factor."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def difference(self) -> str:
        """Unit of a shown difference: percentages differ by points."""
        return "points" if self.unit == "%" else self.unit

    @property
    def better(self) -> str:
        """The direction that is better, as claims call it: "greater", "less", or "" where neither is."""
        return {True: "greater", False: "less", None: ""}[self.higher_is_better]

    @property
    def hoped(self) -> str:
        """The direction that a claim means which states none: the better one, of a cost less, of throughput more.

        Tables do not mark costs, as nobody trains for the least of them. "" where nothing says which.
        """
        return self.better or _CHEAPER.get(self.name.rpartition("/")[2], "")

    @property
    def worst(self) -> float | None:
        """The worst value that there can be, as stored; None where it can always be worse."""
        return {True: self.low, False: self.high, None: None}[self.higher_is_better]

    @property
    def ends(self) -> tuple[float, float] | None:
        """Smallest and largest number that can be shown, where there are both: a percentage ends at 0 and 100."""
        return None if self.low is None or self.high is None else (self.low * self.factor, self.high * self.factor)

    @property
    def label(self) -> str:
        """For an axis of a figure or the head of a table: `test accuracy (%)`."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def plain(self, value: float) -> str:
        """A stored value as people say it, without an uncertainty that would fix its digits: 90%, 2 points."""
        return f"{value * self.factor:.6g}"

    def amount(self, value: float, of_difference: bool = True) -> str:
        """`plain` with the unit of a difference, or of the metric itself: `2 points`, `1 point`, `90%`."""
        number, unit = self.plain(value), self.difference if of_difference else self.unit
        if number in ("1", "-1") and unit == "points":
            unit = "point"
        return f"{number}{unit}" if unit == "%" else f"{number} {unit}".rstrip()

    def outside(self, value: float) -> bool:
        """Whether there can be no such value. Rounding is let pass, and NaN, which a diverged run may say."""
        return (self.low is not None and value < self.low - 1e-6) or (
            self.high is not None and value > self.high + 1e-6
        )


def _share(name: str, title: str, higher_is_better: bool = True) -> Metric:
    return Metric(name, title, "%", higher_is_better, 0.0, 1.0)


FRACTION = (0, 1)


def from_facts(name: str, facts: Mapping[str, Any]) -> Metric:
    """A metric by what its decorator says (`bench.parts.metric`)."""
    low, high = facts.get("range") or (None, None)
    unit = str(facts.get("unit") or ("%" if (low, high) == FRACTION else ""))
    title = str(facts.get("words") or name.replace("_", " "))
    ends = (None if end is None else float(end) for end in (low, high))
    return Metric(name, title, unit, facts.get("higher_is_better", True), *ends)


# What a run costs, under `cost/`.
_COSTS = (
    Metric("params", "parameters", low=0.0),
    Metric("flops", "FLOPs per image", low=0.0),
    Metric("fit_seconds", "fit time", "s", low=0.0),
    Metric("feature_seconds", "feature seconds"),
    Metric("images_per_second", "throughput", "images/s", low=0.0),
    Metric("peak_memory_mb", "peak memory", "MB", low=0.0),
    Metric("cpu_joules", "energy of the processors, with all else that ran", "J", False, 0.0),
    Metric("selected_epoch", "selected epoch", low=0.0),
    Metric("target_seconds", "time to target", "s", False, 0.0),
    Metric("target_epochs", "epochs to target", "", False, 0.0),
    Metric("target_steps", "steps to target", "", False, 0.0),
    _share("target_reached", "share of runs that reach the target"),
)

_CHEAPER = {
    **dict.fromkeys(("params", "flops", "fit_seconds", "feature_seconds", "peak_memory_mb"), "less"),
    "images_per_second": "greater",
}

METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        _share("accuracy", "accuracy"),
        _share("top5", "top-5 accuracy"),
        *(from_facts(part.name, part.facts) for part in shipped_parts() if part.kind == "metric"),
        _share("macro_f1", "macro F1"),
        _share("ece", "calibration error", higher_is_better=False),
        Metric("nll", "NLL", "nats", False, 0.0),
        Metric("brier", "Brier score", "", False, 0.0, 2.0),
        Metric("loss", "loss", "", False),
        _share("failed", "share of failed runs", higher_is_better=False),
        *_COSTS,
    )
}

# Of ours, those that a run measures on request, `metrics.names=[kappa]`, or because its sweep shows or judges them.
ON_REQUEST = tuple(part.name for part in shipped_parts() if part.kind == "metric")


def last_part(name: str) -> str:
    """What is measured, without on what: `kappa` of "test/kappa", `recall` of "test/recall/3" (a class of its own)."""
    scope, _, last = name.rpartition("/")
    return scope.rpartition("/")[2] if last.isdigit() and "/" in scope else last


COSTS = tuple(f"cost/{cost.name}" for cost in _COSTS)
OURS = tuple(METRICS.values())  # without those that somebody enters later


def add(own: Metric) -> None:
    """Enter one more metric, by the last part of its name.

    Raises:
        RequestError: for a name that another metric has, or that holds a slash.
    """
    if "/" in own.name or not own.name:
        raise RequestError(f"metric '{own.name}': expected a name without a slash; val/ and test/ come before it.")
    if METRICS.get(own.name, own) != own:
        raise RequestError(f"metric '{own.name}' is there already ({METRICS[own.name].title}). Take another name.")
    METRICS[own.name] = own


def metric(name: str) -> Metric:
    """The metric `name`, "test/accuracy"; one that nobody entered under its own name, as it is stored.

    What stands before the last slash says on which images: `val`, `test`, `corrupt/blur/3`. It leads the title. A
    number after it is a class: `test/recall/3`.
    `cost` and `run` are not said.
    """
    last = last_part(name)
    scope, _, of = name.rpartition(f"{last}")
    scope = scope.removesuffix("/")
    known = METRICS.get(last) or Metric(last, last.replace("_", " "))
    words = ("" if scope in ("cost", "run") else scope).replace("/", " ").replace("_", " ").strip()
    of_class = f" of class {of[1:]}" if of else ""
    return replace(known, name=name, title=f"{words} {known.title}{of_class}".strip())
