"""Run cells of a committed sweep again and compare.

    bench reproduce batchnorm                three cells, the committed seeds
    bench reproduce batchnorm --cells all --seeds new
    bench reproduce batchnorm --check        only whether the committed files agree with each other
    bench reproduce my_photos dataset.root=/data/photos
    bench reproduce their_idea --with-parts  own code that is not here: the recorded one is shown, then run

First the files in results/NAME are checked against each other: a number that was changed by hand is found. Then cells
are run again from the settings in records.csv, in a scratch place that counts for nothing else. Each cell is
identical (same seeds, every metric equal to the last digit), equal within rounding, compatible (paired differences of
the same seeds, or the prediction interval of the committed ones, show none; what could have been missed is said) or
different. Last, how this environment differs, most suspicious first.
Exit status 1 when a cell is different or the files contradict each other.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.announce import say

if TYPE_CHECKING:
    from bench.report.causes import Difference
    from bench.report.evidence import Evidence
    from bench.report.reproduce import CellVerdict
    from bench.track.record import Record

SUMMARY = "run cells of committed results again and compare"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="+", metavar="NAME | SETTING=VALUE", help="a sweep in results/, then settings")
    parser.add_argument("--cells", default="3", help="how many, spread over the table, or 'all' (default: 3)")
    parser.add_argument(
        "--cell",
        action="append",
        default=[],
        metavar="AXIS=VALUE",
        help="only these cells: norm_layer=batch,optim.lr=0.1",
    )
    parser.add_argument("--seeds", choices=("same", "new"), default="same", help="committed seeds or as many new ones")
    parser.add_argument("--check", action="store_true", help="check the committed files, run nothing")
    parser.add_argument("--with-parts", action="store_true", help="show the recorded source of own parts, then run it")
    parser.add_argument("--workers", type=int, help="worker processes (default: cores / recorded threads)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")


def main(args: argparse.Namespace) -> int:
    """Check, run again, compare; 0 when nothing differs."""
    from bench.protocol import register
    from bench.report import evidence, integrity

    name, overrides = split(args.words)
    read = evidence.read(evidence.folder_named(name, args.results))
    faults = [
        *integrity.faults(read),
        *integrity.page_faults(read.folder.parent),
        *register.find_breaks(read.folder / register.FILE),
    ]
    say(f"{read.name}: {read.sweep.question}")
    for fault in faults:
        say(f"CONTRADICTION  {fault}")
    if not faults:
        say(f"files: {len(read.manifest.get('files', {}))} agree with the records and the manifest")
    cells: list[CellVerdict] = []
    differences: list[Difference] = []
    if not args.check:
        chosen, count = choose(read, args)
        runs = [record for each in chosen for record in each]
        with recorded_parts(read, runs) if args.with_parts else contextlib.nullcontext():
            cells, differences = rerun(read, args, overrides, chosen, count)
    different = bool(faults) or any(c.word == "different" for c in cells)
    if args.json:
        print(json.dumps(data(read, faults, cells, differences, different)))
    else:
        print(text(cells, differences))
        print(outcome(cells, different))
    return 1 if different else 0


def outcome(cells: list[CellVerdict], different: bool) -> str:
    """The last word: REPRODUCED is equal, within rounding at most; anything else that fits is COMPATIBLE."""
    if different:
        return "DIFFERENT"
    if not cells:
        return "CONSISTENT"
    equal = all(c.word in ("identical", "equal within rounding") for c in cells)
    return "REPRODUCED" if equal else "COMPATIBLE" if all(c.word != "undecided" for c in cells) else "UNDECIDED"


def split(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The sweep's name, and settings given as NAME=VALUE."""
    from bench.compose.overrides import override_value, parse
    from bench.schema.errors import RequestError

    names = [w for w in words if "=" not in w]
    if len(names) != 1:
        raise RequestError(
            f"Expected the name of one sweep in results/, got {len(names)}: {' '.join(names) or 'none'}."
        )
    return names[0], {o.key_or_group: override_value(o) for o in parse([w for w in words if "=" in w])}


