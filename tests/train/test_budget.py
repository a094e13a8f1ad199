"""Budgets in steps and seconds, and the cost of reaching a target."""

import dataclasses

import numpy as np
import pytest
import torch

from bench import models
from bench.analysis.fairness import doubts
from bench.analysis.frame import Frame
from bench.analysis.length import lengths, spans
from bench.cli.summary import target as said
from bench.schema.errors import RequestError
from bench.schema.run_key import run_key
from bench.schema.science import flat_settings, science
from bench.schema.training import Optim, Trainer
from bench.track.record import Record
from bench.train import checkpoint
from bench.train.budget import TICKS, Budget, to_target
from bench.train.clock import Clock
from bench.train.examples import of_images
from bench.train.fabric import launch
from bench.train.optim import factor, schedule
from bench.train.parts import sizes
from bench.train.single import Single
from bench.train.stacked import fit as stacked
from tests.records import make_sweep
from tests.train.agreement import same

DNN = ("model=dnn", "model.hidden=[16]", "optim.schedule=linear")


class At:
    """A clock that stands still."""

    def __init__(self, seconds):
        self.now = seconds

    def seconds(self):
        return self.now


def test_steps_end_within_an_epoch_and_the_schedule_with_them(exp, digits, trained):
    each = len(sizes(len(digits.train), 128))
    steps = 2 * each + 3
    made = exp(*DNN, f"trainer.steps={steps}")
    found = trained(made)
    assert [row["epoch"] for row in found.history] == [1, 2, 3]
    assert found.history[-1]["lr"] == pytest.approx(1e-3 * factor(made.optim, steps)(steps - 1))
    images = 2 * len(digits.train) + sum(sizes(len(digits.train), 128)[:3])
    assert found.costs["cost/images_per_second"] * found.costs["cost/fit_seconds"] == pytest.approx(images)
    (program,) = stacked.fit([made], digits, [models.build(made, digits.shape, 10)])
    np.testing.assert_allclose(program.test_scores, found.test_scores, atol=1e-4)
    assert program.history[-1]["train_loss"] == pytest.approx(found.history[-1]["train_loss"], abs=1e-5)


def test_as_many_steps_are_as_many_epochs(exp, digits, trained):
    each = len(sizes(len(digits.train), 128))
    same(trained(exp(*DNN, f"trainer.steps={3 * each}")), trained(exp(*DNN, "trainer.epochs=3")))


def test_a_run_of_steps_is_resumed(exp, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    made = exp(*DNN, "trainer.steps=20", "trainer.target=val/accuracy>=0.99")

    def power_cut(row):
        if row["epoch"] == 2:
            raise KeyError

    with pytest.raises(KeyError):
        trained(made, on_epoch=power_cut, checkpoint=tmp_path / "c.ckpt")
    whole, resumed = trained(made), trained(made, checkpoint=tmp_path / "c.ckpt")
    same(whole, resumed)
    done = [r.costs["cost/images_per_second"] * r.costs["cost/fit_seconds"] for r in (whole, resumed)]
    assert done[0] == pytest.approx(done[1])


def test_seconds_end_training_and_the_schedule_with_it(exp, trained):
    made = exp(*DNN, "trainer.seconds=0.3")
    found = trained(made)
    assert found.costs["cost/fit_seconds"] >= 0.3
    assert found.history[-1]["lr"] < found.history[0]["lr"]
    assert trained(exp(*DNN, "trainer.seconds=1e-9")).history  # one step there always is


def test_the_clock_says_where_a_schedule_of_seconds_is():
    budget = Budget(Trainer(seconds=10.0), [4] * 5)
    optim = Optim(lr=1.0, schedule="cosine", warmup=0.1)
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plan = schedule(optim, opt, budget.total, None, budget.place)
    for seconds, lr in ((0.5, 0.5), (1.0, 1.0), (5.5, 0.5), (10.0, 0.0), (99.0, 0.0)):
        budget.clock = At(seconds)
        plan.step()
        assert opt.param_groups[0]["lr"] == pytest.approx(lr, abs=1e-5)
        assert budget.over(0, 1) == (seconds >= 10)
        assert budget.over(1) == (seconds >= 10)
    assert not budget.over(0, 0)
    assert budget.total == TICKS


def test_an_epoch_that_was_begun_has_a_step(exp, digits):
    """The clock may run out between the question whether to begin and the first batch."""
    made = exp(*DNN, "trainer.seconds=1")
    fabric = launch(made.trainer)
    learner = Single(made, models.build(made, digits.shape, 10), of_images(made, digits, fabric.device), fabric)
    learner.budget.clock = At(2.0)
    (loss,) = learner.train(3, Clock(made.trainer, 1))
    assert (learner.steps, learner.images) == (1, 128)
    assert loss == pytest.approx(2.3, abs=1.5)


def test_keys_and_records_have_the_budget_that_counts(exp):
    other = exp("trainer.steps=7", "scale=full")
    assert other.trainer.epochs == 100
    assert run_key(other, "") == run_key(exp("trainer.steps=7"), "")
    assert "trainer.epochs" not in {**flat_settings(exp("trainer.seconds=7")), **science(exp("trainer.seconds=7"))}
    assert len({run_key(exp(*w), "") for w in ((), ("trainer.steps=7",), ("trainer.seconds=7",))}) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("trainer.steps=3", "trainer.seconds=3"), "two budgets"),
        (("trainer.seconds=3", "trainer.devices=2"), "a budget for one device"),
        (("trainer.target='test/accuracy>=0.9'",), "test would be"),
        (("trainer.target='val/accuracy>=90'",), "a fraction"),
        (("trainer.target='val/loss<=1'",), "expected val/accuracy>=0.9"),
    ],
)
def test_what_is_no_budget_or_target_is_told(exp, words, says):
    with pytest.raises(Exception, match=says) as told:
        exp(*words)
    assert isinstance(told.value, RequestError)


