"""Is a comparison fair? What the records themselves show of unequal training and of a search that ended too early."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.frame import Frame
from bench.report.length import UNITS, lengths, trains
from bench.report.naming import axis, point
from bench.schema.label import numeric, same, show
from bench.schema.sweep import Sweep
from bench.track.record import Record

Doubt = tuple[str, str]  # name, as in a sweep file's `allow`, and what is the matter


def doubts(frame: Frame, sweep: Sweep) -> list[Doubt]:
    """Every doubt about the cells of a frame, after selection."""
    return [*_budget(frame), *_undertrained(frame), *_edge(frame, sweep)]


def _budget(frame: Frame) -> Iterator[Doubt]:
    found = lengths(r for r in frame.records if r.status == "finished")
    if "trainer.seconds" in found:
        yield (
            "timed_budget",
            "Training was ended by the clock (trainer.seconds): on another machine, or a busier one, the same run "
            "makes other steps and other numbers.",
        )
    if set(UNITS) & set(frame.axes):
        return  # the question itself
    if sum(map(len, found.values())) > 1:
        said = ", ".join(f"{', '.join(f'{n:,.6g}' for n in all_)} {UNITS[name][1]}" for name, all_ in found.items())
        yield "unequal_budget", f"Cells are compared after {said}; longer training alone may win."


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
    return record.status == "finished" and trains(record) and bool(record.config.get("trainer.epochs"))
