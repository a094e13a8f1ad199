"""One training, top to bottom, on real images."""

import dataclasses
import os
import signal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from bench import models
from bench.schema.corrections import corrected
from bench.schema.errors import RequestError, RunFailed
from bench.train import checkpoint, parts
from bench.train.fabric import layout
from bench.train.fit import fit
from bench.train.knn import score_by_distance
from bench.train.metrics import metrics
from bench.train.stacked import fit as stacked
from tests.train.agreement import same

NOISY = ("model=cnn", "model.filters=[8,8]", "model.dense=[16]", "model.dropout=0.3", "norm_layer=batch",
         "augment=shift", "optim.schedule=cosine")  # fmt: skip


def test_linear_reaches_what_logistic_regression_does(exp, digits, trained):
    found = trained(exp("model=linear", "trainer.epochs=30", "optim.lr=0.01"))
    x = digits.images.reshape(len(digits.images), -1).astype(np.float64)
    x = (x - x[digits.train].mean()) / x[digits.train].std()
    reference = LogisticRegression(max_iter=200).fit(x[digits.train], digits.labels[digits.train])
    expected = reference.score(x[digits.test], digits.labels[digits.test])
    assert metrics(found.test_scores, digits.labels[digits.test])["accuracy"] > expected - 0.03


def test_result_is_complete_and_its_weights_give_its_scores(exp, digits, trained):
    made = exp("model=dnn", "model.hidden=[16]", "trainer.epochs=3")
    found = trained(made)
    assert [row["epoch"] for row in found.history] == [1, 2, 3]
    assert found.val_scores.shape == (len(digits.val), 10)
    assert found.test_scores.shape == (len(digits.test), 10)
    np.testing.assert_allclose(np.exp(found.test_scores).sum(1), 1, atol=1e-5)
    net = models.build(dataclasses.replace(made, seed=99), digits.shape, 10)
    net.load_state_dict(found.state)
    x = torch.from_numpy(digits.images[digits.test]).double()
    train = digits.images[digits.train].astype(np.float64)
    with torch.no_grad():
        scores = net.eval()(((x - train.mean()) / train.std()).float()).log_softmax(1)
    np.testing.assert_allclose(found.test_scores, scores, atol=1e-5)


def test_same_seed_same_numbers(exp, trained):
    torch.manual_seed(1)
    first = trained(exp(*NOISY))
    torch.manual_seed(2)  # what was drawn before must not matter
    same(first, trained(exp(*NOISY)))
    other = trained(exp(*NOISY, "seed=1"))
    assert not np.array_equal(first.test_scores, other.test_scores)


def test_selection_sees_val_only(exp, digits, trained):
    """The selected epoch is the first with the best val accuracy, and labels of test change nothing."""
    made = exp("model=dnn", "model.hidden=[16]", "trainer.epochs=6", "optim.lr=0.03")
    found = trained(made)
    accuracies = [row["val_accuracy"] for row in found.history]
    assert found.selected_epoch == 1 + int(np.argmax(accuracies))
    best = metrics(found.val_scores, digits.labels[digits.val])["accuracy"]
    assert best == pytest.approx(max(accuracies), abs=1e-6)
    labels = digits.labels.copy()
    labels[digits.test] = 0
    images = digits.images.copy()
    images[digits.test] = 0
    blind = dataclasses.replace(digits, labels=labels, images=images)
    again = fit(made, blind, models.build(made, digits.shape, 10))
    np.testing.assert_array_equal(found.val_scores, again.val_scores)
    assert again.selected_epoch == found.selected_epoch


@pytest.mark.parametrize(
    ("select", "column", "best"), [("val/nll", "val_loss", np.argmin), ("last", "epoch", np.argmax)]
)
def test_other_selections(exp, trained, select, column, best):
    found = trained(exp("model=linear", "trainer.epochs=4", "optim.lr=0.3", f"trainer.select={select}"))
    assert found.selected_epoch == 1 + int(best([row[column] for row in found.history]))


def test_divergence_is_a_failed_run(exp, trained):
    with pytest.raises(RunFailed, match=r"diverged: train_loss is (nan|inf) in epoch 1; try a smaller optim.lr"):
        trained(exp("model=dnn", "optim=sgd", "optim.lr=1e30"))


def test_time_limit_is_a_failed_run(exp, trained):
    with pytest.raises(RunFailed, match=r"trainer.max_minutes=1e-06, in epoch 1"):
        trained(exp("model=linear", "trainer.max_minutes=1e-6"))


def test_train_loss_is_the_mean_over_images(exp, digits, trained):
    """With a vanishing lr the weights stay, and the epoch's loss is theirs over the train split."""
    made = exp("model=linear", "trainer.epochs=1", "optim=sgd", "optim.lr=1e-12", "trainer.batch_size=100")
    found = trained(made)
    net = models.build(made, digits.shape, 10)
    x = digits.images[digits.train].astype(np.float32)
    with torch.no_grad():
        logits = net(torch.from_numpy((x - x.mean()) / x.std()))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(digits.labels[digits.train]))
    assert found.history[0]["train_loss"] == pytest.approx(float(loss), abs=1e-5)


