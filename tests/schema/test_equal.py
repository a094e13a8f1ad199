"""What is told to be another value by its name gives its numbers, by training both ways; and when it is told."""

import inspect

import numpy as np
import pytest
import torch

from bench import data as images
from bench.compose import compose
from bench.models import build
from bench.protocol.idle import facts
from bench.run import train
from bench.schema.equal import BETAS, DROPOUT, EPS, equal_values, groups_of
from bench.schema.experiment import Experiment, experiment
from bench.schema.idle import remarks
from bench.train.optim import TORCH

SMALL = (
    "dataset=digits", "split.train_per_class=5", "trainer.epochs=2", "trainer.batch_size=16", "optim.lr=0.05",
)  # fmt: skip
DNN = "model=dnn model.hidden=[6]"
CNN = "model=cnn model.filters=[4] model.kernels=[3] model.dense=[]"
RESNET = "model=resnet20 model.depth=8 model.width=4"


def of(words: str) -> Experiment:
    return experiment(compose([*SMALL, *words.split()]))


def told(*words: str, base: tuple[str, ...] = SMALL) -> list[str]:
    exps = [experiment(compose([*base, *each.split()])) for each in words]
    return remarks(exps, [facts(exp, images.load(exp.dataset, exp.split)) for exp in exps])


@pytest.mark.parametrize(
    ("words", "setting", "plain"),
    [
        (DNN, "optim.name=adamw", "optim.name=adam"),
        (DNN, "optim.name=lambc", "optim.name=lamb"),
        (DNN, "optim.name=lars", "optim.name=sgd"),
        (DNN, "optim.name=sgdw", "optim.name=nesterov"),
        (DNN, "optim.schedule=poly", "optim.schedule=linear"),
        (f"{DNN} optim.cycles=1", "optim.schedule=restarts", "optim.schedule=cosine"),
        (f"{DNN} optim.milestones=[]", "optim.schedule=multistep", "optim.schedule=constant"),
        (f"{DNN} optim.step_every=0.95", "optim.schedule=step", "optim.schedule=constant"),
        (f"{DNN} optim.schedule=multistep", "optim.milestones=[0.7,0.2]", "optim.milestones=[0.2,0.7]"),
        (f"{DNN} optim.cooldown=0.1", "optim.schedule=wsd", "optim.schedule=constant"),
        (DNN, "optim.warmup=0.1", "optim.warmup=0.0"),
        (f"{DNN} optim.name=adagrad", "optim.eps=1e-10", "optim.eps=null"),
        (DNN, "optim.betas=[0.9,0.999]", "optim.betas=null"),
        (DNN, "trainer.patience=1", "trainer.patience=null"),
        (DNN, "trainer.batch_size=64", "trainer.batch_size=50"),
        (DNN, "trainer.accumulate=32", "trainer.accumulate=16"),
        (DNN, "transfer.size=8", "transfer.size=null"),
        (DNN, "norm_layer.name=none", "norm_layer.name=native"),
        (f"{DNN} norm_layer=selu", "model.activation=relu", "model.activation=selu"),
        (f"{RESNET} norm_layer=group", "norm_layer.groups=64", "norm_layer.groups=8"),
        (f"{RESNET} model.width=1 norm_layer.groups=1", "norm_layer.name=group", "norm_layer.name=layer"),
        (
            "model=timm model.name=test_resnet transfer.size=64 norm_layer.groups=1",
            "norm_layer.name=group",
            "norm_layer.name=layer",
        ),
        ("model=dnn model.hidden=[]", "model.family=dnn", "model.family=linear"),
        (f"{CNN} model.pool_size=1", "model.pooling=average", "model.pooling=none"),
        ("model=cnn model.filters=[4] model.kernels=[1] model.dense=[]", "model.padding=valid", "model.padding=same"),
        (f"{DNN} split.train_per_class=500", "split.train_per_class=500", "split.train_per_class=null"),
    ],
)  # fmt: skip
def test_equal_values_give_the_same_numbers(words, setting, plain):
    exp = of(f"{words} {setting}")
    name, _, value = plain.partition("=")
    data = images.load(exp.dataset, exp.split)
    known = {**equal_values(exp), **facts(exp, data).equal}
    said = known[name][0]
    assert ("null" if said is None else str(said).replace(" ", "")) == value
    other = of("model=linear" if plain == "model.family=linear" else f"{words} {plain}")
    ours = train(exp, data, None).test_scores
    its = train(other, images.load(other.dataset, other.split), None).test_scores
    np.testing.assert_allclose(ours, its, rtol=1e-4, atol=1e-5)
    assert name not in {**equal_values(other), **facts(other, data).equal}  # the plainest


