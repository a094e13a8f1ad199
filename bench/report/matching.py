"""Which runs of two results go together: those of one point and seed, or of one run key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from bench.analysis.naming import axis
from bench.analysis.replicates import SPLIT
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text
from bench.schema.science import NOT_SCIENCE
from bench.track.record import Record

Rule = Literal["the two runs", "run key", "axes and seed"]
Place = tuple[tuple[str, str], ...]  # (axis or setting, value), sorted
MOST = 10  # seeds that a message names


def place_of(record: Record) -> Place:
    """The point of a run, by its axes."""
    return tuple(sorted((name, canonical_text(v)) for name, v in record.axes.items()))


def settings_of(record: Record) -> Place:
    """All settings of a run but its seed; of a run of a sweep none, as its axes say what it is."""
    if record.axes:
        return ()
    return tuple(
        sorted((n, canonical_text(v)) for n, v in record.config.items() if n != "seed" and n not in NOT_SCIENCE)
    )


def telling_apart(runs: Sequence[Record]) -> list[str]:
    """The fewest settings, found one by one, by which these single runs differ."""
    known = [dict(settings_of(r)) for r in runs]
    chosen: list[str] = []

    def kinds(names: Sequence[str]) -> int:
        return len({tuple(one.get(n) for n in names) for one in known})

    while (names := {n for one in known for n in one}) and kinds(chosen) < kinds(sorted(names)):
        chosen.append(max(sorted(names), key=lambda name: kinds([*chosen, name])))
    return chosen


def name_row(record: Record, apart: Sequence[str]) -> dict[str, Any]:
    """What a row is called: the axes of its runs, or the settings by which these differ from those of other rows."""
    return record.axes or {name: record.config[name] for name in apart if name in record.config}


def _is_by_point(runs: Sequence[Record]) -> bool:
    """Whether axes and seed say which run is meant: nothing else tells single runs of several experiments apart."""
    kinds = {tuple(setting for setting in settings_of(r) if setting[0] not in SPLIT) for r in runs}
    return len({(place_of(r), r.seed) for r in runs}) == len(runs) and len(kinds) == 1


def match(
    left: list[Record], right: list[Record], labels: tuple[str, str], alone: bool
) -> tuple[Rule, list[tuple[Record, Record]]]:
    """By which rule runs of two sides go together, and the pairs.

    Args:
        alone: each side is one run, which somebody asked for.

    Raises:
        RequestError: where no run has a partner.
    """
    if alone:
        return "the two runs", [(left[0], right[0])]
    matched = []
    if all(map(_is_by_point, (left, right))):
        by_point = {(place_of(r), r.seed): r for r in right}
        matched = [(r, by_point[place_of(r), r.seed]) for r in left if (place_of(r), r.seed) in by_point]
    if matched:
        return "axes and seed", matched
    by_key = {r.key: r for r in right if r.key}
    matched = [(r, by_key[r.key]) for r in left if r.key in by_key]
    if matched:
        return "run key", matched
    axes = [
        ", ".join(axis(n) for n in dict.fromkeys(n for r in side for n in r.axes)) or "none" for side in (left, right)
    ]
    seeds = [sorted({r.seed for r in side}) for side in (left, right)]
    points = [{place for r in side if (place := place_of(r))} for side in (left, right)]
    if points[0] & points[1] and not set(seeds[0]) & set(seeds[1]):
        first, second = (", ".join(map(str, some[:MOST])) + ", ..." * (len(some) > MOST) for some in seeds)
        raise RequestError(
            f"Nothing pairs: {labels[0]} and {labels[1]} have points in common, but no seed: {first} there; {second} "
            "here. Differences are of runs with the same seed: run one of the sweeps with the other's, --seeds LIST."
        )
    raise RequestError(
        f"Nothing pairs: no run of {labels[0]} has the axes and seed, or the run key, of one of {labels[1]}. "
        f"Axes there: {axes[0]}; here: {axes[1]}. Compare two runs, or sweeps with a point in common."
    )
