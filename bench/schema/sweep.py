"""What a sweep file may say: question, base settings, axes, seeds, scales, table, figures, claims."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.schema.claim import KINDS, Claim, Trend, add_direction, sides
from bench.schema.errors import RequestError, chosen_on_test, suggestion, unknown_name
from bench.schema.label import canonical_text, show, to_number
from bench.schema.names import CONTROL, checked_name
from bench.schema.part import build, part
from bench.schema.secrets import redact_text

# An axis is `name: [value, ...]`, each value an override `name=value`,
# or `name: {label: [override, ...], ...}` where one step of the axis changes several settings.
Axis = list[Any] | dict[str, list[str]]


@part
class Table:
    """Which axes become rows, columns and panels, and which metrics fill the cells (mean over seeds).

    Axes that are not named, and not fixed by `at`, become panels: nothing is averaged over but seeds.
    """

    rows: str | list[str]  # axis, or axes
    columns: str | list[str] | None = None  # axis, or axes
    panels: str | list[str] | None = None  # axis, or axes: a table for each of their values
    metric: str | list[str] = "test/accuracy"  # one or several
    at: dict[str, Any] = Field(default_factory=dict)  # axis -> the one value to show


FigureKind = Literal[
    "line", "bars", "heat", "pareto", "curves", "gradients", "confusion", "reliability", "corruption"
]  # fmt: skip


@part
class Figure:
    """What a figure shows: `x`, `lines` and `panels` are axes, `y` is a metric (mean over seeds, with its interval).

    kind:
        line, bars: `y` over the axis `x`, a line or a group of bars for each value of `lines`. None: line where the
            values of `x` are numbers, else bars.
        heat: `y` as the colour of a grid, `x` across and `lines` down.
        pareto: `y` against `cost`, a point for each cell, and the front of those that nothing beats on both.
        curves: `y` (a column of curves.csv) over epochs; gradients: gradient norm over layers, both by `lines`.
        confusion, reliability: the selected cells' matrices or diagrams. corruption: accuracy over severity.
    """

    kind: FigureKind | None = None  # None: from the values of x
    x: str | None = None  # axis
    lines: str | None = None  # axis
    panels: str | None = None  # axis
    y: str = "test/accuracy"  # metric, or a column of curves.csv
    cost: str = "cost/params"  # pareto: the metric across
    at: dict[str, Any] = Field(default_factory=dict)  # axis -> the one value to show
    title: str = ""  # none: made from what is shown
    log_x: bool | None = None  # None: where the numbers span a factor of 20, or are spaced by factors
    seeds: Literal["dots", "lines", "none"] = "dots"  # single seeds: as dots (line, bars), as thin lines (line, curves)


@part
class Select:
    """Choose hyperparameters on val: for each cell the best point over these axes, test read for that point only.

    With `seeds` the candidates run these tuning seeds only; the chosen one runs the sweep's seeds, and only they are
    judged. Without, every candidate runs all seeds, and the same seeds choose and judge.
    """

    over: Annotated[list[str], Field(min_length=1)]  # axes
    by: str = "val/accuracy"  # a metric on val
    seeds: list[int] = Field(default_factory=list)  # tuning seeds: they choose and are not judged


@part
class Published:
    """A number from the literature, shown beside ours, and what differs between the two.

    `setting` is what it was obtained with: settings of ours by their names (`trainer.epochs: 200`, `dataset: cifar10`)
    are compared, free names (`image size: 32`) are shown as they are.
    """

    value: float  # in the metric's own unit: accuracies are fractions
    source: Annotated[str, Field(min_length=1)]  # where it was published
    at: dict[str, Any] = Field(default_factory=dict)  # axis -> value: the cell to stand beside
    metric: str = "test/accuracy"  # which of ours it stands beside
    label: str = ""  # how it is called
    setting: dict[str, Any] = Field(default_factory=dict)  # what it was obtained with


@part
class Scale:
    """How much compute: overrides on top of `base`; `axes` replaces the axes that it names."""

    overrides: list[str] = Field(default_factory=list)  # settings on top of `base`
    axes: dict[str, Axis] = Field(default_factory=dict)  # axes with other values at this scale
    seeds: int | list[int] | None = None  # in place of the sweep's


@part
class Sweep:
    """One question and everything that is needed to answer it."""

    name: str  # the file's name
    question: str  # what is asked, in one sentence
    source: str = ""  # a paper that asks it
    theme: str = ""  # sweeps of one theme stand together on the index
    base: list[str] = Field(default_factory=list)  # settings that all runs share
    axes: Annotated[dict[str, Axis], Field(min_length=1)]  # what is varied
    seeds: int | list[int] = 3  # a count, or a list
    # What smoke, small and full change.
    scales: dict[Literal["smoke", "small", "full"], Scale] = Field(default_factory=dict)
    table: Table | None = None  # rows, columns, panels, metric
    figure: Figure | None = None  # the first figure
    figures: list[Figure] = Field(default_factory=list)  # further ones
    claims: list[Claim] = Field(default_factory=list)  # sentences that are judged
    select: Select | None = None  # hyperparameters that are chosen on val
    published: list[Published] = Field(default_factory=list)  # numbers of papers to stand beside ours
    zip: list[list[str]] = Field(default_factory=list)  # axes that go together, value by value
    exclude: list[dict[str, Any]] = Field(default_factory=list)  # to leave out: axis -> value, or several values
    replicates: list[str] = Field(default_factory=lambda: ["seed"])  # what is drawn anew: seed, split.seed, split.fold
    sequential: bool = False  # claims are tested by an e-process, which holds however often one looks
    allow: dict[str, str] = Field(default_factory=dict)  # finding of `bench check` -> why it is accepted here


MOST = 200_000  # points of one sweep: a plan of more takes minutes and gigabytes


def seeds_of(seeds: int | list[int]) -> list[int]:
    """`3` means 0, 1, 2.

    Raises:
        RequestError: for none, a negative one or one given twice.
    """
    if isinstance(seeds, int) and seeds > MOST:
        raise RequestError(f"seeds: {seeds:,} are more than {MOST:,}, the most points of a sweep.")
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen or min(chosen) < 0 or len(set(chosen)) != len(chosen):
        raise RequestError(f"seeds: expected a count above 0 or a list of different numbers from 0, got {seeds}.")
    return chosen


def names(value: str | list[str] | None) -> list[str]:
    """`rows: model` and `rows: [model, depth]` as one list."""
    return [value] if isinstance(value, str) else list(value or [])


def values(axis: Axis) -> list[Any]:
    """The values or labels of an axis, in the file's order."""
    return list(axis)


