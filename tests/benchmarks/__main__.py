"""`make perf`: this project against what a user would otherwise do, side by side; writes results/performance.md.

python -m tests.benchmarks [SECTION...]      command, dense, packing, knn, features, large, augment,
gpu; all where none is named
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from bench.sweep.machine import cores
from tests.benchmarks import augment, dense, features, gpu, knn, large, packing
from tests.benchmarks.row import Row, seconds

PAGE = Path(__file__).parents[2] / "results" / "performance.md"


def command() -> list[Row]:
    """`bench --help` from the shell."""
    bench = str(Path(sys.executable).with_name("bench"))
    times = [seconds(lambda: subprocess.run([bench, "--help"], check=True, capture_output=True)) for _ in range(7)]
    taken = statistics.median(times)
    return [Row("`bench --help`, from the shell", "", "under 0.5 s", taken, met=taken < 0.5)]


def neighbours() -> list[Row]:
    """The rows of knn.py with their targets."""
    (curve, *exact) = knn.rows()
    out = [Row(curve[0], "scikit-learn", "20 times faster", curve[1], curve[2], curve[3] >= 20)]
    return out + [Row(r[0], "faiss", "at most 1.15 times faiss", r[1], r[2], r[1] <= 1.15 * r[2]) for r in exact]


def heads() -> list[Row]:
    """The row of features.py with its target."""
    what, ours, theirs, ratio = features.heads()
    return [Row(what, "the backbone in every epoch", "20 times faster", ours, theirs, ratio >= 20)]


SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "command": command,
    "dense": dense.rows,
    "packing": packing.rows,
    "knn": neighbours,
    "features": heads,
    "large": large.rows,
    "augment": augment.rows,
    "gpu": gpu.rows,
}


def page(rows: list[Row], load: float) -> str:
    """The table in Markdown, and the machine it was measured on."""
    lines = [
        "# Performance",
        "",
        "This project against what a user would otherwise do, on the same work, in turns, medians. `make perf` writes",
        "this page. Ratios carry over to other machines, seconds do not.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {cores()} cores ({processor()}), {memory_gb():.0f} GB, {platform.platform()}",
        f"- Python {platform.python_version()}, torch {torch.__version__}, "
        f"GPU: {torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'}",
        f"- load average when the measurement began: {load:.1f}",
        "",
        "| what | against | ours (s) | theirs (s) | theirs / ours | target | met |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for row in rows:
        ours, theirs = (f"{v:.2f}" if v is not None else "" for v in (row.ours, row.theirs))
        ratio = f"{row.theirs / row.ours:.2f}" if row.ours and row.theirs else ""
        met = {True: "yes", False: "no", None: ""}[row.met]
        against = f"{row.against} ({row.note})" if row.note else row.against
        lines.append(f"| {row.what} | {against} | {ours} | {theirs} | {ratio} | {row.target} | {met} |")
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_gb() -> float:
    """Memory of this machine in 10^9 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def main(chosen: list[str]) -> int:
    """Measure and print; only a run of every section is written to results/."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The load average is {load:.1f}: something else is running, and these numbers will be rough.")
    rows = []
    for name in chosen or SECTIONS:
        print(f"{datetime.now(UTC):%H:%M:%S} {name}", file=sys.stderr, flush=True)
        rows += SECTIONS[name]()
    text = page(rows, load)
    print(text)
    if not chosen:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
