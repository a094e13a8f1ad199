"""What every outcome of a run has, whoever seals it: its Record, and its settings as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.disk import write_atomically
from bench.schema.experiment import Experiment
from bench.schema.science import flat_settings
from bench.track.provenance import provenance
from bench.track.record import TUNING, Record, Status


def settings(exp: Experiment) -> dict[str, Any]:
    """The flat settings that a Record keeps: all but where it is recorded."""
    return {name: value for name, value in flat_settings(exp).items() if not name.startswith("tracking.")}


def new_record(
    exp: Experiment, key: str, *, status: Status, started: float, threads: int | None, data: str, reason: str = "",
    sweep: str = "", axes: Mapping[str, Any] | None = None, claims: str = "", tuning: bool = False,
    measured: Mapping[str, float] | None = None, costs: Mapping[str, float] | None = None,
    more: Mapping[str, str] | None = None,
) -> Record:  # fmt: skip
    """The Record of a run that has ended.

    Args:
        started: seconds since 1970.
        threads: sums in another order give other last digits; None for a run that never began.
        data: the images' fingerprint.
        claims: digest of what its sweep claimed when it was run.
        more: provenance that only who ran it knows.
    """
    clock = exp.trainer.seconds and exp.trains
    return Record(
        key=key,
        sweep=sweep,
        axes=dict(axes or {}),
        seed=exp.seed,
        status=status,
        reason=reason,
        metrics=dict(measured or {}),
        costs=dict(costs or {}),
        config=settings(exp),
        provenance={
            **provenance(),
            **({"threads": str(threads)} if threads else {}),
            "data_fingerprint": data,
            "started": f"{started:.3f}",
            **({"claims_sha256": claims} if claims else {}),
            **({TUNING: "true"} if tuning else {}),
            **({"repeatable": "no: trainer.seconds counts by the clock"} if clock else {}),
            **(more or {}),
        },
    )


def write_settings(folder: Path, exp: Experiment) -> None:
    """config.yaml, as a run keeps it."""
    write_atomically(folder / "config.yaml", yaml.safe_dump(settings(exp), sort_keys=True))
