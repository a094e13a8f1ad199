"""Features of a frozen backbone: right, computed once, keyed by content, safe against a kill and a second process."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from bench import data as images
from bench import models
from bench.compose import compose
from bench.data import augment
from bench.features import cached_array, features
from bench.models import preprocess
from bench.models.heads import Backbone
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.pixels import Augment
from bench.train import heads
from bench.train.heads import fit_transfer

OWN = ("dataset=digits", "model=resnet20", "model.depth=8", "model.width=4", "trainer.epochs=3", "optim.lr=0.01")
CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, which knows the digits."""
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.fixture
def source(tmp_path, digits):
    """A file of weights with running statistics that are not the initial ones, and its hash."""
    exp = experiment(compose([*OWN, "seed=9"]))
    net = models.build(exp, digits.shape, 10).train()
    with torch.no_grad():
        net(torch.rand(64, 1, 8, 8))
    path = tmp_path / "source.pt"
    torch.save(net.state_dict(), path)
    from bench.models.hashes import file_sha256

    return f"transfer.weights=file:{path}", f"transfer.sha256={file_sha256(path)}"


@pytest.fixture(scope="module")
def digits():
    exp = experiment(compose(list(OWN)))
    data = images.load(exp.dataset, exp.split)
    return dataclasses.replace(data, train=data.train[:300], val=data.val[:60], test=data.test[:100])


def parts(data, *overrides):
    exp = experiment(compose([*OWN, *overrides]))
    net = models.build(exp, data.shape, 10)
    return exp, net, Backbone(net), preprocess.make(exp, data)


