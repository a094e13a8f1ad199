"""Runs as one program against the same runs alone."""

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch

from bench import models
from bench.data.augment import generator
from bench.models.registry import REGISTRY
from bench.schema.errors import OutOfTime, RequestError, RunFailed
from bench.train import fit as alone
from bench.train import parts
from bench.train.examples import of_images
from bench.train.fabric import launch
from bench.train.single import Single
from bench.train.stacked import fit as stack
from bench.train.stacked import trial
from bench.train.stacked.network import Stacked, can_stack
from bench.train.stacked.which import are_compatible, program_form
from tests.train.agreement import same

SMALL = ("trainer.epochs=2", "trainer.batch_size=100")
DNN = ("model=dnn", "model.hidden=[24,16]")
# On a CPU each bit is as alone.
EXACT = {
    "linear": ["model=linear"],
    "batch norm, dropout, augmentation": [*DNN, "model.dropout=0.3", "norm_layer=batch", "augment=shift"],
    "layer norm": [*DNN, "norm_layer=layer", "optim.schedule=cosine"],
    "group norm, sgd": [*DNN, "norm_layer=group", "optim=sgd"],
    "average, clipped, penalty, batches of 99": [*DNN, "optim=sgd", "optim.ema=0.9", "optim.l2=0.001", "trainer.clip=1",
                                                "trainer.batch_size=99"],
    "weights decay, class weights, norms of gradients": [
        *DNN, "norm_layer=batch", "optim.decayed=weights", "optim.weight_decay=0.1", "optim.class_weights=balanced",
        "trainer.gradients=true"],
    "mixup in batches of 99, label smoothing": [*DNN, "augment.mixup=0.3", "trainer.batch_size=99",
                                               "optim.label_smoothing=0.1"],
    "views at evaluation, train too, patience": [*DNN, "augment=shift", "augment.test_time=2", "metrics.train=true",
                                                     "trainer.patience=1", "trainer.epochs=4", "optim.lr=0.1"],
}  # fmt: skip
SMALL_CNN = ("model=cnn", "model.filters=[6,8]", "model.kernels=[3,4]")
SMALL_RESNET = ("model=resnet", "model.depth=8", "model.width=4", "trainer.batch_size=400")
ROUNDED = {
    "parts of batches": [*DNN, "trainer.accumulate=3", "optim.l1=0.001"],
    "cnn, batch norm": [*SMALL_CNN, "norm_layer=batch"],
    "cnn, layer norm": [*SMALL_CNN, "norm_layer=layer", "optim.ema=0.9"],
    "cnn, group norm": ["model=cnn", "model.filters=[8]", "model.kernels=[3]", "model.dense=[64]", "norm_layer=group",
                        "model.dropout=0.2", "norm_layer.groups=4", "optim=sgd"],
    "cnn, instance norm": ["model=cnn", "model.filters=[8]", "model.kernels=[3]", "norm_layer=instance"],
    "resnet": [*SMALL_RESNET, "optim=sgd", "optim.lr=0.01"],
    "resnet, projections, stochastic depth, group norm": [
        *SMALL_RESNET, "model.shortcut=B", "model.drop_path=0.3", "model.dropout=0.2", "norm_layer=group", "optim=sgd",
        "optim.lr=0.01"],
    "resnet without norm": [*SMALL_RESNET, "norm_layer=none", "optim=sgd", "optim.lr=0.01"],
    "plain": [*SMALL_RESNET, "model.shortcut=none", "norm_layer=layer", "optim=sgd", "optim.lr=0.01"],
}  # fmt: skip


def built(exps, digits):
    return [models.build(e, digits.shape, 10) for e in exps]


@pytest.mark.parametrize("words", EXACT.values(), ids=EXACT.keys())
def test_dense_networks_are_those_of_the_runs_alone_in_every_bit(exp, digits, trained, words):
    exps = [exp(*SMALL, *words, f"seed={s}") for s in (3, 0, 8)]
    for made, result in zip(exps, stack.fit(exps, digits, built(exps, digits)), strict=True):
        single = trained(made)
        same(result, single)
        assert result.gradients == single.gradients
        assert (result.train_scores is None) == (single.train_scores is None)
        if single.train_scores is not None:
            np.testing.assert_array_equal(result.train_scores, single.train_scores)
        rows = torch.from_numpy(digits.images[:50])
        assert torch.equal(result.classify(rows), single.classify(rows))


@pytest.mark.parametrize("words", ROUNDED.values(), ids=ROUNDED.keys())
def test_agrees_with_the_same_runs_alone(exp, digits, trained, words):
    exps = [exp(*SMALL, *words, f"seed={s}") for s in (3, 0, 8)]
    found = stack.fit(exps, digits, built(exps, digits))
    for made, result in zip(exps, found, strict=True):
        single = trained(made)
        for mine, its in zip(result.history, single.history, strict=True):
            assert mine["train_loss"] == pytest.approx(its["train_loss"], rel=2e-4)
            assert mine["lr"] == its["lr"]
        assert result.state.keys() == single.state.keys()
        for name, tensor in single.state.items():
            torch.testing.assert_close(result.state[name], tensor, atol=3e-3, rtol=1e-2, msg=name)
        np.testing.assert_allclose(result.test_scores, single.test_scores, atol=0.03)
        assert result.costs["cost/params"] == single.costs["cost/params"]
        assert result.costs["cost/flops"] == single.costs["cost/flops"]


