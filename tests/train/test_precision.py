"""What of a training in 16 bits has 16 bits: the network, in training and wherever it is scored, and nothing else."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from bench import models
from bench.models import preprocess
from bench.models.hashes import file_sha256
from bench.schema import corrections
from bench.schema.run_key import run_key
from bench.schema.training import Optim
from bench.train.examples import of_images
from bench.train.fabric import launch
from bench.train.heads import fit_transfer
from bench.train.loss import criterion
from bench.train.scoring import autocast_of, score
from bench.train.single import Single

CNN = ("model=cnn", "model.filters=[4]", "model.kernels=[3]", "model.dense=[]", "trainer.epochs=1",
       "trainer.batch_size=600")  # fmt: skip
HALF = "trainer.precision=bf16-mixed"


def watched(made, digits, trained):
    """The Result, and what met the network: (training, under autocast, images)."""
    seen, build = [], models.build

    def watch(*args):
        net = build(*args)
        net.register_forward_pre_hook(
            lambda m, x: seen.append((m.training, torch.is_autocast_enabled("cpu"), x[0].clone()))
        )
        return net

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", watch)
        return trained(made), seen


def test_images_are_augmented_in_32_bits_and_the_network_is_scored_as_it_was_trained(exp, digits, trained):
    words = (*CNN, "augment.blur=1.0", "augment.crop=1")
    _, plain = watched(exp(*words), digits, trained)
    found, seen = watched(exp(*words, HALF, "augment.test_time=2"), digits, trained)
    steps = [images for training, _, images in seen if training]
    assert len(steps) == 3
    for mine, its in zip(steps, [images for training, _, images in plain if training], strict=True):
        assert torch.equal(mine, its)
    assert all(under for training, under, _ in seen[1:])  # after FLOPs were counted
    found, _ = watched(exp(*words, HALF), digits, trained)
    images = torch.from_numpy(digits.images[digits.test])
    assert abs(found.classify(images).numpy() - found.test_scores).max() < 1e-6
    for precision, under in (("32", False), ("bf16-mixed", True)):  # what several processes leave to the caller
        with autocast_of(precision)():
            assert torch.is_autocast_enabled("cpu") == under


def test_a_head_on_frozen_features_scores_other_images_as_it_scored_test(exp, digits, tmp_path):
    """Features of 32 bits, the head in 16, wherever: corrupted images met the head in 32."""
    file = tmp_path / "backbone.pt"
    words = (*CNN, "model.filters=[16]", "transfer=frozen", f"transfer.weights=file:{file}", "transfer.preprocess=own")
    torch.save(models.build(exp(*CNN, "model.filters=[16]"), digits.shape, 10).state_dict(), file)
    words = (*words, f"transfer.sha256={file_sha256(file)}", "transfer.cache=false")
    found = fit_transfer(exp(*words, HALF), digits)
    images = torch.from_numpy(digits.images[digits.test])
    again = found.classify(images).numpy()
    assert (abs(again - found.test_scores).max(1) < 1e-6).mean() > 0.9
    in_32 = exp(*words)
    whole = models.build(in_32, digits.shape, 10)
    whole.load_state_dict(found.state)
    exact = score(whole, preprocess.make(in_32, digits), images, torch.arange(len(images))).numpy()
    assert (abs(exact - found.test_scores).max(1) < 1e-6).mean() < 0.1
    assert abs(exact - found.test_scores).max() < 0.1


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_targets_between_classes_keep_their_digits(loss):
    torch.manual_seed(0)
    logits, labels = torch.randn(20, 10).bfloat16(), torch.randint(10, (20,))
    compute = criterion(Optim(loss=loss, label_smoothing=0.1))
    with torch.autocast("cpu", torch.bfloat16):
        assert compute(logits, labels).item() == pytest.approx(compute(logits.float(), labels).item(), rel=1e-6)


def test_the_loss_that_an_optimizer_is_told_is_the_mean_over_uneven_parts(exp, digits):
    made = exp("model=linear", "trainer.batch_size=8", "trainer.accumulate=3")
    fabric, net = launch(made.trainer), models.build(made, digits.shape, 10)
    learner = Single(made, net, of_images(made, digits, fabric.device), fabric)
    rows, labels = (torch.from_numpy(a[digits.train[:8]]) for a in (digits.images, digits.labels))
    learner.loss_sum, learner.counted = torch.zeros(()), False
    told = learner._gradient(rows, labels, 0, 0)
    expected = functional.cross_entropy(net(learner.prepare_rows(rows)), labels)
    torch.testing.assert_close(told, expected.detach())
    torch.testing.assert_close(learner.loss_sum, 8 * expected.detach())


def test_runs_of_before_do_not_answer_where_a_number_was_wrong(exp):
    plain = exp()
    mended = ("trainer.precision_rule", "optim.class_weights_rule")
    for precision, wrong, changed in (
        ("bf16-mixed", False, {}),
        ("bf16-mixed", True, {"augment": {"blur": 0.5}}),
        ("bf16-mixed", False, {"augment": {"flip": 0.5}}),
        ("bf16-mixed", True, {"augment": {"flip": 0.5, "test_time": 2}}),
        ("bf16-mixed", True, {"corrupt": {"names": ("contrast",)}}),
        ("bf16-mixed", True, {"optim": {"loss": "bce"}, "augment": {"mixup": 0.2}}),
        ("bf16-mixed", True, {"optim": {"loss": "mse"}}),
        ("bf16-mixed", False, {"optim": {"label_smoothing": 0.2}}),
        ("32", True, {"optim": {"class_weights": "balanced"}, "augment": {"mixup": 0.2}}),
        ("32", False, {"optim": {"class_weights": "balanced"}}),
        ("32", False, {"augment": {"blur": 0.5}}),
    ):
        groups = {"trainer": {"precision": precision}, **changed}
        made = replace(plain, **{name: replace(getattr(plain, name), **more) for name, more in groups.items()})
        with pytest.MonkeyPatch.context() as patch:
            kept = [c for c in corrections.CORRECTIONS if c.setting not in mended]
            patch.setattr(corrections, "CORRECTIONS", kept)
            before = run_key(made, "d")
        assert (run_key(made, "d") != before) == wrong, changed
