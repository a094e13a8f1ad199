"""What so many seeds can find, said before they run."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.report.power import forecast
from bench.report.stats import detectable
from tests.report.conftest import make_records, make_sweep

AXES = {"model": ["a", "b"]}
CLAIM = {"says": "a helps", "compare": {"model": "a"}, "against": {"model": "b"}}


def said(n: int, records: Any = (), **more: Any) -> str:
    return forecast(make_sweep(AXES, seeds=n, claims=[{**CLAIM, **more}]), list(records))[0]


def test_without_records_the_spread_is_the_unit() -> None:
    assert said(2) == "a helps: 2 seeds settle nothing; three are the least."
    assert "3 seeds find an effect of 3.3 sd" in said(3)
    unit = detectable(1.0, 10)
    assert unit is not None
    assert f"spreads by {100 * 0.02 / unit:.2g} points" in said(10, smallest=0.02)


def test_with_records_it_is_theirs() -> None:
    records = make_records(AXES, lambda _: 0.9, seeds=20, sd=0.01)
    text = said(10, records, smallest=0.02)
    a, b = (np.array([r.metrics["test/accuracy"] for r in records if r.axes["model"] == m]) for m in "ab")
    found = detectable(float((a - b).std(ddof=1)), 10)
    assert found is not None
    assert f"10 seeds find {100 * found:.1f} points four times in five (spread of 20 earlier seeds)" in text
    assert "2 points with 9" in text


def test_claims_share_the_level() -> None:
    two = make_sweep(AXES, seeds=5, claims=[CLAIM, {**CLAIM, "says": "again"}])
    unit = detectable(1.0, 5, 0.025)
    assert f"{unit:.2g} sd" in forecast(two, [])[0]
