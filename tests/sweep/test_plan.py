"""What the plan calls its points."""

from __future__ import annotations

from bench.schema.sweep import sweep
from bench.sweep.plan import points


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