def steps_of(name: str, axis: Axis) -> list[tuple[Any, list[str]]]:
    """(label, overrides) for each step of an axis.

    Raises:
        RequestError: for a label given twice, or one that cannot stand in a table.
    """
    if (
        bad := next((v for v in axis if isinstance(v, str) and CONTROL.search(v.replace("\n", "\0"))), None)
    ) is not None:
        raise RequestError(f"Axis '{name}' has {bad!r}: line ends and characters that steer a terminal are no label.")
    if isinstance(axis, dict):
        return [(label, list(texts)) for label, texts in axis.items()]
    labels = [value if isinstance(value, str | int | float | bool) else json.dumps(value) for value in axis]
    twice = next((v for v in labels if labels.count(v) > 1), None)
    if twice is not None:
        raise RequestError(f"Axis '{name}' has the value {twice!r} twice.")
    return [(label, [f"{name}={_grammar(value)}"]) for label, value in zip(labels, axis, strict=True)]


def _grammar(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, str):
        if "," in value and value[0] not in "[{('\"":  # one value, which Hydra would take for several
            return "'" + value.replace("'", "\\'") + "'"
        return value
    if isinstance(value, list):
        return "[" + ",".join(_grammar(v) for v in value) + "]"
    return json.dumps(value)


def sweep(data: dict[str, Any], where: str) -> Sweep:
    """The Sweep for a file's content, checked.

    Raises:
        RequestError: for unknown keys, an empty axis or one that names a value twice, and a table, figure, claim,
            selection or published number that names an axis or a value which the sweep does not have.
    """
    made: Sweep = build(Sweep, _add_kinds(data, where), where)
    checked_name(made.name, f"{where}: name")
    known = _levels(made, where)
    places: list[tuple[str, dict[str, Any]]] = []  # axis -> value, to be checked against the axes
    axes: list[tuple[str, str | None]] = []  # axis names, likewise
    if made.table:
        for role in ("rows", "columns", "panels"):
            axes += [(f"table.{role}", name) for name in names(getattr(made.table, role))]
        used = [name for _, name in axes] + list(made.table.at)
        for name in used:
            if used.count(name) > 1:
                raise RequestError(
                    f"{where}: table names axis '{name}' twice. Use it once: rows, columns, panels or at."
                )
        places.append(("table.at", made.table.at))
    for place, figure in [("figure", made.figure), *((f"figures[{i}]", f) for i, f in enumerate(made.figures))]:
        if figure:
            axes += [(f"{place}.{role}", getattr(figure, role)) for role in ("x", "lines", "panels")]
            places.append((f"{place}.at", figure.at))
            _check_figure(figure, place, where)
    for i, claim in enumerate(made.claims):
        place = f"claims[{i}]"
        places += [(f"{place}.{side}", fixed) for side, fixed in sides(claim).items()]
        axes += [(f"{place}.over", name) for name in names(getattr(claim, "over", None))]
    for i, left_out in enumerate(made.exclude):
        if not left_out or [] in left_out.values():
            raise RequestError(f"{where}: exclude[{i}] names no value, and so leaves nothing out: {{axis: value}}.")
        listed = [{axis: value} for axis, of in left_out.items() for value in excluded_values(of, known.get(axis, ()))]
        places += [(f"exclude[{i}]", one) for one in listed]
    for i, together in enumerate(made.zip):
        axes += [(f"zip[{i}]", name) for name in together]
    _check_zip(made, where)
    for i, published in enumerate(made.published):
        places.append((f"published[{i}].at", published.at))
    if made.select:
        axes += [("select.over", name) for name in made.select.over]
        if made.select.by.startswith(("test/", "corrupt/")):  # corruptions are of test images
            raise chosen_on_test(f"{where}: select.by", made.select.by)
        if not made.select.by.startswith("val/"):
            raise RequestError(
                f"{where}: select.by is '{made.select.by}'. Selection is on val, never on test: use val/accuracy."
            )
        _check_tuning(made, where)
    axes += [(place, name) for place, fixed in places for name in fixed]
    _check_replicates(made, axes, where)
    for place, axis in axes:
        if axis is not None and axis not in known:
            raise unknown_name(f"axis in {place} of {where}:", axis, known)
    for place, fixed in places:
        for axis, value in fixed.items():
            if canonical_text(value) not in known[axis]:
                options = known[axis].values()
                raise RequestError(
                    f"{where}: {place} says {axis}: {show(value)}, which the axis does not have."
                    f"{suggestion(show(value), options)} Its values: {', '.join(options)}."
                )
    for i, claim in enumerate(made.claims):
        if claim.metric == "run/failed" and claim.kind not in ("compare", "bound"):
            raise RequestError(
                f"{where}: claims[{i}] ('{claim.says}'): a rate of failures is compared or bounded only."
            )
        if isinstance(claim, Trend) and claim.spacing != "step":
            numbers = [to_number(value) for value in known[claim.over]]
            if None in numbers or (claim.spacing == "log" and min(n for n in numbers if n is not None) <= 0):
                what = "positive numbers" if claim.spacing == "log" else "numbers"
                raise RequestError(
                    f"{where}: claims[{i}] ('{claim.says}'): spacing: {claim.spacing} needs {what} on {claim.over}, "
                    f"which has {', '.join(known[claim.over].values())}. Say spacing: step, or take the others out."
                )
        if fault := claim.fault():
            raise RequestError(f"{where}: claims[{i}] ('{claim.says}'): {fault}")
    if made.select:
        for place, axis in axes:
            figure_on_val = place.startswith("figure") and not _reads_test(made, place)
            plan = place.startswith(("select.over", "exclude[", "zip["))  # says what is run, reads nothing
            if axis in made.select.over and not plan and not figure_on_val:
                raise RequestError(
                    f"{where}: {place} names axis '{axis}', but `select` chooses it on val, so that test is read at "
                    "the selected value only. Take it out of one of the two."
                )
    for name, reason in made.allow.items():
        if len(reason.split()) < 2:
            raise RequestError(f"{where}: allow.{name} is '{reason}'. Write down why, in words; the table shows it.")
    return made