def test_parts_of_a_batch_make_the_same_step(exp, trained):
    """Gradient accumulation saves memory and changes nothing else for a net without batch norm."""
    whole, parts = (trained(exp("model=dnn", f"trainer.accumulate={n}")) for n in (1, 3))
    np.testing.assert_allclose(whole.test_scores, parts.test_scores, atol=1e-4)


def test_clipping_bounds_each_step(exp, digits, trained):
    """Plain SGD moves by at most lr * clip a step."""
    made = exp("model=linear", "optim=sgd", "optim.momentum=0", "optim.lr=0.5", "trainer.clip=1e-3", "trainer.epochs=1")
    start = models.build(made, digits.shape, 10).state_dict()
    moved = trained(made).state
    distance = sum(((moved[name] - start[name]) ** 2).sum() for name in start).sqrt()
    steps = -(-len(digits.train) // 128)
    assert 0 < distance <= 0.5 * 1e-3 * steps * 1.001


def test_the_history_has_the_lr_of_the_epochs_last_step(exp, digits, trained):
    """At first it was that of the next epoch's first step."""
    found = trained(exp("model=linear", "optim.schedule=linear", "optim.lr=0.1", "trainer.batch_size=100"))
    steps = -(-len(digits.train) // 100)
    expected = [0.1 * (1 - (epoch * steps - 1) / (2 * steps)) for epoch in (1, 2)]
    assert [row["lr"] for row in found.history] == pytest.approx(expected)


@pytest.mark.parametrize("word", ["optim.label_smoothing=0.1", "optim.l2=1e-3", "optim.loss=bce", "augment=mixup"])
def test_losses_of_different_scales_have_different_names(exp, digits, trained, word):
    plain = trained(exp("model=linear", "trainer.epochs=1"))
    other = trained(exp("model=linear", "trainer.epochs=1", "trainer.select=val/nll", word))
    assert "val_nll" not in plain.history[0]
    assert "val_loss" not in other.history[0]
    assert other.history[0]["val_nll"] == pytest.approx(
        metrics(other.val_scores, digits.labels[digits.val])["nll"], abs=1e-5
    )


@pytest.mark.parametrize("words", [["trainer.accumulate=16", "trainer.batch_size=17"], ["trainer.batch_size=1"]])
def test_batch_norm_on_one_image_is_found_before_training(exp, digits, words):
    """At first it ended a run at the end of its first epoch."""
    for word in ("trainer.stack=off", "trainer.stack=2"):
        made = [exp("model=dnn", "norm_layer=batch", *words, word, f"seed={s}") for s in range(2)]
        if word.endswith("off") or "trainer.batch_size=1" in words:
            nets = [models.build(e, digits.shape, 10) for e in made]
            with pytest.raises(RequestError, match=r"Batch norm cannot train on one image.*(accumulate|batch_size)"):
                fit(made[0], digits, nets[0]) if word.endswith("off") else stacked.fit(made, digits, nets)
    fit(exp("model=dnn", *words, "trainer.epochs=1"), digits, models.build(exp("model=dnn"), digits.shape, 10))


def test_batch_norm_that_is_frozen_needs_no_second_image(exp, digits):
    words = ("model=resnet", "model.depth=8", "model.width=4", "trainer.batch_size=1", "augment=shift")
    shape = (1, 4, 4)  # one pixel is left at the end
    net = models.build(exp(*words), shape, 10)
    parts.check(exp(*words, "transfer=frozen").trainer, net, shape, 9, 1, lambda twin: twin.eval())
    with pytest.raises(RequestError, match="Batch norm cannot train on one image"):
        parts.check(exp(*words).trainer, net, shape, 9, 1)


@pytest.mark.parametrize("setting", ["trainer.precision=bf16-mixed", "trainer.channels_last=always"])
def test_precision_and_layout_keep_the_science(exp, trained, setting):
    words = ("model=cnn", "model.filters=[8]", "model.kernels=[3]", "trainer.channels_last=never")
    plain, other = trained(exp(*words)), trained(exp(*words, setting))
    tolerance = 0.2 if "precision" in setting else 1e-4
    np.testing.assert_allclose(plain.test_scores, other.test_scores, atol=tolerance)
    assert other.test_scores.dtype == np.float32


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["model=cnn", "model.filters=[8,16]", "model.kernels=[3,3]"], True),
        (["model=cnn", "model.filters=[8]", "model.kernels=[3]", "norm_layer=group"], False),
        (["model=cnn", "model.filters=[8]", "model.kernels=[3]", "norm_layer=layer"], True),
        (["model=resnet20"], True),
        (["model=efficientnet_lite0", "transfer.size=32"], True),
        (["model=vgg11_bn", "transfer.size=32"], False),
        (["model=dnn"], False),
    ],
)
def test_channels_lie_last_where_a_cpu_gains(exp, digits, words, last):
    net = models.build(exp(*words), digits.shape, 10)
    expected = torch.channels_last if last else torch.contiguous_format
    assert layout(exp(*words).trainer, torch.device("cpu"), net) is expected
    assert layout(exp(*words).trainer, torch.device("cuda"), net) is torch.channels_last
    assert layout(exp(*words, "trainer=fsdp").trainer, torch.device("cuda"), net) is torch.contiguous_format
    never = exp(*words, "trainer.channels_last=never").trainer
    assert layout(never, torch.device("cuda"), net) is torch.contiguous_format


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["model=resnet", "model.depth=8", "model.width=4", "model.shortcut=B"], False),
        (["model=resnet", "model.depth=8", "model.width=16", "model.shortcut=B"], True),
        (["model=cnn", "model.filters=[8]", "model.kernels=[1]", "model.stride=2"], False),
        (["model=cnn", "model.filters=[8]", "model.kernels=[1]"], True),
        (["model=timm", "model.name=fastvit_t8", "transfer.size=32"], False),  # in its first block, at the pixels
    ],
)
def test_channels_never_lie_last_where_a_cpu_would_write_past_its_memory(exp, digits, words, last):
    net, cpu = models.build(exp(*words), digits.shape, 10), torch.device("cpu")
    expected = torch.channels_last if last else torch.contiguous_format
    assert layout(exp(*words, "trainer.channels_last=always").trainer, cpu, net) is expected
    assert layout(exp(*words).trainer, cpu, net) is expected
    assert layout(exp(*words).trainer, torch.device("cuda"), net) is torch.channels_last
    assert ("trainer.layout_rule" in corrected(exp(*words))) != last  # what ran before is not what such a run gives now


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("setting", ["trainer.accelerator=gpu", "trainer.precision=16-mixed"])
def test_what_the_device_lacks_is_said(exp, trained, setting):
    with pytest.raises(RequestError, match=r"(?i)gpu"):
        trained(exp("model=linear", setting))


