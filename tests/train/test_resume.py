"""A training that is killed at any epoch and goes on ends in the numbers of an undisturbed one, whatever ends it."""

import dataclasses
from itertools import pairwise

import pytest

from bench import models
from bench.schema.errors import RunFailed
from bench.train import checkpoint
from bench.train.fit import fit
from bench.train.single import Single
from tests.train.agreement import same

DNN = ("model=dnn", "model.hidden=[8]", "model.dropout=0.2", "norm_layer=batch", "trainer.batch_size=400")
ENDS = {
    "early stop, average, target": (
        *DNN, "optim.ema=0.5", "trainer.epochs=20", "trainer.patience=2", "trainer.target=val/accuracy>=0.3",
        "optim.lr=0.2", "optim.schedule=restarts"),
    "early stop on NLL, parts, clipped": (
        *DNN, "trainer.accumulate=3", "trainer.clip=0.5", "trainer.select=val/nll", "trainer.patience=1",
        "trainer.epochs=20", "optim.lr=0.3", "optim.schedule=onecycle"),
    "steps that end within an epoch, average of sgd": (
        *DNN, "optim=sgd", "optim.lr=0.05", "optim.ema=0.8", "trainer.steps=13", "optim.schedule=wsd",
        "optim.warmup=0.1", "trainer.target=val/nll<=2.2", "trainer.select=last"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)


def killed(trained, made, epoch, file):
    def power_cut(row):
        if row["epoch"] == epoch:
            raise KeyError("power")

    with pytest.raises(KeyError):
        trained(made, on_epoch=power_cut, checkpoint=file)


@pytest.mark.parametrize("words", ENDS.values(), ids=ENDS.keys())
def test_killed_anywhere_is_undisturbed(exp, trained, tmp_path, words):
    made = exp(*words)
    whole = trained(made)
    length = len(whole.history)
    assert 3 <= length < 20
    for epoch in (2, length):  # in the middle, and in the epoch that ends it
        file = tmp_path / f"{epoch}.ckpt"
        killed(trained, made, epoch, file)
        resumed = trained(made, checkpoint=file)
        same(whole, resumed)
        counted = {n: v for n, v in whole.costs.items() if n.startswith("cost/target") and "seconds" not in n}
        assert counted == {n: resumed.costs[n] for n in counted}
        assert bool(counted) == any("target" in word for word in words)


@pytest.mark.parametrize("kept", [0, 40, 4000])
def test_a_checkpoint_that_was_cut_off_is_none(exp, trained, tmp_path, kept):
    """As a copy of a spool leaves it: the run failed of it, again and again."""
    made, file = exp(*DNN, "trainer.epochs=3"), tmp_path / "c.ckpt"
    killed(trained, made, 2, file)
    file.write_bytes(file.read_bytes()[:kept])
    same(trained(made), trained(made, checkpoint=file))


def test_a_budget_of_seconds_counts_those_before(exp, trained, tmp_path):
    made, file = exp(*DNN, "trainer.seconds=0.6", "optim.schedule=linear"), tmp_path / "c.ckpt"
    killed(trained, made, 3, file)
    found = trained(made, checkpoint=file)
    rows = found.history
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(one["lr"] >= two["lr"] and one["seconds"] < two["seconds"] for one, two in pairwise(rows))
    assert found.costs["cost/fit_seconds"] >= rows[-1]["seconds"] > rows[1]["seconds"]
    # An epoch before the last one began within the budget, the seconds of before included.
    assert rows[-2]["seconds"] < 0.6


@pytest.mark.parametrize("method", ["train", "scores"])
def test_what_a_library_raises_is_one_message_with_model_settings_and_reason(exp, digits, monkeypatch, method):
    made = exp("model=timm", "model.name=test_resnet", "optim=sgd", "optim.lr=0.03", "trainer.batch_size=64",
               "trainer.channels_last=never", "transfer.size=32", "trainer.epochs=1")  # fmt: skip
    few = dataclasses.replace(digits, train=digits.train[:8], val=digits.val[:4], test=digits.test[:4])
    net = models.build(made, few.shape, 10)
    inner = net.forward

    def fails(images):
        if net.training == (method == "train"):
            return inner(images).view(3, 7)
        return inner(images)

    monkeypatch.setattr(Single, "__init__", _then(lambda: setattr(net, "forward", fails)))
    with pytest.raises(RunFailed) as told:
        fit(made, few, net)
    assert isinstance(told.value.__cause__, RuntimeError)
    says = told.value.reason
    assert says.startswith("test_resnet failed in training, with ")
    assert says.endswith("RuntimeError: " + str(told.value.__cause__).splitlines()[0])
    for words in ("optim.name=sgd", "optim.lr=0.03", "trainer.batch_size=64", "trainer.channels_last=never"):
        assert words in says


def _then(more):
    inner = Single.__init__

    def run(self, *args):
        inner(self, *args)
        more()

    return run