def excluded_values(value: Any, known: Container[str]) -> list[Any]:
    """The values that an entry of `exclude` names: a list names each of its own, unless the axis has it as one."""
    return value if isinstance(value, list) and canonical_text(value) not in known else [value]


def _check_tuning(made: Sweep, where: str) -> None:
    """Axes that go together are chosen together; tuning seeds are different numbers that no scale judges."""
    assert made.select is not None
    tuning, over = made.select.seeds, set(made.select.over)
    for i, together in enumerate(made.zip):
        if over & set(together) and not set(together) <= over:
            left = sorted(set(together) - over)
            raise RequestError(
                f"{where}: zip[{i}] ties {', '.join(sorted(over & set(together)))} to {', '.join(left)}, so that there "
                "is one value only and nothing to choose. Name all of them in select.over, or none."
            )
    if not tuning:
        return
    if min(tuning) < 0 or len(set(tuning)) != len(tuning):
        raise RequestError(f"{where}: select.seeds is {tuning}. Expected different whole numbers from 0.")
    for place, seeds in [("seeds", made.seeds), *((f"scales.{n}.seeds", s.seeds) for n, s in made.scales.items())]:
        if seeds is not None and (both := sorted(set(tuning) & set(seeds_of(seeds)))):
            raise RequestError(
                f"{where}: {place} and select.seeds share seed {', '.join(map(str, both))}. What was chosen on a seed "
                "must not be judged on it: take others, such as select.seeds: [100, 101]."
            )


