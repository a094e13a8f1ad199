"""How points that may be one program are divided among workers."""

from dataclasses import replace

import pytest

from bench.compose import compose
from bench.schema.experiment import experiment
from bench.sweep.plan import Point
from bench.sweep.shares import Shares


def planned(count, *words):
    exp = experiment(compose(["dataset=digits", "model=dnn", *words]))
    key = "-".join(words)
    return [Point({}, s, replace(exp, seed=s), f"{key}{s}", f"seed {s}", "d") for s in range(count)]


@pytest.mark.parametrize(
    ("count", "workers", "share"),
    [(12, 2, 6), (32, 2, 16), (36, 2, 9), (17, 1, 9), (33, 2, 9), (3, 4, 1)],  # 36: 16, 16 and 4 left one idle
)
def test_workers_have_as_many_programs_of_one_size(count, workers, share):
    points = planned(count)
    shares = Shares(points, workers)
    assert {shares.of(point) for point in points} == {share}
    assert -(-count // share) <= workers * -(-count // (16 * workers))


def test_a_program_is_as_large_as_asked_for_at_most_and_points_of_other_forms_are_apart():
    few, others = planned(10, "trainer.stack=4"), planned(5, "model.hidden=[7]")
    alone = planned(2, "trainer.stack=off")
    shares = Shares([*few, *others, *alone], 1)
    assert [shares.of(p) for p in (few[0], others[0], alone[0])] == [4, 5, 1]
    assert not shares.alike(few[0], others[0])
    shares.part(others[0])
    assert [shares.of(p) for p in (few[0], others[0])] == [4, 1]
