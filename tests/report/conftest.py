"""Fixtures of the tests of report."""

from __future__ import annotations

import pytest

from bench.schema.sweep import Sweep
from bench.track.record import Record
from tests.records import BATCHNORM, make_records, make_sweep


@pytest.fixture(scope="session")
def batchnorm_records() -> list[Record]:
    gain = {0.001: 0.02, 0.01: 0.005, 0.1: 0.25}
    base = {0.001: 0.90, 0.01: 0.94, 0.1: 0.70}
    return make_records(BATCHNORM, lambda p: base[p["optim.lr"]] + (p["norm_layer"] == "batch") * gain[p["optim.lr"]])


@pytest.fixture(scope="session")
def batchnorm_sweep() -> Sweep:
    return make_sweep(
        BATCHNORM,
        table={"rows": "norm_layer", "columns": "optim.lr"},
        figure={"kind": "line", "x": "optim.lr", "lines": "norm_layer"},
        claims=[
            {
                "says": "Batch norm raises test accuracy at lr 0.1",
                "compare": {"norm_layer": "batch"},
                "against": {"norm_layer": "none"},
                "at": {"optim.lr": 0.1},
            },
            {
                "says": "Batch norm helps at any lr",
                "compare": {"norm_layer": "batch"},
                "against": {"norm_layer": "none"},
            },
        ],
    )
