"""Runs that were trained as one program when something ended it: they go on as if nothing had happened."""

import numpy as np
import pytest

from bench import models
from bench.run import execute
from bench.schema.errors import RunFailed
from bench.track.spool import Spool
from bench.train import checkpoint
from bench.train.checkpoint import epochs_done
from bench.train.fit import fit
from bench.train.stacked import fit as stack
from bench.train.stacked import trial
from tests.train.agreement import same

DROPPING = ("model=dnn", "model.hidden=[16]", "model.dropout=0.3", "norm_layer=batch", "augment=shift")
# One optimizer over all runs, and one for each.
SETTINGS = {
    "adam": [(*DROPPING, "optim.schedule=cosine", f"seed={s}") for s in range(3)],
    "sgd, another lr each": [(*DROPPING, "optim=sgd", "optim.schedule=onecycle", f"optim.lr={lr}")
                             for lr in (0.1, 0.05, 0.01)],
    "nadam": [("model=cnn", "model.filters=[4]", "model.kernels=[3]", "optim=nadam", f"seed={s}") for s in range(3)],
    "adagrad": [("model=linear", "optim=adagrad", f"seed={s}") for s in range(3)],
    "rmsprop, another decay each": [("model=linear", "optim=rmsprop", f"optim.weight_decay={decay}")
                                    for decay in (0, 0.1, 0.01)],
}  # fmt: skip


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
def program(digits):
    """Train Experiments as one program; `until` pulls the plug when its epoch is over. Gives results and rows told."""

    def train(exps, files, until=None):
        told = []

        def on_epoch(s, row):
            told.append((s, row["epoch"]))
            if row["epoch"] == until and s == len(exps) - 1:
                raise KeyError("power")

        nets = [models.build(e, digits.shape, 10) for e in exps]
        if until is not None:
            with pytest.raises(KeyError):
                stack.fit(exps, digits, nets, on_epoch, files)
            return None, told
        return stack.fit(exps, digits, nets, on_epoch, files), told

    return train


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_resumed_is_undisturbed(exp, program, tmp_path, settings):
    exps = [exp(*words, "trainer.epochs=4") for words in settings]
    files = [tmp_path / f"{s}.ckpt" for s in range(3)]
    undisturbed, _ = program(exps, [None] * 3)
    program(exps, files, until=3)
    assert sorted(tmp_path.iterdir()) == files
    resumed, told = program(exps, files)
    assert told == [(s, epoch) for epoch in (3, 4) for s in range(3)]
    for one, other in zip(undisturbed, resumed, strict=True):
        same(one, other)
        assert other.costs["cost/fit_seconds"] > other.history[1]["seconds"] / 3  # what was done before is counted


def test_what_is_left_goes_on_in_other_company(exp, program, tmp_path):
    """Two of three are left, and one is new: it starts at its beginning, they where they were."""
    exps = [exp(*DROPPING, "trainer.epochs=4", f"seed={s}") for s in (0, 1, 2, 7)]
    files = [tmp_path / f"{s}.ckpt" for s in range(4)]
    undisturbed, _ = program(exps, [None] * 4)
    program(exps[:3], files[:3], until=3)
    some = [0, 3, 2]
    resumed, told = program([exps[s] for s in some], [files[s] for s in some])
    assert sorted(told) == [(0, 3), (0, 4), (1, 1), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4)]
    for s, result in zip(some, resumed, strict=True):
        np.testing.assert_allclose(result.test_scores, undisturbed[s].test_scores, atol=0.01)


def test_a_run_that_diverged_before_keeps_its_reason(exp, program, tmp_path):
    words = ("model=dnn", "optim=sgd", "trainer.epochs=4")
    exps = [exp(*words, "optim.lr=1e30"), exp(*words, "optim.lr=0.01")]
    files = [tmp_path / "bad.ckpt", tmp_path / "good.ckpt"]
    program(exps, files, until=3)
    (bad, good), told = program(exps, files)
    assert isinstance(bad, RunFailed)
    assert "in epoch 1;" in bad.reason
    assert told == [(1, 3), (1, 4)]
    assert len(good.history) == 4


