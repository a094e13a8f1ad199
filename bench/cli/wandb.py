"""Copy a sweep's runs from the store into Weights & Biases, beside MLflow.

    bench wandb batchnorm                      into the project imagebench of whoever is logged in ('wandb login')
    bench wandb batchnorm --project OWNER/NAME
    WANDB_MODE=offline bench wandb batchnorm   into ./wandb, for 'wandb sync' on a machine with a network

One run there for each run here, under its run key: settings, final numbers, curves, and the sweep as its group. Calling
it again adds what is new. Training never waits for it: it reads what has been delivered to the store.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.schema.errors import Missing, RequestError

if TYPE_CHECKING:
    from bench.track.record import Record

SUMMARY = "copy runs of the store into Weights & Biases"

KEY = 32  # letters of the run key that name a run; W&B takes 64 at most
PROJECT = "imagebench"
PLACE = re.compile(r"([\w.-]+/)?[\w.-]+")


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="+", metavar="NAME | OVERRIDE", help="a sweep's experiment; tracking.uri=...")
    parser.add_argument("--project", default=PROJECT, metavar="[OWNER/]NAME", help=f"default: {PROJECT}")


def main(args: argparse.Namespace) -> int:
    """Copy; 0 also where nothing was new."""
    from bench.compose import compose
    from bench.schema.errors import unknown_name
    from bench.schema.experiment import experiment
    from bench.track.store import Store

    try:
        import wandb
    except ImportError:
        raise RequestError("Weights & Biases needs pip install 'imagebench[wandb]'.") from None
    store = Store(experiment(compose([w for w in args.words if "=" in w])).tracking.uri)
    names = [w for w in args.words if "=" not in w]
    known = store.experiments()
    if len(names) != 1:
        raise RequestError(f"Expected one sweep, got {', '.join(names) or 'none'}. The store has: {', '.join(known)}.")
    if names[0] not in known:
        raise unknown_name("experiment", names[0], known, f"The store has: {', '.join(known) or 'none'}.")
    if not PLACE.fullmatch(args.project):
        raise RequestError(f"--project {args.project}: expected a project, or OWNER/NAME, of letters, digits, - _ .")
    owner, _, project = args.project.rpartition("/")
    records = [r for r in store.records(names[0]) if r.key and r.run_id]
    where = {"project": project, "entity": owner or None, "group": names[0]}
    with tempfile.TemporaryDirectory() as scratch:
        for number, record in enumerate(records, 1):
            name = store.tag_of(record.run_id, "mlflow.runName") or record.key[:KEY]
            curves: list[dict[str, float]] = []
            with contextlib.suppress(Missing):
                curves = _curves(store.artifact(record.run_id, "curves.csv", Path(scratch)))
            try:
                _copy(wandb, record, curves, {**where, "name": name})
            except (wandb.Error, OSError) as error:
                raise RequestError(
                    f"Weights & Biases did not take run {number} of {len(records)}: {str(error).splitlines()[0]} "
                    "'wandb login' once, or WANDB_MODE=offline for later; then the same command goes on."
                ) from None
            if not args.json:
                print(f"[{number}/{len(records)}] {name}", file=sys.stderr, flush=True)
    offline = os.environ.get("WANDB_MODE", "") in ("offline", "dryrun")
    said = {"copied": len(records), "project": args.project, "offline": offline}
    there = "./wandb: 'wandb sync --sync-all' uploads them" if offline else f"the project {args.project}"
    print(json.dumps(said) if args.json else f"{len(records)} runs of {names[0]} are in {there}")
    return 0


def _copy(wandb: Any, record: Record, curves: list[dict[str, float]], where: Mapping[str, Any]) -> None:
    """One run, under its key: what is there already is continued, not doubled."""
    run = wandb.init(
        **where,
        id=record.key[:KEY],
        resume="allow",
        config={**record.config, "seed": record.seed},
        tags=[record.status],
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True, save_code=False),
    )
    done = False
    try:
        if not run.resumed:
            run.define_metric("*", step_metric="epoch")
            for row in curves:
                run.log(row)
        run.summary.update({**record.metrics, **record.costs, "run_key": record.key, "mlflow_run": record.run_id})
        run.summary.update({k: v for k, v in record.provenance.items() if k in ("git_commit", "data_fingerprint")})
        if record.reason:
            run.summary["reason"] = record.reason
        done = True
    finally:
        run.finish(exit_code=0 if done and record.status == "finished" else 1)


def _curves(path: Path) -> list[dict[str, float]]:
    """The rows of a run's curves, each with its epoch."""
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{n if n == "epoch" else f"epoch/{n}": v for n, v in row.items()} for row in rows]
