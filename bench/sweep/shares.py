"""Which points of a launch are trained together as one program, and how many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.sweep.plan import Point
from bench.train.stacked.which import largest_program, program_form


class Shares:
    """How points that may be stacked are divided among workers.

    Args:
        points: of the launch.
        count: workers that run them.
    """

    def __init__(self, points: Sequence[Point], count: int) -> None:
        self._forms: dict[str, str | None] = {}
        self._shares: dict[str, int] = {}
        self._count = count
        self.add(points)

    def add(self, points: Sequence[Point]) -> None:
        """More points of the launch, divided by themselves: those of before have begun or are over."""
        self._forms |= {p.key: program_form(p.experiment) for p in points}
        alike = Counter(form for p in points if (form := self._forms[p.key]) is not None)
        most = {form: largest_program(p.experiment) for p in points if (form := self._forms[p.key]) is not None}
        for form, count in alike.items():
            # As many programs for each worker, of one size: full ones first would leave the last to one of them.
            rounds = -(-count // (self._count * most[form]))
            self._shares[form] = -(-count // (self._count * rounds))

    def of(self, point: Point) -> int:
        """How many points a worker takes at once together with this one, itself included."""
        form = self._forms[point.key]
        return 1 if form is None else self._shares[form]

    def part(self, point: Point) -> None:
        """From now on points like this one are run alone."""
        form = self._forms[point.key]
        self._forms = {key: None if mine == form else mine for key, mine in self._forms.items()}

    def alike(self, one: Point, other: Point) -> bool:
        """Whether two points may be trained as one program."""
        form = self._forms[one.key]
        return form is not None and form == self._forms[other.key]
