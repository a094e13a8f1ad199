"""Every named config is built and takes one training step at its smallest input, with random weights."""

import gc

import pytest
import torch
import yaml
from torch import nn

from bench.compose import shipped
from bench.models import build
from bench.models.registry import REGISTRY
from tests.models.experiments import make

TRAINED = [n for n, e in REGISTRY.items() if e.published != "0"]  # nearest neighbours take no steps
LARGE = [n for n in TRAINED if n.startswith(("vgg", "alexnet", "resnet1", "resnet5", "inception", "dense"))]


def step(name):
    side = REGISTRY[name].min_size
    shape = (3, side, side)
    settings = yaml.safe_load((shipped("conf") / "model" / f"{name}.yaml").read_text())
    net = build(make(settings), shape, 3).train()
    before = [p.detach().flatten()[:100].clone() for p in net.parameters()]
    torch.manual_seed(0)
    loss = nn.functional.cross_entropy(net(torch.rand(2, *shape)), torch.tensor([0, 2]))
    loss.backward()
    assert loss.isfinite()
    missing = [n for n, p in net.named_parameters() if p.grad is None]
    assert not missing or name == "fractalnet"  # whose drop-path may leave a column out
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert any(not torch.equal(a, p.detach().flatten()[:100]) for a, p in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("name", [n for n in TRAINED if n not in LARGE])
def test_a_training_step(name):
    step(name)


@pytest.mark.slow
@pytest.mark.xdist_group("large")  # one at a time: each takes up to two gigabytes
@pytest.mark.parametrize("name", LARGE)
def test_a_training_step_of_a_large_model(name):
    step(name)
    gc.collect()
