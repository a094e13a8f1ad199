"""Checkpoints of a training: whole or not there, and taken over only by what wrote them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from bench.schema.experiment import Experiment
from bench.schema.science import science

CHECKPOINT_SECONDS = 30.0  # at most so often, at the end of an epoch
LAYOUT = 2  # raise when what is kept means something else


@contextmanager
def after_each_epoch() -> Iterator[None]:
    """Inside, a training writes one whenever an epoch is done, the last one left out."""
    global CHECKPOINT_SECONDS
    before, CHECKPOINT_SECONDS = CHECKPOINT_SECONDS, 0.0
    try:
        yield
    finally:
        CHECKPOINT_SECONDS = before


def identity(exp: Experiment, kind: str) -> str:
    """What a checkpoint must have been written by to be resumed from; `kind` is the learner's."""
    return f"{LAYOUT} {kind} {torch.__version__} {science(exp)}"


def write(path: Path, exp: Experiment, kind: str, state: dict[str, Any]) -> None:
    """Put a run's state in the place of `path`: a kill or a power cut leaves the old one or the new.

    Args:
        state: `epoch` (finished ones), and whatever else the loop needs; tensors, numbers, text.
    """
    part = path.with_name(path.name + ".part")
    torch.save({"identity": identity(exp, kind), **state}, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """All that a checkpoint holds, its tensors on the CPU.

    Raises:
        UnpicklingError: something else than tensors, numbers, texts, and lists and dicts of these.
        Exception: of many kinds, where the file is no whole one.
    """
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))


def read(path: Path | None, exp: Experiment, kind: str) -> dict[str, Any]:
    """A run's state, its tensors on the CPU; nothing where there is none of this experiment with the same versions.

    One that cannot be read (a copy that was cut off, a disk's fault) is none: the run starts over.
    """
    if path is None or not path.exists():
        return {}
    try:
        found = load(path)
    except (RuntimeError, EOFError, ValueError, TypeError, LookupError, UnpicklingError):
        return {}
    return found if found.get("identity") == identity(exp, kind) else {}


def epochs_done(path: Path | None, exp: Experiment, kind: str) -> int:
    """How many epochs of a run its checkpoint holds; 0 where there is none."""
    return int(read(path, exp, kind).get("epoch", 0))
