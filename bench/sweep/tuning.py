"""The two phases of a sweep whose selection has seeds of its own: tuning runs of every candidate, then judged runs of
the chosen one, cell by cell as soon as its candidates have ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.selection import choose
from bench.schema.label import canonical_text
from bench.schema.sweep import Sweep
from bench.sweep.plan import Point
from bench.track.record import Record


@dataclass
class Candidate:
    """One point over the axes of `select.over`, with its runs in both phases."""

    tuning: list[Point] = field(default_factory=list)
    judged: list[Point] = field(default_factory=list)


class Phases:
    """Which points of a sweep are run, by what has ended.

    Args:
        every: all points (`bench.sweep.plan.points`); without `select.seeds` each of them is run.
        ended: run key -> Record of what has ended before and is not to be run again; grows as runs end.
    """

    def __init__(self, sweep: Sweep, every: Sequence[Point], ended: Mapping[str, Record]) -> None:
        self.every, self.select, self.ended = every, sweep.select, dict(ended)
        self.cells: list[list[Candidate]] = []
        self.cell_of: dict[str, list[Candidate]] = {}  # key of a tuning point -> its cell
        if self.select is None or not self.select.seeds:
            return
        apart = {*self.select.over, *sweep.replicates}
        cells: dict[tuple[str, ...], dict[tuple[str, ...], Candidate]] = {}
        for point in every:
            rest = tuple(canonical_text(value) for name, value in point.axes.items() if name not in apart)
            at = tuple(canonical_text(value) for name, value in point.axes.items() if name in self.select.over)
            candidate = cells.setdefault(rest, {}).setdefault(at, Candidate())
            (candidate.tuning if point.tuning else candidate.judged).append(point)
        self.cells = [list(found.values()) for found in cells.values()]
        # One candidate needs no tuning.
        self.cell_of = {p.key: cell for cell in self.cells if len(cell) > 1 for c in cell for p in c.tuning}

    def planned(self) -> list[Point]:
        """The points to run as far as they are known: tuning points, and the judged ones of cells that are tuned."""
        if not self.cells:
            return list(self.every)
        tuning = [p for p in self.every if p.key in self.cell_of]
        return [*tuning, *(p for cell in self.cells for p in self._points_to_judge(cell))]

    def count(self) -> int:
        """How many points will have been run in the end."""
        return len(self.planned()) + self.unknown()

    def unknown(self) -> int:
        """How many judged runs wait for a choice."""
        return sum(max(len(c.judged) for c in cell) for cell in self.cells if not self._points_to_judge(cell))

    def follow(self, record: Record) -> list[Point]:
        """The points that may be run now that this one has ended: those of the choice that it completes."""
        cell = self.cell_of.get(record.key)
        if cell is None:
            return []
        self.ended[record.key] = record
        return [p for p in self._points_to_judge(cell) if p.key not in self.ended]

    def end(self, records: Iterable[Record]) -> None:
        """Note more that has ended."""
        self.ended |= {record.key: record for record in records}

    def _points_to_judge(self, cell: list[Candidate]) -> list[Point]:
        """The judged points of a cell's choice; none before its tuning has ended."""
        assert self.select is not None
        if len(cell) == 1:
            return cell[0].judged
        if any(p.key not in self.ended for c in cell for p in c.tuning):
            return []
        place = choose([[self.ended[p.key] for p in c.tuning] for c in cell], self.select)
        return [] if place is None else cell[place].judged
