"""What leads from a number to the runs behind it: the command of a run, its commit, what it left behind."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from bench.analysis import artifacts
from bench.analysis.artifacts import Reader
from bench.report.evidence import Evidence
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text
from bench.schema.sweep import Sweep, steps_of
from bench.track.record import Record

MISTAKES = 5  # most frequent ones of a run
MOST_CLASSES = 30  # of a matrix that a page can show


def run_words(evidence: Evidence, record: Record) -> list[str]:
    """The words of the command that runs just this run; none where the sweep's file no longer has its axis values."""
    sweep = evidence.sweep
    steps: list[str] = []
    for name, axis in sweep.axes.items():
        if name not in record.axes:
            return []
        found = [
            texts for label, texts in steps_of(name, axis) if canonical_text(label) == canonical_text(record.axes[name])
        ]
        if not found:
            return []
        steps += found[0]
    own = own_overrides(evidence.manifest.get("command", ""))
    return ["bench", "run", *sweep.base, *own, *steps, *metric_overrides(record), f"seed={record.seed}"]


def metric_overrides(record: Record) -> list[str]:
    """The overrides by which a run measures what its sweep showed or judged, and no run measures unasked."""
    names = record.config.get("metrics.names")
    train = ["metrics.train=true"] if record.config.get("metrics.train") else []
    return [*train, *([f"metrics.names=[{','.join(names)}]"] if names else [])]


def own_overrides(command: str) -> list[str]:
    """The overrides in the command that ran a sweep. Those beside --axes are in the sweep's base already."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if "--axes" in words:
        return []
    return [w for w in words[2:] if "=" in w and not w.startswith("-") and not w.startswith(("hydra/", "hydra."))]


def quote_command(words: Sequence[str]) -> str:
    """The command as a shell takes it."""
    return shlex.join(words)


def differing(sweep: Sweep, records: Sequence[Record]) -> list[str]:
    """Settings that are not the same in every run: the axes' own first."""
    configs = [r.config for r in records if r.config]
    names = sorted({name for config in configs for name in config} - {"seed"})
    found = [n for n in names if len({canonical_text(c[n]) if n in c else None for c in configs}) > 1]
    return sorted(found, key=lambda name: (name not in sweep.axes, name))


def left_behind(record: Record, reader: Reader) -> dict[str, Any]:
    """Curves, confusion matrix with the most frequent mistakes, and reliability of a run, as far as it left them.

    A file that cannot be read is left out: the figures say what is wrong with it.
    """
    out: dict[str, Any] = {}
    for kind, parsed in KINDS.items():
        text = reader(record, artifacts.FILE[kind]) if record.status == "finished" else None
        if text is not None:
            try:
                made = parsed(text, artifacts.FILE[kind])
            except RequestError:
                continue
            out |= made
    return out


def _curves(text: str, where: str) -> dict[str, Any]:
    one = artifacts.curves(text, where)
    shown = {name: [_short(v) for v in values] for name, values in one.columns.items()}
    return {"epochs": one.epochs, "curves": shown}


def _confusion(text: str, where: str) -> dict[str, Any]:
    one = artifacts.confusion(text, where)
    wrong = [
        (_images(one.counts[i, j]), _images(one.counts[i].sum()), one.classes[i], one.classes[j])
        for i in range(len(one.classes))
        for j in range(len(one.classes))
        if i != j and one.counts[i, j]
    ]
    mistakes = sorted(wrong, key=lambda m: -m[0])[:MISTAKES]
    made: dict[str, Any] = {"mistakes": mistakes}
    if len(one.classes) <= MOST_CLASSES:
        made |= {"classes": one.classes, "counts": [[_images(n) for n in row] for row in one.counts]}
    return made


def _reliability(text: str, where: str) -> dict[str, Any]:
    one = artifacts.reliability(text, where)
    full = [i for i in range(len(one.count)) if one.count[i]]
    low, high = one.wilson()
    bins = [[_short(100 * float(v[i])) for v in (one.confidence, one.accuracy, low, high)] for i in full]
    share = one.count / one.count.sum()
    bars = [[_short(100 * float(v)) for v in (one.edges[i], one.edges[i + 1], share[i])] for i in full]
    return {"bins": bins, "bars": bars, "ece": _short(100 * one.ece)}


def _images(count: Any) -> float:
    """A number of images; parts of one, where classes were tied, to two digits."""
    return int(count) if float(count).is_integer() else round(float(count), 2)


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


KINDS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "curves": _curves,
    "confusion": _confusion,
    "reliability": _reliability,
}
