"""Kills by the hundred, over both stores and three launchers: `make faults KILLS=1000 LANES=2`. Not in the test suite.

Several sweeps run side by side, each in a folder and a database of its own. Prints for each store and launcher what was
lost (a point without a finished run), done twice (two runs of a point, or a value told twice) and wrong (a number that
differs from those of the sweep that nobody disturbed).
"""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.track.record import Record
from bench.track.store import Store
from tests.faults.test_killed import killed_until_done, science
from tests.services.database import Postgres, postgres  # noqa: F401
from tests.sweep.calling import TINY, Warm

KILLS = int(os.environ.get("KILLS", "1000"))
LANES = int(os.environ.get("LANES", "2"))  # sweeps at once
PLACES = [(store, launcher) for store in ("SQLite", "PostgreSQL") for launcher in ("local", "joblib", "submitit_local")]
A_SWEEP = max(1, min(20, -(-KILLS // len(PLACES))))  # kills of one sweep, which then has nothing more to do
SEED = 20261128
COUNTED = ("lost", "twice", "wrong")


def count(store: Store, wanted: list[Record]) -> Counter[str]:
    """Points that are lost, done twice, or wrong."""
    found: Counter[str] = Counter()
    rows = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    runs = Counter(r.tags["run_key"] for r in rows)
    right, got = science(wanted), science([r for r in store.records("adhoc") if r.status == "finished"])
    found["lost"] = len(right.keys() - got.keys())
    found["wrong"] = sum(got[key] != right[key] for key in right.keys() & got.keys())
    found["twice"] = sum(n > 1 for n in runs.values())
    for row in rows:
        told = [store.client.get_metric_history(row.run_id, name) for name in row.metrics]
        found["twice"] += any(len({m.step for m in history}) != len(history) for history in told)
    return found


@pytest.mark.timeout(48 * 3600)
def test_many_kills(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    (tmp_path / "undisturbed").mkdir()
    undisturbed = Warm(tmp_path / "undisturbed", "sweep", *TINY)
    assert undisturbed.finish() == 0, undisturbed.said
    wanted = Store(f"sqlite:///{tmp_path}/undisturbed/mlflow.db").records("adhoc")
    total = {place: Counter[str]() for place in PLACES}
    counting = threading.Lock()
    turns = itertools.count()

    def lane() -> None:
        while True:
            with counting:
                if sum(found["kills"] for found in total.values()) >= KILLS:
                    return
                turn = next(turns)
            store, launcher = place = PLACES[turn % len(PLACES)]
            folder = tmp_path / f"turn-{turn}"
            folder.mkdir()
            uri = postgres.database(f"turn{turn}") if store == "PostgreSQL" else None
            words = ("sweep", *TINY, f"hydra/launcher={launcher}", *([f"tracking.uri={uri}"] if uri else []))
            kills, folder = killed_until_done(folder, words, A_SWEEP, SEED + turn, uri)
            found = count(Store(uri or f"sqlite:///{folder}/mlflow.db"), wanted)
            shutil.rmtree(folder)
            with counting:
                total[place].update(found, kills=kills, sweeps=1)
                print(
                    said(f"{sum(n['kills'] for n in total.values())} kills, the last {kills} of {place}", found),
                    flush=True,
                )

    with ThreadPoolExecutor(LANES) as lanes:
        for ended in [lanes.submit(lane) for _ in range(LANES)]:
            ended.result()
    for (store, launcher), found in total.items():
        print(said(f"{store}, {launcher}: {found['kills']} kills of {found['sweeps']} sweeps", found))
    for store in ("SQLite", "PostgreSQL"):
        found = sum((n for place, n in total.items() if place[0] == store), Counter[str]())
        print(said(f"{store}: {found['kills']} kills", found))
    assert not any(found[name] for found in total.values() for name in COUNTED)


def said(what: str, found: Counter[str]) -> str:
    return f"{what}: " + ", ".join(f"{name} {found[name]}" for name in COUNTED)
