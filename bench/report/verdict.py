"""Verdicts in words: a line for a terminal, verdict.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.claims import Verdict
from bench.report.naming import Digits, axis
from bench.report.tables import escape_md
from bench.schema.claim import Bound, Compare, Equivalence, Trend
from bench.schema.metric import Metric, metric
from bench.schema.sweep import Sweep

TESTS = {"t": "t-test", "wilcoxon": "Wilcoxon's signed-rank test", "bootstrap": "BCa bootstrap"}


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
        parts.append(f"n = {verdict.n} {noun}{'s' if verdict.n != 1 else ''}")
    if not math.isnan(verdict.p):
        p = f"p {_p(verdict.p)}"
        if verdict.p_holm != verdict.p:
            p += f" ({_p(verdict.p_holm).removeprefix('= ')} after Holm)"
        parts.append(p)
    if claim.test != "t":
        parts.append(TESTS[claim.test])
    return ", ".join(parts)


def remarks(verdict: Verdict) -> list[str]:
    """What limits a verdict, a sentence each: averages, lost seeds, why it is open, what would settle it."""
    out = []
    if verdict.averaged:
        over = ", ".join(f"{count} values of {axis(name)}" for name, count in verdict.averaged.items())
        out.append(f"Averaged over {over}.")
    if count := len(verdict.dropped):
        out.append(f"{count} seed{'s' if count > 1 else ''} left out, as runs are missing.")
    if verdict.note:
        out.append(verdict.note[:1].upper() + verdict.note[1:] + ".")
    if verdict.word == "open" and verdict.seeds:
        out.append(f"About {verdict.seeds} seeds would probably settle it.")
    elif verdict.word == "open" and not verdict.note and verdict.n > 1:
        out.append("More than 1,000 seeds would be needed to settle it.")
    return out


def _effect(verdict: Verdict, shown: Metric) -> str:
    claim = verdict.claim
    digits = Digits(shown, [(verdict.high - verdict.low) / 2])
    sign = "" if isinstance(claim, Bound) or verdict.effect < 0 else "+"
    absolute = shown.unit if shown.unit == "%" else f" {shown.unit}".rstrip()
    difference = f" {shown.difference}".rstrip()
    text = f"{sign}{digits(verdict.effect)}{absolute if isinstance(claim, Bound) else difference}"
    if isinstance(claim, Trend):
        over = axis(claim.over)
        text += {"step": f" a step of {over}", "value": f" per unit of {over}", "log": f" per tenfold {over}"}[
            claim.spacing
        ]
    if math.isfinite(verdict.low) and verdict.low < verdict.high:
        text += f" [{digits(verdict.low)}, {digits(verdict.high)}]"
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
        "Each claim is tested on one number a seed (differences of runs with the same seed and all else equal), "
        "two-sided at 5%, with Holm's correction over the claims of the sweep. Intervals are 95%, uncorrected. "
        "`open` means that these runs do not settle it.",
    ]
    return "\n".join(lines) + "\n"
