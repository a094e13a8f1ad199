"""What is done to a network's inside leaves its function alone: outputs before and after, of every own config."""

import copy
import gc
import os

import pytest
import torch
import yaml
from torch import nn

from bench.compose import shipped_folder
from bench.models import build
from bench.models.heads import Backbone, readout
from bench.models.norm_layer import synchronise
from bench.models.registry import REGISTRY
from tests.models.experiments import make

EVERY = bool(os.environ.get("IMAGEBENCH_EVERY_CONFIG"))
TRAINED = [n for n, e in REGISTRY.items() if e.published != "0"]  # nearest neighbours have no network
# More of the same blocks, and hundreds of megabytes each. With `make configs`.
LARGER = ("resnet101", "resnet152", "vgg13", "vgg16", "vgg19")
LARGE = ("alexnet", "vgg", *LARGER)
NAMES = [
    pytest.param(n, marks=[pytest.mark.slow, pytest.mark.xdist_group("large")] if n.startswith(LARGE) else [])
    for n in TRAINED
    if EVERY or not n.startswith(LARGER)
]
# Deeper, or blocks of another that stays (googlenet, vgg11, mobilenetv3_small, efficientnet_b0): the compiler meets
# nothing new in them, and takes minutes. With `make configs`.
KNOWN = (
    "densenet121", "efficientnet_lite0", "inception_v3", "mobilenetv2", "mobilenetv3_large", "resnet50", "resnext50",
    "resnet32", "resnet34", "resnet44", "resnet56", "resnet110", "vgg11_bn", *LARGER,
)  # fmt: skip
CAPTURED = [n for n in TRAINED if EVERY or not n.startswith(KNOWN)]
BATCH = (nn.BatchNorm1d, nn.BatchNorm2d)


def network(name, **more):
    """The named config at its smallest input, batch norms with statistics of their own; and two images."""
    side = REGISTRY[name].min_size
    settings = yaml.safe_load((shipped_folder("conf") / "model" / f"{name}.yaml").read_text())
    net = build(make(settings | more), (3, side, side), 3)
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, BATCH):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return net, torch.rand(2, 3, side, side)


@pytest.mark.parametrize("name", NAMES)
def test_heads_cut_off_other_layouts_and_synchronised_batch_norm_change_no_output(name):
    """A frozen backbone's features and the heads trained on them are the network; `readout` compares the two."""
    net, images = network(name)
    state = net.state_dict()
    before = {n: t.clone() for n, t in state.items()}
    last = torch.channels_last
    with torch.inference_mode():
        expected = net.eval()(images)
        part = readout(net, images)
        assert (part is None) == (name == "squeezenet1_1")  # which cuts off what is negative after its head
        if part is not None:
            torch.testing.assert_close(part.eval()(Backbone(net)(images)), expected, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(net(images), expected, rtol=0, atol=0)
        torch.testing.assert_close(
            net.to(memory_format=last)(images.contiguous(memory_format=last)), expected, rtol=1e-3, atol=1e-4
        )
        net = synchronise(net.to(memory_format=torch.contiguous_format))
        assert not any(isinstance(m, BATCH) for m in net.modules())
        torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)
    assert before.keys() == net.state_dict().keys()
    assert all(torch.equal(before[n], t) for n, t in net.state_dict().items())
    del net, state, before
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("name", CAPTURED)
def test_a_graph_that_is_captured_computes_what_the_network_does(name):
    """What trainer.compile hands to torch's compiler, in evaluation mode and in training, with the same draws."""
    net, images = network(name)
    expected = net.eval()(images)
    before = copy.deepcopy(net)
    net.compile(backend="eager")
    torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)
    losses = []
    for one in (before, net):
        torch.manual_seed(0)
        losses.append(one.train()(images).square().mean())
        losses[-1].backward()
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
    for one, other in zip(before.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-2, atol=1e-4)
    torch.compiler.reset()
    gc.collect()