def test_features_are_the_heads_input(cache, digits):
    _, net, backbone, prepare = parts(digits)
    found = features(digits, "val", backbone, prepare, CPU, "")
    net.eval()
    with torch.inference_mode():
        x = prepare(torch.from_numpy(digits.images[digits.val]))
        torch.testing.assert_close(torch.from_numpy(found), backbone(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(models.Readout(net)(torch.from_numpy(found)), net(x), atol=1e-5, rtol=1e-5)


def test_the_same_content_is_computed_once_and_any_other_again(cache, digits):
    _, _, backbone, prepare = parts(digits)
    passes = []
    backbone.register_forward_hook(lambda *_: passes.append(1))

    def computed(**changed):
        before = len(passes)
        given = {"data": digits, "split": "val", "backbone": backbone, "prepare": prepare, "settings": "x", **changed}
        found = features(device=CPU, **given)
        assert found.shape == (len(given["data"].split(given["split"])), 16)
        return len(passes) > before

    assert computed()
    assert not computed()
    other = digits.images.copy()
    other[digits.val[0], 0, 0, 0] ^= 1
    assert computed(data=dataclasses.replace(digits, images=other))
    assert computed(data=dataclasses.replace(digits, val=digits.val[::-1].copy()))
    assert computed(split="test")
    assert computed(settings="y")
    assert computed(prepare=parts(digits, "pixel_norm=unit")[3])
    with torch.no_grad():
        next(iter(backbone.parameters())).view(-1)[0] += 1
    assert computed()
    for buffer in backbone.buffers():
        if buffer.is_floating_point():
            buffer.add_(1)  # running statistics count too
            break
    assert computed()
    # The labels, and the names of the rows' places, are not in it: other folds of the same images are found again.
    assert not computed(data=dataclasses.replace(digits, labels=digits.labels[::-1].copy()))
    assert computed(cache=False)


def test_a_file_is_there_whole_or_not_at_all(cache, tmp_path):
    path = tmp_path / "there" / "x.npy"

    def broken():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_array(path, broken)
    assert not path.exists()
    np.testing.assert_array_equal(cached_array(path, lambda: np.ones(3, np.float32)), np.ones(3))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RequestError, match="damaged"):
        cached_array(path, broken)


SLOW = """
import sys, time
from pathlib import Path
import numpy as np
from bench.features import cached_array

def compute():
    with open(sys.argv[2], "a") as log:
        log.write("computed\\n")
    time.sleep(float(sys.argv[3]))
    return np.arange(5, dtype=np.float32)

print(cached_array(Path(sys.argv[1]), compute).sum())
"""


@pytest.mark.slow
def test_two_processes_compute_once_and_a_killed_one_leaves_nothing(tmp_path):
    path, log = tmp_path / "x.npy", tmp_path / "log"

    def start(seconds):
        words = [sys.executable, "-c", SLOW, str(path), str(log), str(seconds)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def wait_for(lines):
        until = time.monotonic() + 300
        while not log.exists() or log.read_text().count("\n") < lines:
            assert time.monotonic() < until
            time.sleep(0.05)

    killed = start(600)
    wait_for(1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not path.exists()
    two = [start(1), start(1)]
    assert [p.communicate(timeout=400)[0].strip() for p in two] == ["10.0", "10.0"]
    assert log.read_text().count("\n") == 2  # one by the killed process, one by the two


def test_views_are_augmentations_of_their_image_drawn_from_the_seed(cache, digits):
    _, _, _, prepare = parts(digits)
    flat, settings = nn.Flatten(), Augment(flip=0.5)
    change = augment.make(settings, digits)
    found = features(digits, "train", flat, prepare, CPU, "flip", augment=change, views=6, seed=3)
    assert found.shape == (300, 6, 64)
    shown = digits.images[digits.train]
    plain = prepare(torch.from_numpy(shown)).flatten(1).numpy()
    mirrored = prepare(torch.from_numpy(shown[..., ::-1].copy())).flatten(1).numpy()
    is_plain = (found == plain[:, None]).all(-1)
    is_mirrored = (found == mirrored[:, None]).all(-1)
    assert (is_plain | is_mirrored).all()
    assert 0.4 < is_mirrored.mean() < 0.6
    again = features(digits, "train", flat, prepare, CPU, "flip", augment=change, views=6, seed=4)
    assert (again != found).any()
    with pytest.raises(RequestError, match=r"transfer\.views"):
        features(digits, "train", flat, prepare, CPU, "flip", augment=change)


@pytest.mark.parametrize("head", ["linear", "dnn", "dropping"])
def test_a_head_on_features_is_the_head_of_the_frozen_network(cache, digits, source, head, monkeypatch):
    """The same training with the backbone in every epoch: same scores, same weights, the backbone untouched."""
    if head == "dropping":  # as a network of somebody's own may have it
        head, build = "linear", models.build
        monkeypatch.setattr(models, "build", lambda *args: with_dropping_head(build(*args)))
    exp = experiment(compose([*OWN, "transfer=frozen", f"transfer.head={head}", "transfer.hidden=[12]", *source]))
    fast = fit_transfer(exp, digits)
    monkeypatch.setattr(heads, "_features", None)
    net = models.build(exp, digits.shape, 10)
    heads.transfer.initialise(exp, net)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    slow = heads.fit(exp, digits, net)
    np.testing.assert_allclose(fast.test_scores, slow.test_scores, atol=1e-3)
    assert fast.selected_epoch == slow.selected_epoch
    assert fast.state.keys() == slow.state.keys()
    changed = set()
    for name, tensor in fast.state.items():
        torch.testing.assert_close(tensor, slow.state[name], atol=1e-3, rtol=1e-3)
        if not torch.equal(slow.state[name], before[name]):
            changed.add(name)
        if not name.startswith("head."):
            assert torch.equal(tensor, before[name])
            assert torch.equal(slow.state[name], before[name])
    assert changed == {n for n in before if n.startswith("head.")}
    assert fast.costs["cost/params"] == slow.costs["cost/params"]
    assert fast.costs["cost/flops"] == slow.costs["cost/flops"]
    # What is handed on for other images goes through the whole network.
    shown = torch.from_numpy(digits.images[digits.test])
    np.testing.assert_allclose(fast.classify(shown).numpy(), fast.test_scores, atol=1e-4)


def with_dropping_head(net):
    old = net.head
    net.head = nn.Sequential(nn.BatchNorm1d(old.in_features), nn.Dropout(0.5), old)
    return net


def test_a_head_on_views_learns_and_its_training_is_not_the_plain_one(cache, digits, source):
    base = [*OWN, "transfer=frozen", *source]
    plain = fit_transfer(experiment(compose(base)), digits)
    views = fit_transfer(experiment(compose([*base, "augment.shift=1", "transfer.views=4"])), digits)
    assert views.history[-1]["train_loss"] < views.history[0]["train_loss"]
    assert np.abs(views.test_scores - plain.test_scores).max() > 1e-3
    with pytest.raises(RequestError, match="mixup"):
        fit_transfer(experiment(compose([*base, "augment.mixup=0.2", "transfer.views=4"])), digits)
    with pytest.raises(RequestError, match=r"of the images as they are.*transfer\.views=0"):
        fit_transfer(experiment(compose([*base, "augment.shift=1", "transfer.views=4", "metrics.train=true"])), digits)


@pytest.mark.parametrize("head", ["knn", "ncm"])
def test_untrained_heads_are_scikit_learns_on_the_features(cache, digits, source, head):
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

    exp = experiment(compose([*OWN, "transfer=frozen", f"transfer.head={head}", "transfer.k=3", *source]))
    assert not exp.trains
    result = fit_transfer(exp, digits)
    net = models.build(exp, digits.shape, 10)
    heads.transfer.initialise(exp, net)
    prepare, backbone = preprocess.make(exp, digits), Backbone(net).eval()
    with torch.inference_mode():
        x, q = (
            backbone(prepare(torch.from_numpy(digits.images[rows]))).double().numpy()
            for rows in (digits.train, digits.test)
        )
    reference = KNeighborsClassifier(3) if head == "knn" else NearestCentroid()
    expected = reference.fit(x, digits.labels[digits.train]).predict(q)
    assert (result.test_scores.argmax(1) == expected).mean() >= 0.99  # distances within rounding of each other
    with pytest.raises(RequestError, match="augment=none"):
        fit_transfer(
            experiment(compose([*OWN, "transfer=frozen", f"transfer.head={head}", "augment=flip", *source])), digits
        )


def test_heads_and_seeds_of_a_sweep_share_one_pass(cache, digits, source):
    for overrides in (["seed=1"], ["seed=2", "optim.lr=0.1"], ["transfer.head=ncm"], ["transfer.head=dnn"]):
        fit_transfer(experiment(compose([*OWN, "transfer=frozen", *overrides, *source])), digits)
    assert len(list(cache.glob("*.npy"))) == 3  # train, val, test
    assert not list(cache.glob("*.part"))


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch, digits):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(blocked))
    _, _, backbone, prepare = parts(digits)
    with pytest.raises(RequestError, match=r"IMAGEBENCH_CACHE.*transfer\.cache=false"):
        features(digits, "val", backbone, prepare, CPU, "")


def test_a_terminal_gets_a_bar_and_a_file_or_a_worker_of_a_sweep_nothing(cache, digits, capsys, monkeypatch):
    _, _, backbone, prepare = parts(digits)
    shown = []
    for terminal, parent in ((False, None), (True, object()), (True, None)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr("multiprocessing.parent_process", lambda parent=parent: parent)
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        features(digits, "val", backbone, prepare, CPU, "", cache=False)
        shown.append("features of val" in capsys.readouterr().err)
    assert shown == [False, False, True]


def test_writing_into_features_reaches_nobody_else(cache, digits):
    """The map is copy-on-write."""
    _, _, backbone, prepare = parts(digits)
    first = features(digits, "val", backbone, prepare, CPU, "")
    value = float(first[0, 0])
    first[0, 0] = 123
    assert float(features(digits, "val", backbone, prepare, CPU, "")[0, 0]) == value