def test_defaults_are_the_libraries():
    for name, eps in EPS.items():
        takes = inspect.signature({"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, **TORCH}[name]).parameters
        assert takes["eps"].default == eps
        assert name not in BETAS or takes["betas"].default == BETAS[name]
    for name, rate in DROPOUT.items():
        words = f"model={name} transfer.size=64 transfer.channels=3"
        rates = {m.p for m in build(of(words), (3, 64, 64), 10).modules() if isinstance(m, torch.nn.Dropout)}
        assert rates == {rate}
        assert equal_values(of(f"{words} model.dropout={rate}")).keys() == {"model.dropout"}


def test_idle_on_the_images_at_hand_changes_no_number():
    plain = of(f"{DNN} augment.flip=0.5")
    data = images.load(plain.dataset, plain.split)
    scores = train(plain, data, None).test_scores
    for setting in ("optim.class_weights=balanced", "augment.saturation=0.5", "augment.grey=1", "augment.hue=0.2"):
        other = of(f"{DNN} augment.flip=0.5 {setting}")
        assert setting.partition("=")[0] in facts(other, data).idle
        np.testing.assert_allclose(train(other, data, None).test_scores, scores, rtol=1e-4, atol=1e-5)


def test_groups_are_those_of_the_network():
    for words in (
        "model=dnn model.hidden=[7,96,2]",
        "model=cnn model.filters=[6,1] model.kernels=[3,3] model.dense=[10]",
        f"{RESNET} model.shortcut=B",
        "model=fractalnet model.filters=[12,40]",
    ):
        for most in (1, 5, 32):
            exp = of(f"{words} norm_layer=group norm_layer.groups={most}")
            net = build(exp, (1, 8, 8), 10)
            built = {m.num_groups for m in net.modules() if isinstance(m, torch.nn.GroupNorm)}
            assert set(groups_of(exp)) == built


def test_what_is_told():
    assert told(f"{DNN} optim.schedule=poly") == ["optim.schedule=poly is optim.schedule=linear: optim.power is 1."]
    assert told(f"{DNN} optim.schedule=linear", f"{DNN} optim.schedule=poly") == [
        "optim.schedule=poly is optim.schedule=linear in 1 of 2 runs: optim.power is 1."
    ]
    assert told(f"{DNN} optim.schedule=cosine", f"{DNN} optim.schedule=poly") == []  # two schedules, and both are meant
    assert told(*[f"{DNN} trainer.batch_size={n}" for n in (16, 128, 256)]) == [
        "trainer.batch_size=128 is trainer.batch_size=50 in 1 of 3 runs: there are 50 training images.",
        "trainer.batch_size=256 is trainer.batch_size=50 in 1 of 3 runs: there are 50 training images.",
    ]
    assert told(f"{DNN} trainer.batch_size=128") == []  # the default, which nobody set
    assert told(f"{DNN} optim.class_weights=balanced") == [
        "optim.class_weights=balanced changes nothing: each class has as many training images."
    ]
    assert told("model=timm model.name=resnet18.a1_in1k model.stem=small") == [
        "model.name=resnet18.a1_in1k is model.name=resnet18: what follows the dot are weights, and none are loaded."
    ]
    small = "model=timm model.name=test_resnet transfer.size=64 norm_layer=group"
    assert told(f"{small} norm_layer.groups=1000") == [
        "norm_layer.groups=1000 is norm_layer.groups=96: no layer has channels for more."
    ]
    two = f"{DNN} trainer.devices=2 trainer.accelerator=cpu trainer.sync_batchnorm=false norm_layer="
    assert told(f"{two}layer") == [
        "trainer.sync_batchnorm=False changes nothing: the network has no batch norm (norm_layer=layer)."
    ]
    assert told(f"{two}batch") == []
    unbalanced = f"{DNN} split.train_per_class=null optim.class_weights=balanced"
    assert told(unbalanced) == []


def test_steps_that_are_whole_epochs_are_told():
    """50 images make seven batches of 7, as the last image joins the batch before it."""
    base = (*(word for word in SMALL if not word.startswith("trainer")), "trainer.batch_size=7")
    steps, epochs = f"{DNN} trainer.steps=14", f"{DNN} trainer.epochs=2"
    remark = "trainer.steps=14 is trainer.steps=null{}: trainer.epochs=2 are as many steps."
    assert told(steps, base=base) == [remark.format("")]
    assert told(steps, epochs, base=base) == [remark.format(" in 1 of 2 runs")]
    assert told(f"{DNN} trainer.steps=15", epochs, base=base) == []
    assert told(f"{DNN} trainer.steps=6 trainer.select=last", base=base) == [
        "trainer.select=last changes nothing: there is one epoch."
    ]
    exps = [experiment(compose([*base, *words.split()])) for words in (steps, epochs)]
    one, other = (train(exp, images.load(exp.dataset, exp.split), None).test_scores for exp in exps)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["sgdw", "nesterov", "nlars", "nlarc"])
def test_nesterov_without_momentum_is_refused_in_our_words(name):
    with pytest.raises(Exception, match=f"optim.momentum=0: {name} looks ahead along its momentum"):
        of(f"{DNN} optim.name={name} optim.momentum=0")
