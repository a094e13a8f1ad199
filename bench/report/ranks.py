"""Methods across data sets, as the critical-difference diagram and as across.md."""

from __future__ import annotations

import math

import numpy as np

from bench.analysis.across import (
    Across,
    compare_pairs,
    improvement,
    interquartile_mean,
    interval,
    resample,
)
from bench.report.figures.chart import Chart, Mark, Panel, Scale, set_ranges
from bench.report.tables import escape_md
from bench.schema.metric import metric

DRAWS = 2000
MOST = 12  # methods of which every pair is listed


def chart(found: Across, of: str) -> Chart:
    """The critical-difference diagram (Demsar 2006): mean ranks, with half of the critical difference each side."""
    order = sorted(range(len(found.names)), key=found.ranks.__getitem__)
    marks = tuple(
        Mark(
            x=found.names[i],
            y=found.ranks[i],
            low=found.ranks[i] - found.critical / 2,
            high=found.ranks[i] + found.critical / 2,
            n=len(found.datasets),
            text=f"{found.ranks[i]:.2f}",
            tip=(found.names[i], f"mean rank {found.ranks[i]:.2f}"),
        )
        for i in order
    )
    count = len(found.datasets)
    read = f"Bars: half of the critical difference ({found.critical:.2f}) each side: methods whose bars overlap are not"
    made = Chart(
        kind="dots",
        title=f"Mean rank by {metric(of).title} over {count} data sets",
        x=Scale("", kind="names", ticks=tuple(found.names[i] for i in order)),
        y=Scale("mean rank (1 is the best)"),
        panels=(Panel("", marks),),
        read_as=f"{read} told apart (Nemenyi, 5%)",
        caption=f"{read} told apart (Nemenyi, 5%).",
    )
    return set_ranges(made)


def markdown(found: Across, of: str) -> str:
    """across.md."""
    shown, rng = metric(of), np.random.default_rng(0)
    sign, names = (-1.0 if shown.better == "less" else 1.0) * shown.factor, list(map(escape_md, found.names))
    count, sets = found.scores[0].shape[1], escape_md(", ".join(found.datasets))
    lines = [
        "# Across data sets",
        "",
        f"{shown.label} of {count} seeds on {len(found.datasets)} data sets ({sets}).",
        "",
    ]
    if found.lost:
        said = escape_md(", ".join(found.lost))
        lines += [
            f"**Left out, as not every method has a number there: {said}. Whoever failed there is not worse here.**",
            "",
        ]
    lines += ["| method | mean rank | interquartile mean [95%] |", "|---|---|---|"]
    for i in sorted(range(len(names)), key=found.ranks.__getitem__):
        scores = found.scores[i]
        ends = sorted(sign * v for v in interval([interquartile_mean(resample(scores, rng)) for _ in range(DRAWS)]))
        mean = sign * interquartile_mean(scores)
        lines.append(f"| {names[i]} | {found.ranks[i]:.2f} | {mean:.2f} [{ends[0]:.2f}, {ends[1]:.2f}] |")
    p = "" if math.isnan(found.p) else f" Friedman's test that all rank alike: p = {found.p:.2g}."
    lines += ["", f"Mean ranks that differ by less than {found.critical:.2f} are not told apart (Nemenyi, 5%).{p}"]
    if len(names) <= MOST:
        apart = compare_pairs(found)
        lines += [
            "",
            "| one | other | probability that one beats the other [95%] | Wilcoxon over the data sets, Holm |",
            "|---|---|---|---|",
        ]
        for i, one in enumerate(found.scores):
            for j in range(i + 1, len(names)):
                other = found.scores[j]
                drawn = [improvement(resample(one, rng), resample(other, rng)) for _ in range(DRAWS)]
                low, high = interval(drawn)
                chance = f"{improvement(one, other):.2f} [{low:.2f}, {high:.2f}]"
                lines.append(f"| {names[i]} | {names[j]} | {chance} | p = {apart[i, j]:.2g} |")
    lines += [
        "",
        "Intervals: bootstrap of the seeds within each data set (percentiles); they hold for these data sets.",
    ]
    lines += [
        "Only the critical difference and Wilcoxon's test speak of other data sets, as a claim of `kind: across` does."
    ]
    return "\n".join(lines) + "\n"
