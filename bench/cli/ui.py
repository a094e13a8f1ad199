"""Open MLflow's user interface on the store, on this machine's loopback address only."""

from __future__ import annotations

import argparse
import os
import sys


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("overrides", nargs="*", help="tracking.uri=... for another store than mlflow.db here")
    parser.add_argument("--port", type=int, default=5000)


def main(args: argparse.Namespace) -> int:
    """Become `mlflow ui`."""
    from bench.compose import compose
    from bench.schema.errors import RequestError
    from bench.schema.experiment import experiment
    from bench.track.store import Store, redacted

    store = Store(experiment(compose(args.overrides)).tracking.uri)
    if store.uri.startswith("http"):
        raise RequestError(f"{redacted(store.uri)} is a server with a page of its own: open that address.")
    address = f"http://127.0.0.1:{args.port}"
    print(f"MLflow's pages on {store.shown}: {address}   (Ctrl-C ends it)", flush=True)
    # By the environment: a URI with a password must not appear in the list of processes.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.uri
    words = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(args.port)]
    os.execv(sys.executable, words)
