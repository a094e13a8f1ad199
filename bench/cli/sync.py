"""Deliver what waits for the store, and bring runs of another store into it.

bench sync                       results kept while the store was away
bench sync tracking.uri=STORE    those that wait for another store
bench sync copy/of/mlflow.db     runs of a machine without network; 'mlartifacts' lies beside the database
bench sync GONE                  what waits for a store that is there no more
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.cli.announce import say
from bench.schema.errors import RequestError

SUMMARY = "deliver what waits for the store, bring runs of another one"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="DB | OVERRIDE", help="a SQLite database or a store's address")


def main(args: argparse.Namespace) -> int:
    """Deliver and bring; 0 when everything is in the store, 1 where runs were left out."""
    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.sweep.statement import take_over
    from bench.track.address import address, sqlite_file
    from bench.track.importing import Brought, bring
    from bench.track.spool import Spool
    from bench.track.store import Store
    from bench.track.unavailable import StoreUnavailable

    overrides = [w for w in args.words if "=" in w.split("://")[0]]
    others = [w for w in args.words if w not in overrides]
    target = Store(experiment(compose(overrides)).tracking.uri)
    spool = Spool(store=target.address)
    sources: list[Store] = []
    moved: set[str] = set()
    for word in others:
        uri = word if "://" in word else f"sqlite:///{Path(word).absolute()}"
        file = sqlite_file(uri)
        if file is not None and not file.is_file():
            if spool.pending(address(uri)):
                say(f"There is no database {file}: what waits for it goes to {target.shown}.")
                moved.add(address(uri))
                continue
            raise RequestError(f"There is no database {file}. Expected the mlflow.db of another folder or machine.")
        try:
            sources.append(Store(uri))
        except RequestError as error:
            if not spool.pending(address(uri)):
                raise
            say(f"{error} What waits for it goes to {target.shown}.")
            moved.add(address(uri))
    total = Brought()
    try:
        for source in sources:
            source.deliver_waiting(spool.pending(source.address))
        delivered = target.deliver_waiting(spool.pending(), say, moved)
        for source in sources:
            if source.address == target.address:
                raise RequestError(
                    f"{source.shown} is the main store itself. Name the other one, or tracking.uri=MAIN."
                )
            found = bring(source, target, spool, say)
            total.new += found.new
            total.known += found.known
            total.elsewhere += found.elsewhere
            total.refused += found.refused
            for title in source.experiments():
                try:
                    if (path := take_over(source, title)) is not None:
                        say(f"{title}: what it asks is kept in {path}; 'bench table {title}' shows it")
                except StoreUnavailable:
                    raise
                except RequestError as error:
                    total.refused.append(str(error))
    except StoreUnavailable as error:
        raise RequestError(f"{error} What was brought is whole.") from None
    for line in total.refused:
        say(f"Left out: {line}")
    if args.json:
        counts = {
            "brought": total.new,
            "known": total.known,
            "elsewhere": total.elsewhere,
            "refused": len(total.refused),
        }
        print(json.dumps({"delivered": delivered, **counts}))
    else:
        if total.elsewhere:
            print(f"{total.elsewhere} are being brought or run by somebody else at this moment.")
        print(f"{delivered} delivered from the spool, {total.new} brought, {total.known} known already: {target.shown}")
    return 1 if total.refused else 0
