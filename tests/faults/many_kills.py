"""Kills by the hundred, over both stores and three launchers: `make faults KILLS=1000`. Not part of the test suite.

Prints what was lost (a point without a finished run), done twice (two runs of a point, or a value told twice) and wrong
(a number that differs from those of the sweep that nobody disturbed).
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from bench.track.record import Record
from bench.track.store import Store
from tests.faults.test_killed import killed_until_done, science
from tests.services.database import Postgres, postgres  # noqa: F401
from tests.sweep.calling import TINY, called

KILLS = int(os.environ.get("KILLS", "1000"))
A_SWEEP = 20  # kills of one sweep, which then has nothing more to do
LAUNCHERS = ("local", "joblib", "submitit_local")
SEED = 20261128


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


@pytest.mark.timeout(24 * 3600)
def test_many_kills(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    (tmp_path / "undisturbed").mkdir()
    called(tmp_path / "undisturbed", "sweep", *TINY)
    wanted = Store(f"sqlite:///{tmp_path}/undisturbed/mlflow.db").records("adhoc")
    total: Counter[str] = Counter()
    places: Counter[str] = Counter()
    turn = 0
    while total["kills"] < KILLS:
        launcher, on_postgres = LAUNCHERS[turn % len(LAUNCHERS)], turn // len(LAUNCHERS) % 2 == 1
        folder = tmp_path / f"turn-{turn}"
        folder.mkdir()
        uri = postgres.database(f"turn{turn}") if on_postgres else f"sqlite:///{folder}/mlflow.db"
        words = ("sweep", *TINY, f"tracking.uri={uri}", f"hydra/launcher={launcher}")
        kills = killed_until_done(folder, words, min(A_SWEEP, KILLS - total["kills"]), SEED + turn)
        places[f"{launcher} on {'PostgreSQL' if on_postgres else 'SQLite'}"] += kills
        total["kills"] += kills
        total += count(Store(uri), wanted)
        turn += 1
        print(f"{total['kills']} kills of {turn} sweeps: lost {total['lost']}, twice {total['twice']}, "
              f"wrong {total['wrong']}", flush=True)  # fmt: skip
    print(dict(places))
    assert (total["lost"], total["twice"], total["wrong"]) == (0, 0, 0)
