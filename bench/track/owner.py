"""Who holds a lease: one launch of one process on one machine, and whether it still lives."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from bench.process import machine, start_time

_HERE: set[str] = set()  # launches of this process that are not over


@dataclass(frozen=True)
class Owner:
    """A launch that takes points.

    Attributes:
        machine: host name, boot and namespaces: within one, process ids and their starts can be compared.
        start: of the process, ticks since boot (`bench.process.start_time`): ids of processes come again, this not,
            and setting the clock does not move it. None in a lease of version 0.1.
        launch: a number of its own, as one process can launch several times.
        spool: folder with its outcomes, for who takes over on the same machine.
        job, restarts: the scheduler's job and how often that was requeued; empty and 0 outside one.
    """

    machine: str
    pid: int
    launch: str
    start: int | None = None
    spool: str = ""
    job: str = ""
    restarts: int = 0

    @classmethod
    def here(cls, spool: Path) -> Owner:
        """This process, from now until `over`."""
        made = cls(
            machine=machine(),
            pid=os.getpid(),
            launch=uuid.uuid4().hex[:12],
            start=start_time(os.getpid()),
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
        """What `text` wrote, of this or another version; of anything else somebody who is never heard of."""
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            return cls(**{name: value for name, value in json.loads(text).items() if name in names})
        except (ValueError, TypeError, AttributeError):
            return cls(machine="unknown", pid=0, launch="unknown")

    def lives(self, asking: Owner) -> bool | None:
        """Whether this launch goes on, as `asking` can tell; None where only its heartbeat can."""
        if self.job and self.job == asking.job and self.restarts < asking.restarts:
            return False  # an earlier life of the job that asks
        if self.machine != machine() or self.start is None:
            return None
        if start_time(self.pid) != self.start:
            return False
        return self.launch in _HERE if self.pid == os.getpid() else True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.machine.split('/')[0]}"
