"""Running experiments again, into a scratch place that nothing else reads."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import data as images
from bench.schema.experiment import Experiment
from bench.schema.run_key import run_key
from bench.sweep import machine
from bench.sweep.dispatcher import Dispatcher
from bench.sweep.plan import Point
from bench.sweep.pool import workers as start
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.starts import start_of
from bench.track.store import Store


def rerun(
    wanted: Sequence[tuple[Experiment, dict[str, Any]]], workers: int, on_done: Callable[[Record], None]
) -> list[Record]:
    """Run each (Experiment, axes) once and return the Records in the same order. No store sees them.

    Runs go to the workers of a launch, each with the threads that its Experiment says, so that the same seeds on the
    same machine give the same numbers.
    """
    points = []
    for exp, axes in wanted:
        data = images.fingerprint(exp.dataset, exp.split)
        points.append(Point(axes, exp.seed, exp, run_key(exp, data), f"seed {exp.seed}", data))
    trainer = points[0].experiment.trainer
    found: dict[str, Record] = {}
    with tempfile.TemporaryDirectory(prefix="imagebench-again-") as scratch, _state(scratch):
        spool = Spool(Path(scratch) / "spool", sweep="again")
        for point in points:
            if (run := start_of(point.experiment.transfer)) and spool.starts is not None:
                spool.starts.copy(Store(point.experiment.tracking.uri), run)
        with start(min(workers, len(points)), trainer.devices, trainer.accelerator, machine.threads(workers)) as pool:
            dispatcher = Dispatcher(pool, points, "again", spool, Silent(), alone=True)
            dispatcher.ready.extend({p.key: p for p in points}.values())
            while dispatcher.ready or dispatcher.running():
                dispatcher.hand_out()
                for place in dispatcher.collect(0.2):
                    record, _ = Spool.read(place)
                    found[record.key] = record
                    on_done(record)
    return [dataclasses.replace(found[p.key], axes=p.axes) for p in points]


class _state:
    """The state folder of workers that start inside the block is a scratch place."""

    def __init__(self, scratch: str) -> None:
        self.scratch, self.before = scratch, os.environ.get("IMAGEBENCH_STATE")

    def __enter__(self) -> None:
        os.environ["IMAGEBENCH_STATE"] = self.scratch

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            del os.environ["IMAGEBENCH_STATE"]
        else:
            os.environ["IMAGEBENCH_STATE"] = self.before


class Silent:
    """A view that shows nothing: the caller is told of every Record."""

    def running(self, worker: int, points: Sequence[Point]) -> None:
        """Nothing."""

    def done(self, point: Point, record: Record) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""
