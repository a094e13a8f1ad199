"""What follows the name in `bench reproduce NAME`."""

from __future__ import annotations

from bench.cli.reproduce import split


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
