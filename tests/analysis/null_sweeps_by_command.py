"""Null sweeps judged by `bench table` itself, every file written: half an hour and more, so run by `make null-sweeps`.

tests/analysis/test_simulated.py holds that the command says what the simulated function says. Each rate is printed, in
the words of VERDICTS.md's table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.simulated import KINDS, Command, error_rate, looking
from tests.analysis.test_simulated import limit

CASES = [("normal", "nothing"), ("skewed", "nothing"), ("normal", "at random"), ("normal", "when bad")]


@pytest.mark.parametrize(("shape", "missing"), CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_null_sweeps_through_the_command(folder: Path, kind: str, shape: str, missing: str) -> None:
    rate = error_rate(kind, 5, shape, missing, draws=100, by=Command())
    print(f"\n{kind}, n = 5, {shape}, {missing} lost: {100 * rate:.1f}% of 100", flush=True)
    assert rate <= limit(100)


@pytest.mark.parametrize("sequential", [False, True])
def test_looks_through_the_command(folder: Path, sequential: bool) -> None:
    rate = looking(3, 2, 15, 60, sequential, by=Command())
    print(f"\nlooks at 3, 5, ..., 15 seeds{', sequential' if sequential else ''}: {100 * rate:.1f}% of 60", flush=True)
    assert rate <= limit(60)
