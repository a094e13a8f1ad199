"""Peak memory and time of each way to read a folder of images; `python -m tests.benchmarks.storage` prints the rows.

4,000 JPEG files of 320 x 240 pixels, read at 128 x 128: 188 MiB of pixels. Each step is a process of its own.
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
import os, sys, time
import numpy as np, torch
os.environ["IMAGEBENCH_CACHE"] = sys.argv[1]
from bench.data import load
from bench.data.batches import Batches, place
from bench.schema.dataset import Folder, Split
def memory():
    lines = (line.split() for line in open("/proc/self/status") if line.startswith(("VmHWM", "RssAnon", "VmRSS")))
    return {name.rstrip(":"): int(kib) / 1024 for name, kib, _ in lines}
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before, started = memory(), time.perf_counter()
"""
END = """
seconds, after = time.perf_counter() - started, memory()
print(seconds, after["VmHWM"] - before["VmRSS"], after["RssAnon"] - before["RssAnon"])
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
            words = [sys.executable, "-c", code, str(cache), str(images)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            seconds, peak, private = map(float, done.stdout.split())
            out.append((what, seconds, peak, private))
    return out


if __name__ == "__main__":
    for what, seconds, peak, private in rows():
        print(f"{what:<30} {seconds:>7.2f} s   peak {peak:>6.0f} MiB   private {private:>6.0f} MiB")
