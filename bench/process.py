"""Processes of this machine: which one is meant, whether it still lives, and ending together with it.

A process id is given again when its process is gone, so a process is named by its id and by when it started, in ticks
since the machine booted. Seconds since 1970 would not do: they move when somebody sets the clock.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from pathlib import Path

import psutil

PROC = Path("/proc")
LOOK_SECONDS = 0.5  # how often a follower looks whether its leader is still there


def machine() -> str:
    """Host name / boot / namespaces of process ids and of time: within one, ids and starts can be compared."""
    boot = PROC / "sys/kernel/random/boot_id"
    booted = boot.read_text().strip() if boot.exists() else f"{psutil.boot_time():.0f}"
    spaces = [_space(name) for name in ("pid", "time")]
    return "/".join([platform.node(), booted, *(s for s in spaces if s)])


def _space(name: str) -> str:
    link = PROC / "self/ns" / name
    return os.readlink(link) if link.is_symlink() else ""


def start_time(pid: int) -> int | None:
    """When a process started: ticks since boot where the kernel tells, else seconds since 1970; None for none or dead.

    A zombie, which nobody has waited for yet, is dead.
    """
    if (PROC / "self/stat").exists():
        try:
            text = (PROC / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            return None
        state, *rest = text.rpartition(")")[2].split()  # proc(5): the name in brackets may hold anything
        return None if state in "ZX" else int(rest[18])
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time())
    except psutil.NoSuchProcess:
        return None


def end_with(pid: int, start: int | None) -> None:
    """From now on this process ends as soon as process `pid`, which started at `start`, is no more.

    Workers and jobs call it: what their launch held is taken by the next launch, so that they must not go on.
    """
    threading.Thread(target=_follow, args=(pid, start), daemon=True, name="follow").start()


def _follow(pid: int, start: int | None) -> None:
    while start_time(pid) == start:
        time.sleep(LOOK_SECONDS)
    os._exit(1)
