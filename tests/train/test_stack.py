"""Runs as one program against the same runs alone."""

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch

from bench import models
from bench.schema.errors import OutOfTime, RequestError, RunFailed
from bench.train import fit as alone
from bench.train.single import Single
from bench.train.stacked import fit as stack
from bench.train.stacked.network import Stacked, can_stack
from bench.train.stacked.which import compatible, together

SMALL = ("trainer.epochs=2", "trainer.batch_size=100")
NETS = {
    "linear": ["model=linear"],
    "dnn with dropout": ["model=dnn", "model.hidden=[24,16]", "model.dropout=0.3", "norm_layer=batch", "augment=shift"],
    "dnn, layer norm": ["model=dnn", "model.hidden=[24]", "norm_layer=layer", "optim.schedule=cosine"],
    "cnn, batch norm": ["model=cnn", "model.filters=[6,8]", "model.kernels=[3,4]", "norm_layer=batch"],
    "cnn, group norm": ["model=cnn", "model.filters=[8]", "model.kernels=[3]", "model.dense=[64]", "norm_layer=group",
                        "model.dropout=0.2", "norm_layer.groups=4", "optim=sgd"],
    "cnn, instance norm": ["model=cnn", "model.filters=[8]", "model.kernels=[3]", "norm_layer=instance"],
}  # fmt: skip


def built(exps, digits):
    return [models.build(e, digits.shape, 10) for e in exps]


@pytest.mark.parametrize("words", NETS.values(), ids=NETS.keys())
def test_agrees_with_the_same_runs_alone(exp, digits, trained, words):
    exps = [exp(*SMALL, *words, f"seed={s}") for s in (3, 0, 8)]
    found = stack.fit(exps, digits, built(exps, digits))
    for made, result in zip(exps, found, strict=True):
        single = trained(made)
        for mine, its in zip(result.history, single.history, strict=True):
            assert mine["train_loss"] == pytest.approx(its["train_loss"], rel=2e-4)
            assert mine["val_loss"] == pytest.approx(its["val_loss"], rel=2e-3)
            assert mine["lr"] == its["lr"]
        assert result.state.keys() == single.state.keys()
        for name, tensor in single.state.items():
            torch.testing.assert_close(result.state[name], tensor, atol=3e-3, rtol=1e-2, msg=name)
        np.testing.assert_allclose(result.test_scores, single.test_scores, atol=0.03)
        assert result.costs["cost/params"] == single.costs["cost/params"]
        assert result.costs["cost/flops"] == single.costs["cost/flops"]


def test_order_draws_and_initialisation_are_exactly_those_alone(exp, digits, monkeypatch):
    """The images that reach the network, after augmentation, and its first weights: bit for bit."""
    exps = [exp(*SMALL, "model=linear", "augment=shift", f"seed={s}") for s in (0, 5)]
    together_, single = [], []
    inner = stack.Program._batch
    monkeypatch.setattr(stack.Program, "_batch", lambda self, *a: together_.append(inner(self, *a)) or together_[-1])
    prepared = Single.prepared
    monkeypatch.setattr(Single, "prepared", lambda self, x: single.append(prepared(self, x)) or single[-1])
    stack.fit(exps, digits, built(exps, digits))
    for s, made in enumerate(exps):
        single.clear()
        (net,) = built([made], digits)
        first = copy.deepcopy(net.state_dict())
        for name, tensor in Stacked(built(exps, digits), torch.device("cpu")).state(s).items():
            assert torch.equal(tensor, first[name])
        alone.fit(made, digits, net)
        trained_on = [x for x in single if len(x) in (len(t[0][0]) for t in together_)][: len(together_)]
        assert len(trained_on) == len(together_)
        steps = len(together_) // 2  # the first epoch: afterwards `prepared` also sees val
        for (images, _), mine in list(zip(together_, trained_on, strict=True))[:steps]:
            assert torch.equal(images[s], mine)


@pytest.mark.parametrize("optim", ["sgd", "adam", "adamw"])
def test_numbers_in_the_step_may_differ(exp, digits, trained, optim):
    words = [("0.01", "0", "0.2"), ("0.002", "0.1", "0.2"), ("0.02", "0.01", "0.5")]
    exps = [
        exp(*SMALL, "model=dnn", "model.hidden=[16]", f"optim={optim}", f"optim.lr={lr}", f"optim.weight_decay={decay}",
            f"model.dropout={rate}", "optim.schedule=cosine") for lr, decay, rate in words
    ]  # fmt: skip
    found = stack.fit(exps, digits, built(exps, digits))
    for made, result in zip(exps, found, strict=True):
        single = trained(made)
        assert [r["lr"] for r in result.history] == [r["lr"] for r in single.history]
        np.testing.assert_allclose(result.test_scores, single.test_scores, atol=0.02)


def test_each_run_selects_its_own_epoch(exp, digits):
    exps = [exp("trainer.epochs=8", "model=linear", "optim.lr=0.3", f"seed={s}") for s in range(4)]
    found = stack.fit(exps, digits, built(exps, digits))
    best = [1 + int(np.argmax([row["val_accuracy"] for row in r.history])) for r in found]
    assert [r.selected_epoch for r in found] == best
    assert len(set(best)) > 1


