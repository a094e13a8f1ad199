"""Run a sweep: plan it, skip what is done, run the rest in warm workers.

    bench sweep batchnorm --scale smoke
    bench sweep mine.yaml --dry-run
    bench sweep --axes model=linear,dnn optim.lr=0.1,0.01 --seeds 3 dataset=digits
    bench sweep batchnorm tracking.uri=http://HOST:5000 hydra/launcher=submitit_slurm --workers 32

The same command goes on after an interruption or a kill, and runs only what is new. Without hydra/launcher=... (basic,
joblib, ray, submitit_slurm) runs go to warm workers on this machine. 'bench table NAME' writes table and verdicts.
Exit status: 0 all finished, 1 something failed or was left, 2 the request was wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from bench.cli.announce import say
from bench.cli.once import once
from bench.schema.names import make_printable

SUMMARY = "plan a sweep, skip what is done, run the rest"

SHOWN = 200  # points of a plan that are listed
ALWAYS = ("planned", "skipped", "ran", "failed")  # counts that are shown even where they are 0

if TYPE_CHECKING:
    from bench.schema.sweep import Sweep
    from bench.sweep.completed import Completed
    from bench.sweep.plan import Point
    from bench.sweep.tuning import Phases
    from bench.track.store import Store


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument(
        "words", nargs="*", metavar="NAME | OVERRIDE", help="a sweep's name or file, then Hydra overrides"
    )
    parser.add_argument(
        "--axes", nargs="+", default=[], metavar="AXIS=VALUES", help="axes of a sweep without a file: model=linear,dnn"
    )
    parser.add_argument("--name", help="name of a sweep without a file (default: adhoc)")
    parser.add_argument("--scale", help="smoke, small or full (default: small)", default="small")
    parser.add_argument("--seeds", help="a count, or a list such as 0,1,7")
    parser.add_argument(
        "--confirm", action="store_true", help="run the claims again on as many fresh seeds, judged on these alone"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and run nothing")
    parser.add_argument("--fail-fast", action="store_true", help="begin nothing more after the first run that fails")
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed before")
    parser.add_argument(
        "--fresh", action="store_true", help="run also what is done according to the records committed in results/"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="worker processes, or a launcher's jobs (default: one a core or GPU)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        metavar="MIN",
        help="minutes to wait for a store that went away (default: 10)",
    )


@once
def main(args: argparse.Namespace) -> int:
    """Plan and run; 0 when every point is finished, 1 when one failed, 130 when interrupted."""
    from bench.analysis.predictions import readable
    from bench.cli.sweep_arguments import confirming, experiment_name, of_hydra, requested_sweep, seeds
    from bench.cli.sweep_launch import launch_points, thread_counts
    from bench.cli.sweep_outcome import count_runs, failed_before, finish, needs_description, print_table
    from bench.protocol.register import find_breaks, log_file
    from bench.schema.science import flat_settings
    from bench.sweep import cluster
    from bench.sweep.changed import run_again
    from bench.sweep.completed import completed_after, ended_runs, find_completed
    from bench.sweep.parent_run import describe
    from bench.sweep.plan import at_scale, points, records_of
    from bench.sweep.tuning import Phases
    from bench.track.spool import Spool
    from bench.track.store import Store, existing
    from bench.train.stacked.which import explain_alone

    named, words = requested_sweep(args, keep=not args.dry_run)
    launcher = [w for w in words if of_hydra(w)]
    if launcher:
        cluster.name_of(launcher)  # refused before a plan promises it, or the launch is registered
    sweep = at_scale(named, args.scale, None if args.confirm else seeds(args.seeds))
    title = experiment_name(sweep.name, args.scale)
    if args.confirm:
        sweep, title = confirming(sweep, title, seeds(args.seeds), [w for w in words if w not in launcher])
    every = points(sweep, [w for w in words if w not in launcher])
    uri, waiting = every[0].experiment.tracking.uri, Spool().pending()
    store = Store(uri) if waiting else existing(uri)  # a look at the plan makes none
    if store is not None:
        store.deliver_waiting(waiting, say)
    before = find_completed(every, title, store, args.fresh)
    phases = Phases(sweep, every, before.ended(args.retry_failed))
    planned = phases.planned()
    broken = [f"results/{title}/{line}" for line in find_breaks(log_file(title))[:3]]
    for line in [*(store.oddities if store is not None else []), *broken]:
        say(f"warning: {line}")
    todo, failed = points_to_run(planned, before, args.retry_failed)
    say(f"{title}: {sweep.question}")
    say("plan: " + plan_line(planned, before, todo, failed, phases))
    for line in (*run_again(todo, phases.count(), title, store), *explain_alone([point.experiment for point in todo])):
        say(line)
    if args.dry_run:
        from bench.analysis.power import forecast  # scipy.stats, which no launch waits for

        show_plan(args, planned, todo, before, store, title, phases)
        for line in forecast(sweep, ended_runs(sweep, title, store), flat_settings(every[0].experiment)):
            say(line)
    outcome, after = None, before
    if not args.dry_run:
        Spool(sweep=title).forget({p.key for p in before.with_status(planned, "finished")})
    if todo and not args.dry_run:
        warn(every, sweep, title)
        register(phases, sweep, title, store, before)
        store, outcome = launch_points(args, phases, todo, title, store, before, launcher)
        after = completed_after(every, before, outcome, title, store, args.fresh, say)
        phases.end(after.found.values())
        planned = phases.planned()
        thread_counts(after.found[p.key] for p in planned if p.key in after.found)
        asked = {p.key for p in todo}
        todo = [p for p in planned if p.key not in before.found or p.key in asked]
    records = records_of(sweep, planned, after.found)
    reader = readable(after.reader(title, store)) if store is not None and after.complete else None
    if store is not None and not args.dry_run and after.complete and needs_description(store, title, outcome):
        from bench.sweep.statement import statement_of

        interrupted = outcome is not None and bool(outcome.signal)
        describe(store, title, sweep, records, reader, interrupted, statement_of(named))
    counts = count_runs(planned, before, todo, outcome, after, phases.unknown())
    if args.json:
        print(json.dumps({"sweep": title, **counts}))
    else:
        print(" · ".join(f"{count} {word}" for word, count in counts.items() if count or word in ALWAYS))
        if not args.dry_run:
            print_table(sweep, records, reader)
    return finish(args, failed_before(failed, before), counts, outcome)


def show_plan(
    args: argparse.Namespace,
    planned: list[Point],
    todo: list[Point],
    before: Completed,
    store: Store | None,
    title: str,
    phases: Phases,
) -> None:
    """The points of a plan, and what those to do will take by the runs that there are already."""
    from bench.sweep import machine
    from bench.sweep.estimate import estimate
    from bench.sweep.view import duration

    waiting = {p.key for p in todo}
    if not args.json:
        for point in planned[:SHOWN]:
            record = before.found.get(point.key)
            print(
                make_printable(
                    f"{'to do' if point.key in waiting else record.status if record else '-':<9} {point.name}"
                )
            )
        if len(planned) > SHOWN:
            print(f"... and {len(planned) - SHOWN:,} more")
        if phases.unknown():
            print(f"later     {phases.unknown():,} judged runs, of what the tuning runs choose")
    records = [*before.found.values(), *(store.records(title) if store is not None else [])]
    found = estimate(todo, records, store, phases.unknown())
    if found.seconds is None:
        say("No run of this sweep has ended yet: there is nothing to estimate time and disk from." if todo else "")
        return
    trainer = todo[0].experiment.trainer
    places = min(args.workers or machine.places(trainer.accelerator, trainer.devices), len(todo))
    size = f", {found.megabytes:,.0f} MB of files" if found.megabytes is not None else ""
    say(
        f"estimate: {duration(found.seconds)} of training, about {duration(found.seconds / places)} with {places} at "
        f"once{size}; by {found.runs} earlier runs"
    )


def warn(planned: list[Point], sweep: Sweep, title: str) -> None:
    """Check the protocol before compute is spent: errors stop, warnings are told (and stamped onto the table)."""
    from bench.protocol.lint import findings, require, warn_untested
    from bench.schema.own import uses_own_code

    found = findings([p.experiment for p in planned], [p.data for p in planned], len(sweep.claims), sweep.replicates)
    require(found, sweep.allow, title)
    warn_untested([p.experiment for p in planned], [p.data for p in planned])
    if uses_own_code(p.experiment for p in planned):
        from bench.rehearsal import rehearse

        for one in rehearse([p.experiment for p in planned]):
            say(str(one))
    for finding in found:
        if finding.name not in sweep.allow:
            say(f"{finding.level}: {finding.name}: {finding.reason}")


def register(phases: Phases, sweep: Sweep, title: str, store: Store | None, before: Completed) -> None:
    """Write down what is claimed and which seeds are planned, before anything runs."""
    from bench.analysis.settings import settings_of
    from bench.protocol import register as log
    from bench.schema.claim import digest
    from bench.schema.science import flat_settings
    from bench.schema.sweep import seeds_of

    if sweep.claims:
        ended = sum(p.key in before.found for p in phases.planned())
        path, known = log.log_file(title), log.read_stored(store, title)
        every = phases.every
        configs = [flat_settings(p.experiment) for p in every]
        settings = settings_of(sweep, configs, [p.data for p in every], [p.axes for p in every])
        if log.launch(path, digest(sweep.claims), seeds_of(sweep.seeds), ended, phases.count(), settings, known):
            say(f"claims and {len(seeds_of(sweep.seeds))} seeds registered: {path}")


def points_to_run(planned: list[Point], before: Completed, retry: bool) -> tuple[list[Point], list[Point]]:
    """The points to run, in the order to run them, and those that failed before."""
    from bench.sweep.plan import widest_first

    failed = before.with_status(planned, "failed")
    again = {p.key for p in failed} if retry else set()
    return widest_first(p for p in planned if p.key not in before.found or p.key in again), failed


def plan_line(planned: list[Point], before: Completed, todo: list[Point], failed: list[Point], phases: Phases) -> str:
    """The plan in one line."""
    parts = [f"{phases.count()} runs", f"{len(before.with_status(planned, 'finished'))} finished"]
    if before.committed:
        parts[-1] += f" ({len(before.committed)} from committed records)"
    if tuning := sum(p.tuning for p in planned):
        parts[0] += f" ({tuning} to choose, {phases.count() - tuning} to judge)"
    return ", ".join([*parts, f"{len(todo) + phases.unknown()} to do", f"{len(failed)} failed before"])
