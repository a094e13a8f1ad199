"""The best classifier for a folder of images that fits in some minutes; nothing to choose.

    bench auto photos                       one sub-folder a class
    bench auto photos --minutes 15

Looks at the labels, splits, tries candidates from cheap to dear on val, scores the best one on test once, and leaves in
auto/NAME/ a report and the exported model. Ctrl-C ends the search and keeps the best so far. Needs no network.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.once import once
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.auto.search import Search, Tried

SUMMARY = "the best classifier for a folder of images"

REPORT = 0.15  # of the time is kept for test, report and export


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with one sub-folder of images a class")
    parser.add_argument("--minutes", type=float, default=5, help="how long it may take (default: 5)")
    parser.add_argument("--out", type=Path, help="folder for report and model (default: auto/NAME)")
    parser.add_argument("--uri", help="another store than mlflow.db here")


@once
def main(args: argparse.Namespace) -> int:
    """Search, finish, and say how to use what was found."""
    started = time.monotonic()
    if not 0 < args.minutes < math.inf:  # nan too
        raise RequestError(f"--minutes: expected more than 0, got {args.minutes:g}.")
    from bench.auto import finish, folder
    from bench.auto.cached import cached_families
    from bench.auto.candidates import families
    from bench.auto.search import Search, sampler
    from bench.track.store import Store

    sampler()  # says now that a library is missing
    out = args.out or Path("auto") / args.folder.resolve().name
    data, found = folder.read(args.folder)
    say = View(started, args.minutes, quiet=args.json)
    for line in folder.summary(data, found):
        say.line(line)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # now, and not when the search is over
        raise RequestError(f"--out: {out} cannot be made ({error.strerror}). Say another folder.") from None
    store = Store(args.uri)
    store.experiment(finish.EXPERIMENT)
    store.check_place(finish.EXPERIMENT)
    base = folder.base(args.folder)
    search = Search(data, base, started + 60 * args.minutes * (1 - REPORT), say.tell)
    stopped = False
    try:
        search.run(families(data, cached_families()))
    except KeyboardInterrupt:
        stopped = True
    say.end()
    best = search.best
    if best is None:
        if stopped:
            raise KeyboardInterrupt
        notes = "; ".join(f"{t.name}: {t.note}" for t in search.tried)
        raise RequestError(f"Nothing came to an end in {args.minutes:g} minutes. Say more --minutes. ({notes})")
    if stopped:
        say.line("Stopped. The best so far is kept; once more Ctrl-C drops it.")
    record = finish.record_best(best, data, store)
    looked = finish.looks(best, data, store)
    page = finish.report(record, data, found, search, store, out, looked)
    model, problem = finish.export_run(record, store, out / "model")
    accuracy, low, high = finish.interval(record, len(data.test))
    seconds = time.monotonic() - started
    if args.json:
        print(json.dumps({
            "best": best.name, "run_id": record.run_id, "val_accuracy": best.accuracy, "test_accuracy": accuracy,
            "interval": [low, high], "test_looks": looked, "metrics": record.metrics, "tried": finish.facts(search),
            "seconds": seconds, "report": str(page), "model": model, "data": folder.facts(data, found),
            "stopped": stopped,
        }))  # fmt: skip
        return 0
    print(f"\nbest    {best.name}")
    times = "looked at once" if looked == 1 else f"scored by {looked} runs so far: choose no more by them"
    print(f"test    {accuracy:.1%} right, 95% interval {low:.1%} to {high:.1%} ({len(data.test)} images, {times})")
    print(f"        val {best.accuracy:.1%}; macro F1 on test {record.metrics['test/macro_f1']:.1%}")
    for finding in found.findings:
        if finding.level == "error":
            print(f"        not to be relied on: {finding.reason}")
    print(f"report  {page}   (open it in a browser)")
    if problem:
        print(f"        not exported: {problem}")
    print(f"run     {record.run_id}   {seconds:.0f} s in all")
    print(f"use it  bench predict {model} IMAGE...\n        bench serve {model}")
    return 0


class View:
    """Progress on standard error: a line a candidate, and on a terminal one that changes, with the best so far."""

    def __init__(self, started: float, minutes: float, quiet: bool) -> None:
        self.started, self.minutes, self.quiet = started, minutes, quiet
        self.best = ""
        self.highest = -1.0
        self.live = sys.stderr.isatty() and not quiet

    def line(self, text: str) -> None:
        """A line that stays."""
        if not self.quiet:
            self.end()
            print(text, file=sys.stderr, flush=True)

    def tell(self, text: str, outcome: Tried | None) -> None:
        """What goes on, or what became of a candidate."""
        if outcome is not None:
            if outcome.result is not None and (outcome.accuracy or 0) > self.highest:
                self.highest = outcome.accuracy or 0
                self.best = f"best so far: {outcome.name}, val {outcome.accuracy:.1%}"
            said = f"{outcome.accuracy:6.1%}" if outcome.accuracy is not None else "      "
            note = f"   {outcome.note}" if outcome.note else ""
            note = f", {outcome.epochs} epochs{note}" if outcome.epochs and not outcome.note else note
            self.line(f"  {said}  {outcome.seconds:6.1f} s  {outcome.name}{note}")
        elif self.live:
            gone = time.monotonic() - self.started
            now = f"\r\033[K{gone:4.0f} of {60 * self.minutes:.0f} s | {self.best or 'nothing yet'} | {text}"
            print(now[:150], end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line that changes."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


__all__ = ["Search", "main", "options"]
