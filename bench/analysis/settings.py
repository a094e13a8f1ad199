"""At which settings a sweep is judged: those of all runs and of single arms. Only looks at the same ones count."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.naming import axis as axis_name
from bench.schema.claim import Claim
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text, show
from bench.schema.science import NOT_SCIENCE
from bench.schema.sweep import Sweep, steps_of
from bench.track.record import Record

if TYPE_CHECKING:
    from bench.analysis.frame import Frame

ARMS = "arms"  # among settings: those of single arms


def settings_of(
    sweep: Sweep,
    configs: Sequence[Mapping[str, Any]],
    data: Iterable[str | None] = (),
    axes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The settings and the data at which a sweep is judged: what all runs share, of what decides their numbers.

    Axes, seeds and splits differ among the runs, candidates of a selection too, and so are not in it; those of
    `select.over` are left out by name as well, as only one candidate may have run so far. Under ARMS stands what the
    runs of one value of an axis share beyond that: axis -> value -> settings.

    Args:
        configs: flat settings of each run, candidates of a selection among them.
        data: their data fingerprints.
        axes: their values of the axes.
    """
    prints = list(data) or [None] * len(configs)
    runs = [(dict(c), d, at) for c, d, at in zip(configs, prints, axes or [{}] * len(configs), strict=True) if c]
    free = {
        *sweep.replicates,
        *(name for axis in (sweep.select.over if sweep.select else ()) for name in _set(axis, sweep)),
    }

    def shared(found: Sequence[tuple[dict[str, Any], str | None, Mapping[str, Any]]]) -> dict[str, Any]:
        out = common([config for config, _, _ in found])
        print_of = {d for _, d, _ in found}
        if len(print_of) == 1 and not print_of & {"", None} and sweep.replicates == ["seed"]:
            out["data"] = print_of.pop()
        return {
            name: value
            for name, value in out.items()
            if name not in NOT_SCIENCE
            and not name.startswith("tracking.")
            and not any(name == one or name.startswith(f"{one}.") for one in free)
        }

    every = shared(runs)
    arms: dict[str, dict[str, dict[str, Any]]] = {}
    for axis in sorted({name for _, _, at in runs for name in at} - free):
        for level in sorted({canonical_text(at[axis]) for _, _, at in runs if axis in at}):
            mine = shared([run for run in runs if axis in run[2] and canonical_text(run[2][axis]) == level])
            own = {name: value for name, value in mine.items() if name not in every and name != axis}
            arms.setdefault(axis, {})[level] = own  # empty too: what it shares with all may be its own at another time
    return {**every, **({ARMS: arms} if arms else {})}


def settings_of_records(sweep: Sweep, records: Sequence[Record]) -> dict[str, Any]:
    """The same of records, before selection."""
    configured = [r for r in records if r.config]
    return settings_of(
        sweep,
        [r.config for r in configured],
        [r.provenance.get("data_fingerprint") for r in configured],
        [r.axes for r in configured],
    )


def _set(axis: str, sweep: Sweep) -> list[str]:
    """What an axis sets: `optim.lr`, the group `augment`, or what the overrides behind its labels name."""
    texts = [text for step in steps_of(axis, sweep.axes.get(axis, [])) for text in step[1]]
    return [axis, *(text.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".") for text in texts)]


def differing(
    entry: Mapping[str, Any], settings: Mapping[str, Any], of: Mapping[str, Container[str]] | None = None
) -> str:
    """Which settings an entry of the log was made at, where they are not those of today; "" where they are.

    Only what both know is compared, so that what a later version adds, and entries of an earlier one, count as today's.

    Args:
        of: axis -> the values that matter; an axis that is not in it matters whole. None: all do.
    """
    there = entry.get("settings", {})
    other = _other(there, settings)
    said = [_describe(name, there[name]) for name in other]
    for axis, levels in there.get(ARMS, {}).items():
        for level in settings.get(ARMS, {}).get(axis, {}).keys() & levels.keys():
            if of is not None and axis in of and level not in of[axis]:
                continue
            # What all runs shared at one time may be an arm's own at another.
            then, now = ({**one, **one[ARMS][axis][level]} for one in (there, settings))
            found = [name for name in _other(then, now) if name not in other]
            said += [f"{_describe(name, then[name])} where {axis_name(axis)} is {show(level)}" for name in found]
    said = list(dict.fromkeys(said))
    return f"{', '.join(said[:3])} and {len(said) - 3} more" if len(said) > 3 else ", ".join(said)


def _other(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    both = [name for name in there if name in here and name != ARMS]
    return [name for name in both if canonical_text(there[name]) != canonical_text(here[name])]


def _describe(name: str, value: Any) -> str:
    shown = show(value)
    hashed = len(shown) == 64 and not set(shown) - set("0123456789abcdef")  # of own code
    return f"{name} {shown[:8] if hashed else shown}" if name != "data" else "other images"


def values_of(claim: Claim, frame: Frame) -> dict[str, set[str]]:
    """Axis -> the values that a claim fixes; an axis that it leaves free, or chooses from, is not in it."""
    from bench.analysis.contrast import terms  # SciPy, for which no launch waits

    try:
        points = [at for _, at in terms(claim, frame)]
    except (RequestError, KeyError):
        return {}
    return {name: {canonical_text(at[name]) for at in points} for name in points[0]}


def common(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings that all configurations share."""
    if not configs:
        return {}
    return {name: value for name, value in configs[0].items() if name != "seed" and _is_shared(name, configs)}


def _is_shared(name: str, configs: list[dict[str, Any]]) -> bool:
    if not all(name in config for config in configs):
        return False
    spelled = {repr(config[name]): config[name] for config in configs}  # ten thousand runs have few values of it
    return len({canonical_text(value) for value in spelled.values()}) == 1
