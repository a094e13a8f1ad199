"""The spool: where a run's outcome lies on disk until the store has it.

A run writes its outcome here first, whole and at once, and only then is it delivered to MLflow. So a killed
process, a full disk or a tracking server that is away loses nothing, and training never waits for a database.

    <state folder>/spool/<run key>.<digest of the sweep's name>/, or spool/<run key>/ for a run without a sweep
        outcome.json     the Record, the run's name and its store; written last: a folder without it is unfinished work
        resume.ckpt      the last checkpoint of unfinished work; never delivered
        curves.csv       one row an epoch
        .lease           under which attempt, and for which MLflow run, this was begun; not for runs without a sweep
        everything else  artifacts of the run, delivered as they are
    <state folder>/spool/<either of these>.<part of an id>/
        an outcome that waits for one store while the same point is run for another
    <state folder>/running/<run key>
        locked by the command that runs it now, for runs without a sweep; outside of its folder, which comes and goes
    <state folder>/starts/<run id>/
        copies of earlier runs that points start from (transfer.weights=run:ID), as long as a launch reads them
    <state folder>/stopped/<run key>.ckpt
        the last checkpoint of a run that trainer.max_minutes stopped, until it is run again or done
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.disk import disk_errors, sync, write_atomically
from bench.schema.errors import RequestError
from bench.schema.names import checked_name
from bench.track.address import address
from bench.track.lease import LeaseLost
from bench.track.locks import lock
from bench.track.record import Record
from bench.track.starts import Starts

STATE = ".imagebench"  # folder of a project's state
OUTCOME = "outcome.json"
RESUME = "resume.ckpt"
LEASE = ".lease"
PROGRESS = ".progress"  # the epoch that is over, for the live view
DELIVERED = ".delivered."  # prefix of a folder that is being removed


def state_folder() -> Path:
    """`.imagebench` in the working directory, or $IMAGEBENCH_STATE."""
    return Path(os.environ.get("IMAGEBENCH_STATE", STATE)).absolute()


class Spool:
    """Outcomes of runs that wait for their delivery.

    Args:
        store: the store that runs are made for, where that is known.
            Workers know it from the lease; without either an outcome may be delivered anywhere.
        sweep: whose points they are; "" for a run by itself. Two sweeps of one folder may have the same run: each
            runs it in a folder of its own, as each delivers it to its own experiment.
    """

    def __init__(self, root: Path | None = None, store: str = "", sweep: str = "") -> None:
        self.store, self.sweep = address(store) if store else "", sweep
        self.root = root or state_folder() / "spool"
        self.stopped = self.root.with_name("stopped")
        self.running = self.root.with_name("running")
        self._begun: dict[str, str] = {}  # key -> the lease that its folder was opened under

    def of(self, sweep: str) -> Spool:
        """The same spool, for the points of a sweep."""
        return Spool(self.root, self.store, sweep)

    def place(self, key: str) -> Path:
        """Where the files of a run are, or would be."""
        mark = f".{hashlib.sha256(self.sweep.encode()).hexdigest()[:8]}" if self.sweep else ""
        return self.root / (checked_name(key, "the run key") + mark)

    @property
    def starts(self) -> Starts | None:
        """Earlier runs that the points of a sweep start from; a run by itself reads them from the store."""
        return Starts(self.root.with_name("starts")) if self.sweep else None

    @staticmethod
    def key(place: Path) -> str:
        """The run key of a folder in a spool."""
        return place.name.partition(".")[0]

    @contextmanager
    def alone(self, key: str, say: Callable[[str], None]) -> Iterator[None]:
        """Keep the folder of a run without a sweep for this process; waits for another that has it, and says so.

        Raises:
            RequestError: for a full disk or a folder that may not be written.
        """
        place = self.place(key)
        with disk_errors(self.root):
            self.running.mkdir(parents=True, exist_ok=True)
            alone = FileLock(self.running / place.name, mode=0o666)  # it stays, for other users of the folder too
            try:
                alone.acquire(blocking=False)
            except Timeout:
                say("The same run is going on in this folder: waiting for its end.")
                alone.acquire()
        try:
            yield
        finally:
            with suppress(OSError):  # nothing has begun, or all of it was delivered
                place.rmdir()
            alone.release()

    def folder(self, key: str, joins: bool = False) -> Path:
        """The folder for the run's files; of an attempt that was interrupted or stopped only its checkpoint is left.

        Args:
            joins: whether another machine runs it, which may share this spool: what there is stays as it is.
        """
        self.stay()
        place = self.place(key)
        if joins:
            with disk_errors(self.root):
                place.mkdir(parents=True, exist_ok=True)
            return place
        kept = (RESUME, LEASE) if self.sweep else (RESUME,)  # a version before had them in one folder
        with disk_errors(self.root):
            self._put_aside(place)
            if place.exists() and not (place / OUTCOME).exists():
                for left in place.iterdir():
                    if left.name not in kept:
                        shutil.rmtree(left) if left.is_dir() else left.unlink()
            place.mkdir(parents=True, exist_ok=True)
            stopped = self.stopped / f"{key}.ckpt"
            if stopped.exists() and not (place / RESUME).exists() and not (place / OUTCOME).exists():
                shutil.move(stopped, place / RESUME)
        self._begun[key] = _text(place / LEASE)
        return place

    def stay(self) -> None:
        """See that the project is where it was when this began: in its old place nobody would look for an outcome.

        Raises:
            RequestError: when somebody has moved or deleted it.
        """
        project, state = self.root.parent.parent, self.root.parent.name
        if state == STATE and "IMAGEBENCH_STATE" not in os.environ and not project.is_dir():
            raise RequestError(
                f"The folder {project} was moved or deleted while runs went on in it. Where it is now the same command "
                "goes on; what had ended is there."
            )

    def lend(self, key: str, attempt: int, run_id: str) -> None:
        """Say under which attempt, and for which MLflow run, a point is begun; whoever began it before has lost it."""
        self.stay()
        place = self.place(key)
        self._put_aside(place)
        lease = {"attempt": attempt, "run": run_id, "store": self.store}
        write_atomically(place / LEASE, json.dumps(lease))

    @staticmethod
    def lease(place: Path) -> tuple[int, str] | None:
        """Attempt and MLflow run that a folder was begun under; None for a run without a sweep."""
        text = _text(place / LEASE)
        found = json.loads(text) if text else None
        return (found["attempt"], found["run"]) if found else None

    def find_sealed(self, key: str) -> Path | None:
        """The folder of a complete outcome that was not delivered yet, or None; another user's may be out of reach.

        One that waits for another store is none.
        """
        place = self.place(key)
        if not (os.access(place / OUTCOME, os.R_OK) and os.access(place, os.W_OK)):
            return None
        try:
            return place if not self.store or self.store_of(place) in ("", self.store) else None
        except FileNotFoundError:  # another process has just delivered it
            return None

    @staticmethod
    def store_of(place: Path) -> str:
        """The address of the store that an outcome was sealed for; "" where it may go anywhere."""
        store = str(json.loads((place / OUTCOME).read_text()).get("store", ""))
        kind, _, file = store.partition(":///")
        if kind == "sqlite":
            return f"{kind}:///{(place.parent / file).resolve()}"
        return address(store) if store else ""  # sealed by a version that had other spellings

    def _portable(self, store: str) -> str:
        """A database beside the state folder is named from the spool: both may be moved, or mounted, together."""
        file = Path(store.removeprefix("sqlite:///"))
        beside = store.startswith("sqlite:///") and file.is_relative_to(self.root.resolve().parents[1])
        return f"sqlite:///{os.path.relpath(file, self.root.resolve())}" if beside else store

    def _put_aside(self, place: Path) -> None:
        """Keep an outcome that waits for another store, where the same point is begun for this one."""
        if not self.store or not os.access(place / OUTCOME, os.R_OK):
            return
        with suppress(FileNotFoundError), lock(place / ".lock"):  # not in the middle of a delivery
            if self.store_of(place) not in ("", self.store):
                place.rename(place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}"))

    def put(
        self, record: Record, name: str, experiment: str, identity: str | None = None, goes_on: bool = False
    ) -> Path:
        """Seal the folder of `record.key`: from now on the outcome counts.

        Args:
            name: the run's name for people.
            experiment: MLflow experiment that it belongs to.
            identity: of the outcome, where it has one from another store.
            goes_on: the checkpoint is kept for the next attempt.

        Raises:
            LeaseLost: when the point has been begun anew in this folder, while this process was suspended.
        """
        self.stay()
        place = self.place(record.key)
        lease = _text(place / LEASE)
        if lease != self._begun.get(record.key, lease):
            raise LeaseLost(f"{name}: another attempt at this run has begun meanwhile.")
        content = {
            "id": identity or uuid.uuid4().hex,
            "sealed": f"{time.time():.3f}",
            "name": name,
            "experiment": experiment,
            "store": self._portable(self.store or (json.loads(lease).get("store", "") if lease else "")),
            "record": dataclasses.asdict(record),
        }
        with disk_errors(self.root):
            stopped = self.stopped / f"{record.key}.ckpt"
            if goes_on and (place / RESUME).exists():
                self.stopped.mkdir(exist_ok=True)
                shutil.move(place / RESUME, stopped)  # the spool may be a link to another disk
            elif not goes_on:
                for checkpoint in (place / RESUME, stopped):
                    checkpoint.unlink(missing_ok=True)
            for file in place.iterdir():  # after a power cut, a seal must not stand on files that are not there
                sync(file)
        write_atomically(place / OUTCOME, json.dumps(content, indent=1, sort_keys=True, allow_nan=True))
        sync(place)
        return place

    def pending(self, store: str | None = None) -> list[Path]:
        """Folders of complete outcomes that were not delivered yet, oldest first; those of one store where it is named.

        What a kill left of delivered ones is removed.
        """
        if not self.root.is_dir():
            return []
        for left in self.root.glob(f"{DELIVERED}*"):
            shutil.rmtree(left, ignore_errors=True)
        found = []
        for place in self.root.iterdir():
            if place.name.startswith(DELIVERED):  # another process has just begun to remove it
                continue
            with suppress(FileNotFoundError):  # another process delivers at the same time
                if store is None or self.store_of(place) == address(store):
                    found.append(((place / OUTCOME).stat().st_mtime_ns, place))
        return [place for _, place in sorted(found)]

    def forget(self, keys: Collection[str]) -> None:
        """Remove what stopped and killed attempts left of runs that have been finished: checkpoints, unsealed files."""
        for file in self.stopped.glob("*.ckpt"):
            if file.stem in keys:
                file.unlink(missing_ok=True)
        for place in self.root.glob("[0-9a-f]*") if self.sweep else ():
            if self.key(place) in keys and place == self.place(self.key(place)) and not (place / OUTCOME).exists():
                self.clear(place)

    @staticmethod
    def read(place: Path) -> tuple[Record, dict[str, Any]]:
        """The Record in a sealed folder, and its name, experiment and store."""
        content = json.loads((place / OUTCOME).read_text())
        return Record(**content.pop("record")), content

    @staticmethod
    def clear(place: Path) -> None:
        """Forget a delivered outcome.

        It is renamed first, so that a kill in between leaves no folder that looks like unfinished work: nobody would
        ever run that point again, and its files would stay for good.
        """
        gone = place.with_name(f"{DELIVERED}{place.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):  # another process forgets it at the same time
            place.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
