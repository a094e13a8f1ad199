"""A run that ended by itself and one whose process died leave Records with the same facts."""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.compose import compose
from bench.data import fingerprint, load
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key
from bench.seal import seal
from bench.sweep.failure import seal_failure
from bench.sweep.plan import Point
from bench.track.spool import Spool

ONLY_A_RUN_KNOWS = {"test_fingerprint", "images"}


def test_both_kinds_of_failed_outcomes_say_the_same(tmp_path: Path) -> None:
    exp = experiment(compose(["dataset=digits", "model=linear", "trainer.seconds=1", "trainer.threads=1"]))
    data = fingerprint(exp.dataset, exp.split)
    key, axes = run_key(exp, data), {"model": "linear"}
    point = Point(axes=axes, seed=exp.seed, experiment=exp, key=key, name="linear", data=data, claims="c", tuning=True)
    died = seal_failure(Spool(tmp_path / "died"), point, "mine", "boom", threads=1)
    images = load(exp.dataset, exp.split)
    raised = seal(
        exp, images, MemoryError("boom"), 1.0, Spool(tmp_path / "raised"), sweep="mine", axes=axes, claims="c",
        tuning=True,
    )  # fmt: skip
    (one, _), (other, _) = Spool.read(died), Spool.read(raised)
    assert (one.key, one.sweep, one.axes, one.seed, one.status) == (key, "mine", axes, exp.seed, "failed")
    assert (one.config, one.axes, one.sweep) == (other.config, other.axes, other.sweep)
    assert other.provenance.keys() - one.provenance.keys() == ONLY_A_RUN_KNOWS
    assert {"claims_sha256", "repeatable", "threads", "data_fingerprint", "started"} <= one.provenance.keys()
    assert yaml.safe_load((died / "config.yaml").read_text()) == yaml.safe_load((raised / "config.yaml").read_text())
