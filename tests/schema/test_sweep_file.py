"""What a sweep file may say, and what is said about one that says something else."""

from __future__ import annotations

from typing import Any

import pytest

from bench.schema.errors import RequestError
from bench.schema.label import canonical_text, show
from bench.schema.sweep_file import sweep

AXES = {
    "norm_layer": ["none", "batch"],
    "optim.lr": [0.001, 0.01, "1e-1"],
    "depth": {"shallow": ["model.n=1"], "deep": []},
}
PAIR = {"compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}


def load(**content: Any) -> Any:
    return sweep({"name": "s", "question": "Why?", "axes": AXES, **content}, "s.yaml")


def test_a_claim_without_a_kind_compares() -> None:
    (claim,) = load(claims=[{"says": "x", **PAIR}]).claims
    assert claim.kind == "compare"
    assert claim.direction == "greater"


def test_one_value_may_be_spelled_in_many_ways() -> None:
    load(claims=[{"says": "x", **PAIR, "at": {"optim.lr": value}} for value in (0.1, "0.1", "1e-1", "0.10")])
    assert canonical_text(1) == canonical_text(1.0) == canonical_text("1") == canonical_text("1.00")
    assert canonical_text(True) != canonical_text(1)
    assert canonical_text("[400, 100]") == canonical_text([400, 100]) == canonical_text((400.0, 100))
    assert show(0.1) == show("1e-1") == "0.1"
    assert show("[400, 100]") == "400-100"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"tabel": {}}, "Unknown setting 'tabel'. Did you mean 'table'"),
        ({"axes": {"optim.lr": []}}, "axis 'optim.lr' in axes is empty"),
        ({"axes": {"optim.lr": [0.1, "1e-1"]}}, "has the value 0.1 twice"),
        ({"scales": {"smoke": {"axes": {"lr": [1]}}}}, "axis in scales.smoke.axes of s.yaml: 'lr'"),
        ({"table": {"rows": "norm_layers"}}, "axis in table.rows of s.yaml: 'norm_layers'.*Did you mean 'norm_layer'"),
        ({"table": {"rows": ["depth"], "columns": "depth"}}, "names axis 'depth' twice"),
        (
            {"table": {"rows": "depth", "at": {"optim.lr": 7}}},
            "table.at says optim.lr: 7, which the axis does not have",
        ),
        ({"figure": {"kind": "lines", "x": "depth"}}, "figure.kind: unknown value 'lines'. Did you mean 'line'"),
        ({"figure": {"lines": "depth"}}, "figure.x is missing. A figure without a kind needs an axis"),
        ({"figures": [{"kind": "heat", "x": "depth"}]}, r"figures\[0\].lines is missing. A figure of kind heat"),
        ({"figure": {"x": "depth", "lines": "depth"}}, "figure names axis 'depth' twice"),
        ({"claims": [{"kind": "comparison", "says": "x"}]}, r"kind in claims\[0\].*Did you mean 'compare'"),
        ({"claims": [{"says": "x", "compare": {"norm_layer": "batch"}}]}, "against' is missing"),
        (
            {"claims": [{"says": "x", **PAIR, "at": {"depth": "depp"}}]},
            "Did you mean 'deep'.*Its values: shallow, deep",
        ),
        ({"claims": [{"says": "x", **PAIR, "at": {"norm_layer": "none"}}]}, "fixed by `compare` and by `at`"),
        ({"claims": [{"says": "x", **PAIR, "against": {"depth": "deep"}}]}, "must fix the same axes"),
        ({"claims": [{"says": "x", **PAIR, "against": PAIR["compare"]}]}, "are the same"),
        ({"claims": [{"says": "x", **PAIR, "compare": {}}]}, "`compare` is empty"),
        ({"claims": [{"says": "x", **PAIR, "direction": "up"}]}, "unknown value 'up'"),
        ({"claims": [{"says": "x", **PAIR, "test": "anova"}]}, "unknown value 'anova'"),
        ({"claims": [{"says": "x", **PAIR, "by": -1}]}, "greater than or equal to 0"),
        ({"claims": [{"kind": "trend", "says": "x", "over": "lr"}]}, r"axis in claims\[0\].over of s.yaml: 'lr'"),
        (
            {"claims": [{"kind": "trend", "says": "x", "over": "depth", "at": {"depth": "deep"}}]},
            "both `over` and fixed",
        ),
        ({"claims": [{"kind": "equivalence", "says": "x", **PAIR, "margin": 0}]}, "greater than 0"),
        ({"claims": [{"kind": "bound", "says": "x", "at": {"depth": "deep"}, "bound": 95}]}, "fraction in 0..1"),
        (
            {"claims": [{"kind": "interaction", "says": "x", **PAIR, "where": {"norm_layer": "none"}, "versus": {}}]},
            "stands in compare or against and in where or versus",
        ),
        ({"select": {"over": ["optim.lr"], "by": "test/accuracy"}}, "Selection is on val, never on test"),
        ({"select": {"over": []}}, "select.over"),
        (
            {"select": {"over": ["optim.lr"]}, "table": {"rows": "optim.lr"}},
            "table.rows names axis 'optim.lr', but `select`",
        ),
        (
            {"select": {"over": ["optim.lr"]}, "figure": {"x": "optim.lr"}},
            "figure.x names axis 'optim.lr', but `select`",
        ),
        ({"select": {"over": ["depth"]}, "claims": [{"says": "x", **PAIR, "at": {"depth": "deep"}}]}, "but `select`"),
        ({"published": [{"value": 0.9}]}, "published.0.source' is missing"),
        ({"published": [{"value": 92.5, "source": "x"}]}, "value is 92.5, but test/accuracy is a fraction"),
        (
            {"published": [{"value": 0.9, "source": "x", "at": {"depth": "abyss"}}]},
            r"published\[0\].at says depth: abyss",
        ),
        ({"allow": {"few_seeds": "yes"}}, "Write down why, in words"),
    ],
)
def test_what_is_wrong_is_said(content: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load(**content)


def test_a_candidate_may_be_left_out() -> None:
    left_out = {"norm_layer": "none", "optim.lr": 0.1}
    assert load(select={"over": ["optim.lr"]}, exclude=[left_out]).exclude == [left_out]


def test_a_figure_of_val_may_show_what_is_selected() -> None:
    figure = {"x": "optim.lr", "lines": "norm_layer", "panels": "depth", "y": "val/accuracy"}
    made = load(select={"over": ["optim.lr"]}, figure=figure)
    assert made.figure.y == "val/accuracy"


def test_a_value_of_any_scale_may_be_claimed_about() -> None:
    load(
        scales={"full": {"axes": {"optim.lr": [0.5]}}},
        claims=[{"kind": "bound", "says": "x", "at": {"optim.lr": 0.5}, "bound": 0.5}],
    )


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"kind": "equivalence", "margin": 1}, r"margin is 1, .* no difference is larger\. For 1 point say 0\.01"),
        ({"kind": "compare", "by": 5}, r"by is 5, .* fraction in 0\.\.1.* For 5 points say 0\.05"),
        ({"kind": "equivalence", "margin": 2, "metric": "test/ece"}, "margin is 2"),
    ],
)
def test_percent_is_refused_where_a_fraction_is_meant(claim: dict, said: str) -> None:
    sides = {"compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    data = {"name": "m", "question": "?", "axes": {"norm_layer": ["none", "batch"]}}
    with pytest.raises(RequestError, match=said):
        sweep({**data, "claims": [{"says": "x", **sides, **claim}]}, "m.yaml")
    sweep({**data, "claims": [{"says": "x", **sides, **claim, "metric": "test/nll"}]}, "m.yaml")  # nats have no end
