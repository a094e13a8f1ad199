"""Where nothing is going on hardly any claim is settled: a sample; VERDICTS.md has the whole table."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.simulated import (
    AXES,
    KINDS,
    MARGIN,
    SHAPES,
    Command,
    Function,
    error_rate,
    looking,
    planted,
)
from tests.analysis.simulated_at_large import RULES
from tests.analysis.simulated_replicates import KINDS as REPLICATES
from tests.analysis.simulated_replicates import rates
from tests.records import make_records


def limit(draws: int) -> float:
    """5% and what chance may add to it."""
    return 0.05 + 3.1 * (0.05 * 0.95 / draws) ** 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_null_sweeps(kind: str) -> None:
    draws = 120
    assert error_rate(kind, 5, "skewed" if kind == "bound" else "normal", draws=draws) <= limit(draws)
    assert error_rate(kind, 5, "normal", "when bad", draws) <= limit(draws)


def test_a_sample_of_looks() -> None:
    assert looking(3, 2, 15, 120) <= limit(120)
    assert looking(3, 2, 15, 120, sequential=True) <= limit(120)


def test_a_sample_of_planted_effects() -> None:
    for kind in ("compare", "equivalence"):
        supported, refuted, covered = planted(kind, 5, "normal", 120)
        assert supported > 0.3
        assert refuted == 0
        assert covered >= 0.88


@pytest.mark.parametrize("kind", [kind for kind in RULES if kind != "trend"])
def test_the_rules_in_numpy_are_the_product_s(kind: str) -> None:
    """Those of the page's 400,000 draws: judged one by one, the same draws are settled."""
    axes = {"model": ["a", "b"], "depth": [8, 56]} if kind == "interaction" else {"model": ["a", "b"], "depth": [8]}
    definition = {"axes": axes, "claims": [{"says": "x", **KINDS[kind]}], "seeds": 4}
    template, by, settled = make_records(axes, lambda _: 0.5, seeds=4), Function(), []
    rng, at = np.random.default_rng(7), [r.axes for r in template[::4]]
    # In the order of the rules: a, b, and for an interaction a and b where the effect is taken off.
    order = [{"model": m, "depth": d} for d in ((56, 8) if kind == "interaction" else (8,)) for m in "ab"]
    drawn = [SHAPES["skewed"](rng, (80, 4)) for _ in order]
    for one in range(80):
        values = dict(zip(map(str, order), (cell[one] for cell in drawn), strict=True))
        shift = {"a": MARGIN * (kind == "equivalence"), "b": 0.0}
        numbers = [v + shift[str(cell["model"])] for cell in at for v in values[str(cell)]]
        made = [dataclasses.replace(r, metrics={"test/accuracy": v}) for r, v in zip(template, numbers, strict=True)]
        settled.append(by(definition, made)[0]["verdict"] != "open")
        by.forget()
    assert settled == RULES[kind](drawn).tolist()
    assert any(settled)


@pytest.mark.parametrize("sequential", [False, True])
def test_the_command_says_what_the_simulation_judges(folder: Path, sequential: bool) -> None:
    """All kinds of claims at once, with failed runs, three looks: words, p, intervals and earlier looks."""
    claims = [{"says": kind, **said} for kind, said in KINDS.items()]
    definition = {"axes": AXES, "claims": claims, "seeds": 7, "sequential": sequential}
    every = make_records(AXES, lambda at: 0.9 + 0.01 * (at["model"] == "a"), seeds=7)
    every = [
        dataclasses.replace(r, status="failed", metrics={}) if r.seed == 1 and r.axes["depth"] == 56 else r
        for r in every
    ]
    one, other = Command(), Function()
    for n in (3, 5, 7):
        records = [r for r in every if r.seed < n]
        for said, judged in zip(one(definition, records), other(definition, records), strict=True):
            assert (said["verdict"], len(said["looks"])) == (judged["verdict"], len(judged["looks"]))
            for name in ("p", "low", "high"):
                expected = judged[name] if math.isfinite(judged[name]) else None  # as JSON says it
                assert said[name] == (expected and pytest.approx(expected, rel=1e-12)), (n, name)
    assert len(said["looks"]) == 2


@pytest.mark.parametrize("kind", REPLICATES)
def test_a_sample_of_null_sweeps_over_splits_folds_sets_and_choices(kind: str) -> None:
    n, draws = 8 if kind.startswith("across") else 5, 60
    for missing in ("nothing", "when bad"):
        supported, refuted, _ = rates(kind, n, draws, missing)
        assert supported + refuted <= limit(draws), missing
