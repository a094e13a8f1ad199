"""Checkpoints of a training: whole or not there, and resumed from only by what wrote them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from bench.schema.experiment import Experiment, science

CHECKPOINT_SECONDS = 30.0  # at most so often, at the end of an epoch


def identity(exp: Experiment) -> str:
    """What a checkpoint must have been written by to be resumed from."""
    return f"{torch.__version__} {pl.__version__} {science(exp)}"


def part_of(path: Path) -> Path:
    """The file to write first; `settle` moves it into place."""
    return path.with_name(path.name + ".part")


def settle(path: Path) -> None:
    """Put the written `part_of(path)` in the place of `path`: a kill or a power cut leaves the old one or the new."""
    part = part_of(path)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def content(path: Path | None) -> dict[str, Any]:
    """What a checkpoint holds, with its tensors on the CPU; nothing where there is none."""
    if path is None or not path.exists():
        return {}
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))


def resumable(exp: Experiment, checkpoint: Path | None) -> Path | None:
    """The checkpoint, where there is one that Lightning wrote of this experiment, with the same versions."""
    states = content(checkpoint).get("callbacks", {}).values()
    return checkpoint if any(state.get("identity") == identity(exp) for state in states) else None
