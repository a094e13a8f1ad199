"""Protocol lint: what would make the numbers mean less than they seem to, before compute is spent.

    bench check batchnorm --scale full
    bench check dataset=folder dataset.root=photos model=resnet
    bench check --names                      the findings that there are

Errors stop a run, warnings are stamped onto the table. A sweep file allows a finding by name, with a written reason:
allow: {flip_changes_label: mirrored digits are what this sweep is about}.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cli.once import once
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.data.finding import Finding
    from bench.schema.experiment import Experiment
    from bench.schema.sweep import Sweep
    from bench.sweep.plan import Point

SUMMARY = "protocol lint, before compute is spent"


ALONE = "this experiment"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="NAME | OVERRIDE", help="a sweep's name, or Hydra overrides")
    parser.add_argument("--scale", help="smoke, small or full (default: small)", default="small")
    parser.add_argument("--seeds", help="a count, or a list such as 0,1,7")
    parser.add_argument("--names", action="store_true", help="list the findings that there are, and stop")


@once
def main(args: argparse.Namespace) -> int:
    """Print the findings; 0 without an error among them (or with every error allowed), else 2."""
    if args.names:
        return print_findings(args.json)
    from bench.data.finding import Finding, stops
    from bench.protocol.lint import findings
    from bench.refusals import refusals
    from bench.schema.errors import Refused
    from bench.schema.own import uses_own_code

    try:
        title, experiments, keys, allowed, plan = request(args)
        sweep = plan.sweep if plan else None
        claims, replicates = (len(sweep.claims), sweep.replicates) if sweep else (0, ["seed"])
        found = findings(experiments, keys, claims, replicates, near=True)
        found += unfair(plan) if plan else []
        powers = expect_effects(plan, args.scale) if plan else []
        found += refusals(experiments)
        if uses_own_code(experiments):
            from bench.rehearsal import rehearse

            rehearse(experiments)
    except Refused as refused:  # whatever else it says, nothing of it can be run
        title, experiments, allowed, powers = " ".join(args.words), [], {}, []
        found = [Finding(refused.name, "error", refused.reason, refused.remedy)]
    bad = stops(found, allowed)
    if args.json:
        rows = [{**f.row(), "allowed": allowed.get(f.name)} for f in found]
        print(json.dumps({"checked": title, "experiments": len(experiments), "findings": rows, "stops": len(bad),
                          "power": powers}))  # fmt: skip
    else:
        print("\n".join([text(found, allowed, title, len(experiments)), *powers]))
    return 2 if bad else 0


@dataclass(frozen=True)
class Planned:
    """A sweep at a scale, and its points."""

    sweep: Sweep
    points: list[Point]


def request(args: argparse.Namespace) -> tuple[str, list[Experiment], list[str], dict[str, str], Planned | None]:
    """What is to be checked: title, experiments, the fingerprint of each one's data, what is allowed, a sweep's plan.

    Raises:
        RequestError: as reading a sweep file and composing do; `Refused` for selection on test.
    """
    from bench import data as images
    from bench.cli.sweep_arguments import seeds
    from bench.compose import compose
    from bench.data.finding import check_allowed
    from bench.schema.experiment import experiment
    from bench.sweep import file
    from bench.sweep.plan import at_scale, points

    names = [w for w in args.words if "=" not in w]
    if len(names) > 1:
        raise RequestError(f"Expected one sweep or overrides, got the names {', '.join(names)}.")
    if not names:
        exp = experiment(compose(args.words))
        return ALONE, [exp], [images.fingerprint(exp.dataset, exp.split)], {}, None
    sweep = at_scale(file.read(names[0]), args.scale, seeds(args.seeds))
    planned = points(sweep, [w for w in args.words if "=" in w])
    allowed = dict(check_allowed(sweep.allow))
    return names[0], [p.experiment for p in planned], [p.data for p in planned], allowed, Planned(sweep, planned)


def unfair(plan: Planned) -> list[Finding]:
    """What the plan of a sweep gives some of its cells and not others."""
    from bench import data as images
    from bench.analysis.fairness import foresee
    from bench.data.finding import Finding
    from bench.schema.science import flat_settings
    from bench.track.record import Record

    drawn = [name for name in plan.sweep.replicates if name != "seed"]
    seen, records = set(), []
    for point in plan.points:
        place = str({name: value for name, value in point.axes.items() if name not in drawn})
        if place not in seen:
            seen.add(place)
            exp = point.experiment
            train = len(images.load(exp.dataset, exp.split).train)
            records.append(
                Record(
                    key=point.key,
                    sweep=plan.sweep.name,
                    axes=point.axes,
                    seed=point.seed,
                    status="finished",
                    config=flat_settings(exp),
                    provenance={"images": f"{train}/0/0"},
                )
            )
    remedy = "Make it equal, or write down in `allow` why it is not; tables and verdicts will say so too."
    return [Finding(name, "warning", reason, remedy) for name, reason in foresee(plan.sweep, records)]


def expect_effects(plan: Planned, scale: str) -> list[str]:
    """What the planned replicates can find of each claim, by what there is of earlier records."""
    from bench.analysis.power import forecast
    from bench.cli.sweep_arguments import experiment_name
    from bench.schema.science import flat_settings
    from bench.sweep.completed import ended_runs
    from bench.track.store import existing

    first, title = plan.points[0].experiment, experiment_name(plan.sweep.name, scale)
    return forecast(plan.sweep, ended_runs(plan.sweep, title, existing(first.tracking.uri)), flat_settings(first))


def print_findings(as_json: bool) -> int:
    """Every finding there is, by name."""
    from bench.data.finding import NAMES

    width = max(map(len, NAMES))
    lines = [f"{name:<{width}}  {what}" for name, what in NAMES.items()]
    print(json.dumps(NAMES) if as_json else "\n".join(lines))
    return 0


def text(found: Sequence[Finding], allowed: dict[str, str], title: str, count: int) -> str:
    """For people: one paragraph a finding, errors first."""
    lines = []
    for f in sorted(found, key=lambda f: f.level):
        head = f"allowed ({f.level})" if f.name in allowed else f.level
        lines += [f"{head}: {f.name}", f"  {f.reason}", f"  {f.remedy}"]
        if f.name in allowed:
            lines.append(f"  Allowed: {allowed[f.name]}")
    errors = sum(f.level == "error" for f in found)
    runs = f"{count} experiment{'s'[: count != 1]}"
    lines.append(f"{title}: {runs} checked, {errors} errors, {len(found) - errors} warnings.")
    unused = sorted(allowed.keys() - {f.name for f in found})
    if unused:
        lines.append(f"Allowed but not found: {', '.join(unused)}.")
    return "\n".join(lines)
