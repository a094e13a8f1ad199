"""What so many seeds can find, said before they run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.claims import STRICTER
from bench.report.contrast import contrast
from bench.report.frame import selected
from bench.report.naming import Digits
from bench.report.stats import LEVEL, Sample, detectable, power, sample, seeds_needed
from bench.schema.claim import Bound, Claim
from bench.schema.errors import RequestError
from bench.schema.metric import metric
from bench.schema.sweep import Sweep, seeds_of
from bench.track.record import Record

FEW = 3  # seeds of earlier records that say something about the spread


def forecast(sweep: Sweep, records: Sequence[Record]) -> list[str]:
    """A sentence a claim: the effect that the planned seeds find four times in five, and how likely `smallest` is.

    The spread is that of the claim's contrast in earlier records; without any it is the unit. The level is that of
    the least p among the sweep's claims (Holm), at one look; a bound has a fifth of it. Noncentral t (Cohen 1988).
    """
    n = len(seeds_of(sweep.seeds))
    tested = [c for c in sweep.claims if c.metric != "run/failed"]
    if sweep.replicates != ["seed"] or sweep.sequential:
        return []
    return [f"{claim.says}: {_said(claim, _spread(sweep, records, claim), n, len(tested))}" for claim in tested]


def _spread(sweep: Sweep, records: Sequence[Record], claim: Claim) -> Sample | None:
    """The claim's contrast in earlier records; None where they are too few, or all equal."""
    if not any(r.status == "finished" for r in records):
        return None
    try:
        found = sample(list(contrast(selected(sweep, list(records)), claim).values.values()))
    except RequestError:  # records from before an axis or a metric
        return None
    return found if found.n >= FEW and found.sd > 0 else None


def _said(claim: Claim, found: Sample | None, n: int, claims: int) -> str:
    alpha = (1 - LEVEL) / claims / (STRICTER if isinstance(claim, Bound) else 1.0)
    units = detectable(1.0, n, alpha)
    if units is None:
        return f"{n} seed{'s' if n > 1 else ''} settle nothing; three are the least."
    shown, smallest = metric(claim.metric), getattr(claim, "smallest", None)
    if found is None:
        said = f"{n} seeds find an effect of {units:.2g} sd of the contrast four times in five"
        if smallest is None:
            return f"{said}; no earlier records tell how much that is."
        most = shown.amount(float(f"{smallest / units:.2g}"))
        return f"{said}: {shown.amount(smallest)} only where it spreads by {most} at most (no earlier records tell)."
    digits = Digits(shown, [units * found.sd])
    unit = f" {shown.difference}".rstrip()
    said = f"{n} seeds find {digits(units * found.sd)}{unit} four times in five (spread of {found.n} earlier seeds)"
    if smallest is None:
        return f"{said}."
    needed = seeds_needed(smallest, found.sd, alpha)
    chance = power(smallest, found.sd, n, alpha)
    need = f"needs about {needed}" if needed else "needs more than 1,000"
    return f"{said}; {shown.amount(smallest)} with {100 * chance:.0f}%, and {need} for 80%."
