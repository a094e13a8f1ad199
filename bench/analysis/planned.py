"""Which points a sweep plans: axes that go together (`zip`), combinations that are left out (`exclude`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.schema.label import canonical_text
from bench.schema.sweep import Sweep, steps_of
from bench.schema.sweep_file import excluded_values


class Plan:
    """What a sweep says of its points; without a sweep every combination is planned."""

    def __init__(self, sweep: Sweep | None) -> None:
        labels = {name: [label for label, _ in steps_of(name, of)] for name, of in sweep.axes.items()} if sweep else {}
        known = {name: set(map(canonical_text, of)) for name, of in labels.items()}
        self.together = [{name: labels[name] for name in names} for names in sweep.zip] if sweep else []
        self.excluded = [
            {name: set(map(canonical_text, excluded_values(of, known[name]))) for name, of in one.items()}
            for one in (sweep.exclude if sweep else ())
        ]

    def whole(self, at: Mapping[str, Any]) -> dict[str, Any]:
        """A point, with the values of the axes that go with those that it fixes."""
        out = dict(at)
        for group in self.together:
            for name in [name for name in group if name in at][:1]:
                spelled = list(map(canonical_text, group[name]))
                if canonical_text(at[name]) in spelled:
                    place = spelled.index(canonical_text(at[name]))
                    out = {**{other: of[place] for other, of in group.items()}, **out}
        return out

    def goes_with_others(self, name: str) -> bool:
        """Whether an axis moves together with another one."""
        return any(name in group for group in self.together)

    def leaves_out(self, at: Mapping[str, Any]) -> bool:
        """Whether there is no such point: excluded, or of values that do not go together."""
        if any(all(n in at and canonical_text(at[n]) in values for n, values in one.items()) for one in self.excluded):
            return True
        return any(
            not any(
                all(canonical_text(group[name][i]) == canonical_text(at[name]) for name in group if name in at)
                for i in range(len(next(iter(group.values()))))
            )
            for group in self.together
        )
