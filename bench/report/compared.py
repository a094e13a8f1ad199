"""A comparison in words, for a terminal, and as plain data, for programs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from bench.analysis.naming import Digits, point
from bench.report.compare import ABSENT, Comparison, Pair
from bench.schema.metric import metric


def text(found: Comparison) -> str:
    """For a terminal: the diff of settings, then one line a pair."""
    lines = [f"a  {found.a.label}", f"b  {found.b.label}", ""]
    differ = [s for s in found.settings if [ABSENT] not in (s.a, s.b)]
    if differ:
        width = max(len(s.name) for s in differ)
        lines.append("Settings that differ:")
        lines += [f"  {s.name:<{width}}  {_list_values(s.a)} -> {_list_values(s.b)}" for s in differ]
    else:
        lines.append("All settings that both sides have are the same.")
    for only, name in ((lambda s: s.b, "a"), (lambda s: s.a, "b")):
        if count := sum(only(s) == [ABSENT] for s in found.settings):
            lines.append(f"  {count} settings are recorded by {name} only (--json lists them)")
    lines += ["", f"Paired by {found.rule}, b - a:"]
    body = [_row(pair) for pair in found.pairs]
    heads = ["", "metric", "a", "b", "b - a [95% interval]", "n", ""]
    widths = [max(len(row[i]) for row in (heads, *body)) for i in range(len(heads))]
    for row in (heads, *body):
        lines.append("  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    if len(found.pairs) > 1:
        lines.append(f"  Words are corrected for the {len(found.pairs)} rows (Holm); intervals are of each row alone.")
    if found.only_a or found.only_b:
        lines += ["", f"Without a partner: {found.only_a} finished runs of a, {found.only_b} of b."]
    if failed := {f"{point(p.at)}": p.failed for p in found.pairs if any(p.failed)}:
        one, other = (sum(count[i] for count in failed.values()) for i in (0, 1))
        lines += ["", f"Failed where the other side finished: {one} runs of a, {other} of b. Left out of the numbers; "
                  "a word holds only where it also does with them counted as the worst there can be."]  # fmt: skip
    if found.tuning:
        lines += ["", f"Left out: {found.tuning} runs that chose hyperparameters; they are not judged."]
    if found.environment:
        lines += ["", "Environments differ, most suspicious first:"]
        lines += [f"  {d.name}: {d.then} -> {d.now}   ({d.why})" for d in found.environment]
    return "\n".join(lines) + "\n"


def _row(pair: Pair) -> list[str]:
    described, d = metric(pair.metric), pair.difference
    digits = Digits(described, [d.half, pair.a.half, pair.b.half])
    interval = f" [{digits(d.low)}, {digits(d.high)}]" if math.isfinite(d.half) and d.half > 0 else ""
    change = f"{'+' if d.mean > 0 else ''}{digits(d.mean)}{interval}"
    return [point(pair.at), described.label, digits(pair.a.mean), digits(pair.b.mean), change, str(d.n), pair.word]


def _list_values(values: list[str]) -> str:
    return ", ".join(values[:6]) + (f", ... ({len(values)})" if len(values) > 6 else "")


def data(found: Comparison) -> dict[str, Any]:
    """The same for programs; NaN becomes None."""
    return {
        "a": found.a.label,
        "b": found.b.label,
        "paired_by": found.rule,
        "settings": [dataclasses.asdict(s) for s in found.settings],
        "pairs": [
            {
                "axes": p.at,
                "metric": p.metric,
                "a": _finite(p.a.mean),
                "b": _finite(p.b.mean),
                "difference": _finite(p.difference.mean),
                "low": _finite(p.difference.low),
                "high": _finite(p.difference.high),
                "n": p.difference.n,
                "p_corrected": _finite(p.p),
                "failed": list(p.failed),
                "verdict": p.word,
                "values": {str(seed): [_finite(x) for x in both] for seed, both in p.values.items()},
            }
            for p in found.pairs
        ],
        "only_a": found.only_a,
        "only_b": found.only_b,
        "tuning": found.tuning,
        "environment": [{"name": d.name, "a": d.then, "b": d.now, "why": d.why} for d in found.environment],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
