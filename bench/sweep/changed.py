"""Which points of a sweep run again because somebody's own code has changed since they ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.schema.label import canonical_text
from bench.schema.own import Own, own_parts
from bench.sweep.completed import records_file
from bench.sweep.plan import Point
from bench.track.record import Record, read_csv
from bench.track.store import Store


def run_again(todo: Sequence[Point], planned: int, title: str, store: Store | None) -> list[str]:
    """`changed_parts`, by what the store and the committed records have of the sweep; reads them for own parts only."""
    if not any(own_parts(point.experiment) for point in todo):
        return []
    committed = read_csv(records_file(title)) if records_file(title).is_file() else []
    return changed_parts(todo, planned, [*committed, *(store.records(title) if store is not None else [])])


def changed_parts(todo: Sequence[Point], planned: int, earlier: Iterable[Record]) -> list[str]:
    """A line for each own part of points to do that ran before with other code.

    Args:
        planned: points of the whole plan.
        earlier: records of the sweep, whatever their keys.
    """
    ran = {_place(r.axes, r.seed): r for r in earlier if r.status == "finished"}
    found: dict[tuple[str, str, str, str], int] = {}
    for point in todo:
        before = ran.get(_place(point.axes, point.seed))
        for group, own in own_parts(point.experiment):
            then = "" if before is None else _code_then(before, group, own)
            if then and then != own.code:
                entry = (group, own.name, then, own.code)
                found[entry] = found.get(entry, 0) + 1
    return [
        f"{group} '{name}' has changed since (code {_shorten(then)}, now {_shorten(now)}): {count} "
        f"run{'s'[: count != 1]} again, {planned - len(todo)} of {planned} stay."
        for (group, name, then, now), count in found.items()
    ]


def _code_then(record: Record, group: str, own: Own) -> str:
    """The code that a record's run had for this part; "" where it had another part."""
    code = record.config.get(f"{group}.code", "")
    if isinstance(code, dict):
        return str(code.get(own.name, ""))
    return str(code) if record.config.get(f"{group}.name") == own.name else ""


def _place(axes: dict[str, object], seed: int) -> tuple[object, ...]:
    return (*sorted((name, canonical_text(value)) for name, value in axes.items()), seed)


def _shorten(code: str) -> str:
    return code if "==" in code else code[:8]
