"""The lr range test: what it reads off a curve, and that training agrees with it."""

import math

import pytest

from bench import models
from bench.schema.errors import RequestError, RunFailed
from bench.train.range_test import range_test, read_curve, running_mean

DNN = ("model=dnn", "model.hidden=[16]", "optim=sgd")


def test_a_curve_that_falls_and_comes_back():
    lrs = [10 ** (i / 20 - 4) for i in range(100)]
    losses = [2.0 if i < 40 else 0.5 for i in range(80)] + [6.0] * 20
    read = read_curve(lrs, losses)
    assert read.smooth == running_mean(losses)
    assert 1e-2 <= read.lowest <= lrs[79]
    assert read.stable == lrs[79]
    assert read.ended
    assert not read_curve(lrs[:80], losses[:80]).ended
    assert read_curve(lrs[:81], [*losses[:80], math.nan]).stable == lrs[79]


def test_the_running_mean_is_its_definition():
    losses = [3.0, 1.0, 2.0]
    weights = [[1.0], [0.9, 1.0], [0.81, 0.9, 1.0]]
    expected = [sum(w * x for w, x in zip(ws, losses, strict=False)) / sum(ws) for ws in weights]
    assert running_mean(losses) == pytest.approx(expected)


def test_training_agrees_and_the_same_seed_finds_the_same(exp, digits, trained):
    made = exp(*DNN, "optim.schedule=cosine", "optim.warmup=0.5")  # neither is used
    one, two = (range_test(made, digits, models.build(made, digits.shape, 10), 1e-3, 100.0, 120) for _ in range(2))
    assert (one.lrs, one.losses) == (two.lrs, two.losses)
    assert one.lrs[0] == pytest.approx(1e-3)
    assert one.lrs[1] / one.lrs[0] == pytest.approx(1e5 ** (1 / 119))
    assert one.ended

    def accuracy(lr):
        try:
            return trained(exp(*DNN, f"optim.lr={lr}", "trainer.epochs=3")).history[-1]["val_accuracy"]
        except RunFailed:  # diverged
            return 0.0

    assert accuracy(one.stable / 3) > 0.8
    assert accuracy(one.stable * 30) < 0.5


def test_the_command_prints_a_curve_and_what_to_paste(folder, bench, bench_json):
    words = ("lr", "dataset=digits", "model=linear", "optim=sgd", "--from", "0.001", "--to", "1000", "--steps", "60")
    status, out, err = bench(*words)
    assert status == 0, err
    assert "* largest stable" in out
    made = bench_json(*words)
    assert f"to begin with: {made['override']}" in out
    assert len(made["lrs"]) == len(made["losses"]) <= 60
    status, _, err = bench("lr", "dataset=digits", "model=knn")
    assert status == 2
    assert "not trained by gradient steps" in err


@pytest.mark.parametrize("ends", [(1.0, 0.1, 10), (0.0, 1.0, 10), (0.1, 1.0, 1)])
def test_an_order_that_is_none_is_told(exp, digits, ends):
    made = exp(*DNN)
    with pytest.raises(RequestError, match="expected 0 < --from < --to"):
        range_test(made, digits, models.build(made, digits.shape, 10), *ends)
