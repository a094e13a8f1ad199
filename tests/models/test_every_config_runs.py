"""Named configs as whole runs: from scratch, frozen and fine-tuned from a file, in one process and in two.

A few always; all of them, which takes an hour, with `make configs`. What all of them do without memory is in
test_every_config.py.
"""

import dataclasses
import gc
import os

import numpy as np
import pytest
import torch

from bench import data as images
from bench import models
from bench.compose import compose
from bench.models.hashes import file_sha256
from bench.models.heads import in_heads
from bench.models.norms import norms_of
from bench.models.registry import REGISTRY
from bench.schema.experiment import experiment
from bench.train.fit import fit
from bench.train.heads import fit_transfer

ALL = [n for n, e in REGISTRY.items() if e.published != "0"] if os.environ.get("IMAGEBENCH_EVERY_CONFIG") else []
TWO = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.sync_batchnorm=false")
CUT = [n for n in ALL if n != "linear"] or ["resnet20", "mobilenetv3_small", "squeezenet1_1", "vit_tiny"]


@pytest.fixture(scope="module")
def few():
    exp = experiment(compose(["dataset=digits"]))
    data = images.load(exp.dataset, exp.split)
    return dataclasses.replace(data, train=data.train[:16], val=data.val[:8], test=data.test[:8])


def run(name, *more):
    """One epoch of small steps at the smallest input."""
    side = max(8, REGISTRY[name].min_size)
    words = [f"model={name}", "dataset=digits", "trainer.epochs=1", "trainer.batch_size=8", "optim=sgd"]
    shape = ["optim.lr=0.001", f"transfer.size={side}", "transfer.channels=3"]
    return experiment(compose([*words, *shape, *more]))


@pytest.mark.slow
@pytest.mark.xdist_group("large")
@pytest.mark.parametrize("name", CUT)
def test_frozen_moves_the_heads_only_and_fine_tuning_everything(few, name, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))
    source = models.build(run(name, "seed=5"), few.shape, 10)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    heads, before = models.head_names(source), source.state_dict()
    file = [f"transfer.weights=file:{tmp_path / 'w.pt'}", f"transfer.sha256={file_sha256(tmp_path / 'w.pt')}"]
    for mode in ("frozen", "finetune"):
        result = fit_transfer(run(name, f"transfer={mode}", "transfer.preprocess=own", *file), few)
        assert np.isfinite(result.test_scores).all()
        learned = {n for n, p in source.named_parameters() if not torch.equal(result.state[n], before[n])}
        backbone = {n for n in learned if not in_heads(n, heads)}
        assert any(in_heads(n, heads) for n in learned)
        assert bool(backbone) == (mode == "finetune")
    del source, before, result
    gc.collect()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_devices")
@pytest.mark.xdist_group("large")
@pytest.mark.parametrize("name", ALL or ["vit_tiny"])
def test_two_processes_train_what_one_trains(few, name):
    """Without batch norm, whose statistics are another experiment, and without what draws for each device."""
    more = ["model.dropout=0"] if name in ("alexnet", "squeezenet1_1", "googlenet") else []
    if name == "fractalnet":
        more += ["model.dropout=0", "model.drop_path=0"]
    if "batch" in str(norms_of(models.build(run(name, *more), few.shape, 10)).values()):
        more.append("norm_layer=layer")
    one, two = (fit(e, few, models.build(e, few.shape, 10)) for e in (run(name, *more), run(name, *more, *TWO)))
    np.testing.assert_allclose(two.test_scores, one.test_scores, atol=2e-3)
    gc.collect()
