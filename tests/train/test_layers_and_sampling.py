"""Layer-wise lr decay against timm's, balanced sampling by its frequencies, warm-up beside every schedule."""

import math

import numpy as np
import pytest
import torch

from bench import models
from bench.data.batches import Batches, balance
from bench.models import transfer
from bench.schema.errors import RequestError
from bench.schema.training import Optim
from bench.train.examples import of_images
from bench.train.fabric import launch
from bench.train.optim import factor, optimizer, split_by_decay, split_by_layer
from bench.train.single import Single


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet"])
def test_the_lr_of_each_layer_is_timms(name):
    import timm
    from timm.optim import param_groups_layer_decay

    net, optim = timm.create_model(name, num_classes=10), Optim(lr=0.1, weight_decay=0.05, layer_decay=0.7)
    ours = split_by_layer(split_by_decay([{"params": list(net.parameters())}], net), net, optim)
    excepted = getattr(net, "no_weight_decay", set)()
    theirs = param_groups_layer_decay(net, 0.05, no_weight_decay_list=excepted, layer_decay=0.7)
    expected = {id(p): (g["lr_scale"], g["weight_decay"]) for g in theirs for p in g["params"]}
    found = {id(p): (g["lr"] / 0.1, g.get("weight_decay", 0.05)) for g in ours for p in g["params"]}
    assert found.keys() == expected.keys()
    assert all(found[p] == pytest.approx(expected[p]) for p in expected)
    assert ours[0]["lr"] == 0.1
    assert len({g["lr"] for g in ours}) > 3


def test_stages_are_layers_of_other_networks_and_the_schedule_moves_all(exp, digits):
    made = exp("model=dnn", "model.hidden=[8,8]", "optim=sgd", "optim.layer_decay=0.5", "optim.schedule=linear",
               "trainer.steps=4")  # fmt: skip
    fabric, net = launch(made.trainer), models.build(made, digits.shape, 10)
    learner = Single(made, net, of_images(made, digits, fabric.device), fabric)
    assert [g["lr"] for g in learner.optimizer.param_groups] == pytest.approx([0.1, 0.05, 0.025])
    assert {p.shape for p in learner.optimizer.param_groups[0]["params"]} == {(10, 8), (10,)}
    learner.schedule.step()
    assert [g["lr"] for g in learner.optimizer.param_groups] == pytest.approx([0.075, 0.0375, 0.01875])
    assert learner.optimizer.param_groups[2]["params"][0].shape == (8, 64)


def test_a_backbones_own_lr_is_multiplied(exp, digits):
    made = exp(
        "model=dnn", "model.hidden=[8]", "transfer=finetune", "transfer.weights=run:x", "transfer.lr_backbone=0.1"
    )
    net = models.build(made, digits.shape, 10)
    optim = Optim(lr=1.0, layer_decay=0.5)
    found = split_by_layer(transfer.groups(net, made.transfer, 1.0), net, optim)
    assert [g["lr"] for g in found] == pytest.approx([1.0, 0.05])
    optimizer(optim, found).step()


def test_balanced_sampling_gives_every_class_its_share():
    labels = np.repeat([0, 2, 5], [70, 25, 6])
    seen = np.zeros(101)
    for epoch in range(60):
        drawn = balance(labels, np.random.RandomState([0, epoch]))
        counts, each = np.bincount(labels[drawn], minlength=6), np.bincount(drawn, minlength=101)
        assert len(drawn) == 101
        assert sorted(counts[[0, 2, 5]]) == [33, 34, 34]
        for k in (0, 2, 5):
            assert np.ptp(each[labels == k]) <= 1
        seen += each
    assert seen[:70].min() > 0
    assert abs(seen[:70].mean() - 60 * 101 / 3 / 70) < 0.5
    assert len({tuple(np.bincount(labels[balance(labels, np.random.RandomState(s))])) for s in range(9)}) == 3


def test_batches_are_balanced_the_same_on_any_number_of_devices():
    labels = torch.tensor([0] * 90 + [1] * 10)
    rows = torch.arange(100)[:, None]
    (whole,) = ([b.clone() for b, _ in Batches(rows, labels, torch.arange(100), 20, True, 3, sampling="balanced")],)
    shares = [
        [b for b, _ in Batches(rows, labels, torch.arange(100), 20, True, 3, rank=r, world=2, sampling="balanced")]
        for r in range(2)
    ]
    assert [sorted(b.flatten().tolist()) for b in whole] == [
        sorted(torch.cat(both).flatten().tolist()) for both in zip(*shares, strict=True)
    ]
    assert int((torch.cat(whole) >= 90).sum()) == 50


