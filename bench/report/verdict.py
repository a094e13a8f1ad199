"""Verdicts in words: a line for a terminal, verdict.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.claims import Verdict
from bench.report.naming import Digits, Metric, metric
from bench.report.tables import escape_md
from bench.schema.claim import Bound, Compare, Equivalence, Trend
from bench.schema.sweep import Sweep

TESTS = {"t": "t-test", "wilcoxon": "Wilcoxon's signed-rank test", "bootstrap": "BCa bootstrap"}


def line(verdict: Verdict) -> str:
    """One line for a terminal: `SUPPORTED  Batch norm helps: +3.2 points [2.1, 4.3], n = 3 pairs`."""
    return f"{verdict.word.upper():<9}  {verdict.claim.says}: {describe(verdict)}"


def describe(verdict: Verdict) -> str:
    """`+3.2 points [2.1, 4.3], n = 3 pairs, p = 0.004`, then the test where it is not t, and what limits it."""
    claim, shown = verdict.claim, metric(verdict.claim.metric)
    parts = []
    if verdict.n:
        parts.append(_effect(verdict, shown))
        noun = "pair" if isinstance(claim, Compare | Equivalence) else "seed"
        parts.append(f"n = {verdict.n} {noun}{'s' if verdict.n != 1 else ''}")
    if not math.isnan(verdict.p):
        p = f"p {_p(verdict.p)}"
        if verdict.p_holm != verdict.p:
            p += f" ({_p(verdict.p_holm).lstrip('= ')} after Holm)"
        parts.append(p)
    if claim.test != "t":
        parts.append(TESTS[claim.test])
    if verdict.averaged:
        over = ", ".join(f"{count} values of {name}" for name, count in verdict.averaged.items())
        parts.append(f"averaged over {over}")
    if verdict.dropped:
        parts.append(
            f"{len(verdict.dropped)} seed{'s' if len(verdict.dropped) > 1 else ''} left out as runs are missing"
        )
    if verdict.note:
        parts.append(verdict.note)
    if verdict.word == "open" and verdict.seeds:
        parts.append(f"about {verdict.seeds} seeds would probably settle it")
    elif verdict.word == "open" and not verdict.note and verdict.n > 1:
        parts.append("more than 1,000 seeds would be needed to settle it")
    return ", ".join(parts)


def _effect(verdict: Verdict, shown: Metric) -> str:
    claim = verdict.claim
    digits = Digits(shown, [(verdict.high - verdict.low) / 2])
    sign = "" if isinstance(claim, Bound) or verdict.effect < 0 else "+"
    unit = shown.unit if isinstance(claim, Bound) else shown.difference
    text = f"{sign}{digits(verdict.effect)}{unit if unit == '%' else f' {unit}' if unit else ''}"
    if isinstance(claim, Trend):
        text += {"step": " a step", "value": f" per unit of {claim.over}", "log": f" per tenfold {claim.over}"}[
            claim.spacing
        ]
    if math.isfinite(verdict.low) and verdict.low < verdict.high:
        text += f" [{digits(verdict.low)}, {digits(verdict.high)}]"
    if isinstance(claim, Equivalence):
        text += (
            f" within ±{Digits(shown)(claim.margin)}"
            if verdict.word == "supported"
            else f", margin {Digits(shown)(claim.margin)}"
        )
    if isinstance(claim, Bound):
        text += f" against {Digits(shown)(claim.bound)}"
    if isinstance(claim, Compare) and claim.by:
        text += f", asked for {Digits(shown)(claim.by)}"
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
