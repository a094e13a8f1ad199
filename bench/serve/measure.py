"""Latency, throughput and memory of one form of a model, in a process of its own: `python -m bench.serve.measure`.

Reads {"file": ..., "shape": ...} or {"run": ..., "uri": ..., "where": ..., "shape": ...} on standard input, and prints
one JSON object.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import RequestError

SECONDS = 1.0  # a size of batch is timed for
BATCH = 32


def measure_model(job: dict[str, Any]) -> dict[str, float]:
    """Milliseconds an image alone, images a second in batches of 32, peak MB of the whole process.

    Raises:
        RequestError: as the process did.
        RuntimeError: with the last line of what the process said, where it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.serve.measure"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        if refused := done.stderr.partition("RequestError: ")[2].strip():
            raise RequestError(refused)
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure what standard input names."""
    job = json.load(sys.stdin)
    run = of_run(job) if "run" in job else of_file(Path(job["file"]))
    noise = np.random.RandomState(0)
    one, many = (noise.randint(0, 256, (n, *job["shape"])).astype(np.uint8) for n in (1, BATCH))
    alone, together = seconds(run, one), seconds(run, many)
    print(json.dumps({"latency_ms": 1000 * alone, "images_per_second": BATCH / together, "peak_memory_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process has held. On Linux getrusage would tell that of the process it came from."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(next(row for row in status.splitlines() if row.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def of_file(path: Path) -> Callable[[NDArray[np.uint8]], Any]:
    """The exported program in a file."""
    from bench.serve.exported import load_program

    return load_program(path)


def of_run(job: dict[str, Any]) -> Callable[[NDArray[np.uint8]], Any]:
    """The run itself, on the CPU."""
    import torch

    from bench.reopen import open_run
    from bench.track.store import Store

    trained = open_run(Store(job["uri"]), job["run"], job["where"], "cpu")
    return lambda images: trained.classify(torch.from_numpy(images))


def seconds(run: Callable[[NDArray[np.uint8]], Any], images: NDArray[np.uint8]) -> float:
    """The median time of a call, after two that warm up."""
    for _ in range(2):
        run(images)
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(times) < 5:
        started = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - started)
    return median(times)


if __name__ == "__main__":
    main()
