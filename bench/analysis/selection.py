"""Which candidate is chosen on val, and which runs may be read after that.

With seeds of its own (`select: {over: [optim.lr], seeds: [100, 101]}`) a selection reads val of these tuning seeds
alone; the chosen point runs the sweep's seeds, and only these are judged. What a tuning run says of test is never
read: records leave it out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bench.schema.errors import RequestError
from bench.schema.metric import metric
from bench.schema.sweep import Select, Sweep
from bench.track.record import TUNING, Record

ENDED = ("finished", "failed")
OF_TEST = ("test/", "corrupt/")  # corruptions are of test images


def is_tuning(sweep: Sweep, seed: int) -> bool:
    """Whether a seed of the sweep is for choosing only."""
    return sweep.select is not None and seed in sweep.select.seeds


def judged_records(sweep: Sweep, records: Sequence[Record]) -> list[Record]:
    """The records that are shown and judged: all but those of tuning seeds."""
    return [record for record in records if not is_tuning(sweep, record.seed)]


def tuning_records(sweep: Sweep, records: Sequence[Record]) -> list[Record]:
    """The records of tuning seeds."""
    return [record for record in records if is_tuning(sweep, record.seed)]


def without_test(record: Record) -> Record:
    """The record of a tuning run without what it says of test images."""
    return dataclasses.replace(record, metrics={n: v for n, v in record.metrics.items() if not n.startswith(OF_TEST)})


def was_tuning(record: Record) -> bool:
    """Whether a finished record was written for choosing only."""
    return not any(name.startswith(OF_TEST) for name in record.metrics)


def only_judged(records: Sequence[Record]) -> list[Record]:
    """Records without those that chose hyperparameters, where no sweep says which these are.

    A run of a store says it itself; a record in a results folder has nothing of test. One record alone, which somebody
    asked for by its name, comes back without its test numbers.
    """
    chose = [TUNING in r.provenance or (r.status == "finished" and was_tuning(r)) for r in records]
    if len(records) == 1:
        return [without_test(records[0])] if chose[0] else list(records)
    return [record for record, choosing in zip(records, chose, strict=True) if not choosing]


def choose(candidates: Sequence[Sequence[Record]], select: Select) -> int | None:
    """Place of the best candidate by its mean over tuning seeds; None as long as a tuning run has not ended.

    A run that failed or diverged counts as the worst that there can be; where a metric has no worst value, fewer
    such runs are better than any mean. Equal candidates: the first.
    """
    if any(record.status not in ENDED for runs in candidates for record in runs):
        return None
    ended = [record for runs in candidates for record in runs if record.status == "finished"]
    if ended and not any(select.by in record.metrics for record in ended):
        raise RequestError(f"select.by: no run has the metric '{select.by}'. Runs have {', '.join(_of_val(ended))}.")
    scores = [_score(runs, select.by) for runs in candidates]
    return max(range(len(scores)), key=scores.__getitem__) if scores else None


def has_number(record: Record, by: str) -> bool:
    """Whether a run ended with a finite value of the metric."""
    return record.status == "finished" and math.isfinite(record.metrics.get(by, math.nan))


def _of_val(records: Sequence[Record]) -> list[str]:
    return sorted({name for record in records for name in record.metrics if name.startswith("val/")})


def _score(runs: Sequence[Record], by: str) -> tuple[int, float]:
    """Higher is better: runs without a number (negative), and the mean of the others."""
    described = metric(by)
    sign = -1.0 if described.better == "less" else 1.0
    found = [r.metrics.get(by, math.nan) if r.status == "finished" else math.nan for r in runs]
    values = [v for v in found if math.isfinite(v)]
    lost = len(found) - len(values)
    if described.worst is not None:
        values, lost = values + lost * [described.worst], 0
    return (-lost, sign * math.fsum(values) / len(values)) if values else (-lost, -math.inf)
