"""Calling the sweep as its users do: the command, in a process group of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.services.warm import Forked

# 24 runs of well under a second each.
TINY = (
    "--axes", "model=linear,dnn", "optim.lr=0.1,0.01", "--seeds", "6",
    "dataset=digits", "trainer.epochs=2", "trainer.batch_size=256",
)  # fmt: skip
RUNS = 24


class Call:
    """A running `bench ...` and what it has said so far."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        """Start it."""
        code = "import sys; from bench.cli import shell; sys.exit(shell())"
        self._follow(words, subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=folder, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        ))  # fmt: skip

    def _follow(self, words: tuple[str, ...], process: subprocess.Popen[str] | Forked) -> None:
        self.words, self.process = words, process
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.out), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.err), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)

    @property
    def said(self) -> str:
        return "".join(self.err)

    def done(self) -> int:
        """How many runs it has reported."""
        return sum(line.startswith("[") and "/" in line for line in self.err)

    def wait_until(self, ready: Any, seconds: float = 400) -> bool:
        """Wait until `ready()` or the end of the process; whether it was ready."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                return bool(ready())
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the whole group, as a terminal, a scheduler or a power cut does."""
        os.killpg(self.process.pid, number)

    def finish(self, seconds: float = 500) -> int:
        """Wait for the end; its exit status."""
        status = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(10)
        return status

    def json(self) -> Any:
        """The object that --json printed."""
        assert len(self.out) == 1, (self.out, self.said)
        return json.loads(self.out[0])


class Warm(Call):
    """The same with nothing to import: what is killed a hundred times need not import a hundred times."""

    def __init__(
        self, folder: Path, *words: str, elsewhere: bool = False, clock: float = 0.0, **environment: str
    ) -> None:
        """Start it.

        Args:
            elsewhere: on another machine, as far as a host's name tells: process ids say nothing there.
            clock: by how many seconds somebody has set the clock. No namespace of time holds that one: Python's is
                moved in it and its children, and where this user may mount, what the kernel tells as boot time too.
        """
        known = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self._follow(words, Forked(words, folder, known, clock, "elsewhere" if elsewhere else ""))


def called(folder: Path, *words: str, **environment: str) -> Call:
    """Call and wait; the exit status must be 0."""
    call = Call(folder, *words, **environment)
    assert call.finish() == 0, call.said
    return call
