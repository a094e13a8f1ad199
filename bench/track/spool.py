"""The spool: where a run's outcome lies on disk until the store has it.

A run writes its outcome here first, whole and at once, and only then is it delivered to MLflow. So a killed
process, a full disk or a tracking server that is away loses nothing, and training never waits for a database.

    <state folder>/spool/<run key>/
        outcome.json     the Record and the run's name; written last: a folder without it is unfinished work
        resume.ckpt      the last checkpoint of unfinished work; never delivered
        curves.csv       one row an epoch
        .lease           under which attempt, and for which MLflow run, this was begun; not for runs without a sweep
        everything else  artifacts of the run, delivered as they are
    <state folder>/stopped/<run key>.ckpt
        the last checkpoint of a run that trainer.max_minutes stopped, until it is run again or done
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.disk import disk_errors, sync, write_atomically
from bench.schema.names import checked_name
from bench.track.lease import LeaseLost
from bench.track.record import Record

OUTCOME = "outcome.json"
RESUME = "resume.ckpt"
LEASE = ".lease"
PROGRESS = ".progress"  # the epoch that is over, for the live view
DELIVERED = ".delivered."  # prefix of a folder that is being removed


def state_folder() -> Path:
    """`.imagebench` in the working directory, or $IMAGEBENCH_STATE."""
    return Path(os.environ.get("IMAGEBENCH_STATE", ".imagebench")).absolute()


class Spool:
    """Outcomes of runs that wait for their delivery."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or state_folder() / "spool"
        self.stopped = self.root.with_name("stopped")
        self._begun: dict[str, str] = {}  # key -> the lease that its folder was opened under

    def folder(self, key: str) -> Path:
        """The folder for the run's files; of an attempt that was interrupted or stopped only its checkpoint is left."""
        place = self.root / checked_name(key, "the run key")
        with disk_errors(self.root):
            if place.exists() and not (place / OUTCOME).exists():
                for left in place.iterdir():
                    if left.name not in (RESUME, LEASE):
                        shutil.rmtree(left) if left.is_dir() else left.unlink()
            place.mkdir(parents=True, exist_ok=True)
            stopped = self.stopped / f"{key}.ckpt"
            if stopped.exists() and not (place / RESUME).exists() and not (place / OUTCOME).exists():
                stopped.replace(place / RESUME)
        self._begun[key] = _text(place / LEASE)
        return place

    def lend(self, key: str, attempt: int, run_id: str) -> None:
        """Say under which attempt, and for which MLflow run, a point is begun; whoever began it before has lost it."""
        write_atomically(self.root / key / LEASE, json.dumps({"attempt": attempt, "run": run_id}))

    @staticmethod
    def lease(place: Path) -> tuple[int, str] | None:
        """Attempt and MLflow run that a folder was begun under; None for a run without a sweep."""
        text = _text(place / LEASE)
        found = json.loads(text) if text else None
        return (found["attempt"], found["run"]) if found else None

    def sealed(self, key: str) -> Path | None:
        """The folder of a complete outcome that was not delivered yet, or None; another user's may be out of reach."""
        place = self.root / key
        return place if os.access(place / OUTCOME, os.R_OK) and os.access(place, os.W_OK) else None

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
        place = self.root / checked_name(record.key, "the run key")
        if _text(place / LEASE) != self._begun.get(record.key, _text(place / LEASE)):
            raise LeaseLost(f"{name}: another attempt at this run has begun meanwhile.")
        content = {
            "id": identity or uuid.uuid4().hex,
            "sealed": f"{time.time():.3f}",
            "name": name,
            "experiment": experiment,
            "record": dataclasses.asdict(record),
        }
        with disk_errors(self.root):
            stopped = self.stopped / f"{record.key}.ckpt"
            if goes_on and (place / RESUME).exists():
                self.stopped.mkdir(exist_ok=True)
                (place / RESUME).replace(stopped)
            elif not goes_on:
                for checkpoint in (place / RESUME, stopped):
                    checkpoint.unlink(missing_ok=True)
            for file in place.iterdir():  # after a power cut, a seal must not stand on files that are not there
                sync(file)
        write_atomically(place / OUTCOME, json.dumps(content, indent=1, sort_keys=True, allow_nan=True))
        sync(place)
        return place

    def pending(self) -> list[Path]:
        """Folders of complete outcomes that were not delivered yet, oldest first.

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
                found.append(((place / OUTCOME).stat().st_mtime_ns, place))
        return [place for _, place in sorted(found)]

    def forget(self, keys: Collection[str]) -> None:
        """Remove the checkpoints of stopped runs that somebody has finished elsewhere."""
        for file in self.stopped.glob("*.ckpt"):
            if file.stem in keys:
                file.unlink(missing_ok=True)

    @staticmethod
    def read(place: Path) -> tuple[Record, dict[str, Any]]:
        """The Record in a sealed folder, and its name and experiment."""
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
