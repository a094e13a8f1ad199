"""A launch that only waits does not keep a core busy."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.sweep.dispatcher import Dispatcher
from bench.track.spool import Spool


def test_waiting_for_another_launch_costs_no_cpu(tmp_path: Path) -> None:
    """Idle workers have nothing to wait for; the launch looks again a little later, not at once."""
    idle: Any = SimpleNamespace(future=None, points=[], warm=True)
    nobody: Any = None
    dispatcher = Dispatcher([idle], [], "adhoc", Spool(tmp_path / "spool"), nobody)
    begun = time.monotonic()
    assert list(dispatcher.collect(0.2)) == []
    assert time.monotonic() - begun > 0.15
