"""Cores and GPUs of this machine, and how workers without a scheduler share them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from joblib.externals.loky.backend.context import cpu_count


def cores() -> int:
    """Cores that this process may use: its affinity, a container's quota (cgroups), and its share of a Slurm job.

    A cluster may leave the affinity open and still have given this job one core.
    """
    found = int(cpu_count())
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or ""
    return min(found, int(given)) if given.isdecimal() and int(given) else found


def threads(among: int) -> int:
    """CPU threads of each of `among` runs at once: its share of the cores; less where OMP_NUM_THREADS says so."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # OpenMP takes a number for each level
    share = max(1, cores() // among)
    return min(share, int(said)) if said.isdecimal() and int(said) else share


def gpus() -> list[str]:
    """NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() and name.strip() != "-1"]
    dev = Path("/dev")
    found = [p.name for p in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", p.name)] if dev.is_dir() else []
    return [str(i) for i in range(len(found))]


def places(accelerator: str, devices: int) -> int:
    """How many workers: one a core, or as many as the GPUs allow with `devices` for each."""
    have = len(gpus()) if accelerator in ("gpu", "auto") and gpus() else cores()
    return max(1, have // devices)


def gpus_of(worker: int, accelerator: str, devices: int) -> list[str]:
    """The GPUs of a worker, counted from 0: `devices` of its own while there are enough; none on the CPU."""
    shared = gpus() if accelerator in ("gpu", "auto") else []
    return [shared[(worker * devices + j) % len(shared)] for j in range(min(devices, len(shared)))]
