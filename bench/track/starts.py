"""What runs start from that an earlier run left, copied out of the store before they begin: workers never open it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from bench.disk import disk_errors
from bench.schema.errors import Missing
from bench.schema.names import checked_name
from bench.schema.transfer import Transfer
from bench.track.locks import Held, lock
from bench.track.owner import Owner
from bench.track.record import Record

WEIGHTS = "weights.pt"
FILES = (WEIGHTS, "preprocessing.json")  # the second not of runs of version 0.1
RECORD = "record.json"


def start_of(transfer: Transfer) -> str:
    """The earlier run that a run starts from; "" for none."""
    kind, _, run = transfer.weights.partition(":")
    return run if kind == "run" and transfer.mode != "scratch" else ""


class Source(Protocol):
    """What `Store` and `Starts` have in common."""

    def artifact(self, run_id: str, name: str, folder: Path, /) -> Path:
        """One file of a run, copied into `folder`."""

    def get(self, run_id: str, /) -> Record:
        """The Record of a run."""


class Starts:
    """Copies of earlier runs in a folder; reads as a `Store` does.

    Args:
        root: a folder with one for each run.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _of(self, run: str) -> Path:
        return self.root / checked_name(run, "the earlier run")

    def copy(self, store: Source, run: str, user: Owner | None = None) -> None:
        """Copy the files and the Record of a run, unless that was done before; whole or not at all.

        Args:
            user: the launch that reads it until `release`.

        Raises:
            Missing: when there is no such run, or it has no weights.
            StoreUnavailable: when the store does not answer.
        """
        if user is not None:
            with disk_errors(self.root), self._users() as users:
                (users / f"{user.launch}.{checked_name(run, 'the earlier run')}").write_text(user.text())
        if (self._of(run) / WEIGHTS).is_file():
            return
        record = store.get(run)
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(dir=self.root, prefix="."))
        try:
            store.artifact(run, WEIGHTS, part)
            with suppress(Missing):
                store.artifact(run, FILES[1], part)
            with disk_errors(self.root):
                (part / RECORD).write_text(json.dumps(dataclasses.asdict(record)))
                part.chmod(0o755)  # as other folders: mkdtemp's is for this user alone
                try:
                    part.rename(self._of(run))
                except OSError:
                    if not (self._of(run) / WEIGHTS).is_file():  # else another launch was faster
                        raise
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def release(self, user: Owner) -> None:
        """Remove what no launch reads any more, now that this one has ended."""
        if not self.root.is_dir():
            return
        with suppress(OSError, Held), self._users() as users:  # another user's, or a disk that became read-only
            read = set()
            for file in users.iterdir():
                launch, _, run = file.name.partition(".")
                if launch == user.launch or Owner.read(file.read_text()).lives(user) is False:
                    file.unlink()
                else:
                    read.add(run)
            for copy in self.root.glob("[!.]*"):
                if copy.name not in read:
                    shutil.rmtree(copy)

    @contextmanager
    def _users(self) -> Iterator[Path]:
        """The folder with a file for each launch and each run that it reads, for one process at a time."""
        users = self.root / ".users"
        users.mkdir(parents=True, exist_ok=True)
        with lock(self.root / ".lock"):
            yield users

    def artifact(self, run: str, name: str, folder: Path) -> Path:
        """Copy one file of a run into `folder`.

        Raises:
            Missing: when there is none.
        """
        file = self._of(run) / name
        if not file.is_file():
            raise Missing(f"Run '{run}' has no artifact '{name}'.")
        return Path(shutil.copyfile(file, folder / name))

    def get(self, run: str) -> Record:
        """The Record of a run."""
        return Record(**json.loads((self._of(run) / RECORD).read_text()))