def test_a_run_that_diverges_leaves_the_others_alone(exp, digits, trained):
    exps = [exp(*SMALL, "model=dnn", "optim=sgd", f"optim.lr={lr}") for lr in ("0.01", "1e30", "0.02")]
    good, bad, also = stack.fit(exps, digits, built(exps, digits))
    assert isinstance(bad, RunFailed)
    assert re.match(r"diverged: train_loss is (nan|inf) in epoch 1", bad.reason)
    for made, result in ((exps[0], good), (exps[2], also)):
        np.testing.assert_allclose(result.test_scores, trained(made).test_scores, atol=0.02)


def test_what_may_be_stacked(exp):
    one = exp("model=dnn", "model.dropout=0.1")
    assert compatible(one, exp("model=dnn", "model.dropout=0.5", "seed=4", "optim.lr=0.5", "optim.weight_decay=0.1"))
    assert not compatible(one, exp("model=dnn"))  # no dropout is another network
    assert not compatible(one, exp("model=dnn", "model.dropout=0.1", "trainer.batch_size=64"))
    assert not compatible(one, exp("model=dnn", "model.dropout=0.1", "split.seed=1"))
    for words in (["model=knn"], ["model=linear", "trainer.clip=1"], ["model=dnn", "norm_layer=weight"]):
        assert together(exp(*words, "trainer.stack=4")) is None
    assert together(one) is None  # unless it asks for it
    assert together(exp("model=dnn", "trainer.stack=auto")) is not None


def test_refuses_runs_that_differ(exp, digits):
    exps = [exp("model=dnn", "model.hidden=[8]"), exp("model=dnn", "model.hidden=[9]")]
    nets = built(exps, digits)
    assert not can_stack(nets)
    assert not stack.pays(exps, digits, nets)
    with pytest.raises(RequestError, match="differ"):
        stack.fit(exps, digits, nets)


def test_the_probe_leaves_the_networks_alone(exp, digits):
    exps = [exp("model=dnn", "model.hidden=[16]", "norm_layer=batch", f"seed={s}") for s in range(3)]
    nets = built(exps, digits)
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    assert stack.pays(exps, digits, nets) in (True, False)
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


def test_time_limit_counts_for_each_run(exp, digits):
    exps = [dataclasses.replace(exp("model=linear", "trainer.max_minutes=1e-7"), seed=s) for s in (0, 1)]
    for result in stack.fit(exps, digits, built(exps, digits)):
        assert isinstance(result, OutOfTime)
        assert "stopped after trainer.max_minutes=1e-07, in epoch 1" in result.reason


class Stopped(stack.Program):
    """Time is over in the fourth epoch."""

    def train(self, epoch, clock):
        if epoch == 3:
            clock.end = 0.0
        return super().train(epoch, clock)


def test_runs_that_were_over_before_time_was_are_kept(exp, digits, monkeypatch):
    """One had ended by its patience, the other was still training."""
    words = ("model=linear", "trainer.epochs=8", "trainer.max_minutes=5", "trainer.patience=1")
    exps = [exp(*words, f"optim.lr={lr}") for lr in ("1e-12", "0.001")]
    whole = [r.history for r in stack.fit(exps, digits, built(exps, digits))]
    assert len(whole[0]) < 4 < len(whole[1])
    monkeypatch.setattr(stack, "Program", Stopped)
    over, stopped = stack.fit(exps, digits, built(exps, digits))
    assert isinstance(stopped, OutOfTime)
    assert [row["val_accuracy"] for row in over.history] == [row["val_accuracy"] for row in whole[0]]
    assert over.selected_epoch == 1


class Small(stack.Program):
    """A device with room for two networks."""

    def __init__(self, exps, *rest):
        if len(exps) > 2:
            raise torch.OutOfMemoryError("room for two")
        super().__init__(exps, *rest)


class Tiny(stack.Program):
    """A device with room for none."""

    def __init__(self, *_):
        raise torch.OutOfMemoryError("no room")


def test_too_many_for_the_memory_are_trained_in_parts(exp, digits, monkeypatch):
    exps = [exp(*SMALL, "model=linear", f"seed={s}") for s in range(5)]
    whole, rows = stack.fit(exps, digits, built(exps, digits)), []
    monkeypatch.setattr(stack, "Program", Small)
    parts = stack.fit(exps, digits, built(exps, digits), lambda s, row: rows.append((s, row["epoch"])))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.test_scores, other.test_scores, atol=0.01)
    assert sorted(rows) == [(s, e) for s in range(5) for e in (1, 2)]


def test_no_room_for_a_single_one_is_its_failure(exp, digits, monkeypatch):
    exps = [exp(*SMALL, "model=linear", f"seed={s}") for s in range(2)]
    monkeypatch.setattr(stack, "Program", Tiny)
    assert [str(r.reason) for r in stack.fit(exps, digits, built(exps, digits))] == ["out of memory: no room"] * 2
