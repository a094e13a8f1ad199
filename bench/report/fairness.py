"""Is a comparison fair? What the records themselves show of unequal training and of a search that ended too early."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.frame import Frame
from bench.report.naming import axis, point
from bench.schema.label import numeric, same, show
from bench.schema.sweep import Sweep
from bench.track.record import Record

Doubt = tuple[str, str]  # name, as in a sweep file's `allow`, and what is the matter


def doubts(frame: Frame, sweep: Sweep) -> list[Doubt]:
    """Every doubt about the cells of a frame, after selection."""
    return [*_budget(frame), *_undertrained(frame), *_edge(frame, sweep)]


def _budget(frame: Frame) -> Iterator[Doubt]:
    if "trainer.epochs" in frame.axes:
        return  # the question itself
    epochs = {int(r.config["trainer.epochs"]) for r in frame.records if _trained(r)}
    if len(epochs) > 1:
        said = ", ".join(map(str, sorted(epochs)))
        yield "unequal_budget", f"Cells are compared after {said} epochs; longer training alone may win."


def _undertrained(frame: Frame) -> Iterator[Doubt]:
    late = []
    for runs in frame.points.values():
        ended = [r for r in runs.values() if _trained(r) and r.costs.get("cost/selected_epoch")]
        last = [r for r in ended if r.costs["cost/selected_epoch"] >= r.config["trainer.epochs"] > 1]
        if len(last) > len(ended) / 2:
            late.append(point({name: v for name, v in last[0].axes.items() if name not in frame.drawn}))
    if late:
        where = "; ".join(late[:3]) + (f"; and {len(late) - 3} more" if len(late) > 3 else "")
        yield "undertrained", f"Most seeds select their last epoch, so that more would probably help: {where}."


def _edge(frame: Frame, sweep: Sweep) -> Iterator[Doubt]:
    for name in sweep.select.over if sweep.select else ():
        numbers = sorted(n for v in sweep.axes.get(name, []) if (n := numeric(v)) is not None)
        if len(numbers) < 2:
            continue
        chosen = [at[name] for at, _ in frame.chosen.values() if name in at]
        ends = {same(numbers[0]), same(numbers[-1])}
        if edge := sorted({show(v) for v in chosen if same(v) in ends}):
            yield "grid_edge", f"{axis(name)}: the chosen value lies on the edge of those tried ({', '.join(edge)})."


def _trained(record: Record) -> bool:
    untrained = record.config.get("model.family") in ("knn", "ncm")
    return record.status == "finished" and not untrained and bool(record.config.get("trainer.epochs"))
