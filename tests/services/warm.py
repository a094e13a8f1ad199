"""The command as a process of its own that has nothing to import: forked from one that has done so.

Importing torch, Lightning and MLflow takes a launch and each of its workers several seconds, which are of no interest
to whoever kills it a hundred times. Everything behind the imports is as it is in a shell: a session and process group,
a folder, variables, standard streams and namespaces of its own. Its workers are forked from it for the same reason.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

IMPORTED = ("bench.run", "bench.cli.sweep_launch", "bench.sweep.cluster", "bench.track.importing", "mlflow.tracking",
            "mlflow.store.tracking.sqlalchemy_store", "alembic.command", "psycopg2", "pytest")  # fmt: skip
MOUNTS, HOSTNAME = 0x00020000, 0x04000000  # unshare(2): CLONE_NEWNS, CLONE_NEWUTS
LEASE = "4"  # seconds of all that are forked, as it is read by an import
# The kernel's boot time in seconds since 1970 moves with the clock; ticks since boot do not.
BOOT = (
    'mount --make-rprivate / && f=$(mktemp) && sed "s/^btime .*/btime $1/" /proc/stat > $f && '
    "mount --bind $f /proc/stat && rm $f"
)
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(list(IMPORTED))
_VARIABLES = {**os.environ, "IMAGEBENCH_LEASE_SECONDS": LEASE, "PYTHONHASHSEED": "0"}


def as_it_was() -> AbstractContextManager[Any]:
    """The variables of the one that imports, which the first process to be forked starts: no test's own are in them."""
    return patch.dict(os.environ, _VARIABLES, clear=True)


class Forked:
    """What `subprocess.Popen` would be for it."""

    def __init__(
        self, words: tuple[str, ...], folder: Path, environment: Mapping[str, str], clock: float, host: str
    ) -> None:
        (out, their_out), (err, their_err), (ready, their_ready) = (_server.Pipe(duplex=False) for _ in range(3))
        theirs = (their_out, their_err, their_ready)
        self._process = _server.Process(target=run, args=(words, folder, environment, clock, host, theirs))
        with as_it_was():
            self._process.start()
        for connection in theirs:
            connection.close()
        ready.recv()  # it is the leader of its group
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno()), encoding="utf-8") for end in (out, err))
        self.pid = int(self._process.pid or 0)

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("bench", seconds or 0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def run(
    words: tuple[str, ...], folder: Path, environment: Mapping[str, str], clock: float, host: str,
    streams: tuple[Connection, ...],
) -> None:  # fmt: skip
    """In the new process: be what a shell starts, and end."""
    from bench.cli import shell
    from bench.sweep import pool

    os.setsid()
    out, err, ready = streams
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, stream in ((1, out), (2, err)):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(i, mode, encoding="utf-8") for i, mode in enumerate("rww"))
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    ready.send(True)
    ready.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if clock:
        _set_clock(clock)
    if host:
        _unshare(HOSTNAME)
        socket.sethostname(host)
        platform._uname_cache = None  # type: ignore[attr-defined]
    pool.ProcessPoolExecutor = partial(pool.ProcessPoolExecutor, context=multiprocessing.get_context("fork"))
    sys.argv = ["bench", *words]
    status = _status(shell)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _set_clock(step: float) -> None:
    real, boot = time.time, round(psutil.boot_time() + step)
    time.time = lambda: real() + step
    with suppress(OSError):  # only root may
        _unshare(MOUNTS)
        subprocess.run(["sh", "-c", BOOT, "sh", str(boot)], check=True)


def _unshare(what: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(what) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _status(shell: Any) -> int:
    try:
        return int(shell())
    except SystemExit as end:
        return int(end.code or 0)
