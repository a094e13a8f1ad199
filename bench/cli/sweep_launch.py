"""Running what a plan left to do: here, or through one of Hydra's launchers."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.cli.announce import say
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.sweep.completed import Completed
    from bench.sweep.launch_result import LaunchResult
    from bench.sweep.plan import Point
    from bench.sweep.tuning import Phases
    from bench.track.record import Record
    from bench.track.store import Store


def launch_points(
    args: argparse.Namespace,
    phases: Phases,
    todo: list[Point],
    title: str,
    store: Store | None,
    before: Completed,
    launcher: list[str],
) -> tuple[Store, LaunchResult]:
    """Run what is to do, here or through one of Hydra's launchers; gives the store too, made where there was none."""
    from bench.protocol.register import log_file, publish
    from bench.sweep import cluster, machine
    from bench.sweep.launch import Launch
    from bench.sweep.pool import workers
    from bench.sweep.signals import Stopping
    from bench.sweep.view import Live
    from bench.track.spool import Spool
    from bench.track.store import Store

    if args.workers is not None and args.workers < 1:
        raise RequestError(f"--workers {args.workers}: expected at least 1.")
    trainer, uri = todo[0].experiment.trainer, todo[0].experiment.tracking.uri
    # By the whole plan: a run's share of the cores is then the same however much of the sweep is done already.
    total, expected = phases.count(), len(todo) + phases.unknown()
    places = min(args.workers or machine.places(trainer.accelerator, trainer.devices), total)
    count = min(places, expected)
    ids = {r.run_id for r in before.stored.values()}
    if launcher and cluster.name_of(launcher) != cluster.LOCAL:
        if args.fail_fast:
            raise RequestError("--fail-fast is for the workers of this machine: jobs of a launcher know of no other.")
        store = store or Store(uri)
        publish(store, title, log_file(title))
        if (threads := cluster.threads(launcher, args.workers, total, trainer)) is not None:
            thread_counts(before.found.values(), trainer.threads or threads)
        spool = Spool(store=store.address)
        with Live(expected, 0) as live:
            outcome = cluster.launch(
                todo, title, store, spool, ids, args.workers, total, live, launcher, 60 * args.patience
            )
            phases.end([*outcome.ran, *outcome.elsewhere])
            # Jobs of a launcher are told their points beforehand: what was chosen is a launch of its own.
            asked = {p.key for p in todo} | phases.ended.keys()
            more = [p for p in phases.planned() if p.key not in asked]
            if outcome.signal:
                outcome.left += len(more)
            elif more:
                outcome.add(
                    cluster.launch(
                        more, title, store, spool, ids, args.workers, total, live, launcher, 60 * args.patience
                    )
                )
        say(live.summary())
        return store, outcome
    threads = machine.threads(places)
    thread_counts(before.found.values(), trainer.threads or threads, count)
    with (
        Live(expected, count, Spool(sweep=title)) as live,
        workers(count, trainer.devices, trainer.accelerator, threads) as pool,
    ):
        store = store or Store(uri)  # the workers import meanwhile
        publish(store, title, log_file(title))
        stop = Stopping(live.say)
        outcome = Launch(
            todo, title, store, Spool(store=store.address), ids, pool, live, 60 * args.patience, stop,
            fail_fast=args.fail_fast, follow=phases.follow,
        ).run()  # fmt: skip
    say(live.summary())
    return store, outcome


def thread_counts(records: Iterable[Record], planned: int | None = None, workers: int | None = None) -> None:
    """Say how many threads runs get, and where that is not one number: sums in another order have other last digits.

    Args:
        planned: of the runs to come; None where all have ended.
        workers: how many there are at once, where that is known.
    """
    found = Counter(int(r.provenance.get("threads", 0)) for r in records if r.status == "finished")
    found.pop(0, None)
    if planned is not None and workers is not None:
        say(f"{workers} worker{'s'[: workers > 1]} with {planned} thread{'s'[: planned > 1]} each")
    if planned is not None and found.keys() - {planned}:
        others = ", ".join(f"{n} with {count}" for count, n in sorted(found.items()) if count != planned)
        say(
            f"warning: these runs train with {planned} thread{'s'[: planned > 1]}, earlier ones not ({others}): "
            "last digits may differ. trainer.threads=N, or another --workers, makes all alike."
        )
    if planned is None and len(found) > 1:
        counts = ", ".join(f"{n} with {count}" for count, n in sorted(found.items()))
        say(f"warning: runs were trained with several numbers of threads ({counts}); the table says so.")
