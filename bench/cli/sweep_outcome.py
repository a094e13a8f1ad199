"""What `bench sweep` says of a launch that is over: counts, how to go on, the exit status."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from bench.cli.announce import say
from bench.schema.names import make_printable

if TYPE_CHECKING:
    from bench.analysis.artifacts import Reader
    from bench.schema.sweep import Sweep
    from bench.sweep.completed import Completed
    from bench.sweep.launch_result import LaunchResult
    from bench.sweep.plan import Point
    from bench.track.record import Record
    from bench.track.store import Store


def count_runs(
    planned: list[Point],
    before: Completed,
    todo: list[Point],
    outcome: LaunchResult | None,
    after: Completed,
    unknown: int,
) -> dict[str, int]:
    """The numbers of the summary; `unknown` runs wait for a choice."""
    failed = {p.key for p in after.with_status(planned, "failed")}
    if outcome is not None:
        failed |= {r.key for r in outcome.ran if r.status == "failed"}
    return {
        "planned": len(planned) + unknown,
        "skipped": len(planned) - len(todo),
        "committed": len(before.committed),
        "ran": len(outcome.ran) + outcome.undelivered if outcome else 0,
        "elsewhere": len(outcome.elsewhere) if outcome else 0,
        "undelivered": outcome.undelivered if outcome else 0,
        "left": (outcome.left if outcome else len(todo)) + unknown,
        "failed": len(failed),
    }


def failed_before(failed: list[Point], before: Completed) -> str:
    """What failed in an earlier launch, and what runs it again; "" for nothing."""
    if not failed:
        return ""
    text = f"{len(failed)} failed before; --retry-failed runs them again."
    stopped = sum("trainer.max_minutes" in before.found[p.key].reason for p in failed)
    if stopped:
        text += f" {stopped} of them ran out of time: with a higher trainer.max_minutes they go on where they stopped."
    return text


def finish(args: argparse.Namespace, failed: str, counts: dict[str, int], outcome: LaunchResult | None) -> int:
    """Say how to go on; the exit status."""
    if failed and not args.retry_failed:
        say(failed)
    if counts["undelivered"]:
        say(
            f"{counts['undelivered']} results wait for the store; the same command, or 'bench sync' with the same "
            "tracking.uri, delivers them."
        )
    if args.fail_fast and counts["failed"] and counts["left"]:
        say(f"Stopped at the first failure, {counts['left']} runs to do. The same command goes on without that one.")
    if outcome is not None and outcome.signal:
        say(f"Interrupted with {counts['left']} runs to do. The same command goes on where this one stopped.")
        return 128 + outcome.signal
    if not args.json:
        say(following(args))
    unfinished = counts["failed"] or counts["undelivered"] or (outcome is not None and outcome.left)
    return 1 if unfinished else 0


def following(args: argparse.Namespace) -> str:
    """The command that does the next thing with the same sweep, as this one was called."""
    from bench.cli.sweep_arguments import of_hydra

    options = ["--scale", args.scale, *(["--parts", args.parts] if args.parts else [])]
    options += ["--confirm"] if args.confirm else []
    if args.dry_run:
        named = ["--axes", *args.axes] if args.axes else []
        options += ["--name", args.name] if args.name else []
        options += ["--seeds", args.seeds] if args.seeds else []
        for flag in ("retry_failed", "fresh", "fail_fast"):
            options += [f"--{flag.replace('_', '-')}"] if getattr(args, flag) else []
        options += ["--workers", str(args.workers)] if args.workers else []
        return f"Next: bench sweep {shlex.join([*args.words, *named, *options])}   runs it"
    # What --axes stated is kept under its name, with its seeds and settings.
    words = [args.name or "adhoc"] if args.axes else [w for w in args.words if not of_hydra(w)]
    options += ["--seeds", args.seeds] if args.seeds and not args.axes else []
    return f"Next: bench table {shlex.join([*words, *options])}   writes the table, the figure and the verdicts"


def print_table(sweep: Sweep, records: list[Record], reader: Reader | None) -> None:
    """The table on the terminal, where the sweep states one."""
    from bench.report import tables

    if sweep.table is not None and any(r.status == "finished" for r in records):
        print("\n" + make_printable(tables.text(sweep, records, reader=reader)))


def needs_description(store: Store, title: str, outcome: LaunchResult | None) -> bool:
    """Whether the sweep's parent run should be told how things stand."""
    from bench.sweep.parent_run import lacks_description

    if outcome is None:
        return lacks_description(store, title)
    return bool(outcome.ran or outcome.signal) and not outcome.undelivered and not outcome.cut
