"""Open MLflow's user interface on the store, on this machine's loopback address only.

bench ui                the runs of the sweep that ran last
bench ui batchnorm      those of a sweep (its experiment: batchnorm, batchnorm-smoke)

The run of the sweep itself, with its verdicts and table, and its runs stand in one list: MLflow 3.17 has no address
that opens them nested.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.track.store import Store

SUMMARY = "MLflow's user interface on the store"


# As runs of machine learning, with our columns: MLflow 3 opens on traces of language models.
RUNS_PAGE = "workflowType=machine_learning&viewStateShareKey=imagebench"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="NAME | OVERRIDE", help="a sweep; tracking.uri=...")
    parser.add_argument("--port", type=int, default=5000)


def main(args: argparse.Namespace) -> int:
    """Become `mlflow ui`."""
    from bench.cli.serve import bind
    from bench.compose import compose
    from bench.schema.errors import RequestError
    from bench.schema.experiment import experiment
    from bench.track.store import Store, redact

    if not 0 < args.port < 65536:
        raise RequestError(f"--port {args.port}: expected a port from 1 to 65535.")
    bind("127.0.0.1", args.port).close()  # MLflow would say it in a log of its own, and exit with 0
    store = Store(experiment(compose([w for w in args.words if "=" in w])).tracking.uri)
    if store.uri.startswith("http"):
        raise RequestError(f"{redact(store.uri)} is a server with a page of its own: open that address.")
    address = f"http://127.0.0.1:{args.port}{_place(store, [w for w in args.words if '=' not in w])}"
    print(f"MLflow's pages on {store.shown}: {address}   (Ctrl-C ends it)", flush=True)
    # By the environment: a URI with a password must not appear in the list of processes.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.uri
    # One person looks: one process answers instead of four, and none waits for evaluations of language models.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    words = ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(args.port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, *words])


def _place(store: Store, names: list[str]) -> str:
    """Where in MLflow's pages the runs of a sweep are, those that ran last where none is named; "" for no runs yet.

    Raises:
        RequestError: for a name without an experiment.
    """
    from bench.schema.errors import unknown_name

    known = store.experiments()
    for name in names:
        if name not in known:
            raise unknown_name("experiment", name, known, f"The store has: {', '.join(known) or 'none'}.")
    name = names[0] if names else store.last_experiment()
    return f"/#/experiments/{store.show_runs(name)}/runs?{RUNS_PAGE}" if name else ""
