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
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.report.evidence import Evidence
    from bench.track.record import Record

CHOSEN = ("finished", "failed", "running", "missing")  # of two records of one run, the first of these is kept


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="results folders of one sweep")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the merged results go")


def main(args: argparse.Namespace) -> int:
    """Merge and write; 0, or 1 where runs of one key came out differently."""
    from bench import report
    from bench.protocol import register
    from bench.report import evidence
    from bench.report.artifacts import kept
    from bench.report.predictions import kept as with_predictions
    from bench.report.seal import seal

    if len(args.folders) < 2:
        raise RequestError("Expected two folders or more: bench merge A B --out DIR.")
    reads = [evidence.read(evidence.named(str(folder), folder.parent)) for folder in args.folders]
    same_sweep(reads)
    records, whose, differing = merged(reads)
    readers = [with_predictions(read.folder, kept(read.folder)) for read in reads]

    def reader(record: Record, name: str) -> str | None:
        return readers[whose[record.key or record.run_id]](record, name)

    logs = [register.read(read.folder / register.FILE) for read in reads]
    entries = register.merged(*logs)
    sweep = dataclasses.replace(reads[0].sweep, seeds=sorted({r.seed for r in records}))
    given = context(reads, entries, differing)
    written = report.write(sweep, records, args.out, given, reader)
    if written.look:
        register.append(args.out / register.FILE, written.look)
    if (args.out / register.FILE).exists():
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


def merged(reads: Sequence[Evidence]) -> tuple[list[Record], dict[str, int], list[str]]:
    """One record a point and seed, in the order of the first folder; whose it is; where two finished ones differ."""
    from bench.report.naming import point

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
                unlike = sorted(n for n in {*before.metrics, *record.metrics} if _unlike(before, record, n))
                if unlike:
                    name = unlike[0] if "test/accuracy" not in unlike else "test/accuracy"
                    one, other = (r.metrics.get(name) for r in (before, record))
                    differing.append(
                        f"{point(record.axes)}, seed {record.seed}: {name} is {one} in {reads[whose[key]].folder} and "
                        f"{other} in {read.folder}; the first is kept."
                    )
    return list(found.values()), whose, differing


def _unlike(one: Record, other: Record, name: str) -> bool:
    """Whether a metric differs by more than sums in another order make of it."""
    a, b = one.metrics.get(name), other.metrics.get(name)
    return a is None or b is None or abs(a - b) > 1e-6 + 1e-4 * max(abs(a), abs(b))


def context(reads: Sequence[Evidence], entries: Sequence[dict[str, Any]], differing: Sequence[str]) -> dict[str, Any]:
    """What the merged table has to say beside its numbers: what each said, the log of both, and what differs."""
    given = dict(reads[0].context)
    given["edited"] = [f"{read.folder.name}: {fault}" for read in reads for fault in read.changed]
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