def test_the_target_is_reached_at_the_first_look_that_is_as_good(exp, digits, trained):
    words = (*DNN[:2], "trainer.epochs=4", "optim.lr=0.003")
    plain = trained(exp(*words))
    accuracies = [row["val_accuracy"] for row in plain.history]
    assert accuracies[0] < accuracies[2]
    found = trained(exp(*words, f"trainer.target='val/accuracy>={accuracies[2]:.9f}'"))
    same(plain, found)
    epoch = next(row["epoch"] for row in found.history if row["val_accuracy"] >= float(f"{accuracies[2]:.9f}"))
    assert found.costs["cost/target_epochs"] == epoch
    assert found.costs["cost/target_steps"] == epoch * len(sizes(len(digits.train), 128))
    assert found.costs["cost/target_seconds"] == found.history[int(epoch) - 1]["seconds"]
    never = trained(exp(*words, "trainer.target=val/nll<=0.0001")).costs
    assert {n: v for n, v in never.items() if "target" in n} == {"cost/target_reached": 0.0}
    assert said("val/nll<=0.0001", never) == "target val/nll<=0.0001 was never reached"
    assert said("val/accuracy>=0.5", found.costs).startswith("target val/accuracy>=0.5 reached after")


def test_steps_to_target_are_those_of_whole_epochs_or_what_there_was():
    history = [{"epoch": e, "seconds": e * 2.0, "val_accuracy": e / 10, "val_nll": 1 / e} for e in (1.0, 2.0, 3.0)]
    made = Trainer(target="val/nll <= 0.5")
    assert to_target(made, history, 7, 20) == {
        "cost/target_reached": 1.0, "cost/target_seconds": 4.0, "cost/target_epochs": 2.0, "cost/target_steps": 14.0,
    }  # fmt: skip
    assert to_target(Trainer(target="val/accuracy>=0.3"), history, 7, 20)["cost/target_steps"] == 20
    assert to_target(Trainer(), history, 7, 20) == {}


def record(axis, **config):
    return Record(key="", sweep="s", axes={"model": axis}, seed=0, status="finished", metrics={"test/accuracy": 0.9},
                  costs={"cost/selected_epoch": 1.0}, config=config)  # fmt: skip


def test_the_table_says_budgets_that_differ_and_those_of_the_clock():
    some = [record("a", **{"trainer.steps": 500}), record("b", **{"trainer.epochs": 10, "trainer.steps": None})]
    assert spans(lengths(some)) == ["10 epochs", "500 steps"]
    found = dict(doubts(Frame(some), make_sweep({"model": ["a", "b"]})))
    assert found["unequal_budget"].startswith("Cells are compared after 10 epochs, 500 steps;")
    timed = [dataclasses.replace(r, config={"trainer.seconds": 60.0}) for r in some]
    assert spans(lengths(timed)) == ["60 s of training"]
    assert set(dict(doubts(Frame(timed), make_sweep({"model": ["a", "b"]})))) == {"timed_budget"}


def test_a_target_that_is_reached_exactly_is_reached() -> None:
    """The history's accuracies are of 32 bits: 90 of 100 is a little less than 0.9 there."""

    row = {
        "epoch": 3.0,
        "seconds": 1.5,
        "val_accuracy": float(torch.tensor(90.0) / torch.tensor(100.0)),
        "val_loss": 1.0,
    }
    assert row["val_accuracy"] < 0.9
    assert to_target(Trainer(target="val/accuracy>=0.9"), [row], 10, 30)["cost/target_reached"] == 1
    assert to_target(Trainer(target="val/accuracy>=0.91"), [row], 10, 30) == {"cost/target_reached": 0.0}
