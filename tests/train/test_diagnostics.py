"""Gradient norms by layer: right numbers, and observing changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.train.diagnostics import gradient_norms


def test_a_linear_layers_norm_is_that_of_its_formula() -> None:
    """d NLL / d W = (softmax - onehot)^T x / B."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 3))
    x, y = torch.randn(7, 5), torch.randint(3, (7,))
    error = torch.softmax(net(x), 1) - nn.functional.one_hot(y, 3)
    wanted = float((error.T @ x / 7).norm())
    assert gradient_norms(net, x, y, cross_entropy)["0"] == pytest.approx(wanted, rel=1e-5)


def test_observing_leaves_the_network_and_the_random_state_as_they_were() -> None:
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3)).eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.get_rng_state()
    found = gradient_norms(net, torch.randn(7, 5, generator=torch.Generator()), torch.zeros(7).long(), cross_entropy)
    assert list(found) == ["0", "3"]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training
    assert all(p.grad is None for p in net.parameters())


def test_a_run_that_is_observed_has_the_same_numbers(folder: Path, bench_json: Any) -> None:
    words = ("run", "dataset=digits", "model=dnn", "model.hidden=[8]", "model.dropout=0.2", "trainer.epochs=2")
    plain = bench_json(*words, "trainer.threads=1")
    seen = bench_json(*words, "trainer.threads=1", "trainer.gradients=true", "--fresh")
    assert seen["run_key"] == plain["run_key"]
    assert json.dumps(seen["metrics"]) == json.dumps(plain["metrics"])
    from bench.track.store import Store

    text = Store().artifact(seen["run_id"], "gradients.csv", folder).read_text().splitlines()
    assert text[0].startswith("epoch,")
    assert [line.split(",")[0] for line in text[1:]] == ["0.0", "1.0", "2.0"]