def test_a_checkpoint_of_another_kind_is_none(exp, digits, trained, program, tmp_path):
    """Of a run alone, of other settings; and a run alone does not take a program's."""
    made, file = exp("model=linear", "trainer.epochs=3"), tmp_path / "one.ckpt"
    undisturbed = trained(made)

    def power_cut(row):
        if row["epoch"] == 2:
            raise KeyError

    with pytest.raises(KeyError):
        trained(made, on_epoch=power_cut, checkpoint=file)
    assert file.exists()
    assert epochs_done(file, made, "stacked") == 0
    program([made], [file], until=2)
    assert epochs_done(file, made, "stacked") == 1
    assert epochs_done(file, exp("model=linear", "trainer.epochs=4"), "stacked") == 0
    net = models.build(made, digits.shape, 10)
    same(undisturbed, fit(made, digits, net, checkpoint=file))


@pytest.mark.parametrize("how", ["4", "auto"])
def test_what_was_begun_as_one_program_goes_on_as_one(exp, tmp_path, monkeypatch, how):
    """Whatever the clock says this time, and where all others have ended too."""
    exps = [exp("model=linear", "trainer.epochs=3", f"trainer.stack={how}", f"seed={s}") for s in range(2)]
    spool, epochs = Spool(tmp_path), []
    real = stack.Program.train

    def train(self, epoch, clock):
        epochs.append((len(self.exps), epoch))
        if len(epochs) == 2:
            raise SystemExit
        return real(self, epoch, clock)

    monkeypatch.setattr(stack.Program, "train", train)
    monkeypatch.setattr(trial, "LEAST_STEPS", 0)
    monkeypatch.setattr(trial, "compare_both_ways", lambda *_: (True, True))
    with pytest.raises(SystemExit):
        execute(exps, spool=spool)
    monkeypatch.setattr(trial, "compare_both_ways", lambda *_: (True, False))
    (place,) = execute(exps[1:], spool=spool)
    assert epochs == [(2, 0), (2, 1), (1, 1), (1, 2)]
    assert Spool.read(place)[0].status == "finished"
    assert not [p for p in place.iterdir() if "ckpt" in p.name]


def test_a_run_starts_over_where_other_company_gives_other_bits(exp, tmp_path, monkeypatch):
    exps = [exp("model=linear", "trainer.epochs=3", f"seed={s}") for s in range(2)]
    spool, told = Spool(tmp_path / "spool"), []
    real = stack.Program.train
    monkeypatch.setattr(trial, "LEAST_STEPS", 0)
    monkeypatch.setattr(trial, "compare_both_ways", lambda *_: (True, True))

    def train(self, epoch, clock):
        if epoch:
            raise SystemExit
        return real(self, epoch, clock)

    with monkeypatch.context() as patch:
        patch.setattr(stack.Program, "train", train)
        with pytest.raises(SystemExit):
            execute(exps, spool=spool)
    monkeypatch.setattr(trial, "compare_both_ways", lambda *_: (False, False))
    execute(exps[1:], spool=spool, told=lambda *way: told.append(way))
    ((count, why),) = told
    assert count == 1
    assert "last digits differ" in why


def test_more_time_goes_on_where_the_program_was_stopped(exp, tmp_path, monkeypatch):
    words = ("model=linear", "trainer.epochs=3", "trainer.stack=4")
    spool, epochs = Spool(tmp_path / "spool"), []
    real = stack.Program.train

    def train(self, epoch, clock):
        epochs.append(epoch)
        if epoch == 1 and self.settings.max_minutes < 10:
            clock.end = 0
        return real(self, epoch, clock)

    monkeypatch.setattr(stack.Program, "train", train)
    short, long = ([exp(*words, f"trainer.max_minutes={m}", f"seed={s}") for s in range(2)] for m in (5, 50))
    for place in execute(short, spool=spool):
        assert "stopped after trainer.max_minutes=5, in epoch 2" in Spool.read(place)[0].reason
        Spool.clear(place)
    assert all(Spool.read(p)[0].status == "finished" for p in execute(long, spool=spool))
    assert epochs == [0, 1, 1, 2]
