"""Null sweeps of every shape by the thousand, and judged by `bench table` itself, every file written.

Run by `make null-sweeps`: half an hour and more. test_simulated.py draws a sample of the first, and holds that the
command says what the simulated function says. Rates by the command are printed in the words of VERDICTS.md's table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.simulated import KINDS, MISSING, SHAPES, Command, error_rate, looking
from tests.analysis.simulated_replicates import COUNTS, rates
from tests.analysis.simulated_replicates import KINDS as REPLICATES
from tests.analysis.test_simulated import limit

CASES = [("normal", "nothing"), ("skewed", "nothing"), ("normal", "at random"), ("normal", "when bad")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_null_sweeps_of_every_shape(kind: str, n: int) -> None:
    for shape in SHAPES:
        if (kind, shape) != ("bound", "collapsing"):  # VERDICTS.md says why no test can
            assert error_rate(kind, n, shape, draws=1000) <= limit(1000), shape
    for missing in MISSING[1:]:
        assert error_rate(kind, n, "normal", missing, 1000) <= limit(1000), missing


def test_looks_are_paid_for() -> None:
    assert looking(3, 2, 15, 2000) <= limit(2000)
    assert looking(3, 1, 22, 1000, sequential=True) <= limit(1000)


@pytest.mark.parametrize("kind", REPLICATES)
def test_null_sweeps_over_splits_folds_sets_and_choices(kind: str) -> None:
    for n in COUNTS.get(kind, (3, 5, 10)):
        for missing in ("nothing", "at random", "when bad"):
            assert sum(rates(kind, n, 600, missing)[:2]) <= limit(600), (n, missing)


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
