"""Locks between the processes of a machine, waited for so long and no longer: who holds one may be suspended."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.disk import no_locks
from bench.schema.errors import RequestError

SECONDS = 5.0  # what is done under these locks takes less than one, but for the upload of a large file


class Held(RequestError):
    """A lock that another process does not let go."""


@contextmanager
def lock(file: Path, seconds: float | None = None) -> Iterator[None]:
    """Hold a file's lock, which is let go with the block or the process.

    Raises:
        Held: when somebody else keeps it for longer than `seconds`, by default `SECONDS`.
        FileNotFoundError: when its folder is gone.
        RequestError: where its file system has no locks.
    """
    held = FileLock(file, mode=0o666)  # the file may stay, for other users of the folder too
    try:
        held.acquire(timeout=SECONDS if seconds is None else seconds)
    except Timeout:
        raise Held(
            f"Another process is busy with {file.parent}, for long: it uploads a large file, or was suspended (Ctrl-Z, "
            f"SIGSTOP). 'fuser -v {file}' shows it. Let it go on, or end it; nothing that it had finished is lost."
        ) from None
    except OSError as error:
        raise no_locks(file.parent) if error.errno == errno.ENOLCK else error from None
    try:
        yield
    finally:
        held.release()
