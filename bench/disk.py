"""Writing files so that nobody ever reads half of one, and what a disk says when it cannot take them."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bench.schema.errors import RequestError

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip
SIGNS = frozenset("=@+-\uff1d\uff20\uff0b\uff0d")  # those of full width too, which some take for the others
BLANK = "".join(map(chr, (*range(0x21), 0xA0, 0x200B, 0x2003, 0x3000, 0xFEFF)))  # what is trimmed, or not seen
NUMBER = re.compile(r"[+-](\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
Content = str | bytes | Callable[[BinaryIO], object]


class DiskFull(RequestError):
    """A disk is full: nothing more can be run."""


def write_atomically(path: Path, content: Content, remedy: str = "", mode: int = 0o644) -> None:
    """Write a file so that a reader, a kill or a power cut sees the old content or the new, never a part.

    Args:
        content: text, bytes, or a function that writes into an open file.
        remedy: what to do where the folder may not be written; see `disk_errors`.
        mode: permissions; a temporary file's own would hide results from others.

    Raises:
        RequestError: for a full disk or a folder that may not be written.
    """
    with disk_errors(path.parent, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as a CSV file, whole; text that a spreadsheet would calculate is put in quotes of its own.

    Names of files that are no UTF-8 keep their bytes.

    Raises:
        RequestError: for a full disk or a folder that may not be written.
    """
    out = io.StringIO(newline="")
    csv.writer(out).writerows([[show_cell(value) for value in row] for row in rows])
    write_atomically(path, out.getvalue().encode(errors="surrogateescape"))


def formula(text: str) -> bool:
    """Whether a spreadsheet would calculate a cell instead of showing it: `=1+1`, `-2+3`; `-0.5` is a number."""
    shown = text.lstrip(BLANK)
    return shown[:1] in SIGNS and not NUMBER.fullmatch(shown)


def show_cell(value: object) -> object:
    """A cell that a spreadsheet shows: text that it would calculate is put in quotes of its own."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) and formula(value) else value


@contextmanager
def open_synced(path: Path) -> Iterator[BinaryIO]:
    """Open for writing; on leaving, the bytes are on the disk. For files of a folder that is moved in as a whole."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, onto the disk: for what must survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_errors(folder: Path, remedy: str = "") -> Iterator[None]:
    """A full disk, a forbidden folder, or a file system without locks, as a message that names it.

    Args:
        remedy: what to do instead of working in another folder or making room; one sentence.

    Raises:
        RequestError: for a folder that may not be written or locked; DiskFull for a full disk or a used-up quota.
    """
    try:
        yield
    except OSError as error:
        number = error_number(error)
        if number in FULL:
            raise disk_full(folder, remedy) from None
        if number == errno.ENOLCK:
            raise no_locks(folder) from None
        if number in FORBIDDEN:
            raise RequestError(
                f"Cannot write to {folder}: {os.strerror(number)}. {remedy or 'Run from a folder that you may write.'}"
            ) from None
        raise


def error_number(error: OSError) -> int:
    """Its errno; that of the first file where a whole folder was copied, whose error has none of its own; else 0."""
    found = re.search(r"\[Errno (\d+)\]", str(error)) if isinstance(error, shutil.Error) else None
    return int(found[1]) if found else error.errno or 0


def disk_full(place: Path | str | None, remedy: str = "") -> DiskFull:
    """What to raise for a file or folder whose disk is full; None: the working directory."""
    folder = Path(place or ".")
    return DiskFull(
        f"The disk of {folder} is full ({free_bytes(folder) >> 20} MiB free). What was written before is whole; make "
        f"room and go on. {remedy}".strip()
    )


def no_locks(place: Path | str | None) -> RequestError:
    """What to raise for a file or folder whose file system has no locks, as some network file systems have none."""
    where = f"The file system of {Path(place).absolute()}" if place else "A file system here"
    return RequestError(
        f"{where} gives no locks, so that two commands could do the same. "
        "Work in a folder of a local disk, or let whoever mounts it turn its locks on (NFS: the lock daemon)."
    )


def free_bytes(folder: Path) -> int:
    """How much room the disk of a folder has, which need not be there yet."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free
