"""Deliver what waits for the store, and bring runs of another store into it.

bench sync                       results kept while the store was away
bench sync copy/of/mlflow.db     runs of a machine without network; 'mlartifacts' lies beside the database
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.schema.errors import RequestError


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="DB | OVERRIDE", help="a SQLite database or a store's address")


def main(args: argparse.Namespace) -> int:
    """Deliver and bring; 0 when everything is in the store."""
    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.track.address import sqlite_file
    from bench.track.importing import Brought, bring
    from bench.track.spool import Spool
    from bench.track.store import Store
    from bench.track.unavailable import StoreUnavailable

    overrides = [w for w in args.words if "=" in w.split("://")[0]]
    others = [w for w in args.words if w not in overrides]
    sources = []
    for word in others:
        uri = word if "://" in word else f"sqlite:///{Path(word).absolute()}"
        file = sqlite_file(uri)
        if file is not None and not file.is_file():
            raise RequestError(f"There is no database {file}. Expected the mlflow.db of another folder or machine.")
        sources.append(Store(uri))
    target = Store(experiment(compose(overrides)).tracking.uri)
    spool = Spool()
    total = Brought()
    try:
        waiting = spool.pending()
        for place in waiting:
            target.deliver(place)
        for source in sources:
            if source.uri == target.uri:
                raise RequestError(
                    f"{source.shown} is the main store itself. Name the other one, or tracking.uri=MAIN."
                )
            found = bring(source, target, spool, lambda text: print(text, file=sys.stderr, flush=True))
            total.new += found.new
            total.known += found.known
            total.elsewhere += found.elsewhere
    except StoreUnavailable as error:
        raise RequestError(f"{error} What was brought is whole.") from None
    if args.json:
        print(
            json.dumps(
                {"delivered": len(waiting), "brought": total.new, "known": total.known, "elsewhere": total.elsewhere}
            )
        )
    else:
        if total.elsewhere:
            print(f"{total.elsewhere} are being brought or run by somebody else at this moment.")
        print(
            f"{len(waiting)} delivered from the spool, {total.new} brought, {total.known} known already: {target.shown}"
        )
    return 0