def _check_zip(made: Sweep, where: str) -> None:
    """Axes that go together have equally many values, and each goes with one group only."""
    named = [name for together in made.zip for name in together]
    for name in named:
        if named.count(name) > 1:
            raise RequestError(f"{where}: zip names axis '{name}' twice. An axis goes together with one group only.")
    scales = {"axes": made.axes, **{f"scales.{n}.axes": {**made.axes, **s.axes} for n, s in made.scales.items()}}
    for together in made.zip:
        for place, axes in scales.items():
            counts = {name: len(axes[name]) for name in together if name in axes}
            if len(set(counts.values())) > 1:
                said = ", ".join(f"{name} has {n}" for name, n in counts.items())
                raise RequestError(f"{where}: zip needs equally many values of its axes in {place}: {said}.")


def _add_kinds(data: Any, where: str) -> Any:
    """The same data; claims that state no kind are comparisons, and take their metric's better direction."""
    if not isinstance(data, dict) or not isinstance(data.get("claims"), list):
        return data
    claims = [add_direction({"kind": "compare", **c} if isinstance(c, dict) else c) for c in data["claims"]]
    for i, claim in enumerate(claims):
        if isinstance(claim, dict) and claim["kind"] not in KINDS:
            raise unknown_name(f"kind in claims[{i}] of {where}:", claim["kind"], KINDS)
    return {**data, "claims": claims}


