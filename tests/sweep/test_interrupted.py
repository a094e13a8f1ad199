"""Ctrl-C, from the first moment on: what the terminal sends to every process, and what its user then reads."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.sweep.calling import Call

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sweep")]
WORDS = ("sweep", "--axes", "model=linear,dnn", "--seeds", "2", "dataset=digits")


def children(call: Call) -> list[str]:
    """The command lines of its children; one that ends meanwhile has none."""
    found = []
    for process in psutil.Process(call.process.pid).children():
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.parametrize("later", [0.0, 0.02, 0.05, 0.1, 1.0])
def test_while_the_workers_start(tmp_path: Path, later: float) -> None:
    """A worker that is interrupted in the middle of its imports does not show where that was."""
    call = Call(tmp_path, *WORDS)

    assert call.wait_until(lambda: any("popen_loky" in words for words in children(call)))
    time.sleep(later)
    call.kill(signal.SIGINT)
    assert call.finish() == 130
    assert "Interrupted" in call.said
    assert "Traceback" not in call.said
