"""What follows the name in `bench reproduce NAME`."""

from __future__ import annotations

import argparse

import pytest

from bench.cli.reproduce import choose, split
from bench.report import evidence
from bench.schema.errors import RequestError
from tests.conftest import REPO


def test_values_are_read_by_hydras_grammar() -> None:
    words = [
        "ladder",
        "trainer.stack=off",
        "trainer.compile=false",
        "model.hidden=[32,16]",
        "optim.lr=0.1",
        "model.name='a b'",
    ]
    assert split(words) == (
        "ladder",
        {
            "trainer.stack": "off",
            "trainer.compile": False,
            "model.hidden": [32, 16],
            "optim.lr": 0.1,
            "model.name": "a b",
        },
    )


def test_a_cell_that_is_not_there_is_told_which_are() -> None:
    read = evidence.read(REPO / "results" / "depth")
    cells = r"model=plain, resnet; model\.depth=8, 20, 32; optim\.lr=0\.03, 0\.1, 0\.3\."
    with pytest.raises(RequestError, match=rf"at model=resne\. Its cells: {cells}") as told:
        choose(read, argparse.Namespace(cell=["model=resne"], cells="3"))
    assert str(told.value).count("nothing to run again") == 0
