"""Cores and GPUs of this machine, and how workers without a scheduler share them."""

from __future__ import annotations

import os
import re
from pathlib import Path


def cores() -> int:
    """Cores that this process may use: its affinity, where the system knows one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
