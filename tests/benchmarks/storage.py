"""Peak memory and time of each way to read a folder of images; `python -m tests.benchmarks.storage` prints the rows.

4,000 JPEG files of 320 x 240 pixels, read at 128 x 128: 188 MiB of pixels. Each step is a process of its own; what the
workers that it starts hold beside what they share with it is sampled every 20 ms and added to its peak.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

COUNT = 4000
START = """
import os, sys, threading, time
import numpy as np, psutil, torch
os.environ["IMAGEBENCH_CACHE"] = sys.argv[1]
from bench.data import load
from bench.data.batches import Batches, place
from bench.schema.dataset import Folder, Split
def memory():
    lines = (line.split() for line in open("/proc/self/status") if line.startswith(("VmHWM", "RssAnon", "VmRSS")))
    return {name.rstrip(":"): int(kib) / 1024 for name, kib, _ in lines}
def workers():
    total = 0
    for child in psutil.Process().children():
        try:
            lines = [line.split() for line in open(f"/proc/{child.pid}/smaps_rollup")]
        except OSError:  # it has just ended
            continue
        total += sum(int(x[1]) for x in lines if x[0] in ("Private_Clean:", "Private_Dirty:", "Pss_Shmem:"))
    return total / 1024
theirs = [0.0]
def watch():
    while True:
        theirs.append(workers())
        time.sleep(0.02)
if "stream" in sys.argv[3]:
    threading.Thread(target=watch, daemon=True).start()
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before, started = memory(), time.perf_counter()
"""
END = """
seconds, after = time.perf_counter() - started, memory()
print(seconds, after["VmHWM"] - before["VmRSS"] + max(theirs), after["RssAnon"] - before["RssAnon"])
"""
LOAD = "data = load(Folder(source='folder', root=sys.argv[2], size=128, storage={storage!r}), Split())"
EPOCH = """
batches = Batches(place(data, torch.device("cpu")), torch.from_numpy(data.labels), data.train, 128, True, 0)
for images, labels in batches:
    pass
"""
STEPS = {
    "map: decode once": LOAD.format(storage="map"),
    "map: open again": LOAD.format(storage="map"),
    "map: open and one epoch": LOAD.format(storage="map") + EPOCH,
    "stream: check once": LOAD.format(storage="stream"),
    "stream: open again": LOAD.format(storage="stream"),
    "stream: open and one epoch": LOAD.format(storage="stream") + EPOCH,
}


def rows() -> list[tuple[str, float, float, float]]:
    """(what, seconds, peak MiB on top of the imports, MiB at the end that no other process can share, likewise)."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        images, cache = Path(folder) / "images", Path(folder) / "cache"
        stream = np.random.RandomState(0)
        for k in range(2):
            (images / f"class {k}").mkdir(parents=True)
        for i in range(COUNT):
            small = Image.fromarray(stream.randint(0, 256, (12, 16, 3), dtype=np.uint8))
            small.resize((320, 240)).save(images / f"class {i % 2}" / f"{i}.jpg")
        for what, work in STEPS.items():
            code = START + work + END
            words = [sys.executable, "-c", code, str(cache), str(images), what]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            seconds, peak, private = map(float, done.stdout.split())
            out.append((what, seconds, peak, private))
    return out


if __name__ == "__main__":
    for what, seconds, peak, private in rows():
        print(f"{what:<30} {seconds:>7.2f} s   peak {peak:>6.0f} MiB   private {private:>6.0f} MiB")