@contextlib.contextmanager
def recorded_parts(read: Evidence, records: list[Record]) -> Iterator[None]:
    """Inside, own parts are those of these runs, from the source that was kept, which is shown before.

    Raises:
        RequestError: where none was kept, or the person who was asked says no.
    """
    from bench.analysis.artifacts import KEPT, read_kept
    from bench.parts import source
    from bench.parts.listing import only_from
    from bench.schema.errors import RequestError
    from bench.schema.own import SOURCE

    reader = read_kept(read.folder)
    files = source.files([text for r in records if (text := reader(r, SOURCE)) is not None], str(read.folder / KEPT))
    if not files:
        raise RequestError(f"{read.folder}: no source of own parts was kept with these cells. Leave out --with-parts.")
    for name, text in files.items():
        say(f"\n---- {name}, as recorded ----\n{text.rstrip()}")
    say("----")
    if sys.stdin.isatty() and input("Run this code? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RequestError("Nothing was run.")
    with tempfile.TemporaryDirectory(prefix="imagebench-parts-") as root, only_from(source.lay_out(files, Path(root))):
        yield


def choose(read: Evidence, args: argparse.Namespace) -> tuple[list[list[Record]], int]:
    """The finished runs of each cell to run again, and how many cells there are.

    Raises:
        RequestError: where none has what is asked for.
    """
    from bench.analysis.frame import Frame
    from bench.analysis.selection import judged_records
    from bench.report import reproduce
    from bench.schema.errors import RequestError
    from bench.schema.label import show

    # A split is a cell of its own here: only the seed can be compared with itself.
    frame = Frame(judged_records(read.sweep, read.records), dataclasses.replace(read.sweep, replicates=["seed"]))
    cells = [[r for r in runs.values() if r.status == "finished" and r.config] for runs in frame.points.values()]
    cells = [runs for runs in cells if runs and at(runs[0].axes, args.cell)]
    if not cells:
        what = f" at {', '.join(args.cell)}" if args.cell else ""
        there = "; ".join(f"{name}={', '.join(map(show, values))}" for name, values in frame.levels.items())
        there = f" Its cells: {there}." if args.cell else " There is nothing to run again."
        raise RequestError(f"{read.folder}: no finished run with its settings{what}.{there}")
    if args.cells != "all" and not args.cells.isdecimal():
        raise RequestError(f"--cells {args.cells}: expected a number from 1, or 'all'.")
    chosen = cells if args.cells == "all" or args.cell else reproduce.spread_out(cells, int(args.cells))
    return chosen, len(cells)


def rerun(
    read: Evidence, args: argparse.Namespace, overrides: dict[str, Any], chosen: list[list[Record]], cells: int
) -> tuple[list[CellVerdict], list[Difference]]:
    """Run cells again and judge them."""
    from bench.report import causes, reproduce
    from bench.restore import experiment_of
    from bench.schema.sweep import names
    from bench.sweep.machine import cores as processors
    from bench.sweep.rerun import rerun
    from bench.sweep.view import duration

    wanted, sizes = [], []
    for runs in chosen:
        seeds = [r.seed for r in runs]
        if args.seeds == "new":
            seeds = reproduce.new_seeds([r.seed for r in read.records], len(runs))
        for record, seed in zip(runs, seeds, strict=True):
            wanted.append((experiment_of(record, seed, threads(record), overrides), record.axes))
        sizes.append(len(runs))
    most = max(exp.trainer.threads or 1 for exp, _ in wanted)
    workers = args.workers or max(1, min(len(wanted), processors() // most))
    what = f"{len(wanted)} runs of {len(chosen)} of {cells} cells"
    took = [r.costs.get("cost/fit_seconds", 0.0) for runs in chosen for r in runs]
    about = f", about {duration(sum(took) / workers)} by what they took then" if all(took) else ""
    say(f"running {what} again, {args.seeds} seeds, {workers} at once{about}")
    count = 0

    def step(record: Record) -> None:
        nonlocal count
        count += 1
        axes = " · ".join(str(v) for v in record.axes.values())
        say(f"[{count}/{len(wanted)}] {axes} · seed {record.seed}: {record.reason or record.status}")

    made = rerun(wanted, workers, step)
    new, start = [], 0
    for size in sizes:
        new.append(made[start : start + size])
        start += size
    shown = names(read.sweep.table.metric) if read.sweep.table else ["test/accuracy"]
    # How long a run took is not what is reproduced.
    shown = [m for m in shown if not m.startswith("cost/") or m in ("cost/params", "cost/flops")] or ["test/accuracy"]
    before = [r for runs in chosen for r in runs]
    differences = [
        *causes.own_settings([r.config for r in before], overrides),
        *causes.environment([r.provenance for r in before], [r.provenance for r in made]),
    ]
    return reproduce.judge(chosen, new, shown), differences


def at(axes: dict[str, Any], wanted: list[str]) -> bool:
    """Whether a cell has the values that --cell asks for, by an axis' name or its last part."""
    from bench.schema.errors import RequestError, unknown_name
    from bench.schema.label import canonical_text

    for text in (one for words in wanted for one in re.split(r",(?=[\w.]+=)", words)):
        name, equals, value = text.partition("=")
        if not equals:
            raise RequestError(f"--cell {text}: expected AXIS=VALUE, such as --cell optim.lr=0.1.")
        found = [axis for axis in axes if name in (axis, axis.rpartition(".")[2])]
        if not found:
            raise unknown_name("axis of --cell:", name, axes)
        if canonical_text(axes[found[0]]) != canonical_text(value):
            return False
    return True


def threads(record: Record) -> int:
    """The thread count that a committed run had; one where it was not recorded, as that is what a worker has."""
    recorded = record.provenance.get("threads", "") or str(record.config.get("trainer.threads") or "")
    return int(recorded) if recorded.isdecimal() and int(recorded) else 1


def text(cells: list[CellVerdict], differences: list[Difference]) -> str:
    """What a person reads: a line a cell, then the environments."""
    from bench.analysis.naming import point
    from bench.schema.metric import metric

    lines = [f"{c.word.upper():<18} {point(c.at) or 'the only cell'}, {metric(c.metric).title}: {c.why}" for c in cells]
    if not cells:
        return ""
    if differences:
        lines += ["", "This environment differs, most suspicious first:"]
        lines += [f"  {d.name}: {d.then} -> {d.now}   ({d.why})" for d in differences]
    else:
        lines += ["", "This environment is the same in everything that was recorded."]
        if any(c.word != "identical" and "same seeds" in c.why for c in cells):
            lines.append(
                "Yet the numbers are not: an algorithm here is not deterministic (trainer.deterministic=true)."
            )
    return "\n".join(lines) + "\n"


def data(
    read: Evidence, faults: list[str], cells: list[CellVerdict], differences: list[Difference], different: bool
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "sweep": read.name,
        "different": different,
        "contradictions": faults,
        "cells": [
            {
                "axes": c.at,
                "metric": c.metric,
                "verdict": c.word,
                "then": c.then,
                "now": c.now,
                "low": None if math.isnan(c.low) else c.low,
                "high": None if math.isnan(c.high) else c.high,
                "why": c.why,
            }
            for c in cells
        ],
        "environment": [{"name": d.name, "then": d.then, "now": d.now, "why": d.why} for d in differences],
    }
