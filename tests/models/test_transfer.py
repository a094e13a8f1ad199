"""What is frozen, who is trained when, and the head that is put on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench import models
from bench.models import transfer
from bench.models.stages import stages
from bench.schema.errors import RequestError
from tests.models.experiments import RESIDUAL, composed, residual


@pytest.mark.parametrize(
    ("mode", "trained"),
    [
        (("transfer=frozen",), 1),
        (("transfer=partial", "transfer.trainable_from=STAGE"), 2),
        (("transfer=finetune",), 0),
    ],
)
def test_frozen_stages_do_not_change_and_the_others_do(mode, trained):
    """Every tensor of every stage, running statistics too, before and after steps in training mode."""
    _, like = residual()
    names = [stage.name for stage in stages(like)]
    assert len(names) >= 4
    exp, net = residual(*(o.replace("STAGE", names[-2]) for o in mode))
    transfer.freeze(net, exp.transfer)
    first = {0: 0, 1: len(names) - 1, 2: len(names) - 2}[trained]
    before = {n: t.clone() for n, t in net.state_dict().items()}
    optimizer = torch.optim.SGD(transfer.groups(net, exp.transfer, 0.1), lr=0.1, weight_decay=0.1)
    transfer.training_mode(net, exp.transfer)  # as the training loop does; frozen stages stay in evaluation mode
    for i in range(3):
        torch.manual_seed(i)
        loss = nn.functional.cross_entropy(net(torch.randn(16, 1, 8, 8)), torch.arange(16) % 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    owner = {id(p): i for i, stage in enumerate(stages(net)) for p in stage.parameters}
    for name, parameter in net.named_parameters():
        assert (name in changed) == (owner[id(parameter)] >= first), name
        assert (parameter.grad is None) == (owner[id(parameter)] < first), name
    held = [m for stage in stages(net)[:first] for top in stage.modules for m in top.modules()]
    assert not any(m.training for m in held)
    frozen = {id(m) for m in held}
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (f"{name}.running_mean" in changed) == (id(module) not in frozen)


@pytest.mark.parametrize("name", ["mobilenetv3_small", "densenet121", "squeezenet1_1"])
def test_a_frozen_backbone_of_the_zoo_keeps_every_tensor(name):
    """Parameters and buffers, with dropout and (where the network has it) stochastic depth asked for."""
    more = ["model.drop_path=0.3"] if name.startswith("mobile") else []
    words = [f"model={name}", "model.stem=small", "model.dropout=0.3", "transfer.weights=run:source", *more]
    exp = composed(*words, "transfer=frozen", "transfer.channels=3", "transfer.size=32")
    net = models.build(exp, (1, 8, 8), 10)
    transfer.freeze(net, exp.transfer)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    optimizer = torch.optim.AdamW(transfer.groups(net, exp.transfer, 0.1), lr=0.1, weight_decay=0.1)
    x = torch.rand(8, 3, 32, 32)
    for _ in range(2):
        transfer.training_mode(net, exp.transfer)
        first, second = net(x), net(x)
        assert torch.equal(first, second)
        nn.functional.cross_entropy(first, torch.arange(8)).backward()
        optimizer.step()
    head = models.head_names(net)[0] + "."
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {n for n in before if n.startswith(head)}


def test_a_frozen_network_is_the_same_function_in_training_mode():
    exp, net = residual("transfer=frozen")
    transfer.freeze(net, exp.transfer)
    x = torch.randn(8, 1, 8, 8)
    transfer.training_mode(net, exp.transfer)
    first, second = net(x), net(x)
    assert torch.equal(first, second)  # no dropout, no skipped blocks
    assert torch.equal(first, net.eval()(x))


def test_gradual_unfreezing_goes_from_the_head_to_the_first_trained_stage():
    exp, net = residual("transfer=finetune", "transfer.unfreeze_every=2", "transfer.lr_backbone=0.1")
    count = len(stages(net))
    groups = transfer.groups(net, exp.transfer, 0.5)
    assert [g.get("lr", 0.5) for g in groups] == [0.5, pytest.approx(0.05)]
    assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))
    for epoch in range(2 * count + 3):
        transfer.freeze(net, exp.transfer, epoch)
        transfer.training_mode(net, exp.transfer, epoch)
        trained = [any(p.requires_grad for p in stage.parameters) for stage in stages(net)]
        expected = min(count, 1 + epoch // 2)
        assert trained == [False] * (count - expected) + [True] * expected
        modes = [all(m.training for m in stage.modules) for stage in stages(net)]
        assert modes == trained


def test_a_stage_that_is_not_there_is_named_with_those_that_are():
    exp, net = residual("transfer=partial", "transfer.trainable_from=stages.9")
    with pytest.raises(RequestError, match=r"'stages\.9'.*Expected one of: .*head"):
        transfer.freeze(net, exp.transfer)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["transfer=finetune", "transfer.head=knn"], "needs mode=frozen"),
        (["transfer=partial", "transfer.trainable_from=null"], "bench models NAME --stages"),
        (["transfer=frozen", "transfer.weights=http://x"], "expected bundled, timm, file:PATH or run:ID"),
        (["transfer=frozen", "transfer.sha256=abc"], "transfer.sha256"),
        (["transfer=frozen", "transfer.head=ncm", "transfer.metric=l1"], "l2 or cosine"),
        (["transfer=frozen", "transfer.unfreeze_every=1"], "finetune or partial"),
    ],
)
def test_contradictions_are_errors(overrides, message):
    with pytest.raises(RequestError, match=message):
        composed(*RESIDUAL, *overrides)


def test_neighbours_of_features_are_asked_for_as_a_head():
    with pytest.raises(RequestError, match=r"'knn' has no network for transfer\.mode=frozen.*transfer\.head=knn"):
        composed("model=knn", "transfer=frozen")


def test_a_dense_head_takes_the_heads_place():
    _, net = residual("transfer=frozen", "transfer.head=dnn", "transfer.hidden=[32,16]")
    widths = [m.out_features for m in net.get_submodule(*models.head_names(net)) if isinstance(m, nn.Linear)]
    assert widths == [32, 16, 10]
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 10)
