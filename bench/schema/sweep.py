"""What a sweep file may say: question, base settings, axes, seeds, scales, table, figures, claims."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.schema.claim import Claim
from bench.schema.errors import RequestError
from bench.schema.names import CONTROL
from bench.schema.part import part

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
    twice = next((v for v, n in Counter(labels).items() if n > 1), None)
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


REPLICATES = ("seed", "split.seed", "split.fold")
CONFIRM = "-confirm"  # behind the name of a sweep: its claims on fresh seeds
