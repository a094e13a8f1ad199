"""Is a comparison fair? What the records themselves show of unequal training and of a search that ended too early."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.frame import Frame
from bench.analysis.length import UNITS, lengths, trains
from bench.analysis.naming import axis, key, point
from bench.analysis.statement import sides_of
from bench.schema.claim import Across, Claim, Trend, sides
from bench.schema.label import canonical_text, show, to_number
from bench.schema.sweep import Sweep, steps_of
from bench.track.record import Record

ENDS = {"model.k": 1, "trainer.batch_size": 1, "optim.lr": None}  # the least that a setting can be, where it is not 0
BATCH = "trainer.batch_size"
Doubt = tuple[str, str]  # name, as in a sweep file's `allow`, and what is the matter


def doubts(frame: Frame, sweep: Sweep, named: Container[str] = ()) -> list[Doubt]:
    """Every doubt about the cells of a frame, after selection.

    Args:
        named: axes that a claim names itself.
    """
    return [*_budget(frame, named), *_find_undertrained(frame), *_find_untuned(frame, sweep), *_edge(frame, sweep)]


def doubts_of(claim: Claim, frame: Frame, sweep: Sweep) -> list[Doubt]:
    """Those about the runs that a claim compares, but for what the sweep allows."""
    found = [record for records in sides_of(claim, frame) for record in records]
    if not found:
        return []
    names = {key(r.axes, frame.axes) for r in found}
    named = {name for side in sides(claim).values() for name in side}
    named |= {claim.over} if isinstance(claim, Trend | Across) else set()
    mine = copy.copy(frame)
    mine.records = found
    mine.points = {point: runs for point, runs in frame.points.items() if point in names}
    mine.chosen = {point: chosen for point, chosen in frame.chosen.items() if point in names}
    mine.candidates = {point: count for point, count in frame.candidates.items() if point in names}
    return [(name, text) for name, text in doubts(mine, sweep, named) if name not in sweep.allow]


def foresee(sweep: Sweep, planned: Sequence[Record]) -> list[Doubt]:
    """The doubts that a plan alone raises, before anything runs: unequal training, unequal search.

    Args:
        planned: a Record for each point, of one replicate, with its settings and training images, as if finished.
    """
    over = sweep.select.over if sweep.select else []
    cells: dict[tuple[str, ...], list[Record]] = {}
    for record in planned:
        cells.setdefault(key(record.axes, [name for name in sweep.axes if name not in over]), []).append(record)
    first = [
        dataclasses.replace(runs[0], axes={n: v for n, v in runs[0].axes.items() if n not in over})
        for runs in cells.values()
    ]
    frame = Frame(first, sweep)
    if sweep.select:
        frame.candidates = dict(zip([key(r.axes, frame.axes) for r in first], map(len, cells.values()), strict=True))
    if set(over) & {*UNITS, BATCH}:  # which budget a cell gets is what the search decides
        frame.records = []
    return [*_budget(frame), *_find_untuned(frame, sweep)]


def _budget(frame: Frame, named: Container[str] = ()) -> Iterator[Doubt]:
    """Of searches, and of training: where the length is itself the question, at each of its values."""
    tuning = {n for n in frame.candidates.values() if n > 1}
    if len(tuning) > 1:
        said = ", ".join(map(str, sorted(tuning)))
        yield "unequal_budget", f"Cells were chosen from {said} candidates: a longer search alone may win."
    found = lengths(r for r in frame.records if r.status == "finished")
    if "trainer.seconds" in found:
        yield (
            "timed_budget",
            "Training was ended by the clock (trainer.seconds): on another machine, or a busier one, the same run "
            "makes other steps and other numbers.",
        )
    asked = [n for n in (*UNITS, BATCH) if n in frame.axes and (n in named or not frame.plan.goes_with_others(n))]
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in filter(_is_trained, frame.records):
        groups.setdefault(key(record.axes, asked), []).append(record)
    yield from list(dict.fromkeys(doubt for group in groups.values() for doubt in _find_unequal(group)))[:1]


def _find_unequal(trained: Sequence[Record]) -> Iterator[Doubt]:
    found, counted = lengths(trained), [_steps(r) for r in trained]
    steps = {n for n in counted if n is not None}
    # Equally many steps are a budget too, where all of them are known: those of a clock never are.
    if sum(map(len, found.values())) > 1 and not (len(steps) == 1 and None not in counted):
        said = ", ".join(f"{', '.join(f'{n:,.6g}' for n in all_)} {UNITS[name][1]}" for name, all_ in found.items())
        yield "unequal_budget", f"Cells are compared after {said}; longer training alone may win."
    elif len(steps) > 1 and len({_images(r) for r in trained}) == 1:
        said = ", ".join(f"{n:,}" for n in sorted(steps))
        yield "unequal_budget", f"Cells are compared after {said} steps of equally many images; more of them may win."


def _images(record: Record) -> int | None:
    """Training images, by the provenance."""
    text = record.provenance.get("images", "").partition("/")[0]
    return int(text) if text.isdecimal() else None


def _steps(record: Record) -> int | None:
    """Gradient steps of a run; None where they, its images or its batch size are not known."""
    config, images = record.config, _images(record)
    if config.get("trainer.seconds") is not None:
        return None
    if config.get("trainer.steps") is not None:
        return int(config["trainer.steps"])
    batch = config.get(BATCH)
    each = math.ceil(images / int(batch)) if images and batch else 0
    return int(config["trainer.epochs"]) * each or None


def _epochs(record: Record) -> int | None:
    """Epochs of a run, the last of them perhaps cut short; None where nothing tells, as where a clock ended it."""
    config, images, batch = record.config, _images(record), record.config.get(BATCH)
    if config.get("trainer.seconds") is not None:
        done = record.costs.get("cost/images_per_second", 0) * record.costs.get("cost/fit_seconds", 0)
        return math.ceil(round(done / images, 3)) if images and done else None
    if config.get("trainer.steps") is not None:
        return math.ceil(int(config["trainer.steps"]) / math.ceil(images / int(batch))) if images and batch else None
    return int(config["trainer.epochs"])


def _find_untuned(frame: Frame, sweep: Sweep) -> Iterator[Doubt]:
    """Cells with one candidate beside others that were chosen, and steps of an axis with a lr of their own."""
    alone = [p for p, n in frame.candidates.items() if n == 1 and any(map(_is_trained, frame.points[p].values()))]
    if alone and max(frame.candidates.values()) > 1:
        where = _places(frame, alone)
        yield "untuned", f"{where}: one value only, while those of other cells were chosen."
    for name, axis_of in sweep.axes.items():
        own = [
            label
            for label, texts in steps_of(name, axis_of)
            if any(t.lstrip("+").startswith("optim.lr=") for t in texts)
        ]
        shown = {canonical_text(r.axes[name]) for r in frame.records if _is_trained(r) and name in r.axes}
        own = [label for label in own if canonical_text(label) in shown]
        if name != "optim.lr" and own and len(own) < len(shown):
            said = ", ".join(map(show, own))
            yield "untuned", f"{axis(name)} {said} has a learning rate of its own, and others have not."


def _places(frame: Frame, points: list[tuple[str, ...]]) -> str:
    """Cells as people call them, three at most."""
    said = [point({n: next(iter(frame.points[p].values())).axes[n] for n in frame.axes}) for p in points[:3]]
    return "; ".join(said) + (f"; and {len(points) - 3} more" if len(points) > 3 else "")


def _find_undertrained(frame: Frame) -> Iterator[Doubt]:
    late = []
    for runs in frame.points.values():
        # With trainer.select=last the last epoch is asked for, and says nothing about training for longer.
        free = [r for r in runs.values() if _is_trained(r) and r.config.get("trainer.select") != "last"]
        ended = [r for r in free if r.costs.get("cost/selected_epoch")]
        last = [r for r in ended if (n := _epochs(r)) is not None and r.costs["cost/selected_epoch"] >= n > 1]
        if len(last) > len(ended) / 2:
            late.append(point({name: v for name, v in last[0].axes.items() if name not in frame.drawn}))
    if late:
        where = "; ".join(late[:3]) + (f"; and {len(late) - 3} more" if len(late) > 3 else "")
        yield "undertrained", f"Most seeds select their last epoch, so that more would probably help: {where}."


def _edge(frame: Frame, sweep: Sweep) -> Iterator[Doubt]:
    over = sweep.select.over if sweep.select else []
    behind = {name: _settings(name, sweep) for name in over}

    def settings(at: Mapping[str, Any]) -> dict[str, str]:
        """What a candidate sets, on all axes that were searched."""
        return {k: v for n in over if n in at for k, v in behind[n].get(canonical_text(at[n]), {}).items()}

    for name in over:
        edge = set()
        for place, (chosen, _) in frame.chosen.items():
            mine, tried = settings(chosen), [settings(at) for at in frame.tried.get(place, ())]
            varied = {n for n in {n for one in tried for n in one} if len({one.get(n) for one in tried}) > 1}
            for setting in behind[name].get(canonical_text(chosen[name]), {}) if name in chosen else ():
                others = {n: v for n, v in mine.items() if n in varied - {setting}}
                beside = [one for one in tried if others.items() <= one.items()]  # at the other values that were chosen
                every = _numbers(tried, setting)
                numbers = found if len(found := _numbers(beside, setting)) > 1 else every
                # Candidates that differ in several settings, each with a number of its own, were drawn: no grid has an
                # edge there, and of so many draws one is always the largest.
                drawn = len(varied) > 1 and len(every) == len(tried) > 2
                number = to_number(mine[setting])
                if len(numbers) < 2 or drawn or number == min(numbers) == ENDS.get(setting, 0):
                    continue  # no weight decay, one neighbour: there is nothing beyond
                if number in (min(numbers), max(numbers)):
                    edge.add(show(chosen[name]))
        if edge:
            said = ", ".join(sorted(edge))
            yield "grid_edge", f"{axis(name)}: the chosen value lies on the edge of those tried ({said})."


def _numbers(candidates: Sequence[Mapping[str, str]], setting: str) -> set[float]:
    found = [to_number(one[setting]) for one in candidates if setting in one]
    return {n for n in found if n is not None}


def _settings(name: str, sweep: Sweep) -> dict[str, dict[str, str]]:
    """Value or label of an axis -> what it sets: `lr 0.1: [optim.lr=0.1]`."""
    out: dict[str, dict[str, str]] = {}
    for label, texts in steps_of(name, sweep.axes.get(name, [])):
        parts = [text.partition("=") for text in texts]
        out[canonical_text(label)] = {setting.lstrip("+"): text for setting, _, text in parts}
    return out


def _is_trained(record: Record) -> bool:
    return record.status == "finished" and trains(record) and any(record.config.get(name) for name in UNITS)
