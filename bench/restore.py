"""The Experiment that a record's settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.compose import compose
from bench.parts.resolve import resolve_parts
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment, experiment
from bench.track.record import Record

# Settings of the other machine, not of the experiment; `threads` is set from the provenance.
ELSEWHERE = (
    *("dataset.root", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.threads", "trainer.max_minutes"),
)
DEVICES = ("trainer.devices", "trainer.num_nodes")


def experiment_of(record: Record, seed: int, threads: int | None, overrides: Mapping[str, Any]) -> Experiment:
    """The Experiment that a record's flat settings describe.

    Args:
        seed: training seed to use.
        threads: CPU threads of the run.
        overrides: flat settings that replace the recorded ones, such as where a dataset lies here.

    Raises:
        RequestError: for settings that this version does not have.
    """
    kept = DEVICES if record.config.get("trainer.sync_batchnorm") is False else ()  # there they may be the experiment
    left_out = {*ELSEWHERE, "seed"} - {*kept}
    here = {name: value for name, value in record.config.items() if name not in left_out}
    if record.config.get("dataset.source") == "folder" and "dataset.root" not in overrides:
        here["dataset.root"] = _images_of(record.config.get("dataset.root"))
    config = nest({**here, **overrides})
    for part, value in compose([]).items():
        config.setdefault(part, value)  # a part that is younger than the record: its default means "as before"
    config = resolve_parts(config)
    config["seed"] = seed
    config.setdefault("trainer", {})["threads"] = threads
    return experiment(config)


def _images_of(root: Any) -> str:
    """The folder that a run read its images from, where it is here too; its fingerprint is checked by who reads it."""
    if isinstance(root, str) and Path(root).is_dir():
        return root
    read = f" They were read from {root}, which is not a folder here." if root else ""
    raise RequestError(f"Where are the images of these runs? Say dataset.root=DIR.{read}")


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optim.lr": 0.1}` as `{"optim": {"lr": 0.1}}`."""
    out: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = out
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return out
