"""Claims: sentences that a sweep's records support, refute or leave open, each by a stated test.

Every claim comes down to one number a seed (its contrast): a difference of two runs of the same seed, the slope of
a seed's metric over an axis, the difference of two differences, of two choices, or the cell itself. Axes that a claim
does not fix are averaged over within the seed, so n is always the number of seeds (of replicates, where a sweep states
others). A claim across data sets has one number a data set instead.

A claim without a direction takes the one that is better: less for NLL, calibration error and costs, greater for
accuracy and throughput. Where neither is better it has to state one.
`metric: run/failed` is 1 for a run that failed and 0 for one that finished, so that a rate of failures can be a claim.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.schema.errors import RequestError
from bench.schema.label import canonical_text
from bench.schema.metric import METRICS, Metric, last_part, metric
from bench.schema.part import part

Direction = Literal["greater", "less"]  # none stated: the one that is better
Test = Literal["t", "wilcoxon", "bootstrap"]  # on the contrasts of the seeds
Point = dict[str, Any]  # axis -> value
# The smallest effect of interest, in the metric's own unit: what a number of seeds has to be able to find.
Smallest = Annotated[float, Field(gt=0)] | None


@part
class Compare:
    """`compare` has a metric that is greater (or less) than `against`, by more than `by`.

    `compare` and `against` fix axis values of the two sides; `at` fixes values for both.
    Pairs are runs of the same seed that differ in nothing else; the effect is mean(compare - against).
    """

    kind: Literal["compare"] = "compare"
    says: str  # the claim, in a sentence
    compare: Point  # axis values of the one side
    against: Point  # of the other side
    at: Point = Field(default_factory=dict)  # axis values that both sides have
    metric: str = "test/accuracy"  # what is claimed about
    direction: Direction = "greater"
    by: Annotated[float, Field(ge=0)] = 0.0  # more than so much
    test: Test = "t"
    smallest: Smallest = None

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        if self.metric == "run/failed" and self.by:
            return (
                f"by is {self.by:g}, but whether one side fails more often is tested on the seeds where both differ, "
                "which knows no margin. Take `by` out, or bound the rate of one side (kind: bound)."
            )
        return _two_sides(self.compare, self.against, self.at) or _whole_range_amount(
            {"by": self.by, "smallest": self.smallest}, self.metric
        )


@part
class Trend:
    """The metric rises (greater) or falls (less) along the axis `over`.

    The contrast is a seed's least-squares slope: per step of the axis, or, with `spacing: value` or `log`, per unit or
    per factor of ten of the axis' numbers. Numbers are ordered by their value, names as the file lists them. A metric
    that significantly goes the other way in any one step has no trend, whatever its slope.
    """

    kind: Literal["trend"]
    says: str  # the claim, in a sentence
    over: str  # axis
    at: Point = Field(default_factory=dict)  # axis values that are fixed
    metric: str = "test/accuracy"  # what is claimed about
    direction: Direction = "greater"
    spacing: Literal["step", "value", "log"] = "step"  # of the steps along the axis
    test: Test = "t"
    smallest: Smallest = None

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        if self.over in self.at:
            return f"'{self.over}' is both `over` and fixed by `at`."
        return _whole_range_amount({"smallest": self.smallest}, self.metric)


@part
class Interaction:
    """The effect (compare - against) is greater, or less, under `where` than under `versus`.

    The contrast is (compare - against | where) - (compare - against | versus), as in residual minus plain, deep
    minus shallow.
    """

    kind: Literal["interaction"]
    says: str  # the claim, in a sentence
    compare: Point  # axis values of the one side
    against: Point  # of the other side
    where: Point  # axis values where the effect is claimed to be greater
    versus: Point  # and where it is less
    at: Point = Field(default_factory=dict)  # axis values that both sides have
    metric: str = "test/accuracy"  # what is claimed about
    direction: Direction = "greater"
    test: Test = "t"
    smallest: Smallest = None

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        if both := (set(self.compare) | set(self.against)) & (set(self.where) | set(self.versus)):
            return f"'{min(both)}' stands in compare or against and in where or versus as well."
        return (
            _two_sides(self.compare, self.against, self.at)
            or _two_sides(self.where, self.versus, self.at, ("where", "versus"))
            or _whole_range_amount({"smallest": self.smallest}, self.metric)
        )


@part
class Equivalence:
    """`compare` and `against` differ by less than `margin`, in the metric's own unit (accuracies are fractions).

    Two one-sided tests (Schuirmann 1987): supported where the 95% interval of the difference lies within the margin.
    """

    kind: Literal["equivalence"]
    says: str  # the claim, in a sentence
    compare: Point  # axis values of the one side
    against: Point  # of the other side
    margin: Annotated[float, Field(gt=0)]  # the largest difference that does not matter
    at: Point = Field(default_factory=dict)  # axis values that both sides have
    metric: str = "test/accuracy"  # what is claimed about
    test: Test = "t"

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        return _two_sides(self.compare, self.against, self.at) or _whole_range_amount(
            {"margin": self.margin}, self.metric
        )


@part
class Across:
    """`compare` has a metric that is greater (or less) than `against` on data sets like these.

    The contrast is one number a value of the axis `over` (a data set, a task): the mean over its replicates of
    compare - against. So n is the number of data sets, of which Wilcoxon's signed-rank test (Demsar 2006, JMLR 7)
    needs six and more.
    """

    kind: Literal["across"]
    says: str  # the claim, in a sentence
    compare: Point  # axis values of the one side
    against: Point  # of the other side
    over: str = "dataset"  # axis whose values count as drawn from many
    at: Point = Field(default_factory=dict)  # axis values that both sides have
    metric: str = "test/accuracy"  # what is claimed about
    direction: Direction = "greater"
    test: Literal["t", "wilcoxon"] = "wilcoxon"  # on the differences of the data sets
    smallest: Smallest = None

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        if self.over in {*self.compare, *self.against, *self.at}:
            return f"'{self.over}' is both `over` and fixed by compare, against or at."
        return _two_sides(self.compare, self.against, self.at) or _whole_range_amount(
            {"smallest": self.smallest}, self.metric
        )


@part
class Way:
    """A way to choose: of the candidates the one with the best `by`, and what is read of it."""

    by: str  # a metric: of val, of train, of test
    reads: str = ""  # what is read of the chosen one; none: the claim's metric
    at: Point = Field(default_factory=dict)  # axis values of this way: one fold of several, another size of val


@part
class Choice:
    """What choosing `over` by one metric gives (`compare`), against choosing it by another one (`against`).

    In each replicate either way takes the candidate whose `by` is best, the first of equal ones, and reads of it. Axes
    that nothing fixes are averaged before choosing and reading: an axis of folds makes a way cross-validation. Two ways
    that read the same metric tell what a choice is worth. One choice whose own metric is read against test accuracy
    tells its optimism (Cawley & Talbot 2010, JMLR 11).
    """

    kind: Literal["choice"]
    says: str  # the claim, in a sentence
    over: Annotated[list[str], Field(min_length=1)]  # axes whose values are chosen
    compare: Way  # the one way
    against: Way  # the other way
    at: Point = Field(default_factory=dict)  # axis values that both ways have
    metric: str = "test/accuracy"  # what is claimed about
    direction: Direction = "greater"
    test: Test = "t"
    smallest: Smallest = None

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        for name, way in (("compare", self.compare), ("against", self.against)):
            if both := set(self.over) & (set(self.at) | set(way.at)):
                return f"'{min(both)}' is both `over` and fixed by `at`."
            if both := set(self.at) & set(way.at):
                return f"'{min(both)}' is fixed by `at` and by `{name}.at`."
            if way.reads and metric(way.reads).unit != metric(self.metric).unit:
                return f"{name}.reads is {way.reads}, which cannot be compared with {self.metric}: another unit."
        if twice := next((name for name in self.over if self.over.count(name) > 1), ""):
            return f"over names axis '{twice}' twice."
        if self._says(self.compare) == self._says(self.against):
            return "`compare` and `against` are the same."
        return _whole_range_amount({"smallest": self.smallest}, self.metric)

    def _says(self, way: Way) -> tuple[str, str, dict[str, str]]:
        return way.by, way.reads or self.metric, {name: canonical_text(value) for name, value in way.at.items()}


@part
class Bound:
    """The mean of the cell at `at` is greater, or less, than `bound`."""

    kind: Literal["bound"]
    says: str  # the claim, in a sentence
    at: Point  # the cell
    bound: float  # what the mean is held against
    metric: str = "test/accuracy"  # what is claimed about
    direction: Direction = "greater"
    test: Test = "t"

    def fault(self) -> str:
        """What makes this claim impossible to judge, or an empty string."""
        return value_fault("bound", self.bound, self.metric)


def add_direction(claim: Any) -> Any:
    """A claim's plain data, with the direction that its metric's claims hope for where it states none.

    Raises:
        RequestError: for a metric that we know, of which neither direction is better.
    """
    if not isinstance(claim, dict) or "direction" in claim or claim.get("kind") == "equivalence":
        return claim
    of = claim.get("metric", "test/accuracy")
    if not isinstance(of, str):
        return claim
    shown = metric(of)
    if not shown.hoped and last_part(of) in METRICS:
        raise RequestError(
            f"Claim '{claim.get('says', '')}': of {of} neither less nor more is better, so that the claim has to say "
            "what it expects. Add direction: greater, or direction: less."
        )
    return {**claim, "direction": shown.hoped or "greater"}


Claim = Annotated[Compare | Trend | Interaction | Equivalence | Choice | Across | Bound, Field(discriminator="kind")]
KINDS = ("compare", "trend", "interaction", "equivalence", "choice", "across", "bound")


def digest(claims: Sequence[Claim]) -> str:
    """What is claimed, in the order of the file: SHA-256 of all that the claims say; "" for none."""
    if not claims:
        return ""
    # What is not said is left out, so that a later version's new settings do not change what was claimed.
    said = [{k: v for k, v in dataclasses.asdict(claim).items() if v is not None} for claim in claims]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def sides(claim: Claim) -> dict[str, Point]:
    """The parts of a claim that fix axis values, by their name in the file."""
    if isinstance(claim, Choice):
        return {"compare.at": claim.compare.at, "against.at": claim.against.at, "at": claim.at}
    return {s: getattr(claim, s) for s in ("compare", "against", "where", "versus", "at") if hasattr(claim, s)}


def metrics_of(claim: Claim) -> list[str]:
    """Every metric that a claim reads."""
    ways = (claim.compare, claim.against) if isinstance(claim, Choice) else ()
    return list(dict.fromkeys([claim.metric, *(m for way in ways for m in (way.by, way.reads) if m)]))


def value_fault(name: str, value: float, of: str) -> str:
    """Why a metric cannot have this value, which the sweep file calls `name`; "" where it can."""
    shown = metric(of)
    if not shown.outside(value):
        return ""
    return f"{name} is {value:g}, but {of} is {_range(shown)}.{_percent(value, shown)}"


def _whole_range_amount(amounts: dict[str, float | None], of: str) -> str:
    """Which difference is as large as the metric's whole range, where one is: somebody meant percent."""
    shown = metric(of)
    for name, amount in amounts.items():
        if amount and shown.low is not None and shown.high is not None and amount >= shown.high - shown.low:
            return (
                f"{name} is {amount:g}, but {of} is {_range(shown)}: no difference is larger.{_percent(amount, shown)}"
            )
    return ""


def _range(shown: Metric) -> str:
    fraction = "a fraction in " if shown.unit == "%" else ""
    return f"{fraction}{shown.low:g}..{shown.high:g}" if shown.high is not None else f"{shown.low:g} or more"


def _percent(amount: float, shown: Metric) -> str:
    points = f" For {amount:g} point{'' if amount == 1 else 's'} say {amount / 100:g}."
    return points if shown.unit == "%" and 0 < amount <= 100 else ""


def _two_sides(one: Point, other: Point, at: Point, named: tuple[str, str] = ("compare", "against")) -> str:
    for name, side in zip(named, (one, other), strict=True):
        if not side:
            return f"`{name}` is empty. Fix at least one axis there."
        if both := set(side) & set(at):
            return f"'{min(both)}' is fixed by `{name}` and by `at`."
    if set(one) != set(other):
        return f"`{named[0]}` and `{named[1]}` must fix the same axes, as everything else is to be equal."
    if all(canonical_text(one[axis]) == canonical_text(other[axis]) for axis in one):
        return f"`{named[0]}` and `{named[1]}` are the same."
    return ""
