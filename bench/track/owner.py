"""Who holds a lease: one launch of one process on one machine, and whether it still lives."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

_HERE: set[str] = set()  # launches of this process that are not over


@dataclass(frozen=True)
class Owner:
    """A launch that takes points.

    Attributes:
        machine: host name, boot and process namespace: within one, process ids can be compared.
        started: of the process, seconds since 1970: ids of processes are used again, this is not.
        launch: a number of its own, as one process can launch several times.
        spool: folder with its outcomes, for who takes over on the same machine.
        job, restarts: the scheduler's job and how often that was requeued; empty and 0 outside one.
    """

    machine: str
    pid: int
    started: float
    launch: str
    spool: str = ""
    job: str = ""
    restarts: int = 0

    @classmethod
    def here(cls, spool: Path) -> Owner:
        """This process, from now until `over`."""
        made = cls(
            machine=machine(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            launch=uuid.uuid4().hex[:12],
            spool=str(spool),
            job=os.environ.get("SLURM_JOB_ID", ""),
            restarts=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        )
        _HERE.add(made.launch)
        return made

    def over(self) -> None:
        """The launch has ended; its process may go on."""
        _HERE.discard(self.launch)

    def text(self) -> str:
        """As it stands in a lease."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Owner:
        """What `text` wrote."""
        return cls(**json.loads(text))

    def lives(self, asking: Owner) -> bool | None:
        """Whether this launch goes on, as `asking` can tell; None where only its heartbeat can."""
        if self.job and self.job == asking.job and self.restarts < asking.restarts:
            return False  # an earlier life of the job that asks
        if self.machine != machine():
            return None
        if self.pid == os.getpid() and abs(self.started - psutil.Process().create_time()) < 1:
            return self.launch in _HERE
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.machine.split('/')[0]}"


def machine() -> str:
    """Host name / boot / process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    booted = boot.read_text().strip() if boot.exists() else f"{psutil.boot_time():.0f}"
    return f"{platform.node()}/{booted}/{os.readlink(space) if space.exists() else ''}"
