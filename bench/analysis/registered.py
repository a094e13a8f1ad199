"""What was planned against what is shown: changed claims, missing seeds, seeds left out, edited files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.frame import select_frame
from bench.analysis.looks import ENDED, identity_of, launches_at, planned_seeds, taken_out
from bench.analysis.naming import axis, key, point
from bench.analysis.planned import Plan
from bench.analysis.settings import differing, settings_of_records
from bench.schema.claim import digest
from bench.schema.label import canonical_text, show
from bench.schema.sweep import Sweep, values
from bench.track.record import Record


def stamps(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> list[str]:
    """What limits the trust in a table, a sentence each."""
    out = []
    for name, what in (("changed", "after it was written"), ("edited", "before this was made from it")):
        if faults := context.get(name):
            more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
            out.append(f"Changed {what}: {'; '.join(faults[:3])}{more}.")
    return [*out, *_seeds(sweep, records, context), *_claims(sweep, records, context), *_late(sweep, context)]


def broken_promises(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> list[str]:
    """What contradicts a plan: planned seeds without a record, claims that are not those of before, edited records.

    Claims that came after a look at other runs, an earlier design's, and before these are told and contradict nothing.
    """
    edited = [f"edited before it was made: {fault}" for fault in context.get("edited", ())]
    said = [*_seeds(sweep, records, context), *_claims(sweep, records, context)]
    said += [] if _are_before(sweep, records, context) else _late(sweep, context)
    return [*edited, *(text for text in said if not text.startswith("Planned for"))]


def _seeds(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> Iterator[str]:
    shown, settings = {r.seed for r in records}, settings_of_records(sweep, records)
    planned, exist = planned_seeds(sweep, context, settings), context.get("not_shown", ())
    lost = lost_seeds(sweep, records, context)
    if hidden := [seed for seed in lost if seed in exist]:
        yield f"Planned, run and not shown: {_name_seeds(hidden)}."
    if missing := [seed for seed in lost if seed not in exist]:
        yield f"Planned and missing: {_name_seeds(missing)}."
    if gone := _gone(sweep, records, [seed for seed in planned if seed in shown]):
        more = f"; and {len(gone) - 3} more" if len(gone) > 3 else ""
        yield f"Planned and without a record: {'; '.join(gone[:3])}{more}."
    ever = {seed for launch in launches_at(settings, context) for seed in launch["seeds"]}
    if before := sorted(ever - shown - set(planned)):
        yield f"Planned for an earlier launch and not shown: {_name_seeds(before)}."


def lost_seeds(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> list[int]:
    """The planned seeds of which there is no record here."""
    shown = {r.seed for r in records}
    return [s for s in planned_seeds(sweep, context, settings_of_records(sweep, records)) if s not in shown]


def _gone(sweep: Sweep, records: Sequence[Record], seeds: Sequence[int]) -> list[str]:
    """Planned values of an axis that no record has, and points that lack a planned seed which others have.

    A run that never happened has a record that says so; one without any was taken away.
    """
    out = []
    for name, steps in sweep.axes.items():
        shown = {canonical_text(r.axes[name]) for r in records if name in r.axes}
        if lost := [show(v) for v in values(steps) if canonical_text(v) not in shown] if shown else []:
            out.append(f"{axis(name)} {', '.join(lost)}")
    if getattr(sweep.select, "seeds", None):
        return out  # which candidate runs the judged seeds is decided while the sweep runs
    points: dict[tuple[str, ...], tuple[dict[str, Any], set[int]]] = {}
    for r in records:
        points.setdefault(key(r.axes, list(sweep.axes)), (r.axes, set()))[1].add(r.seed)
    out += [f"{point(at)}, every seed" for at in _never(sweep, points)]
    for at, present in points.values():
        if lost_seeds := [seed for seed in seeds if seed not in present]:
            out.append(f"{point(at)}, {_name_seeds(lost_seeds)}")
    return out


def _never(sweep: Sweep, points: Mapping[tuple[str, ...], Any]) -> Iterator[dict[str, Any]]:
    """Planned points without any record, of values that other records have."""
    shown = [{at[i] for at in points} for i in range(len(sweep.axes))]
    levels = [
        [v for v in values(steps) if canonical_text(v) in known]
        for steps, known in zip(sweep.axes.values(), shown, strict=True)
    ]
    plan = Plan(sweep)
    for combination in itertools.product(*levels):
        at = dict(zip(sweep.axes, combination, strict=True))
        if key(at, list(sweep.axes)) not in points and not plan.leaves_out(at):
            yield at


def _claims(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> Iterator[str]:
    if not sweep.claims:
        return
    now = digest(sweep.claims)
    said = [r.provenance["claims_sha256"] for r in records if r.provenance.get("claims_sha256")]
    registered = [launch["claims"] for launch in launches_at(settings_of_records(sweep, records), context)]
    if other := sum(one != now for one in said):
        yield f"Claims were changed after {other} of {len(said)} runs."
    elif (registered and registered[-1] != now) or context.get("claims_were", now) != now:
        yield "Claims were changed after the runs."
    if not records:
        return
    settings = settings_of_records(sweep, records)
    if gone := len(taken_out(sweep, select_frame(sweep, list(records)), context, settings)):
        what = "claims were taken out after a look at the results, and count"
        one = "claim was taken out after a look at the results, and counts"
        yield f"{gone} {what if gone > 1 else one} in the correction."


def _late(sweep: Sweep, context: Mapping[str, Any]) -> Iterator[str]:
    """Claims that the first look did not judge; a later one has, as the second time that a table is made."""
    first = next((one["verdicts"] for one in context.get("looks", ()) if one.get("verdicts")), ())
    looked = {entry["claim"] for entry in first}
    if looked and (new := sum(identity_of(claim) not in looked for claim in sweep.claims)):
        yield f"{new} claim{'s were' if new > 1 else ' was'} changed or added after a look at the results."


def _are_before(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> bool:
    """Whether every run carries the claims as they are, and who looked without them looked at other runs."""
    now, settings, seeds = digest(sweep.claims), settings_of_records(sweep, records), {r.seed for r in records}
    ran = [r for r in records if r.status in ENDED]
    claims = {identity_of(claim) for claim in sweep.claims}
    others = [one for one in context.get("looks", ()) if claims - {v["claim"] for v in one.get("verdicts", ())}]
    return all(r.provenance.get("claims_sha256") == now for r in ran) and all(
        seeds.isdisjoint(one.get("seeds", ())) or differing(one, settings) for one in others
    )


def unregistered_note(sweep: Sweep, records: Sequence[Record], context: Mapping[str, Any]) -> str:
    """Before which runs nothing says what was claimed, as with runs of earlier versions; empty where all is on record.

    A launch that found ended runs came after those.
    """
    launches = context.get("registered", ())
    if not sweep.claims or (launches and not launches[0].get("ended")):
        return ""
    finished = [r for r in records if r.status == "finished"]
    silent = sum(not r.provenance.get("claims_sha256") for r in finished)
    if silent == len(finished):
        return "" if launches else "the runs"
    return f"{silent} of {len(finished)} runs" if silent else ""


def _name_seeds(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:12])) + (" ..." if len(seeds) > 12 else "")
    return f"seed{'s' if len(seeds) > 1 else ''} {shown}"