STACKED = ["linear", "dnn", "cnn", "plain", "resnet", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]


@pytest.mark.parametrize("name", [n for n, e in REGISTRY.items() if e.published != "0"])
def test_every_config_that_one_program_follows_takes_the_steps_that_it_takes_alone(exp, digits, name):
    """Small steps: after large ones rounding decides, in 100 layers with batches of 24."""
    words = (f"model={name}", "trainer.epochs=1", "trainer.batch_size=24", "optim=sgd", "optim.lr=0.0001",
             "trainer.channels_last=never", "trainer.last_digits=free")  # fmt: skip
    exps = [exp(*words, f"seed={s}") for s in (0, 3)]
    assert (program_form(exps[0]) is not None) == (name in STACKED)
    if name not in STACKED or name in ("resnet", "resnet32", "resnet44", "resnet110"):  # like resnet20 and resnet56
        return
    few = dataclasses.replace(digits, train=digits.train[:48], val=digits.val[:20], test=digits.test[:20])
    for made, found in zip(exps, stack.fit(exps, few, built(exps, few)), strict=True):
        net = models.build(made, few.shape, 10)
        start = {n: p.detach().clone() for n, p in net.named_parameters()}
        single = alone.fit(made, few, net)
        for n, tensor in single.state.items():
            torch.testing.assert_close(found.state[n], tensor, atol=3e-6, rtol=1e-4)
        moved = [(single.state[n] - p).abs().max().item() for n, p in start.items()]
        assert max(moved) > 2e-5
        assert found.history[0]["train_loss"] == pytest.approx(single.history[0]["train_loss"], rel=1e-5)


AUGMENTED = {
    "flip and crop": ["augment.flip=0.5", "augment.crop=1"],
    "turned and scaled": ["augment.rotate=20", "augment.scale=0.1"],
    "randaugment": ["augment.policy=randaugment"],
    "trivialaugment": ["augment.policy=trivialaugment"],
    "colour": ["augment.brightness=0.3", "augment.contrast=0.3", "augment.blur=0.5"],
    "erased": ["augment.erase=0.5", "augment.cutout=3"],
    "mixup and cutmix": ["augment.mixup=0.3", "augment.cutmix=1"],
    "cutmix, odd batches": ["augment.cutmix=1", "trainer.batch_size=99"],
}


@pytest.mark.parametrize("words", AUGMENTED.values(), ids=AUGMENTED.keys())
def test_augmentation_of_all_runs_at_once_is_that_of_each_alone(exp, digits, words):
    """Each run's own draws, and each of its pixels."""
    exps = [exp(*SMALL, "model=linear", *words, f"seed={s}") for s in (4, 1, 9)]
    fabric = launch(exps[0].trainer)
    examples = of_images(exps[0], digits, fabric.device)
    program = stack.Program(exps, built(exps, digits), examples, fabric)
    size = exps[0].trainer.batch_size
    chosen = torch.stack([batches.order(1)[:size] for batches in program.orders])
    images, targets = program._batch(chosen, 1, 2)
    for s, made in enumerate(exps):
        rows, labels = examples.rows[chosen[s]], examples.labels[chosen[s]]
        alone_, wanted = examples.augmentation(rows, labels, generator(made.seed, 1, 2, size))
        assert torch.equal(images[s], examples.prepare(alone_))
        assert torch.equal(targets[s], wanted)


def test_order_draws_and_initialisation_are_exactly_those_alone(exp, digits, monkeypatch):
    """The images that reach the network, after augmentation, and its first weights: bit for bit."""
    exps = [exp(*SMALL, "model=linear", "augment=shift", f"seed={s}") for s in (0, 5)]
    together_, single = [], []
    inner = stack.Program._batch
    monkeypatch.setattr(stack.Program, "_batch", lambda self, *a: together_.append(inner(self, *a)) or together_[-1])
    prepared = Single.prepare_rows
    monkeypatch.setattr(Single, "prepare_rows", lambda self, x: single.append(prepared(self, x)) or single[-1])
    stack.fit(exps, digits, built(exps, digits))
    for s, made in enumerate(exps):
        single.clear()
        (net,) = built([made], digits)
        first = copy.deepcopy(net.state_dict())
        for name, whole in Stacked(built(exps, digits), torch.device("cpu")).tensors.items():
            assert torch.equal(whole[s], first[name])
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
    assert are_compatible(
        one, exp("model=dnn", "model.dropout=0.5", "seed=4", "optim.lr=0.5", "optim.weight_decay=0.1")
    )
    assert not are_compatible(one, exp("model=dnn"))  # no dropout is another network
    assert not are_compatible(one, exp("model=dnn", "model.dropout=0.1", "trainer.batch_size=64"))
    assert not are_compatible(one, exp("model=dnn", "model.dropout=0.1", "split.seed=1"))
    for words in (["model=knn"], ["model=linear", "optim=lion"], ["model=dnn", "norm_layer=weight"]):
        assert program_form(exp(*words, "trainer.stack=4")) is None
    assert program_form(one) is not None
    assert program_form(exp("model=dnn", "trainer.stack=off")) is None
    assert program_form(exp("model=cnn")) is None  # last digits would differ
    assert program_form(exp("model=cnn", "trainer.last_digits=free")) is not None
    assert program_form(exp("model=cnn", "trainer.stack=4")) is not None


