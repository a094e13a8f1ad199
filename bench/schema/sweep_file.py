"""A sweep file held to what a sweep is: axes, tuning, replicates, figures and claims that fit each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any

from bench.schema.claim import KINDS, Trend, add_direction, sides, value_fault
from bench.schema.errors import RequestError, chosen_on_test, suggestion, unknown_name
from bench.schema.label import canonical_text, show, to_number
from bench.schema.names import checked_name
from bench.schema.part import build
from bench.schema.secrets import redact_text
from bench.schema.sweep import REPLICATES, Figure, Sweep, names, seeds_of, values


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
        if fault := value_fault("value", published.value, published.metric):
            raise RequestError(f"{where}: published[{i}] ('{published.source}'): {fault}")
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
            spelled = Counter(canonical_text(value) for value in values(axis))
            for value in values(axis):
                if spelled[canonical_text(value)] > 1:
                    raise RequestError(f"{where}: axis '{name}' in {place} has the value {show(value)} twice.")
            levels.setdefault(name, {}).update({canonical_text(value): show(value) for value in values(axis)})
    return levels


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
        over_sets = claim.kind == "across"
        if made.sequential and (claim.test != "t" or claim.metric == "run/failed" or over_sets):
            what = f"test: {claim.test}" if claim.test != "t" else f"metric: {claim.metric}"
            what = "kind: across" if over_sets else what
            raise RequestError(
                f"{where}: claims[{i}] ('{claim.says}') says {what}, for which no test holds however often "
                "one looks. Take it out, or take out sequential: true."
            )
        if made.replicates != ["seed"] and claim.metric == "run/failed":
            raise RequestError(
                f"{where}: claims[{i}] ('{claim.says}') counts failures, and runs of one seed or of one split may fail "
                "for one reason, which no count of them knows. Say replicates: [seed], or take the claim out."
            )
        if made.replicates != ["seed"] and claim.test != "t" and not over_sets:
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
