"""A network that a user's file registers with timm, by `model=timm model.name=NAME`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import models
from bench.compose import compose
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key
from bench.track.store import Store

NET = """
from timm.models import register_model
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=1000, in_chans=3, **_):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(in_chans, 8, 3, 2), nn.BatchNorm2d(8), nn.Linear(8, num_classes)

    def get_classifier(self):
        return self.fc

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))

@register_model
def net_of_mine(pretrained=False, **options):
    return Net(**options)
"""
WORDS = ("dataset=digits", "model=timm", "model.name=net_of_mine", "trainer.epochs=1")


def exp(*more: str) -> Any:
    return experiment(compose([*WORDS, *more]))


def test_it_runs_as_timm_s_own_do_and_is_known_by_its_code(
    bench_json: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    file = write("parts/net.py", NET)
    done = bench_json("run", *WORDS, "norm_layer=group", "norm_layer.groups=4")
    record = Store(None).get(done["run_id"])
    assert record.config["model.code"] == exp().model.own.code
    (kept,) = json.loads((Store(None).artifacts(done["run_id"]) / "parts.json").read_text())
    assert kept["files"] == {"net.py": NET}
    net = models.build(exp("norm_layer=group", "norm_layer.groups=4"), (1, 8, 8), 10)
    assert type(net.get_submodule("norm")) is torch.nn.GroupNorm
    (row,) = bench_json("models", "net_of_mine")
    assert row["parameters"] == sum(p.numel() for p in models.build(exp(), (3, 32, 32), 10).parameters())
    before = run_key(exp(), "d")
    file.write_text(NET.replace("Conv2d(in_chans, 8, 3, 2)", "Conv2d(in_chans, 8, 3, 1)"))
    assert run_key(exp(), "d") != before
    assert models.build(exp(), (1, 8, 8), 10).get_submodule("conv").stride == (1, 1)
    plain = experiment(compose(["dataset=digits", "model=timm", "model.name=resnet18"]))
    assert plain.model.own is None

    from bench.restore import experiment_of

    with pytest.raises(RequestError, match="timm 'net_of_mine' has other code here"):
        experiment_of(record, record.seed, None, {})


def test_a_name_of_timm_s_is_refused_and_a_near_one_told(write: Callable[[str, str], Path]) -> None:
    write("parts/net.py", NET)
    with pytest.raises(RequestError, match=r"Unknown timm model 'net_of_mne'. Did you mean 'net_of_mine'"):
        models.build(exp("model.name=net_of_mne"), (1, 8, 8), 10)
    write("parts/net.py", NET.replace("net_of_mine", "resnet18"))
    with pytest.raises(RequestError, match="timm has a 'resnet18' already"):
        exp("model.name=resnet18")
