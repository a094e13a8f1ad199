"""Write a sweep's table, figures and verdicts, and print them.

    bench table batchnorm --scale smoke
    bench table batchnorm --records results/batchnorm/records.csv   from committed records, without a store

Everything goes to results/NAME/ (results/NAME-SCALE/ at other scales than small): records.csv, table.md, table.csv,
table.tex, table.html, figure.svg, figure.png, verdict.md, manifest.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.once import once
from bench.schema.secrets import redact_all, redact_text

if TYPE_CHECKING:
    from bench.analysis.artifacts import Reader
    from bench.schema.sweep import Sweep
    from bench.track.record import Record
    from bench.track.store import Store

SUMMARY = "table, figure and verdicts from the store"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="NAME | OVERRIDE", help="a sweep's name, then Hydra overrides")
    parser.add_argument("--axes", nargs="+", default=[], metavar="AXIS=VALUES", help="as given to bench sweep")
    parser.add_argument("--name", help="name of a sweep without a file (default: adhoc)")
    parser.add_argument("--scale", help="smoke, small or full (default: small)", default="small")
    parser.add_argument("--seeds", help="a count, or a list such as 0,1,7")
    parser.add_argument("--confirm", action="store_true", help="the fresh seeds of bench sweep NAME --confirm alone")
    parser.add_argument("--records", type=Path, metavar="CSV", help="read this records.csv instead of the store")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: results/NAME)")


@once
def main(args: argparse.Namespace) -> int:
    """Write the files and print the table; 0 also for verdicts that are open or refuted."""
    from bench import report
    from bench.cli.announce import store_may_refuse
    from bench.cli.sweep_arguments import confirming, experiment_name, requested_sweep, seeds
    from bench.protocol import register
    from bench.report.seal import seal
    from bench.sweep.parent_run import write_verdicts
    from bench.sweep.plan import at_scale

    named, overrides = requested_sweep(args)
    sweep = at_scale(named, args.scale, None if args.confirm else seeds(args.seeds))
    title = experiment_name(sweep.name, args.scale)
    if args.confirm:
        sweep, title = confirming(sweep, title, seeds(args.seeds), overrides, made=False)
    out = args.out or Path("results") / title
    store = None
    if args.records:
        records, reader, context = read_committed(args.records, sweep)
    else:
        records, reader, context, store = read_store(sweep, overrides, title)
    context = {"scale": args.scale, "command": command(args)} | context
    # Wherever the table goes, the sweep has one log: a look is none the less one for being written elsewhere.
    home = register.log_file(title)
    read = (home, out / register.FILE, *([args.records.parent / register.FILE] if args.records else []))
    logs = [register.read(path) for path in dict.fromkeys(read)]
    stored = context.pop("log", ())
    entries = register.merge(*logs, stored)
    for kind, name in (("launch", "registered"), ("look", "looks")):
        if found := register.merge(context.get(name, ()), [e for e in entries if e["event"] == kind]):
            context[name] = found
    if store is not None and (hidden := hidden_seeds(sweep, overrides, title, records, context, store)):
        context["not_shown"] = hidden
    # What is written is shown: of addresses only what may be.
    scales = {
        n: dataclasses.replace(s, **redact_all({"overrides": s.overrides, "axes": s.axes}))
        for n, s in sweep.scales.items()
    }
    sweep = dataclasses.replace(sweep, base=redact_all(sweep.base), axes=redact_all(sweep.axes), scales=scales)
    written = report.write(sweep, records, out, context, reader)
    is_new = written.look and written.look["verdicts"] not in [one["verdicts"] for one in context.get("looks", ())]
    for path in dict.fromkeys((home, out / register.FILE)):
        # What the store remembers goes with the results too: whoever gets them has no store.
        for entry in (*register.unknown(stored, register.read(path)), *([written.look] if is_new else ())):
            register.append(path, entry)
    if (out / register.FILE).exists():
        seal(out, [*written.files, register.FILE])
    if store is not None and sweep.claims:
        with store_may_refuse(f"The look at the claims is in {home}, and goes into the store with the next one"):
            register.publish(store, title, home)
            write_verdicts(store, title, out / "verdict.md")
    if args.json:
        print(json.dumps(written.data(), default=str))
    else:
        print(written.text(min(shutil.get_terminal_size((100, 24)).columns, 160)))
        print(f"\nNext: {following(out)}")
    return 0


def following(out: Path) -> str:
    """The command that makes the page of what was just written, and where that page then is."""
    folder = out.parent
    which = "" if folder == Path("results") else f" --results {shlex.quote(str(folder))}"
    return f"bench report{which}   makes the page {out / 'index.html'}"


def read_store(sweep: Sweep, overrides: list[str], title: str) -> tuple[list[Record], Reader, dict[str, Any], Store]:
    """The store's record of each planned point (points that never ran say so), how to read the runs' files, what the
    protocol lint and the ledger of test looks say, and the store.

    Raises:
        RequestError: when no point of the sweep was ever run.
    """
    from bench.cli.announce import say
    from bench.cli.sweep_arguments import experiment_name
    from bench.protocol import register
    from bench.protocol.ledger import decisions, looks
    from bench.protocol.lint import findings
    from bench.schema.errors import RequestError
    from bench.sweep.completed import find_completed
    from bench.sweep.plan import points, records_of
    from bench.sweep.tuning import Phases
    from bench.track.provenance import repository
    from bench.track.spool import Spool
    from bench.track.store import Store

    every = points(sweep, overrides)
    store = Store(every[0].experiment.tracking.uri)
    store.deliver_waiting(Spool().pending(), say)  # a look without what waits would be paid for, and say less
    completed = find_completed(every, title, store, fresh=False)
    for line in store.oddities:
        say(f"warning: {line}")
    planned = Phases(sweep, every, completed.found).planned()
    records = records_of(sweep, planned, completed.found)
    if all(record.status == "missing" for record in records):
        others = [
            s
            for s in ("smoke", "small", "full")
            if (name := experiment_name(sweep.name, s)) != title and store.records(name)
        ]
        raise RequestError(
            f"None of the {len(records)} runs of {title} is in {store.shown}. "
            + "".join(f"Runs at scale {scale} are: --scale {scale} shows them. " for scale in others)
            + f"Run them first: bench sweep {sweep.name} with the same --scale, --seeds and overrides."
        )

    experiments, keys = [p.experiment for p in planned], [p.data for p in planned]
    looked = looks(experiments, keys)
    deep = bool(sweep.allow)  # what is allowed may be about networks, which are built to see whether it occurs
    context = {
        "findings": [f.row() for f in findings(experiments, keys, len(sweep.claims), sweep.replicates, deep)],
        "test_looks": max(looked.values()),
        "test_decisions": decisions(experiments, keys, store, title),
        **({"repository": address} if (address := repository()) else {}),
        "log": register.read_stored(store, title),
    }
    return records, completed.reader(title, store), context, store


def hidden_seeds(
    sweep: Sweep, overrides: list[str], title: str, records: list[Record], context: dict[str, Any], store: Store
) -> list[int]:
    """Planned seeds that this table leaves out, and that have runs which ended."""
    from bench.analysis.registered import lost_seeds
    from bench.analysis.selection import ENDED
    from bench.sweep.plan import points

    lost = lost_seeds(sweep, records, context)
    keys = {p.key for p in points(dataclasses.replace(sweep, seeds=lost), overrides)} if lost else set()
    return sorted({r.seed for r in store.find(keys, title).values() if r.status in ENDED}) if keys else []


def read_committed(path: Path, sweep: Sweep) -> tuple[list[Record], Reader, dict[str, Any]]:
    """The records of a CSV file, and what the report kept beside it: the runs' files, the manifest's context.

    Raises:
        RequestError: for a file that is no records.csv, or holds another sweep's records.
    """
    from bench.report import evidence, seal
    from bench.schema.claim import digest
    from bench.schema.errors import RequestError
    from bench.sweep.completed import committed_files
    from bench.track.record import read_csv

    records = read_csv(path)
    others = sorted({r.sweep for r in records} - {sweep.name})
    if others:
        raise RequestError(f"{path} holds records of {', '.join(others)}, not of {sweep.name}.")
    reader = committed_files(path.parent)
    beside = path.parent / evidence.MANIFEST
    if not beside.exists():
        return records, reader, {}
    before = evidence.read(path.parent)
    context = evidence.context(before.manifest)
    # What is made anew from them may have been edited: that is gone now. Not so what it is made from.
    made_from = (*seal.SOURCES, seal.LOG)
    if edited := [fault for fault in before.changed if fault.startswith(made_from) and "missing" not in fault]:
        context["edited"] = list(dict.fromkeys([*context.get("edited", ()), *edited]))
    if digest(before.sweep.claims) != digest(sweep.claims):
        context.setdefault("claims_were", digest(before.sweep.claims))
    return records, reader, context


def command(args: argparse.Namespace) -> str:
    """The command that runs the sweep again."""
    words = ["bench", "sweep", *args.words, *(["--axes", *args.axes] if args.axes else [])]
    words += ["--name", args.name] if args.name else []
    words += ["--confirm"] if args.confirm else []
    words += ["--scale", args.scale] + (["--seeds", args.seeds] if args.seeds else [])
    return redact_text(" ".join(words))
