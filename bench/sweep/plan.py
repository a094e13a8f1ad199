"""The plan: every point of a sweep with its run key, without touching torch or the store."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import data as images
from bench.analysis.selection import without_test
from bench.compose.overrides import BUDGETS, parse
from bench.compose.points import Composer
from bench.parts.metrics import enter_listed
from bench.schema.claim import digest, metrics_of, sides
from bench.schema.errors import RequestError, unknown_name
from bench.schema.experiment import Experiment, experiment
from bench.schema.label import canonical_text, show, to_number
from bench.schema.metric import COSTS, METRICS, ON_REQUEST, last_part
from bench.schema.run_key import named_norm, run_key
from bench.schema.sweep import MOST, Axis, Sweep, seeds_of, steps_of
from bench.schema.sweep_file import excluded_values
from bench.track.record import Record


@dataclass(frozen=True)
class Point:
    """One run that the sweep asks for.

    Attributes:
        axes: axis -> label of its value here.
        key: run key.
        name: for people: `cnn · batch · 0.1 · seed 2`.
        data: fingerprint of the data.
        claims: digest of what the sweep claims, as it stands when the point is planned.
        tuning: for choosing between candidates only (`select.seeds`): never judged.
    """

    axes: dict[str, Any]
    seed: int
    experiment: Experiment
    key: str
    name: str
    data: str
    claims: str = ""
    tuning: bool = False


def at_scale(sweep: Sweep, scale: str, seeds: int | list[int] | None = None) -> Sweep:
    """The sweep with what `scale` (and the command line) changes about its base, axes and seeds.

    Claims, figures, published numbers and excluded combinations of axis values that this scale does not have are left
    out.

    Raises:
        RequestError: when the sweep does not define this scale, or the scale names a new axis.
    """
    if sweep.scales and scale not in sweep.scales:
        raise unknown_name(f"scale of sweep {sweep.name}:", scale, sweep.scales)
    import dataclasses

    base, axes, chosen = list(sweep.base), dict(sweep.axes), sweep.seeds
    if scale in sweep.scales:
        extra = sweep.scales[scale]
        for axis in extra.axes:
            if axis not in axes:
                raise unknown_name(f"axis in scales.{scale} of sweep {sweep.name}:", axis, axes)
        base += extra.overrides
        axes.update(extra.axes)
        chosen = extra.seeds if extra.seeds is not None else chosen
    return dataclasses.replace(
        sweep,
        base=[f"scale={scale}", *base],
        axes=axes,
        seeds=seeds if seeds is not None else chosen,
        claims=[c for c in sweep.claims if all(_has_values(side, axes) for side in sides(c).values())],
        exclude=[kept for entry in sweep.exclude if (kept := _left_out(entry, axes))],
        figures=[f for f in sweep.figures if _has_values(f.at, axes)],
        published=[p for p in sweep.published if _has_values(p.at, axes)],
    )


def _has_values(fixed: Mapping[str, Any], axes: Mapping[str, Axis]) -> bool:
    """Whether the axes have these values."""
    return all(
        canonical_text(value) in {canonical_text(level) for level in axes[axis]} for axis, value in fixed.items()
    )


def _left_out(entry: Mapping[str, Any], axes: Mapping[str, Axis]) -> dict[str, Any]:
    """An entry of `exclude` with the values that the axes have; empty where one of the axes has none of its values."""
    out: dict[str, Any] = {}
    for axis, of in entry.items():
        known = {canonical_text(level) for level in axes[axis]}
        here = [value for value in excluded_values(of, known) if canonical_text(value) in known]
        if not here:
            return {}
        out[axis] = here if len(here) > 1 else here[0]
    return out


def points(sweep: Sweep, overrides: Sequence[str] = ()) -> list[Point]:
    """Every point, in the order of the axes, the seeds innermost.

    With `select.seeds` these are the tuning and the judged points of all candidates, of which `bench.sweep.tuning`
    takes those that are run.

    Raises:
        RequestError: for a setting that is wrong at any point, before anything runs.
    """
    _refuse_replaced(sweep, overrides)
    given = {o.key_or_group for o in parse(overrides)}
    replaced = [f"{name}=" for name in BUDGETS if given & {*BUDGETS} - {name}]  # one budget counts: that asked for last
    base = [text for text in sweep.base if not text.startswith(tuple(replaced))]
    composer = Composer(with_metrics(sweep, [*base, *overrides]))
    fingerprints: dict[Any, str] = {}
    out: list[Point] = []
    claims = digest(sweep.claims)
    owner: dict[str, str] = {}
    tuning = tuning_seeds(sweep)
    for labels, texts in combinations(sweep):
        for seed in [*tuning, *seeds_of(sweep.seeds)]:
            exp = experiment(composer.compose([*texts, f"seed={seed}"]))
            if named_norm(exp):
                from bench.models.native import as_native  # timm, which few plans need

                exp = as_native(exp)
            if exp.transfer.asks_file:
                from bench.models.origin import with_input_beside  # torch

                exp = with_input_beside(exp)
            place = (exp.dataset, exp.split)
            if place not in fingerprints:
                fingerprints[place] = images.fingerprint(exp.dataset, exp.split)
            key = run_key(exp, fingerprints[place])
            # A name stands alone in MLflow's lists: it says which model, also where that is no axis.
            model = [] if "model" in labels else [str(getattr(exp.model, "name", exp.model.family))]
            name = " · ".join([*model, *(words(axis, label) for axis, label in labels.items()), f"seed {seed}"])
            if key in owner:
                raise RequestError(
                    f"Sweep {sweep.name}: '{name}' and '{owner[key]}' are the same experiment. "
                    "An axis that changes nothing, or that another override replaces, must go."
                )
            owner[key] = name
            out.append(Point(labels, seed, exp, key, name, fingerprints[place], claims, seed in tuning))
    return out


def tuning_seeds(sweep: Sweep) -> list[int]:
    """The seeds that choose between candidates.

    Raises:
        RequestError: where one of them is judged too.
    """
    tuning = list(sweep.select.seeds) if sweep.select is not None else []
    if both := sorted(set(tuning) & set(seeds_of(sweep.seeds))):
        raise RequestError(
            f"Sweep {sweep.name}: seed {', '.join(map(str, both))} is in select.seeds and in seeds. What was chosen on "
            "a seed must not be judged on it: take others, such as select.seeds: [100, 101]."
        )
    return tuning


def combinations(sweep: Sweep) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Label of each axis, and the overrides of them all, for every combination of values that is not left out.

    Raises:
        RequestError: for more points than `MOST`.
    """
    steps = {name: steps_of(name, axis) for name, axis in sweep.axes.items()}
    groups = [tuple(together) for together in sweep.zip]
    groups += [(name,) for name in steps if not any(name in together for together in sweep.zip)]
    groups.sort(key=lambda group: min(list(steps).index(name) for name in group))  # as the axes stand in the file
    count = math.prod(len(steps[group[0]]) for group in groups)
    count *= len(tuning_seeds(sweep)) + len(seeds_of(sweep.seeds))
    if count > MOST:
        said = f"{count:,}" if count < 10**30 else "more than 10^30"
        raise RequestError(
            f"Sweep {sweep.name} has {said} points; {MOST:,} are the most. Fewer values or seeds, or several sweeps."
        )
    known = {name: {canonical_text(label) for label, _ in of} for name, of in steps.items()}
    left_out = [
        {axis: {canonical_text(value) for value in excluded_values(of, known[axis])} for axis, of in entry.items()}
        for entry in sweep.exclude
    ]
    for chosen in itertools.product(*(zip(*(steps[name] for name in group), strict=True) for group in groups)):
        made = {
            name: step
            for group, part in zip(groups, chosen, strict=True)
            for name, step in zip(group, part, strict=True)
        }
        labels = {name: made[name][0] for name in steps}
        if any(all(canonical_text(labels[axis]) in values for axis, values in entry.items()) for entry in left_out):
            continue
        yield labels, [text for name in steps for text in made[name][1]]


