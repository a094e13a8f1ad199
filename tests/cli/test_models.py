"""bench models: what it lists, as a table and as JSON, and what it says to wrong names."""

import json

import pytest

from bench.cli import main
from bench.schema.errors import RequestError


def run(capsys, *words):
    status = main(["models", *words])
    return status, capsys.readouterr()


def test_json_lists_what_was_asked_for(capsys):
    status, out = run(capsys, "resnet2?", "--json")
    (row,) = json.loads(out.out)
    assert status == 0
    assert (row["name"], row["year"], row["parameters"], row["min_size"]) == ("resnet20", 2015, 269_722, 4)
    assert set(row) >= {"paper", "flops", "pretrained", "norm_layers"}
    assert row["pretrained"] is False
    assert set(row["norm_layers"]) == {"native", "none", "batch", "layer", "group", "instance", "weight", "selu"}


def test_counts_follow_the_given_input_and_classes(capsys):
    _, out = run(capsys, "linear", "--input", "3x8x8", "--classes", "7", "--json")
    (row,) = json.loads(out.out)
    assert row["parameters"] == (3 * 8 * 8 + 1) * 7
    assert row["flops"] == 2 * 3 * 8 * 8 * 7


def numbers(table):
    """(line, its count of parameters) of each row below the heading."""
    lines = table.splitlines()[1:]
    return [(line, next(w for w in line.split()[1:] if w.replace(",", "").isdigit())) for line in lines]


def test_stages_are_listed_from_input_to_head(capsys):
    _, out = run(capsys, "resnet18", "--stages", "--json")
    stages = json.loads(out.out)[0]["stages"]
    assert [s["name"] for s in stages] == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert sum(s["parameters"] for s in stages) == 11_689_512
    _, out = run(capsys, "resnet18", "--stages")
    assert "layer4" in out.out
    _, out = run(capsys, "vgg11_bn", "--stages")
    assert len({line.index(word) + len(word) for line, word in numbers(out.out)}) == 1  # one column, flush right


def test_timms_models_are_found_by_their_names(capsys):
    _, out = run(capsys, "resnetv2_18", "--timm", "--json")
    rows = json.loads(out.out)
    assert rows[0]["name"] == "resnetv2_18"
    assert rows[0]["parameters"] > 11e6
    status, out = run(capsys, "*", "--timm")
    assert status == 2
    assert "a pattern for at most 40 is needed" in out.err


def test_a_model_of_timm_that_cannot_be_counted_does_not_hide_the_others(capsys, monkeypatch):
    from bench.models import overview

    def refuse(model):
        if model.name == "resnet18d":
            raise RequestError("resnet18d is no classifier.")
        return 32

    monkeypatch.setattr(overview, "smallest_useful_input", refuse)
    status, out = run(capsys, "resnet18*", "--timm", "--json")
    rows = {row["name"]: row for row in json.loads(out.out)}
    assert status == 0
    assert rows["resnet18d"]["error"] == "resnet18d is no classifier."
    assert rows["resnet18d"]["parameters"] is None
    assert rows["resnet18"]["parameters"] == 11_689_512
    assert rows.keys() == {"resnet18", "resnet18d"}


def test_a_table_of_positions_inside_a_pooling_layer_is_made_for_each_size_tried(capsys):
    _, out = run(capsys, "resnet50_clip", "--timm", "--json")
    (row,) = json.loads(out.out)
    assert row["min_size"] == 32
    assert row["parameters"] > 30e6


def test_a_model_that_timm_alone_has_is_listed_without_being_asked_for_there(capsys):
    status, out = run(capsys, "deit_tiny_distilled_patch16_224")
    assert status == 0
    assert "model=timm model.name=deit_tiny_distilled_patch16_224" in out.err
    assert "its logits are the mean of 2 heads: head, head_dist" in out.out
    _, out = run(capsys, "resnet18", "--json")
    assert json.loads(out.out)[0]["heads"] == ["fc"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnt18"], "Did you mean 'resnet18'? 'bench models' lists all"),
        (["linear", "--input", "3x0x8"], "expected CxHxW"),
        (["linear", "--classes", "1"], "expected at least 2"),
    ],
)
def test_wrong_requests(capsys, words, message):
    status, out = run(capsys, *words)
    assert status == 2
    assert message in out.err


def test_a_model_that_does_not_take_the_input_is_listed_with_the_reason(capsys):
    status, out = run(capsys, "squeezenet1_1", "--input", "8", "--json")
    assert status == 0
    assert "smallest input is 17x17" in json.loads(out.out)[0]["error"]


def test_a_norm_that_stands_behind_a_global_pooling_rules_out_instance(capsys):
    """One pixel has no deviation; only a pass through the network tells where there is one."""
    _, out = run(capsys, "skresnet18", "--json")
    (row,) = json.loads(out.out)
    assert {"batch", "group", "none"} < set(row["norm_layers"])
    assert "instance" not in row["norm_layers"]
