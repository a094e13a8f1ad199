"""Verdicts in words: a line for a terminal, verdict.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.contrast import threshold
from bench.analysis.images import OnImages
from bench.analysis.judged import Verdict
from bench.analysis.naming import Digits, axis
from bench.analysis.stats import LEVEL
from bench.report.tables import escape_md
from bench.schema.claim import Across, Bound, Choice, Compare, Equivalence, Trend
from bench.schema.metric import Metric, metric
from bench.schema.sweep import Sweep

TESTED = (
    "Each claim is tested on one number a replicate (differences of runs with the same seed and all else equal), "
    "two-sided at 5% (a bound at 1%), corrected for the claims of the sweep (Holm) and for earlier looks. An interval "
    "is at the level at which its claim is decided, so that it leaves out what is tested against exactly where the "
    "claim is settled, unless an earlier look settled it. Open means that these runs do not settle it."
)
TESTS = {"t": "t-test", "wilcoxon": "Wilcoxon's signed-rank test", "bootstrap": "studentized bootstrap"}


def line(verdict: Verdict) -> str:
    """One paragraph for a terminal: `SUPPORTED  Batch norm helps: +3.2 points [2.1, 4.3], n = 3 pairs, ...`."""
    return f"{verdict.word.upper():<9}  {verdict.claim.says}: {describe(verdict)}"


def describe(verdict: Verdict) -> str:
    """The numbers and then, in sentences, what limits them."""
    said = " ".join(remarks(verdict))
    return ". ".join(part for part in (numbers(verdict), said) if part) if said else numbers(verdict)


def numbers(verdict: Verdict) -> str:
    """`+3.2 points [2.1, 4.3], n = 3 pairs, p = 0.004`; the test is named where it is not t; "" without any number."""
    claim, shown = verdict.claim, metric(verdict.claim.metric)
    parts = []
    if verdict.n:
        parts += [_effect(verdict, shown)] if math.isfinite(verdict.effect) else []
        noun = "pair" if isinstance(claim, Compare | Equivalence) else "seed"
        noun = "replicate" if is_crossed(verdict) else "data set" if isinstance(claim, Across) else noun
        parts.append(f"n = {verdict.n} {noun}{'s' if verdict.n != 1 else ''}")
    if not math.isnan(verdict.p):
        p = f"p {_p(verdict.p)}"
        if verdict.p_holm != verdict.p:
            p += f" ({_p(verdict.p_holm).removeprefix('= ')} corrected)"
        parts.append(p)
    if claim.test != "t":
        parts.append(TESTS[claim.test])
    return ", ".join(parts)


def is_crossed(verdict: Verdict) -> bool:
    """Whether splits or folds are drawn anew too, so that what it rests on are no seeds."""
    return not isinstance(verdict.claim, Across) and any(isinstance(name, str) for name in verdict.values)


def remarks(verdict: Verdict) -> list[str]:
    """What was tested and what limits the verdict, a sentence each."""
    shown = metric(verdict.claim.metric)
    out = [f"Tested: {verdict.tested}{f', {verdict.scope}' if verdict.scope else ''}."]
    if verdict.averaged:
        over = ", ".join(f"{count} values of {axis(name)}" for name, count in verdict.averaged.items())
        out.append(f"Averaged over {over}.")
    if verdict.images is not None:
        out.append(_images(verdict.images, shown))
    if verdict.failures:
        out.append(_failures(verdict, shown))
    out += _looks(verdict)
    if verdict.note:
        out.append(verdict.note[:1].upper() + verdict.note[1:] + ".")
    if verdict.word == "open" and verdict.detects is not None:
        digits = Digits(shown, [verdict.detects])
        unit = f" {shown.difference}".rstrip()
        what = f"find {digits(verdict.detects)}{unit}"
        if isinstance(verdict.claim, Equivalence):
            what = f"show a margin of ±{digits(verdict.detects)}{unit} where nothing differs"
        noun = "data sets" if isinstance(verdict.claim, Across) else "replicates"
        out.append(f"{verdict.n} {noun} of this spread {what} four times in five.")
    smallest = getattr(verdict.claim, "smallest", None)
    if verdict.word == "open" and smallest and verdict.seeds is not None and not is_crossed(verdict):
        need = f"about {verdict.seeds}" if math.isfinite(verdict.seeds) else "more than 1,000"
        out.append(f"An effect of {shown.amount(smallest)} would need {need} seeds.")
    if verdict.differs:
        said = "; ".join(f"{name} {one} / {other}" for name, (one, other) in verdict.differs.items())
        out.append(f"Its sides also differ in: {said}.")
    if verdict.equal:
        out.append(f"Both have: {'; '.join(f'{name} {text}' for name, text in verdict.equal.items())}.")
    if verdict.doubts:
        out.append(f"Doubts: {'; '.join(f'{name}: {text.rstrip(chr(46))}' for name, text in verdict.doubts)}.")
    return out


def _images(found: OnImages, shown: Metric) -> str:
    digits = Digits(shown, [(found.high - found.low) / 2])
    span = f"[{digits(found.low)}, {digits(found.high)}] {shown.difference}"
    if found.fixed:
        return f"Every seed says the same: tested on the {found.images:,} test images (McNemar), 95% interval {span}."
    return f"With the {found.images:,} test images drawn anew as well: 95% interval {span}."


def _failures(verdict: Verdict, shown: Metric) -> str:
    failures = verdict.failures
    assert failures is not None
    noun = "data set" if isinstance(verdict.claim, Across) else "replicate"
    count = f"{failures.count} {noun}{'s lack' if failures.count > 1 else ' lacks'} a run and "
    if isinstance(verdict.claim, Across) and all(name in verdict.values for name in verdict.dropped):
        count += "are taken by their other replicates" if failures.count > 1 else "is taken by its other replicates"
    else:
        count += "are left out" if failures.count > 1 else "is left out"
    if isinstance(verdict.claim, Choice):
        lost = f"{failures.count} replicate{'s' if failures.count > 1 else ''}"
        return f"{lost} left out: a candidate without a run there might have been chosen."
    if math.isnan(failures.effect):
        return f"{count}; {shown.title} has no worst value to count them as."
    digits = Digits(shown, [(verdict.high - verdict.low) / 2])
    worst = shown.amount(failures.worst, of_difference=False)
    p = "" if math.isnan(failures.p) else f", p {_p(failures.p)}"
    if isinstance(verdict.claim, Bound):
        effect = f"{digits(failures.effect)}{shown.unit if shown.unit == '%' else f' {shown.unit}'.rstrip()}"
    else:
        effect = f"{'+' if failures.effect > 0 else ''}{digits(failures.effect)}{f' {shown.difference}'.rstrip()}"
    return f"{count}; counted as {worst}: {effect}{p}."


def _looks(verdict: Verdict) -> list[str]:
    looks = verdict.looks
    out = []
    if looks.elsewhere:
        others = "; ".join(f"{look.settings}, n = {look.n}: {look.word}" for look in looks.elsewhere)
        out.append(f"Judged at other settings too ({others}).")
    if not looks.earlier:
        if looks.factor > 1:
            out.append(f"Not all planned seeds have ended: a look before that has {5 / looks.factor:g}%.")
        return out
    before = "; ".join(
        f"n = {look.n}: {look.word}{', of something else claimed of the same runs' if look.other else ''}"
        for look in looks.earlier
    )
    out.append(f"Judged before at {before}.")
    if looks.decided:
        return out
    if looks.spent:
        return [*out, "That look had all of the 5%: only fresh seeds can settle it (bench sweep NAME --confirm)."]
    if looks.factor > 1:
        out.append(f"Look {len(looks.earlier) + 1} is judged at {5 / looks.factor:.2g}%.")
    return out


MOST_DIGITS = 6  # more than an interval's own two, beyond which a difference is rounding


def digits_of(verdict: Verdict) -> Digits:
    """Digits in which no end of the interval, nor a settled effect, looks equal to what it is tested against."""
    shown, at = metric(verdict.claim.metric), threshold(verdict.claim)
    tested = (-at, at) if isinstance(verdict.claim, Equivalence) else (at,)
    numbers = [verdict.low, verdict.high, *([verdict.effect] if verdict.word != "open" else [])]
    halves = [(verdict.high - verdict.low) / 2]
    for more in range(MOST_DIGITS):
        digits = Digits(shown, halves, more)
        if not any(number != t and digits(number) == digits(t) for number in numbers for t in tested):
            return digits
    return Digits(shown, halves)


def _effect(verdict: Verdict, shown: Metric) -> str:
    claim, digits = verdict.claim, digits_of(verdict)
    sign = "" if isinstance(claim, Bound) or verdict.effect < 0 else "+"
    absolute = shown.unit if shown.unit == "%" else f" {shown.unit}".rstrip()
    difference = f" {shown.difference}".rstrip()
    text = f"{sign}{digits(verdict.effect)}{absolute if isinstance(claim, Bound) else difference}"
    if isinstance(claim, Trend):
        over = axis(claim.over)
        text += {"step": f" a step of {over}", "value": f" per unit of {over}", "log": f" per tenfold {over}"}[
            claim.spacing
        ]
    if math.isfinite(verdict.low) and math.isfinite(verdict.high) and verdict.low < verdict.high:
        text += f" [{digits(verdict.low)}, {digits(verdict.high)}]"
        if verdict.level > LEVEL + 1e-9:
            text += f" ({100 * verdict.level:.4g}% interval)"
    if isinstance(claim, Equivalence):
        where = "within" if verdict.word == "supported" else "against"
        text += f" {where} a margin of ±{shown.amount(claim.margin)}"
    if isinstance(claim, Bound):
        text += f" against a bound of {shown.amount(claim.bound, of_difference=False)}"
    if isinstance(claim, Compare) and claim.by:
        more = claim.direction == "greater"
        text += f" where {'more' if more else 'less'} than {shown.amount(claim.by if more else -claim.by)} was claimed"
    return text


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def markdown(sweep: Sweep, verdicts: Sequence[Verdict]) -> str:
    """verdict.md: a heading, one paragraph a claim, and how they were tested."""
    lines = [f"# {escape_md(sweep.name)}: verdicts", "", escape_md(sweep.question), ""]
    if not verdicts:
        return "\n".join([*lines, "This sweep makes no claim."]) + "\n"
    for verdict in verdicts:
        lines += [f"- **{verdict.word}**: {escape_md(verdict.claim.says)}  ", f"  {escape_md(describe(verdict))}"]
    lines += [
        "",
        TESTED,
    ]
    return "\n".join(lines) + "\n"
