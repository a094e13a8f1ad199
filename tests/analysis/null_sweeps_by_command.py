"""Null sweeps judged by `bench table` itself, every file written: half an hour and more, so run by `make null-sweeps`.

tests/analysis/test_simulated.py holds that the command says what the simulated function says.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.simulated import KINDS, Command, error_rate, looking
from tests.analysis.test_simulated import limit


@pytest.mark.parametrize("kind", KINDS)
def test_null_sweeps_through_the_command(folder: Path, kind: str) -> None:
    assert error_rate(kind, 5, "normal", draws=100, by=Command()) <= limit(100)
    assert error_rate(kind, 5, "normal", "when bad", draws=100, by=Command()) <= limit(100)


def test_looks_through_the_command(folder: Path) -> None:
    assert looking(3, 2, 15, 60, by=Command()) <= limit(60)