def test_refuses_runs_that_differ(exp, digits):
    exps = [exp("model=dnn", "model.hidden=[8]"), exp("model=dnn", "model.hidden=[9]")]
    nets = built(exps, digits)
    assert not can_stack(nets)
    with pytest.raises(RequestError, match="differ"):
        stack.fit(exps, digits, nets)


LONG = ("trainer.epochs=12", "trainer.batch_size=100", "trainer.max_minutes=1e-7", "model.hidden=[24]", "model=dnn")


def tried(exps, digits):
    nets = built(exps, digits)
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    why = trial.reason_alone(exps, digits, nets)
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())
    return why


def test_a_trial_says_what_every_bit_and_the_clock_say(exp, digits, monkeypatch):
    """It leaves the networks alone; what pays by the clock is set, as no test is timed."""
    exps = [exp(*LONG, "norm_layer=batch", f"seed={s}") for s in range(3)]
    monkeypatch.setattr(trial, "PAYS", 1e9)
    assert tried(exps, digits) == ""
    assert "steps are shorter" in tried([exp(*LONG, "trainer.epochs=2", f"seed={s}") for s in range(3)], digits)
    inner = trial.Program.train
    monkeypatch.setattr(trial.Program, "train", lambda self, *a: [x + 1e-7 for x in inner(self, *a)])
    assert "last digits differ" in tried(exps, digits)
    free = [exp(*LONG, "trainer.last_digits=free", f"seed={s}") for s in range(3)]
    assert tried(free, digits) == ""
    monkeypatch.setattr(trial, "PAYS", 0.0)
    assert "no faster" in tried(free, digits)
    monkeypatch.setattr(trial.Program, "train", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in tried(free, digits)


def test_a_trial_sees_other_bits_of_one_run(exp, digits, monkeypatch):
    exps = [exp(*LONG, f"seed={s}") for s in range(3)]
    monkeypatch.setattr(trial, "PAYS", 1e9)
    inner = trial.Program.scores

    def scores(self, split):
        found = inner(self, split).clone()
        found[2, -1, 3] = torch.nextafter(found[2, -1, 3], torch.tensor(9.0))
        return found

    monkeypatch.setattr(trial.Program, "scores", scores)
    assert "last digits differ" in tried(exps, digits)


def test_a_trial_meets_the_sizes_that_the_training_meets(exp, digits):
    for size in (100, 128, 99, 1000):
        made = exp(f"trainer.batch_size={size}")
        examples = of_images(made, digits, torch.device("cpu"))
        short = trial.shorten(examples, size)
        of = [set(parts.sizes(len(e.splits["train"]), size)) for e in (examples, short)]
        assert of[0] == of[1]
        assert len(short.splits["train"]) <= 3 * size


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


class TooWide(stack.Program):
    """A device with room for the steps of five networks, and for the scores of two."""

    def scores(self, split):
        if len(self.exps) > 2:
            raise torch.OutOfMemoryError("scores")
        return super().scores(split)


def test_parts_begin_as_if_nothing_had_been_trained(exp, digits, monkeypatch):
    """Memory ran out after an epoch had moved the weights."""
    exps = [exp(*SMALL, "model=linear", f"seed={s}") for s in range(5)]
    monkeypatch.setattr(stack, "Program", Small)
    known = stack.fit(exps, digits, built(exps, digits))
    monkeypatch.setattr(stack, "Program", TooWide)
    for one, other in zip(known, stack.fit(exps, digits, built(exps, digits)), strict=True):
        np.testing.assert_array_equal(one.test_scores, other.test_scores)
        assert [row["train_loss"] for row in one.history] == [row["train_loss"] for row in other.history]


def test_no_room_for_a_single_one_is_its_failure(exp, digits, monkeypatch):
    exps = [exp(*SMALL, "model=linear", f"seed={s}") for s in range(2)]
    monkeypatch.setattr(stack, "Program", Tiny)
    assert [str(r.reason) for r in stack.fit(exps, digits, built(exps, digits))] == ["out of memory: no room"] * 2
