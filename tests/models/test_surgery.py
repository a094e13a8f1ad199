"""What is done to a network's inside leaves its function alone: outputs before and after, of every own config."""

import gc

import pytest
import torch
import yaml
from torch import nn

from bench.compose import shipped
from bench.models import build
from bench.models.norm_layer import synchronise
from bench.models.registry import REGISTRY
from tests.models.experiments import make

TRAINED = [n for n, e in REGISTRY.items() if e.published != "0"]  # nearest neighbours have no network
# Hundreds of megabytes each.
LARGE = [n for n in TRAINED if n.startswith(("vgg", "alexnet", "resnet101", "resnet152"))]
NAMES = [
    pytest.param(n, marks=[pytest.mark.slow, pytest.mark.xdist_group("large")] if n in LARGE else []) for n in TRAINED
]
BATCH = (nn.BatchNorm1d, nn.BatchNorm2d)


def network(name, **more):
    """The named config at its smallest input, batch norms with statistics of their own; and two images."""
    side = REGISTRY[name].min_size
    settings = yaml.safe_load((shipped("conf") / "model" / f"{name}.yaml").read_text())
    net = build(make(settings | more), (3, side, side), 3)
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, BATCH):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return net, torch.rand(2, 3, side, side)


@pytest.mark.parametrize("name", NAMES)
def test_synchronised_batch_norm_and_images_that_lie_otherwise_change_no_output(name):
    net, images = network(name)
    state = net.state_dict()
    with torch.inference_mode():
        expected = net.eval()(images)
        last = torch.channels_last
        torch.testing.assert_close(
            net.to(memory_format=last)(images.contiguous(memory_format=last)), expected, rtol=1e-3, atol=1e-4
        )
        net = synchronise(net.to(memory_format=torch.contiguous_format))
        assert not any(isinstance(m, BATCH) for m in net.modules())
        torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)
    assert state.keys() == net.state_dict().keys()
    assert all(torch.equal(state[n], t) for n, t in net.state_dict().items())
    del net
    gc.collect()
