"""Real services for the tests, each started on loopback and ended with the session."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def missing(what: str, remedy: str) -> None:
    """Skip a test whose service is not installed here; in CI that is a failure."""
    message = f"{what} is not installed: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 300, log: Path | None = None) -> None:
    """Wait until `ready`, or fail with the end of the service's log."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-3000:] if log is not None and log.exists() else ""
            pytest.fail(f"{what} did not come up in {seconds:.0f} s\n{tail}")
        time.sleep(0.2)
