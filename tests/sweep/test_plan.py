"""What the plan calls its points."""

from __future__ import annotations

import dataclasses
import json

import pytest

from bench.schema.errors import RequestError
from bench.schema.sweep_file import sweep
from bench.sweep import file
from bench.sweep.plan import at_scale, points


def test_a_runs_name_says_which_axis_a_number_belongs_to() -> None:
    """Also where the number is the label of a step that changes several settings."""
    made = sweep(
        {
            "name": "named",
            "question": "What is it called?",
            "base": ["dataset=digits", "model=cnn"],
            "axes": {
                "norm_layer": ["batch"],
                "optim.lr": [0.1],
                "depth": {"2": ["model.filters=[4,4]"], "1": ["model.filters=[4]", "model.kernels=[3]"]},
            },
            "seeds": 1,
        },
        "named.yaml",
    )
    assert [p.name for p in points(made)] == [
        "cnn · batch · lr 0.1 · depth 2 · seed 0",
        "cnn · batch · lr 0.1 · depth 1 · seed 0",
    ]


def test_what_is_about_points_that_a_scale_does_not_have_is_left_out_there() -> None:
    made = sweep(
        {
            "name": "scaled",
            "question": "Which?",
            "base": ["dataset=digits"],
            "axes": {"model": ["linear", "dnn", "cnn"], "optim": ["sgd", "adam"]},
            "scales": {"smoke": {"axes": {"model": ["linear", "dnn"]}}, "small": {}},
            "claims": [
                {"says": "dnn is better", "compare": {"model": "dnn"}, "against": {"model": "linear"}},
                {"says": "cnn is better", "compare": {"model": "cnn"}, "against": {"model": "dnn"}},
            ],
            "exclude": [{"model": "cnn", "optim": "sgd"}, {"model": ["cnn", "dnn"], "optim": "adam"}],
            "figures": [{"kind": "confusion", "at": {"model": "cnn"}}],
            "published": [{"value": 0.9, "source": "a paper", "at": {"model": m}} for m in ("dnn", "cnn")],
        },
        "scaled.yaml",
    )
    smoke, small = at_scale(made, "smoke"), at_scale(made, "small")
    assert [c.says for c in smoke.claims] == ["dnn is better"]
    assert [p.at for p in smoke.published] == [{"model": "dnn"}]
    assert smoke.figures == []
    assert smoke.exclude == [{"model": "dnn", "optim": "adam"}]
    assert small.exclude == made.exclude
    assert (small.claims, small.published, small.figures) == (made.claims, made.published, made.figures)


@pytest.mark.parametrize("scale", ["smoke", "small", "full"])
def test_what_a_manifest_states_of_a_shipped_sweep_is_a_sweep(scale: str) -> None:
    for name in file.names():
        stated = at_scale(file.read(name), scale)
        assert sweep(json.loads(json.dumps(dataclasses.asdict(stated))), name) == stated


def test_a_setting_that_refers_to_another_takes_that_points_value() -> None:
    """It took the default's: split.seed=${seed} gave split.seed 0 for every seed."""
    data = {"name": "refers", "question": "?", "axes": {"model": ["linear"]}, "seeds": 3}
    made = sweep({**data, "base": ["dataset=digits", "split.seed=${seed}"]}, "refers.yaml")
    assert [p.experiment.split.seed for p in points(made)] == [0, 1, 2]
    assert len({p.data for p in points(made)}) == 3


def test_a_sweep_that_shows_train_accuracy_measures_it() -> None:
    content = {
        "name": "both",
        "question": "Does it memorise?",
        "base": ["dataset=digits"],
        "axes": {"model": ["linear", "dnn"]},
        "seeds": 1,
        "table": {"rows": "model", "metric": ["test/accuracy", "train/accuracy"]},
    }
    assert all(point.experiment.metrics.train for point in points(sweep(content, "both.yaml")))
    alone = {**content, "table": {"rows": "model", "metric": "test/accuracy"}}
    assert not any(point.experiment.metrics.train for point in points(sweep(alone, "both.yaml")))


def test_a_budget_asked_for_takes_the_place_of_the_files() -> None:
    content = {
        "name": "b",
        "question": "?",
        "base": ["dataset=digits", "trainer.epochs=3"],
        "axes": {"model": ["linear"]},
        "seeds": 1,
    }
    (point,) = points(sweep(content, "b.yaml"), ["trainer.steps=50"])
    assert point.experiment.trainer.steps == 50
    (point,) = points(sweep(content, "b.yaml"), ["trainer.epochs=4"])
    assert (point.experiment.trainer.steps, point.experiment.trainer.epochs) == (None, 4)


@pytest.mark.parametrize("part", ["table", "figure", "claim"])
def test_a_cost_that_no_run_has_is_told_before_the_runs(part: str) -> None:
    asked = {
        "table": {"table": {"rows": "model", "metric": ["test/accuracy", "cost/trainable_params"]}},
        "figure": {"figure": {"kind": "pareto", "lines": "model", "cost": "cost/trainable_params"}},
        "claim": {"claims": [{"says": "a", "compare": {"model": "dnn"}, "against": {"model": "linear"},
                              "metric": "cost/trainable_params"}]},
    }  # fmt: skip
    stated = {"name": "costly", "question": "Which?", "base": ["dataset=digits"], "axes": {"model": ["linear", "dnn"]}}
    with pytest.raises(RequestError, match=r"'cost/trainable_params'\. Did you mean 'cost/params'"):
        points(sweep({**stated, **asked[part]}, "costly.yaml"))
    bare = {"table": {"rows": "model", "metric": "ece"}}
    with pytest.raises(RequestError, match=r"metric 'ece' is measured on several images\. Say test/ece, or val/ece"):
        points(sweep({**stated, **bare}, "costly.yaml"))