def test_balanced_training_raises_rare_classes_alone_and_stacked(exp, digits):
    import dataclasses

    from bench.train.fit import fit
    from bench.train.stacked import fit as stacked

    rare = np.isin(digits.labels[digits.train], (0, 1, 2)) & (np.arange(len(digits.train)) % 20 > 0)
    few = dataclasses.replace(digits, train=digits.train[~rare])
    plain, asked = (exp("model=linear", "trainer.epochs=5", "optim.lr=0.01", f"trainer.sampling={s}")
                    for s in ("shuffled", "balanced"))  # fmt: skip

    def recall(scores):
        labels = digits.labels[digits.test]
        return (scores.argmax(1) == labels)[labels < 3].mean()

    found = fit(asked, few, models.build(asked, digits.shape, 10))
    assert recall(found.test_scores) > recall(fit(plain, few, models.build(plain, digits.shape, 10)).test_scores)
    (program,) = stacked.fit([asked], few, [models.build(asked, digits.shape, 10)])
    np.testing.assert_allclose(program.test_scores, found.test_scores, atol=1e-4)
    assert "val_nll" in found.history[0]


def test_what_does_not_go_together_is_told(exp):
    with pytest.raises(RequestError, match=r"optim: warmup=0.5 and cooldown=0.6 .* overlap: lower one"):
        exp("optim.schedule=wsd", "optim.warmup=0.5", "optim.cooldown=0.6")
    with pytest.raises(RequestError, match="trains the head alone"):
        exp("model=resnet18", "transfer=frozen", "transfer.weights=run:x", "optim.layer_decay=0.7")
    with pytest.raises(RequestError, match="one thing twice"):
        exp("trainer.sampling=balanced", "optim.class_weights=balanced")


# What each schedule is of the share x of the steps after the warm-up, written down from the papers once more.
def multistep(x):
    return 0.1 ** ((x >= 0.5) + (x >= 0.75))


def onecycle(x):
    up, down = x / 0.3, (x - 0.3) / 0.7
    if x < 0.3:
        return 1 / 25 + (1 - 1 / 25) * math.sin(math.pi * up / 2) ** 2
    return 1 / 25_000 + (1 - 1 / 25_000) * math.cos(math.pi * down / 2) ** 2


FORMULAS = {
    "constant": lambda x: 1.0,
    "cosine": lambda x: math.cos(math.pi * x / 2) ** 2,
    "step": lambda x: 1.0 if x < 0.33 else 0.1 if x < 0.66 else 0.01,
    "multistep": multistep,
    "exponential": lambda x: math.exp(math.log(0.1) * x / 0.33),
    "linear": lambda x: 1 - x,
    "poly": lambda x: 1 - x,
    "tanh": lambda x: 1 / (1 + math.exp(2 * (10 * x - 7))),
    "restarts": lambda x: math.cos(math.pi * (4 * x - math.floor(4 * x)) / 2) ** 2,
    "onecycle": onecycle,
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.37])
def test_each_schedule_beside_a_warmup_is_its_formula(name, warmup):
    if name == "onecycle" and warmup:
        with pytest.raises(ValueError, match=r"onecycle has a warm-up of its own.*would climb twice: leave warmup out"):
            Optim(schedule=name, warmup=warmup)
        return
    steps = 1000
    warm, at = round(warmup * steps), factor(Optim(schedule=name, warmup=warmup), steps)
    assert [at(s) for s in range(warm)] == pytest.approx([(s + 1) / warm for s in range(warm)])
    expected = [FORMULAS[name]((s - warm) / (steps - warm)) for s in range(warm, steps)]
    assert [at(s) for s in range(warm, steps)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_wsd_falls_over_the_last_fifth_of_all_steps(warmup):
    at = factor(Optim(schedule="wsd", warmup=warmup), 1000)
    assert [at(s) for s in range(round(warmup * 1000), 801)] == [1.0] * (801 - round(warmup * 1000))
    assert [at(s) for s in range(800, 1000)] == pytest.approx([1 - ((s - 800) / 200) ** 0.5 for s in range(800, 1000)])


def test_every_schedule_has_its_formula():
    from typing import get_args

    from bench.schema.training import Schedule

    assert {*FORMULAS, "wsd"} == set(get_args(Schedule))


def test_a_network_that_refuses_to_say_its_layers_has_stages(exp, digits):
    made = exp("model=dnn", "model.hidden=[8]")
    net = models.build(made, digits.shape, 10)

    def group_matcher(coarse=False):
        raise NotImplementedError("as some of timm's do")

    net.group_matcher = group_matcher
    found = split_by_layer([{"params": list(net.parameters())}], net, Optim(lr=1.0, layer_decay=0.5))
    assert [g["lr"] for g in found] == pytest.approx([1.0, 0.5])
