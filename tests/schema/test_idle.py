"""Settings that are told to change nothing change nothing, and others do: by training both ways."""

import numpy as np
import pytest
import torch

from bench import data as images
from bench import models
from bench.compose import compose
from bench.models.hashes import file_sha256
from bench.run import train
from bench.schema.experiment import Experiment, experiment
from bench.schema.idle import idle_settings, remarks
from bench.schema.science import flat_settings

SMALL = (
    "dataset=digits", "split.train_per_class=6", "trainer.epochs=2", "trainer.batch_size=16", "optim.lr=0.05",
)  # fmt: skip
DNN = "model=dnn model.hidden=[6]"
CNN = "model=cnn model.filters=[4] model.kernels=[3]"
RESNET = "model=resnet20 model.depth=8 model.width=4"
FRACTAL = "model=fractalnet model.filters=[4,4] model.columns=2"
FROZEN = f"{RESNET} transfer=frozen transfer.preprocess=own transfer.cache=false"


def of(words: str) -> Experiment:
    return experiment(compose([*SMALL, *words.split()]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("weights") / "backbone.pt"
    torch.save(models.build(of(RESNET), (1, 8, 8), 10).state_dict(), file)
    return f"transfer.weights=file:{file} transfer.sha256={file_sha256(file)}"


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        *[(f"{DNN} optim=adam", setting) for setting in ("optim.momentum=0.5", "optim.decayed=weights")],
        (f"{DNN} optim=sgd", "optim.momentum=0.5"),
        (f"{DNN} optim.weight_decay=0.1", "optim.decayed=weights"),
        (DNN, "optim.step_factor=0.5"),
        (f"{DNN} optim.schedule=step", "optim.step_factor=0.5"),
        (f"{DNN} optim.schedule=multistep", "optim.step_every=0.5"),
        (f"{DNN} optim.schedule=cosine", "optim.cycles=2"),
        (f"{DNN} optim.schedule=restarts", "optim.cycles=2"),
        (DNN, "transfer.head=dnn"),
        (DNN, "transfer.lr_backbone=0.1"),
        (DNN, "norm_layer.groups=2"),
        (f"{DNN} norm_layer=group", "norm_layer.groups=2"),
        (DNN, "trainer.sync_batchnorm=false"),
        ("model=dnn model.hidden=[]", "model.activation=tanh"),
        ("model=dnn model.hidden=[]", "model.dropout=0.5"),
        (f"{CNN} model.dense=[]", "model.dropout=0.5"),
        (f"{CNN} model.dense=[8]", "model.dropout=0.5"),
        (f"{CNN} model.pooling=none", "model.pool_size=3"),
        (FRACTAL, "model.drop_path=0.5"),
        (f"{FRACTAL} model.columns=1", "model.drop_path=0.5"),
        (f"{FRACTAL} model.filters=[4]", "model.dropout=0.5"),
        (f"{DNN} augment=shift", "augment.crop_fill=edge"),
        (f"{DNN} augment=crop augment.crop=2", "augment.crop_fill=edge"),
        ("model=knn", "optim.lr=0.1"),
        ("model=knn", "trainer.epochs=4"),
        ("model=knn", "augment.shift=1"),
        ("model=knn", "model.weights=distance"),
        ("model=knn model.k=1", "model.weights=distance"),
        ("model=ncm", "trainer.precision=bf16-mixed"),
        *[(FROZEN, setting) for setting in ("model.dropout=0.5", "model.drop_path=0.5", "transfer.lr_backbone=0.1")],
        (FROZEN, "transfer.k=2"),
        (f"{FROZEN} transfer.head=knn", "transfer.k=2"),
        (FROZEN, "transfer.views=2"),
        (f"{RESNET} transfer=finetune transfer.preprocess=own", "model.dropout=0.5"),
        (f"{RESNET} transfer=finetune transfer.preprocess=own", "transfer.lr_backbone=0.1"),
    ],
)
def test_what_is_idle_changes_no_score_and_what_is_not_does(words, setting, weights):
    if "transfer=" in words:
        words = f"{words} {weights}"
    plain, other = of(words), of(f"{words} {setting}")
    data = images.load(plain.dataset, plain.split)
    same = np.array_equal(train(plain, data, None).test_scores, train(other, data, None).test_scores)
    name = setting.partition("=")[0]
    assert same == (name in idle_settings(other))
    assert same == any(line.startswith(f"{name}=") for line in remarks([other]))


def test_idle_settings_are_settings():
    for words in ("model=knn", "model=cnn", "model=resnet20 transfer=frozen transfer.weights=run:x", "split=kfold"):
        exp = of(words)
        known = flat_settings(exp).keys() | {"transfer.input", "transfer.sha256"}
        assert {name for name in idle_settings(exp) if "." in name} <= known


def test_a_sweep_is_told_of_an_axis_that_changes_nothing_where_it_is_crossed():
    adam = [of(f"{DNN} optim=adam optim.momentum={m} seed={s}") for m in (0.5, 0.9) for s in (0, 1)]
    assert remarks(adam) == ["optim.momentum changes nothing in 4 of 4 runs: adam has none."]
    sgd = [of(f"{DNN} optim=sgd optim.momentum={m}") for m in (0.5, 0.9)]
    assert remarks(sgd) == []
    assert remarks([*adam, *sgd]) == ["optim.momentum changes nothing in 4 of 6 runs: adam has none."]
    # An arm that is not trained stands beside others with the settings that those have.
    assert remarks([of("model=knn optim=sgd optim.lr=0.2"), of(f"{DNN} optim=sgd optim.lr=0.2")]) == []
    assert remarks([of(f"model={m} optim.lr={lr}") for m in ("knn", "linear") for lr in (0.1, 0.2)]) == [
        "optim.lr changes nothing in 2 of 4 runs: knn is not trained by gradient steps."
    ]