def _levels(made: Sweep, where: str) -> dict[str, dict[str, str]]:
    """For each axis its values, over all scales: canonical spelling -> as people write it."""
    levels: dict[str, dict[str, str]] = {}
    for place, axes in [("axes", made.axes), *((f"scales.{name}.axes", s.axes) for name, s in made.scales.items())]:
        for name, axis in axes.items():
            if name not in made.axes:
                raise unknown_name(f"axis in {place} of {where}:", name, made.axes)
            if not axis:
                raise RequestError(f"{where}: axis '{name}' in {place} is empty. Give it at least one value.")
            if any(show(value) != redact_text(show(value)) for value in values(axis)):
                raise RequestError(
                    f"{where}: axis '{name}' in {place} has an address with a user name or a query, where credentials "
                    f"stand, and values are shown. Give it a label: {name}: {{mine: ['{name}=ADDRESS']}}."
                )
            spelled = [canonical_text(value) for value in values(axis)]
            for value in values(axis):
                if spelled.count(canonical_text(value)) > 1:
                    raise RequestError(f"{where}: axis '{name}' in {place} has the value {show(value)} twice.")
            levels.setdefault(name, {}).update({canonical_text(value): show(value) for value in values(axis)})
    return levels


REPLICATES = ("seed", "split.seed", "split.fold")


def _check_replicates(made: Sweep, axes: list[tuple[str, str | None]], where: str) -> None:
    for name in made.replicates:
        if name not in REPLICATES:
            raise unknown_name(f"replicate of {where}:", name, REPLICATES, f"Expected {', '.join(REPLICATES)}.")
        if name != "seed" and name not in made.axes:
            raise RequestError(f"{where}: replicates names {name}, which is no axis. Add it: {name}: [0, 1, 2, 3, 4].")
        place = next((place for place, axis in axes if axis == name), None)
        if place is not None and name != "seed":
            raise RequestError(
                f"{where}: {place} names {name}, whose values are replicates. Take it out of one of the two."
            )
    if made.sequential and made.replicates != ["seed"]:
        raise RequestError(f"{where}: sequential: true tests seeds one after another; replicates must be [seed].")
    for i, claim in enumerate(made.claims):
        if made.sequential and (claim.test != "t" or claim.metric == "run/failed"):
            what = f"test: {claim.test}" if claim.test != "t" else f"metric: {claim.metric}"
            raise RequestError(
                f"{where}: claims[{i}] ('{claim.says}') says {what}, for which no test holds however often "
                "one looks. Take it out, or take out sequential: true."
            )
        if made.replicates != ["seed"] and claim.metric == "run/failed":
            raise RequestError(
                f"{where}: claims[{i}] ('{claim.says}') counts failures, and runs of one seed or of one split may fail "
                "for one reason, which no count of them knows. Say replicates: [seed], or take the claim out."
            )
        if made.replicates != ["seed"] and claim.test != "t":
            raise RequestError(f"{where}: claims[{i}].test is {claim.test}; crossed replicates are tested by t only.")


def _check_figure(figure: Figure, place: str, where: str) -> None:
    needs = {"line": ("x",), "bars": ("x",), None: ("x",), "heat": ("x", "lines")}.get(figure.kind, ())
    for role in needs:
        if getattr(figure, role) is None:
            kind = f"of kind {figure.kind}" if figure.kind else "without a kind"
            raise RequestError(f"{where}: {place}.{role} is missing. A figure {kind} needs an axis there.")
    roles = [r for r in (figure.x, figure.lines, figure.panels) if r is not None] + list(figure.at)
    for name in roles:
        if roles.count(name) > 1:
            raise RequestError(f"{where}: {place} names axis '{name}' twice. Use it once: x, lines, panels or at.")


def _reads_test(made: Sweep, place: str) -> bool:
    name = place.split(".")[0]
    figure = made.figure if name == "figure" else made.figures[int(name.split("[")[1].rstrip("]"))]
    return figure is not None and (
        figure.y.startswith("test/") or figure.kind in ("confusion", "reliability", "corruption")
    )
