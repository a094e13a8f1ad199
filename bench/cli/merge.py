"""Put results of one sweep that several people or machines have run together into one folder.

    bench merge anna/results/batchnorm ben/results/batchnorm --out results/batchnorm

The folders must hold the same sweep: the same axes and the same claims. Each run is counted once, whoever ran it; one
that both have and that came out differently is named, and is a stamp on the table. Whole stores are brought together by
'bench sync DB'.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.report.evidence import Evidence
    from bench.track.record import Record

SUMMARY = "results of several people, of one sweep, as one table"

CHOSEN = ("finished", "failed", "running", "missing")  # of two records of one run, the first of these is kept


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="results folders of one sweep")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the merged results go")


def main(args: argparse.Namespace) -> int:
    """Merge and write; 0, or 1 where runs of one key came out differently."""
    from bench import report
    from bench.analysis.artifacts import read_kept
    from bench.analysis.predictions import read_predictions as with_predictions
    from bench.protocol import register
    from bench.report import evidence
    from bench.report.seal import seal

    if len(args.folders) < 2:
        raise RequestError("Expected two folders or more: bench merge A B --out DIR.")
    reads = [evidence.read(evidence.folder_named(str(folder), folder.parent)) for folder in args.folders]
    same_sweep(reads)
    replaceable(args.out, reads[0])
    records, whose, differing = merge_records(reads)
    readers = [with_predictions(read.folder, read_kept(read.folder)) for read in reads]

    def reader(record: Record, name: str) -> str | None:
        return readers[whose[record.key or record.run_id]](record, name)

    log = args.out / register.FILE
    there = register.read(log)
    logs = [register.read(read.folder / register.FILE) for read in reads]
    told = [read.context.get(name, ()) for read in reads for name in ("registered", "looks")]
    entries = register.merge(there, *logs, *told)
    sweep = dataclasses.replace(reads[0].sweep, seeds=sorted({r.seed for r in records}))
    given = context(reads, entries, differing)
    written = report.write(sweep, records, args.out, given, reader)
    for entry in register.unknown(entries, there):
        register.append(log, entry)
    if written.look:
        register.append(log, written.look)
    if log.exists():
        seal(args.out, [*written.files, register.FILE])
    if args.json:
        print(json.dumps({**written.data(), "differing": differing}, default=str))
    else:
        print(written.text())
        for read in reads:
            print(f"{read.folder}: {sum(i == reads.index(read) for i in whose.values())} runs")
        print(f"\nNext: bench report --results {args.out.parent}   makes the page {args.out / 'index.html'}")
    for line in differing:
        print(f"DIFFERENT  {line}", file=sys.stderr)
    return 1 if differing else 0


def same_sweep(reads: Sequence[Evidence]) -> None:
    """Refuse what is not the same question.

    Raises:
        RequestError: naming what differs.
    """
    from bench.analysis.naming import point
    from bench.analysis.settings import differing, settings_of_records
    from bench.schema.claim import digest

    first = reads[0]
    for other in reads[1:]:
        for what, of in (
            ("sweep", lambda read: read.sweep.name),
            ("axes", lambda read: read.sweep.axes),
            ("claims", lambda read: digest(read.sweep.claims)),
            ("scale", lambda read: read.manifest.get("scale", "")),
        ):
            if of(first) != of(other):
                raise RequestError(
                    f"{first.folder} and {other.folder} are not the same sweep: another {what}. "
                    "Run both from one sweep file, or put them side by side: bench compare A B."
                )
    for i, one in enumerate(reads):
        for other in reads[i + 1 :]:
            pairs = [("", one.records, other.records)]
            cells, others = by_point(one), by_point(other)
            pairs += [(f" at {point(rs[0].axes)}", rs, others[at]) for at, rs in cells.items() if at in others]
            for where, these, those in pairs:
                there = {"settings": settings_of_records(one.sweep, these)}
                if other_settings := differing(there, settings_of_records(other.sweep, those)):
                    raise RequestError(
                        f"{one.folder} was run at other settings than {other.folder}{where}: {other_settings} there. "
                        "Run both at the same settings, or put them side by side: bench compare A B."
                    )


def by_point(read: Evidence) -> dict[str, list[Record]]:
    """The records of each point of the axes."""
    found: dict[str, list[Record]] = {}
    for record in read.records:
        found.setdefault(json.dumps(record.axes, sort_keys=True, default=str), []).append(record)
    return found


def replaceable(out: Path, read: Evidence) -> None:
    """Refuse a folder that holds another sweep, or this one at another scale.

    Raises:
        RequestError: naming what is there.
    """
    from bench.report import evidence

    if not (out / evidence.MANIFEST).exists():
        return
    before = evidence.manifest(out / evidence.MANIFEST)
    there, here = (
        (content["definition"].get("name", ""), content.get("scale", "")) for content in (before, read.manifest)
    )
    if there != here:
        raise RequestError(
            f"--out {out} holds the results of {there[0]} at scale {there[1]}, and these are of {here[0]} at scale "
            f"{here[1]}. Expected a new folder, or one of this sweep and scale."
        )


def merge_records(reads: Sequence[Evidence]) -> tuple[list[Record], dict[str, int], list[str]]:
    """One record a point and seed, in the order of the first folder; whose it is; where two finished ones differ."""
    from bench.analysis.naming import point

    found: dict[str, Record] = {}
    whose: dict[str, int] = {}
    differing = []
    for i, read in enumerate(reads):
        for record in read.records:
            key = record.key or record.run_id
            before = found.get(key)
            if before is None or CHOSEN.index(record.status) < CHOSEN.index(before.status):
                found[key], whose[key] = record, i
            elif before.status == record.status == "finished":
                unlike = sorted(n for n in {*before.metrics, *record.metrics} if _differs(before, record, n))
                if unlike:
                    name = unlike[0] if "test/accuracy" not in unlike else "test/accuracy"
                    one, other = (r.metrics.get(name) for r in (before, record))
                    differing.append(
                        f"{point(record.axes)}, seed {record.seed}: {name} is {one} in {reads[whose[key]].folder} and "
                        f"{other} in {read.folder}; the first is kept."
                    )
    return list(found.values()), whose, differing


def _differs(one: Record, other: Record, name: str) -> bool:
    """Whether a metric differs by more than sums in another order make of it."""
    a, b = one.metrics.get(name), other.metrics.get(name)
    if a is None or b is None:
        return True
    if not (math.isfinite(a) and math.isfinite(b)):
        return a != b and not (math.isnan(a) and math.isnan(b))
    return abs(a - b) > 1e-6 + 1e-4 * max(abs(a), abs(b))


def context(reads: Sequence[Evidence], entries: Sequence[dict[str, Any]], differing: Sequence[str]) -> dict[str, Any]:
    """What the merged table has to say beside its numbers: what each said, the log of both, and what differs."""
    given = dict(reads[0].context)
    edited = [fault for read in reads for fault in read.context.get("edited", ())]
    edited += [f"{read.folder.name}: {fault}" for read in reads for fault in read.changed]
    given["edited"] = list(dict.fromkeys(edited))
    for name in ("test_looks", "test_decisions"):
        if counts := [n for read in reads if (n := read.context.get(name)) is not None]:
            given[name] = max(counts)
    if were := [digest for read in reads if (digest := read.context.get("claims_were"))]:
        given["claims_were"] = were[0]
    findings = [f for read in reads for f in read.context.get("findings", ())]
    given["findings"] = list({json.dumps(f, sort_keys=True): f for f in findings}.values())
    if differing:
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        message = f"runs of one key that came out differently: {differing[0]}{more}"
        given["findings"].append({"name": "merged_differs", "level": "error", "message": message})
    for kind, name in (("launch", "registered"), ("look", "looks")):
        if found := [e for e in entries if e["event"] == kind]:
            given[name] = found
    given.pop("changed", None)
    if not given["edited"]:
        del given["edited"]
    return given
