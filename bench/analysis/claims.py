"""Claims judged: for each a contrast per replicate, a test, what looks and other claims cost, a verdict.

How and why is told in VERDICTS.md beside this file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.artifacts import Reader
from bench.analysis.contrast import contrast, steps, terms, threshold
from bench.analysis.frame import Frame, select_frame
from bench.analysis.images import OnImages, on_images
from bench.analysis.judged import Failures, Verdict, Word
from bench.analysis.looks import Looks, looks_at, taken_out
from bench.analysis.naming import axis
from bench.analysis.outcome import Outcome
from bench.analysis.replicates import Contrast, Replicate, summary
from bench.analysis.rounding import without_noise
from bench.analysis.settings import settings_of_records
from bench.analysis.statement import sides_of
from bench.analysis.stats import (
    LEVEL,
    Sample,
    holm_factors,
    one_sample,
    sample,
)
from bench.schema.claim import Across, Bound, Choice, Claim, Compare, Equivalence, Trend
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.sweep import Sweep
from bench.track.record import Record

# A cell's own values have no partner that shares their skew, so a bound is tested at 1%: at 5% Student's t errs in 9 to
# 12% of skewed samples (simulated, VERDICTS.md).
STRICTER = 5.0


def judge(
    sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any] | None = None, reader: Reader | None = None
) -> list[Verdict]:
    """A Verdict for each claim of the sweep, in its order.

    A claim is supported where its two-sided p, corrected for the sweep's claims (Holm) and for earlier looks, is at
    most 0.05 and the effect lies on the claimed side, refuted where it lies on the other side, and open otherwise.

    Args:
        context: see `bench.report.write`; its `looks` are paid for.
        reader: gives the runs' predictions; without it nothing is said of single images.

    Raises:
        RequestError: for a metric that no finished run has.
    """
    if not sweep.claims:
        return []
    frame = select_frame(sweep, list(records))
    tested = [_test_contrast(frame, sweep, claim, on_images(claim, frame, reader)) for claim in sweep.claims]
    context = context or {}
    before = context.get("looks") or context.get("registered")  # what happened at which settings counts only then
    settings = settings_of_records(sweep, records) if before else {}
    gone = taken_out(sweep, frame, context, settings)
    factors = holm_factors([*(t.p * t.stricter for t in tested), *gone.values()])[: len(tested)]
    looked = [looks_at(t.claim, t.contrast.values, sweep, frame, context, settings) for t in tested]
    return [_verdict(frame, sweep, *one, len(tested) + len(gone)) for one in zip(tested, factors, looked, strict=True)]


@dataclass(frozen=True)
class _Tested:
    claim: Claim
    contrast: Contrast
    sample: Sample
    counted: Sample | None  # with the runs that did not finish as the worst there can be
    outcome: Outcome
    p: float  # two-sided; for equivalence twice the smaller of both one-sided questions
    toward: bool  # the estimate lies on the claimed side
    failures: Failures | None
    stricter: float
    images: OnImages | None
    by_images: bool  # no seed changes anything: the test images decide


def _test_contrast(frame: Frame, sweep: Sweep, claim: Claim, images: OnImages | None) -> _Tested:
    found = contrast(frame, claim)
    given = _sample(claim, frame, found.values, found.largest)
    outcome, p, toward = _test(claim, sweep, given, LEVEL)
    # Seeds without kept predictions may say something else: then the seeds decide.
    equal = len(set(found.values.values())) == 1
    by_images = images is not None and images.fixed and equal and isinstance(claim, Compare) and not claim.by
    if images is not None and by_images:
        outcome, p = images.outcome(given.n), images.p
        toward = (outcome.estimate > 0) == (isinstance(claim, Compare) and claim.direction == "greater")
    failures, counted = None, None
    if found.dropped:
        effect, other, other_toward = math.nan, math.nan, toward
        if found.counted is not None:
            counted = _sample(claim, frame, found.counted, found.largest)
            outcome_too, other, other_toward = _test(claim, sweep, counted, LEVEL)
            effect = outcome_too.estimate
        # Without a worst value a run that diverged counts as nothing, and what is left proves nothing: of a cost too,
        # as the runs that ran out of time or memory are the slow and the large ones.
        agree = found.counted is not None and not math.isnan(other) and other_toward == toward
        failures = Failures(len(found.dropped), found.worst, effect, other, agree)
        if not math.isnan(p):
            p = max(p, other) if agree else 1.0
    stricter = STRICTER if isinstance(claim, Bound) and claim.metric != "run/failed" else 1.0
    return _Tested(claim, found, given, counted, outcome, p, toward, failures, stricter, images, by_images)


def _sample(claim: Claim, frame: Frame, values: Mapping[Replicate, float], largest: float) -> Sample:
    """What a test rests on; data sets have no seeds and splits to be crossed."""
    if len({without_noise(value, largest) for value in values.values()}) == 1:
        values = dict.fromkeys(values, next(iter(values.values())))  # rounding is no spread
    return sample(list(values.values())) if isinstance(claim, Across) else summary(values, _overlap(claim, frame))


def _overlap(claim: Claim, frame: Frame) -> float:
    return frame.overlap(record for records in sides_of(claim, frame) for record in records)


def _test(claim: Claim, sweep: Sweep, given: Sample, level: float) -> tuple[Outcome, float, bool]:
    """Outcome, two-sided p, whether the estimate lies on the claimed side."""
    if claim.metric == "run/failed":
        from bench.analysis.rates import failure_rate

        outcome = failure_rate(claim, given.values, level)
    test = "sequential" if sweep.sequential and claim.test == "t" else claim.test
    if isinstance(claim, Equivalence):
        upper = one_sample(given, claim.margin, test, level)
        lower = one_sample(given, -claim.margin, test, level)
        inside = max(upper.p_less, lower.p_greater)
        outside = min(upper.p_greater, lower.p_less)
        upper = replace(upper, low=lower.low)  # each end is that of the test at its own margin
        return upper, _two_sided(inside, outside), inside < outside
    if claim.metric != "run/failed":
        outcome = one_sample(given, threshold(claim), test, level)
    rising = outcome.p_greater < outcome.p_less
    return outcome, _two_sided(outcome.p_less, outcome.p_greater), rising == (claim.direction == "greater")


def _two_sided(one: float, other: float) -> float:
    return math.nan if math.isnan(one) or math.isnan(other) else min(1.0, 2 * min(one, other))


def _verdict(frame: Frame, sweep: Sweep, tested: _Tested, factor: float, looks: Looks, among: int) -> Verdict:
    claim, found = tested.claim, tested.contrast
    paid = tested.stricter * factor * looks.factor
    p_all = min(1.0, tested.p * paid) if not math.isnan(tested.p) else math.nan
    settled = p_all <= 1 - LEVEL and not looks.spent
    word: Word = "open" if not settled else "supported" if tested.toward else "refuted"
    note = tested.outcome.note
    if isinstance(claim, Across):
        note = note.replace("seed", "data set")
    alone = tested.p * tested.stricter <= 1 - LEVEL
    if found.absent:
        note = f"these records have no {found.absent}"
    elif not settled and tested.failures and not tested.failures.agrees and not math.isnan(tested.p):
        said = "left out or counted, the runs that did not finish decide the word"
        if found.counted is None:
            said = "runs that did not finish may be worse than any number here"
        note = "a run that is missing might have been chosen" if isinstance(claim, Choice) else said
    elif not settled and tested.failures and _leaves_out(tested.outcome, claim) and not alone:
        note = "with the runs that did not finish counted nothing is settled"
    elif not settled and alone and tested.p * tested.stricter * factor > 1 - LEVEL:
        more = among - len(sweep.claims)
        note = f"significant alone, but not among the {among} claims of this sweep"
        note += f", {more} of which {'were' if more > 1 else 'was'} taken out after a look" if more else ""
    if isinstance(claim, Trend) and not found.absent:
        word, note = _shape(frame, claim, word, note)
    if looks.decided and found.values and not found.absent:
        # Decided at an earlier look: that word had its share of the 5%, and stays unless the numbers turned round, or
        # runs that failed or diverged since then would turn them.
        turned = not math.isnan(tested.p) and tested.toward != (looks.decided == "supported")
        lost = (tested.failures and not tested.failures.agrees) or not all(map(math.isfinite, found.values.values()))
        word = "open" if turned or lost else looks.decided  # type: ignore[assignment]
        if turned or lost:
            why = note if lost and note else "the effect now lies on the other side"
            note = f"an earlier look said {looks.decided}; {why}"
    alpha = (1 - LEVEL) / paid
    outcome, _, _ = _test(claim, sweep, tested.sample, 1 - alpha)
    if tested.images is not None and tested.by_images:
        outcome = tested.images.outcome(tested.sample.n, 1 - alpha)
    if tested.failures and not settled and _leaves_out(outcome, claim):
        outcome = _span_both(outcome, tested, claim, sweep, 1 - alpha)
    low, high = _inside(claim, frame, outcome.low, outcome.high)
    return Verdict(
        claim=claim,
        word=word,
        effect=outcome.estimate,
        low=low,
        high=high,
        level=1 - alpha,
        n=outcome.n,
        values=found.values,
        p=tested.p,
        p_holm=p_all,
        averaged=found.averaged,
        dropped=found.dropped,
        failures=tested.failures,
        looks=looks,
        frame=frame,
        sweep=sweep,
        sample=tested.sample,
        note=note,
        images=tested.images,
        by_images=tested.by_images,
    )


def _leaves_out(outcome: Outcome, claim: Claim) -> bool:
    """Whether the interval alone would settle the claim."""
    if isinstance(claim, Equivalence):
        inside = -claim.margin < outcome.low and outcome.high < claim.margin
        return inside or outcome.high < -claim.margin or outcome.low > claim.margin
    return outcome.low > threshold(claim) or outcome.high < threshold(claim)


def _span_both(outcome: Outcome, tested: _Tested, claim: Claim, sweep: Sweep, level: float) -> Outcome:
    """The interval that holds both ways of counting runs that did not finish; none where they may be any worse."""
    if tested.counted is None:
        return replace(outcome, low=math.nan, high=math.nan)
    other, _, _ = _test(claim, sweep, tested.counted, level)
    if math.isnan(other.low):
        return replace(outcome, low=math.nan, high=math.nan)
    return replace(outcome, low=min(outcome.low, other.low), high=max(outcome.high, other.high))


def _shape(frame: Frame, claim: Trend, word: Word, note: str) -> tuple[Word, str]:
    """A metric that significantly goes the other way in one step has no trend, whatever its slope."""
    sign = 1.0 if claim.direction == "greater" else -1.0
    shown, against, significant = metric(claim.metric), [], False
    for one, other, values in steps(frame, claim):
        given = summary(values, _overlap(claim, frame))
        if sign * given.mean < 0:
            outcome = one_sample(given)
            against.append((one, other, given.mean))
            significant |= (outcome.p_less if sign > 0 else outcome.p_greater) <= 1 - LEVEL
    if word != "supported" or not against:
        return word, note
    verb = "falls" if sign > 0 else "rises"
    where = "; ".join(
        f"it {verb} from {axis(claim.over)} {show(a)} to {show(b)} by {shown.amount(round(abs(change), 4))}"
        for a, b, change in against
    )
    return ("open" if significant else word), where + ("" if significant else ", within seed noise")


def _inside(claim: Claim, frame: Frame, low: float, high: float) -> tuple[float, float]:
    """An interval without what the metric cannot be: a difference of two accuracies is at most 1."""
    shown = metric(claim.metric)
    if shown.low is None or shown.high is None or math.isnan(low):
        return low, high
    weights = [1.0, -1.0] if isinstance(claim, Choice) else [w for w, _ in terms(claim, frame)]
    least = math.fsum(w * (shown.low if w > 0 else shown.high) for w in weights)
    most = math.fsum(w * (shown.high if w > 0 else shown.low) for w in weights)
    return max(low, least), min(high, most)
