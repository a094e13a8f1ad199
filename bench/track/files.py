"""Writing files so that nobody ever reads half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.schema.errors import RequestError


class DiskFull(RequestError):
    """The disk of the spool is full: nothing more can be run."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, a kill or a power cut sees the old content or the new, never a part.

    Raises:
        RequestError: for a full disk or a folder that may not be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide results from others
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """A full disk or a forbidden folder as a message that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"The disk of {path.parent} is full. Earlier results are whole; free space and go on."
            raise DiskFull(message) from None
        if error.errno in (errno.EACCES, errno.EROFS):
            message = f"Cannot write to {path.parent}: {error.strerror}. Run from a folder that you may write."
            raise RequestError(message) from None
        raise