def _refuse_replaced(sweep: Sweep, overrides: Sequence[str]) -> None:
    """An override that an axis or the seeds would replace says something that would not happen.

    Raises:
        RequestError: for such a one.
    """
    steps = [o for a in sweep.axes.values() if isinstance(a, dict) for texts in a.values() for o in parse(texts)]
    axes = {*sweep.axes, *(o.key_or_group for o in steps)}
    given = parse(overrides)
    seeds = ["axis seed"] if "seed" in sweep.axes else []
    seeds += [str(o.input_line) for o in (*steps, *parse(sweep.base), *given) if o.key_or_group == "seed"]
    if seeds:
        raise RequestError(
            f"{seeds[0]}: sweep {sweep.name} has seeds of its own, which would replace it. Say --seeds 0,1,2, or "
            "seeds: [0, 1, 2] in its file; seeds of splits are an axis, split.seed=0,1,2."
        )
    for override in given:
        name = override.key_or_group
        if name in axes:
            raise RequestError(
                f"{override.input_line}: {name} is an axis of sweep {sweep.name}, which would replace it. "
                f"Leave it out, or state another sweep: --axes {name}=VALUE,VALUE."
            )


def with_metrics(sweep: Sweep, overrides: Sequence[str]) -> list[str]:
    """The overrides, and those that measure what the sweep shows or judges and no run measures unasked.

    These are ours on request, those of somebody's own, and those of the training images. What an override names is
    measured too, and takes the place of nothing that the sweep needs.

    Raises:
        RequestError: for a cost that no run has, and for a metric without the images that it is measured on.
    """
    offered = (*enter_listed(), *ON_REQUEST)
    asked = [sweep.table.metric] if sweep.table is not None else []
    asked += [figure.y for figure in (sweep.figure, *sweep.figures) if figure is not None]
    asked += [name for claim in sweep.claims for name in metrics_of(claim)]
    asked += [sweep.select.by] if sweep.select is not None else []
    asked += [figure.cost for figure in (sweep.figure, *sweep.figures) if figure is not None]
    words = [w for entry in asked for w in (entry if isinstance(entry, list) else [entry])]
    for word in words:
        if word.startswith("cost/") and word not in COSTS:  # told before the runs, not when the table is made
            raise unknown_name(f"cost in sweep {sweep.name}:", word, COSTS)
        if word and "/" not in word and (word in METRICS or word in offered):
            raise RequestError(
                f"Sweep {sweep.name}: metric '{word}' is measured on several images. Say test/{word}, or val/{word}."
            )
    mine = {last_part(w) for w in words if w} & set(offered)
    train = any(w.startswith("train/") for w in words)
    out = []
    for override in parse(overrides):
        value = override.value()
        if mine and override.key_or_group == "metrics.names" and isinstance(value, list):
            mine |= {str(name) for name in value}
        elif not (train and override.key_or_group == "metrics.train"):
            out.append(str(override.input_line))
    names = [f"metrics.names=[{','.join(sorted(mine))}]"] if mine else []
    return [*(["metrics.train=true"] if train else []), *names, *out]


def widest_first(planned: Iterable[Point]) -> list[Point]:
    """Those that search for the most neighbours first: their answer holds that for every smaller k."""
    return sorted(planned, key=lambda point: -point.experiment.neighbours)


def words(axis: str, label: Any) -> str:
    """An axis value as people say it: names stand alone, numbers bring the last part of their axis' name."""
    if isinstance(label, str) and to_number(label) is None:
        return label
    last = "split" if axis == "split.seed" else axis.rsplit(".", 1)[-1]  # beside the run's own seed
    return f"{last} {show(label)}"


def records_of(sweep: Sweep, planned: Sequence[Point], found: dict[str, Record]) -> list[Record]:
    """One Record a point, in the plan's order: the store's with this sweep's axes, or one that says `missing`."""
    import dataclasses

    out = []
    for point in planned:
        record = found.get(point.key)
        if record is not None and point.tuning:
            record = without_test(record)
        if record is None:
            record = Record(key=point.key, sweep=sweep.name, axes=point.axes, seed=point.seed, status="missing")
        out.append(dataclasses.replace(record, axes=point.axes, sweep=sweep.name))
    return out
