"""Large sweeps: one that is finished called again, 10,000 points planned, a table from 10,000 runs of a store."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from bench.sweep.file import read
from bench.sweep.plan import Point, at_scale, points
from tests.benchmarks.row import Row, seconds

BENCH = str(Path(sys.executable).with_name("bench"))
WATCHED = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)
"""
RATES = [round(0.001 * i, 3) for i in range(1, 101)]
# Of the rows that belong to a run; the first column that names it comes last in all of them.
TABLES = {
    "tags": "key, value",
    "params": "key, value",
    "latest_metrics": "key, value, timestamp, step, is_nan",
}


def rows() -> list[Row]:
    """All rows of this benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        return [called_again(Path(folder) / "again"), planning(Path(folder) / "plan"), *tables(Path(folder))]


def called(folder: Path, *words: str) -> None:
    """`bench ...` in a folder; it must work."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run([BENCH, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"bench {' '.join(words)}: {done.stderr}")


def called_again(folder: Path) -> Row:
    """A finished sweep of 24 runs, called once more."""
    words = ("sweep", "--axes", "model=linear,dnn", "optim.lr=0.1,0.01", "--seeds", "6", "dataset=digits",
             "trainer.epochs=1", "--json")  # fmt: skip
    called(folder, *words)
    taken = statistics.median(seconds(lambda: called(folder, *words)) for _ in range(5))
    return Row("a finished sweep of 24 runs called again, from the shell", "", "under 4 s", taken, met=taken < 4)


def planning(folder: Path) -> Row:
    """10,000 points planned by --dry-run, in a folder without a store."""
    words = ("sweep", "--axes", "optim.lr=" + ",".join(map(str, RATES)), "--seeds", "100", "dataset=digits",
             "model=linear", "--dry-run", "--json")  # fmt: skip
    taken = statistics.median(seconds(lambda: called(folder, *words)) for _ in range(3))
    return Row("planning 10,000 points, from the shell", "", "under 5 s", taken, met=taken < 5)


def tables(folder: Path) -> list[Row]:
    """`bench table` over 1,000 and over 10,000 runs: one real run, copied in the database under the plan's keys."""
    found = [table(folder / str(count), count) for count in (1000, 10000)]
    (small, _), (large, memory) = found
    linear = large / small
    return [
        Row(
            "a table from 10,000 runs in the store, from the shell", "", "under 30 s and 1 GB", large,
            met=large < 30 and memory < 1000, note=f"peak {memory:.0f} MB",
        ),
        Row(
            "the same from 1,000 runs", "", "linear: 10,000 take at most 10 times as long", small,
            met=linear <= 10, note=f"10,000 take {linear:.1f} times as long",
        ),
    ]  # fmt: skip


def table(folder: Path, count: int) -> tuple[float, float]:
    """Seconds and peak MB of `bench table` over so many runs."""
    folder.mkdir()
    rates = RATES[: count // 100]
    (folder / "many.yaml").write_text(
        f"question: How many?\nbase: [dataset=digits, model=linear, trainer.epochs=1]\naxes: {{optim.lr: {rates}}}\n"
        "seeds: 100\ntable: {rows: optim.lr}\nfigure: {x: optim.lr}\n"
    )
    home = Path.cwd()
    os.chdir(folder)
    try:
        planned = points(at_scale(read("many.yaml"), "small"))
    finally:
        os.chdir(home)
    first = planned[0]
    called(folder, "run", "dataset=digits", "model=linear", "trainer.epochs=1", f"optim.lr={first.axes['optim.lr']}",
           "tracking.experiment=many")  # fmt: skip
    copy(folder / "mlflow.db", planned)
    # In between a small process: Linux counts what a child's parent held when it forked as the child's own peak.
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, BENCH, "table", "many.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    taken, peak = map(float, done.stdout.split())
    written = (folder / "results" / "many" / "records.csv").read_text().splitlines()
    if len(written) != count + 1 or ",missing," in written[-1]:
        raise RuntimeError(f"expected {count} finished records")
    return taken, peak


def copy(database: Path, planned: list[Point]) -> None:
    """Copy the one finished run of a store for every other point of a plan."""
    with sqlite3.connect(database) as store:
        (source,) = store.execute("SELECT run_uuid FROM tags WHERE key = 'run_key'").fetchone()
        columns = [c[1] for c in store.execute("PRAGMA table_info(runs)") if c[1] != "run_uuid"]
        names = ", ".join(columns)
        ids = {point.key: uuid.uuid4().hex for point in planned[1:]}
        store.executemany(
            f"INSERT INTO runs (run_uuid, {names}) SELECT ?, {names} FROM runs WHERE run_uuid = ?",
            [(identity, source) for identity in ids.values()],
        )
        for name, kept in TABLES.items():
            store.executemany(
                f"INSERT INTO {name} ({kept}, run_uuid) SELECT {kept}, ? FROM {name} WHERE run_uuid = ?",
                [(identity, source) for identity in ids.values()],
            )
        for point in planned[1:]:
            for key, value in (("run_key", point.key), ("axes", json.dumps(point.axes)), ("seed", str(point.seed))):
                store.execute("UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?", (value, ids[point.key], key))
        store.execute("UPDATE tags SET value = ? WHERE run_uuid = ? AND key = 'axes'",
                      (json.dumps(planned[0].axes), source))  # fmt: skip
