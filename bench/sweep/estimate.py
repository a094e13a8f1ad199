"""What a plan will cost, by the runs that there are already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.schema.label import canonical_text
from bench.sweep.plan import Point
from bench.track.record import Record
from bench.track.store import Store

LOOKED_AT = 5  # runs whose files are measured


@dataclass(frozen=True)
class Estimate:
    """Of the points to do.

    Attributes:
        seconds: of training, one after the other; None where nothing like it ran before.
        megabytes: of files that their runs will leave; None likewise.
        runs: how many earlier runs say so.
    """

    seconds: float | None
    megabytes: float | None
    runs: int


def estimate(todo: Sequence[Point], records: Iterable[Record], store: Store | None, more: int = 0) -> Estimate:
    """By finished runs of the same sweep: those with the same axis values, else all of them.

    Args:
        records: of finished and other runs; the same run may come twice, as a point's and as the sweep's.
        more: runs whose point is not known yet.
    """
    once = {r.key: r for r in records}.values()
    finished = [r for r in once if r.status == "finished" and "cost/fit_seconds" in r.costs]
    if not finished or not (todo or more):
        return Estimate(None, None, len(finished))
    by_axes: dict[tuple[object, ...], list[float]] = {}
    for record in finished:
        by_axes.setdefault(_cell(record.axes), []).append(record.costs["cost/fit_seconds"])
    whole = fmean(r.costs["cost/fit_seconds"] for r in finished)
    seconds = sum(fmean(by_axes.get(_cell(p.axes), [whole])) for p in todo) + more * whole
    sizes = [_size(store, r) for r in finished[-LOOKED_AT:]] if store is not None else []
    known = [size for size in sizes if size is not None]
    return Estimate(seconds, fmean(known) * (len(todo) + more) if known else None, len(finished))


def _cell(axes: dict[str, object]) -> tuple[object, ...]:
    return tuple(sorted((name, canonical_text(value)) for name, value in axes.items()))


def _size(store: Store, record: Record) -> float | None:
    """Megabytes of a run's files, where they lie on this machine."""
    folder = store.files_of(record.run_id) if record.run_id else None
    if folder is None or not folder.is_dir():
        return None
    return sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) / 1e6
