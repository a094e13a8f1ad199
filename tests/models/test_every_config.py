"""Every named config is built and takes one training step at its smallest input, with random weights.

Without memory (torch's meta device) all of them do everything: what gets a gradient from scratch, frozen and
fine-tuned, small stems, heads that are cut off, blocks for sharding. Numbers of a step are looked at for those that are
small, and for one of each family that is not.
"""

import copy
import gc

import pytest
import torch
import yaml
from torch import nn

from bench.compose import shipped_folder
from bench.models import Backbone, Readout, build, cost, head_names, stages, transfer
from bench.models.heads import in_heads
from bench.models.registry import REGISTRY
from bench.schema.errors import RequestError
from bench.schema.transfer import Transfer
from bench.train.sharded import blocks
from tests.models.experiments import make

TRAINED = [n for n, e in REGISTRY.items() if e.published != "0"]  # nearest neighbours take no steps
LARGE = [n for n in TRAINED if n.startswith(("vgg", "alexnet", "resnet1", "resnet5", "inception", "dense"))]
ONE_EACH = ["vgg11", "vgg11_bn", "alexnet", "resnet50", "resnet18", "inception_v3", "densenet121"]


def blank(name, shape, classes=3, **more):
    """The network without memory."""
    settings = yaml.safe_load((shipped_folder("conf") / "model" / f"{name}.yaml").read_text())
    with torch.device("meta"):
        return build(make(settings | more), shape, classes)


SCRATCH = Transfer()


def learned(net, shape, how=SCRATCH):
    """Names of the parameters that a training step would move."""
    transfer.training_mode(net, how)
    net(torch.zeros(2, *shape, device="meta")).sum().backward()
    return {n for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", TRAINED)
def test_everything_without_memory(name):
    shape = (3, REGISTRY[name].min_size, REGISTRY[name].min_size)
    fresh = blank(name, shape)
    net = copy.deepcopy(fresh)
    everything, heads = {n for n, _ in net.named_parameters()}, head_names(net)
    if name != "fractalnet":  # whose drop-path may leave a column out
        assert learned(net, shape) == everything
    mine = {n for n in everything if in_heads(n, heads)}
    assert mine == {n for n in everything if n.endswith(("weight", "bias")) and in_heads(n, heads)} != set()
    for mode, wanted in (("frozen", mine), ("finetune", everything)):
        net = copy.deepcopy(fresh)
        transfer.freeze(net, Transfer(mode=mode))
        assert {n for n, p in net.named_parameters() if p.requires_grad} == wanted
        if mode == "frozen":
            assert learned(net, shape, Transfer(mode=mode)) == mine
            assert not any(m.training for n, m in net.named_modules() if not in_heads(n, heads))
    parts = stages(net)
    assert sorted(id(p) for s in parts for p in s.parameters) == sorted(id(p) for p in net.parameters())
    if len(parts) > 1:  # linear is its head
        for first in (len(parts) - 1, len(parts) // 2):
            net = copy.deepcopy(fresh)
            transfer.freeze(net, Transfer(mode="partial", trainable_from=parts[first].name))
            held = [p for s in stages(net)[first:] for p in s.parameters]
            assert {id(p) for p in net.parameters() if p.requires_grad} == {id(p) for p in held}
        features = Backbone(copy.deepcopy(fresh).eval())(torch.zeros(2, *shape, device="meta"))
        assert Readout(net)(features).shape == (2, 3)
    # Sharding: each parameter is in one block, or in none and kept with the rest.
    cut = blocks(net, least=1000)
    assert len({id(m) for m in cut}) == len(cut)
    own = [{id(p) for p in m.parameters()} - {id(p) for o in m.modules() if o in cut and o is not m
                                              for p in o.parameters()} for m in cut]  # fmt: skip
    assert sum(map(len, own)) == len(set().union(*own))


@pytest.mark.parametrize("name", TRAINED)
def test_small_stems_without_memory(name):
    """Where there is one it keeps more pixels, and all else of the network is as it was."""
    settings = yaml.safe_load((shipped_folder("conf") / "model" / f"{name}.yaml").read_text())
    if settings["family"] not in ("timm", "torchvision"):
        return
    shape = (3, 96, 96)
    if name == "inception_v3":
        with pytest.raises(RequestError, match="small cannot be made"):
            blank(name, shape, stem="small")
        return
    native, small = blank(name, shape, stem="native"), blank(name, shape, stem="small")
    assert cost.flops(small, shape) > cost.flops(native, shape)
    before, after = ({(n, tuple(p.shape)) for n, p in net.named_parameters()} for net in (native, small))
    changed = before ^ after
    assert {n for n, _ in changed} <= {next(n for n, p in native.named_parameters() if p.ndim == 4), "pos_embed"}
    assert learned(small, shape) == {n for n, _ in small.named_parameters()}


def step(name):
    side = REGISTRY[name].min_size
    shape = (3, side, side)
    settings = yaml.safe_load((shipped_folder("conf") / "model" / f"{name}.yaml").read_text())
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
@pytest.mark.parametrize("name", [n for n in LARGE if n in ONE_EACH or n in ("resnet110",)])
def test_a_training_step_of_a_large_model(name):
    step(name)
    gc.collect()