@pytest.mark.parametrize(
    ("word", "deterministic", "matmul"),
    [("trainer.deterministic=true", True, "highest"), ("trainer.deterministic=false", False, "highest"),
     ("trainer.precision=tf32", True, "high")],
)  # fmt: skip
def test_torch_is_switched_as_the_run_says_and_back(exp, trained, word, deterministic, matmul):
    seen = []

    def look(_):
        seen.append((torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()))

    trained(exp("model=linear", "trainer.epochs=1", word), on_epoch=look)
    assert seen == [(deterministic, matmul)]
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU")
def test_steps_do_not_look_for_a_driver_that_is_not_there(exp, trained, monkeypatch):
    """Lightning has torch look for the driver's files, and Adam asks in each step: a tenth of a small dense net."""
    looked = []
    monkeypatch.setattr(torch.cuda, "_raw_device_count_nvml", lambda: looked.append(1) or -1)
    trained(exp("model=linear", "trainer.epochs=1"))
    few = len(looked)
    trained(exp("model=linear", "trainer.epochs=9"))
    assert len(looked) == 2 * few
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"  # Lightning's value is back


def test_ctrl_c_is_an_interruption_and_can_come_again(exp, trained):
    before = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trained(exp("model=linear"), on_epoch=lambda row: os.kill(os.getpid(), signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is before


def test_resumed_is_undisturbed(exp, trained, tmp_path, monkeypatch):
    """Stopped after two of four epochs, going on from the checkpoint: every number as if nothing had happened."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    made = exp(*NOISY, "trainer.epochs=4")
    undisturbed = trained(made)
    file, seen = tmp_path / "checkpoint.ckpt", []

    def pull_the_plug(row):
        seen.append(row["epoch"])
        if row["epoch"] == 3:
            raise KeyError("power")

    with pytest.raises(KeyError):
        trained(made, on_epoch=pull_the_plug, checkpoint=file)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    resumed = trained(made, on_epoch=lambda row: seen.append(row["epoch"]), checkpoint=file)
    assert seen == [1, 2, 3, 3, 4]
    same(undisturbed, resumed)
    other = exp(*NOISY, "trainer.epochs=4", "optim.lr=0.002")
    same(trained(other), trained(other, checkpoint=file))  # another experiment's checkpoint is none


def test_nearest_neighbours_end_in_the_same_result(exp, digits):
    found = score_by_distance(exp("model=knn", "model.k=5", "pixel_norm=none"), digits)
    x = digits.images.reshape(len(digits.images), -1).astype(np.float64)
    reference = KNeighborsClassifier(5, algorithm="brute").fit(x[digits.train], digits.labels[digits.train])
    expected = reference.score(x[digits.test], digits.labels[digits.test])
    assert metrics(found.test_scores, digits.labels[digits.test])["accuracy"] == pytest.approx(expected, abs=0.006)
    assert found.val_scores.shape == (len(digits.val), 10)
    assert found.history == []
    assert found.selected_epoch == 0
    assert found.state is None
