"""The largest lr that is stable, by one short training in which it rises (lr range test, Smith 2017, arXiv:1506.01186).

    bench lr dataset=mnist5k model=cnn optim=sgd
    bench lr recipe=airbench model=resnet20 --to 30 --steps 300

Prints the loss along the lr, the largest stable lr, and an override to begin a search with. A third of the largest
stable lr is a place to begin, no result: choose on val, with a sweep over a few lrs around it. Nothing is recorded; val
and test are not looked at.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.train.range_test import Found

SUMMARY = "the largest stable lr, by a short training in which it rises"

ROWS = 24  # of the curve
WIDTH = 40
SHARE = 1 / 3  # of the largest stable lr


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="the experiment, as for bench run")
    parser.add_argument("--from", dest="low", type=float, default=1e-5, metavar="LR", help="smallest lr (0.00001)")
    parser.add_argument("--to", dest="high", type=float, default=10.0, metavar="LR", help="largest lr (10)")
    parser.add_argument("--steps", type=int, default=200, help="steps from one to the other (200)")


def main(args: argparse.Namespace) -> int:
    """Run the test and print what it shows."""
    from bench import data as images
    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.train.range_test import range_test

    exp = experiment(compose(args.overrides))
    data = images.load(exp.dataset, exp.split)
    found = range_test(exp, data, network(exp, data), args.low, args.high, args.steps)
    begin = float(f"{found.stable * SHARE:.1g}")
    if args.json:
        print(json.dumps({**dataclasses.asdict(found), "override": f"optim.lr={begin:g}"}))
        return 0
    print("\n".join(curve(found)))
    if found.ended:
        print(f"\nlowest loss at lr {found.lowest:.2g}; stable up to {found.stable:.2g}")
    else:
        more = f"go on with --to {args.high * 10:g}"
        print(f"\nlowest loss at lr {found.lowest:.2g}; still stable at {found.stable:.2g}: {more}")
    print(f"to begin with: optim.lr={begin:g}   (a third of it; choose on val, with a sweep around it)")
    return 0


def network(exp: Any, data: Any) -> Any:
    """The Experiment's network as its training begins with it.

    Raises:
        RequestError: for the weights of an earlier run.
    """
    from bench import models
    from bench.models import transfer
    from bench.schema.errors import RequestError

    if exp.transfer.mode == "scratch":
        return models.build(exp, data.shape, len(data.classes))
    if exp.transfer.weights.startswith("run:"):
        raise RequestError("bench lr does not fetch the weights of a run: name their file, transfer.weights=file:PATH.")
    net = models.build(exp, data.shape, len(data.classes))
    transfer.initialise(exp, net)
    return net


def curve(found: Found) -> list[str]:
    """The smoothed loss along the lr, a line for some of the steps; `*` marks the largest stable lr."""
    low, high = min(found.smooth), max(found.smooth)
    step = max(1, len(found.lrs) // ROWS)
    places = sorted({*range(0, len(found.lrs), step), found.lrs.index(found.stable)})
    lines = [f"{'lr':>10} {'loss':>8}"]
    for i in places:
        bar = "#" * (1 + round((WIDTH - 1) * (found.smooth[i] - low) / ((high - low) or 1)))
        mark = "  * largest stable" if found.lrs[i] == found.stable else ""
        lines.append(f"{found.lrs[i]:>10.2g} {found.smooth[i]:>8.4f} {bar}{mark}")
    return lines
