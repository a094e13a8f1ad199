"""What so many replicates can find, said before they run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.claims import STRICTER
from bench.analysis.contrast import contrast
from bench.analysis.frame import select_frame
from bench.analysis.judged import seeds_for
from bench.analysis.naming import Digits, axis, replicates
from bench.analysis.replicates import Spread, grid_of, overlap_of, spread_of
from bench.analysis.resampling import FEWEST_FOR_BOOTSTRAP, fewest_for_wilcoxon
from bench.analysis.stats import FEWEST, LEVEL, detectable, power, provable
from bench.schema.claim import Across, Bound, Claim, Equivalence, Trend
from bench.schema.errors import RequestError
from bench.schema.metric import metric
from bench.schema.sweep import Sweep, seeds_of, values
from bench.track.record import Record

FEW = 3  # seeds of earlier records that say something about the spread


@dataclasses.dataclass(frozen=True)
class Plan:
    """The replicates that are planned: `rows` seeds, each with `columns` splits (1 where none are drawn).

    Attributes:
        ratio: test images over the others of a split.
        named: in words: `6 seeds and 6 splits`.
    """

    rows: int
    columns: int
    ratio: float
    named: str

    def of(self, found: Spread) -> tuple[float, float]:
        """Standard error and degrees of freedom of the mean, by the spread of the contrast."""
        if self.columns == 1:
            return math.sqrt((found.seeds + found.rest) * (1 / self.rows + self.ratio)), self.rows - 1
        return found.of_mean(self.rows, self.columns, self.ratio)

    def ends(self) -> list[tuple[str, float, int]]:
        """Where nothing is known of the spread: where all of it may lie, what it counts there, among how many.

        A spread of 1 between splits has the mean's error sqrt(1/K + ratio): that of K values that spread by more.
        """
        if self.columns == 1:
            return [("", math.sqrt(1 + self.ratio * self.rows), self.rows)]
        splits = ("splits", math.sqrt(1 + self.ratio * self.columns), self.columns)
        return [("seeds", 1.0, self.rows), splits] if self.rows > 1 else [splits]


def forecast(sweep: Sweep, records: Sequence[Record], config: Mapping[str, Any] | None = None) -> list[str]:
    """A sentence a claim: the effect that the planned replicates find four times in five, how likely `smallest` is.

    The spread is that of the claim's contrast in earlier records; without any it is the unit. The level is that of
    the least p among the sweep's claims (Holm), at one look; a bound has a fifth of it. Noncentral t (Cohen 1988); of
    seeds crossed with splits by the parts of the variance that go with each. Of an equivalence it is the margin that
    is shown where there is no difference at all (Owen 1965).

    Args:
        config: flat settings of one run, which say how much splits share.
    """
    tested = [c for c in sweep.claims if c.metric != "run/failed"]
    plan = plan_of(sweep, config or {})
    plans = [over_sets(sweep, claim) if isinstance(claim, Across) else plan for claim in tested]
    return [
        f"{claim.says}: {_forecast(claim, sweep, mine, _spread(sweep, records, claim), len(sweep.claims))}"
        for claim, mine in zip(tested, plans, strict=True)
    ]


def over_sets(sweep: Sweep, claim: Across) -> Plan:
    """The data sets that a claim is judged across."""
    count = len(values(sweep.axes[claim.over]))
    return Plan(count, 1, 0.0, f"{count} values of {axis(claim.over)}")


def plan_of(sweep: Sweep, config: Mapping[str, Any]) -> Plan:
    """The replicates of a sweep."""
    rows = len(seeds_of(sweep.seeds))
    drawn = [name for name in sweep.replicates if name != "seed"]
    if not drawn:
        # Seeds with a split of their own share images, as splits that are crossed with them do.
        own = any(text.startswith(("split.seed=", "split.fold=")) and "${seed}" in text for text in sweep.base)
        ratio = (overlap_of(config) or 0.0) if own else 0.0
        return Plan(rows, 1, ratio, f"{rows} seed{'s' if rows > 1 else ''}")
    counts = {name: len(values(sweep.axes[name])) for name in drawn}
    words = [f"{rows} seeds"] if rows > 1 else []
    words += [f"{count} {replicates([name])}" for name, count in counts.items()]
    return Plan(rows, math.prod(counts.values()), overlap_of(config) or 0.0, " and ".join(words))


def _spread(sweep: Sweep, records: Sequence[Record], claim: Claim) -> tuple[Spread, int] | None:
    """How the claim's contrast spreads in earlier records, and how many replicates these are.

    None where they are too few, or all equal.
    """
    if not any(r.status == "finished" for r in records):
        return None
    try:
        found = contrast(select_frame(sweep, list(records)), claim).values
    except RequestError:  # records from before an axis or a metric
        return None
    if len(found) < FEW or not all(map(math.isfinite, found.values())):
        return None
    crossed = any(isinstance(name, str) for name in found) and not isinstance(claim, Across)
    grid = grid_of(found) if crossed else grid_of({f"{i}/": value for i, value in enumerate(found.values())})
    if not grid.size:
        return None
    parts = spread_of(grid)
    return (parts, len(found)) if parts.seeds + parts.splits + parts.rest > 0 else None


def _forecast(claim: Claim, sweep: Sweep, plan: Plan, found: tuple[Spread, int] | None, claims: int) -> str:
    n, test = plan.rows * plan.columns, "sequential" if sweep.sequential else claim.test
    alpha = (1 - LEVEL) / claims / (STRICTER if isinstance(claim, Bound) else 1.0)
    least = {"wilcoxon": fewest_for_wilcoxon(alpha), "bootstrap": FEWEST_FOR_BOOTSTRAP}.get(test, FEWEST)
    if n < least:
        what = {"wilcoxon": "Wilcoxon's test", "bootstrap": "the bootstrap"}.get(test, "a test")
        return f"{plan.named} settle nothing; {what} needs at least {least}."
    # What is asked of a spread: the effect that is found, or, of an equivalence, the margin that is shown.
    equal = isinstance(claim, Equivalence)
    finds = "show a margin of ±{} where nothing differs" if equal else "find {}"
    finds = f"{plan.named} {finds} four times in five"
    reach = provable if equal else detectable
    shown = metric(claim.metric)
    wanted = claim.margin if isinstance(claim, Equivalence) else getattr(claim, "smallest", None)
    if found is None:
        units = [(where, reach(factor, count, alpha, test=test)) for where, factor, count in plan.ends()]
        if any(unit is None for _, unit in units):
            return f"{plan.named} settle nothing: too few at this level."
        (where, unit), *more = [(where, unit) for where, unit in units if unit is not None]
        said = f"{'' if equal else 'an effect of '}{unit:.2g} sd of the contrast"
        said += f" if it spreads between {where} alone" if more else ""
        said = finds.format(said + "".join(f", {other:.2g} sd if between {place} alone" for place, other in more))
        if wanted is None or more:
            return f"{said}; no earlier records tell how much that is."
        most = shown.amount(float(f"{wanted / unit:.2g}"))
        return f"{said}: {shown.amount(wanted)} only where it spreads by {most} at most (no earlier records tell)."
    error, df = plan.of(found[0])
    sd = error * math.sqrt(n)  # as if n independent values had given this error
    amount = reach(sd, n, alpha, test=test, df=df)
    if amount is None:
        return f"{plan.named} settle nothing: too few at this level."
    amount_said = f"{Digits(shown, [amount])(amount)} {shown.difference}".rstrip()
    if isinstance(claim, Trend) and claim.spacing == "step":
        amount_said += " a step"
    noun = "values" if isinstance(claim, Across) else "seeds" if plan.columns == 1 else "replicates"
    said = f"{finds.format(amount_said)} (spread of {found[1]} earlier {noun})"
    if wanted is None:
        return f"{said}."
    if equal:
        return f"{said}; {shown.amount(wanted)} is claimed."
    said += f"; {shown.amount(wanted)} with {100 * power(wanted, sd, n, alpha, test, df):.0f}%"
    if plan.columns > 1 or plan.ratio:  # how many more of which, or whether more help, is for whoever plans to say
        return f"{said}."
    needed = seeds_for(wanted, sd, alpha, test)
    return f"{said}, and needs {f'about {needed}' if math.isfinite(needed) else 'more than 1,000'} for 80%."
