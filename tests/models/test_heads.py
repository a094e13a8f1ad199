"""Heads that are not one linear layer: features are what reaches them, and training on them trains the head."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from bench import data as images
from bench import models
from bench.compose import compose
from bench.models import transfer, zoo
from bench.models.blank import undrawn
from bench.models.hashes import file_sha256
from bench.models.heads import Backbone, in_heads, readout
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.model import NormLayer, Timm
from bench.train.fit import fit
from bench.train.heads import fit_transfer
from tests.models.families import families

# Without memory each step of an LSTM is a step in Python: shorter rows and columns.
SHORT = {"sequencer2d_s": (3, 56, 56)}
FEW = {
    "dla46_c": 1,  # a 1x1 convolution after pooling
    "resnetv2_18": 1,
    "deit_tiny_distilled_patch16_224": 2,
    "squeezenet1_1": 1,  # a convolution before pooling
}


@pytest.fixture(scope="module")
def digits():
    exp = experiment(compose(["dataset=digits"]))
    data = images.load(exp.dataset, exp.split)
    return dataclasses.replace(data, train=data.train[:48], val=data.val[:24], test=data.test[:24])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))


def frozen(name, tmp_path, *more):
    """An Experiment that freezes a network whose weights are in a file."""
    model = [f"model={name}"] if name == "squeezenet1_1" else ["model=timm", f"model.name={name}"]
    words = [*model, "dataset=digits", "trainer.epochs=2", "trainer.batch_size=16", "optim.lr=0.01"]
    size = ["transfer.size=32", "transfer.channels=3", "transfer.preprocess=own"]
    path = tmp_path / "w.pt"
    torch.save(models.build(experiment(compose([*words, "seed=5", *size])), (1, 8, 8), 10).state_dict(), path)
    weights = [f"transfer.weights=file:{path}", f"transfer.sha256={file_sha256(path)}"]
    return experiment(compose([*words, "transfer=frozen", *size, *weights, *more]))


@pytest.mark.parametrize("name", FEW)
def test_a_frozen_run_is_the_training_of_the_heads_alone(digits, name, tmp_path):
    exp = frozen(name, tmp_path)
    fast = fit_transfer(exp, digits)
    net = models.build(exp, digits.shape, 10)
    transfer.initialise(exp, net)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    slow = fit(exp, digits, net)
    # Scores of the unscaled network reach 1,000: there each processor's order of sums shows in the fifth digit.
    np.testing.assert_allclose(fast.test_scores, slow.test_scores, atol=2e-3, rtol=1e-4)
    heads = models.head_names(net)
    assert len(heads) == FEW[name]
    changed = {n for n, t in slow.state.items() if not torch.equal(t, before[n])}
    assert changed == {n for n in before if in_heads(n, heads)}
    for n, tensor in fast.state.items():
        torch.testing.assert_close(tensor, slow.state[n], atol=2e-3, rtol=2e-3)


def test_neighbours_see_what_the_networks_pooling_makes(digits, tmp_path):
    exp = frozen("dla46_c", tmp_path, "transfer.head=knn", "transfer.k=3")
    assert fit_transfer(exp, digits).test_scores.shape == (24, 10)


def test_views_of_images_need_a_head_on_features(digits, tmp_path):
    with pytest.raises(RequestError, match=r"With transfer\.views=0 the whole network runs"):
        fit_transfer(frozen("squeezenet1_1", tmp_path, "augment=shift", "transfer.views=2"), digits)


def test_a_dense_head_is_refused_where_there_are_two(digits, tmp_path):
    exp = frozen("deit_tiny_distilled_patch16_224", tmp_path, "transfer.head=dnn")
    with pytest.raises(RequestError, match="replaces one linear head; VisionTransformerDistilled has 2 heads"):
        models.build(exp, digits.shape, 10)


def test_volo_adds_a_head_on_every_token_and_is_no_readout_of_features():
    with torch.device("meta"):
        net = zoo._timm(Timm(family="timm", name="volo_d1_224"), NormLayer(), (3, 64, 64), 5)
    assert models.head_names(net) == ("head", "aux_head")
    made = zoo._timm(Timm(family="timm", name="volo_d1_224"), NormLayer(), (3, 64, 64), 5).eval()
    x = torch.rand(2, 3, 64, 64)
    assert Backbone(made)(x).shape == (2, 2 * 384)
    assert readout(made, x) is None


def note(seen, head, module, inputs):
    seen[head] = inputs[0].shape[1 if isinstance(module, nn.Conv2d) else -1]


def blank(name, classes):
    from timm.models import get_pretrained_cfg

    with torch.device("meta"), undrawn():
        size = SHORT.get(name) or get_pretrained_cfg(name).input_size
        return zoo._timm(Timm(family="timm", name=name), NormLayer(), size, classes), size


@pytest.mark.slow
def test_heads_are_what_depends_on_the_number_of_classes_in_every_family():
    """And each of them is called once, on vectors, whose number is that of the backbone's features."""
    wrong = {}
    for name in families():
        (net, size), (other, _) = blank(name, 7), blank(name, 8)
        shapes = {n: p.shape for n, p in other.named_parameters()}
        heads = models.head_names(net)
        dependent = {n for n, p in net.named_parameters() if p.shape != shapes[n]}
        if any(not in_heads(n, heads) for n in dependent) or any(
            not any(in_heads(n, (head,)) for n in dependent) for head in heads
        ):
            wrong[name] = heads, dependent
        seen: dict[str, int] = {}
        for head in heads:
            net.get_submodule(head).register_forward_pre_hook(partial(note, seen, head))
        with torch.no_grad():
            logits = net.eval()(torch.zeros(2, *size, device="meta"))
            features = Backbone(net)(torch.zeros(2, *size, device="meta"))
        if logits.shape != (2, 7) or features.shape != (2, sum(seen.values())) or set(seen) != set(heads):
            wrong[name] = logits.shape, features.shape, seen
        if sorted(id(p) for s in models.stages(net) for p in s.parameters) != sorted(map(id, net.parameters())):
            wrong[name] = "stages"
    assert not wrong
