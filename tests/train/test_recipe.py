"""What a recipe may ask for, against independent implementations: decay, betas, averages, patience, class weights."""

import copy
import dataclasses
import inspect
import re

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from bench import models
from bench.compose import compose
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment, experiment
from bench.schema.part import LIGHTNING
from bench.schema.training import Optim, Trainer
from bench.schema.where import settings as every
from bench.train import checkpoint, loss
from bench.train.fit import fit
from bench.train.optim import optimizer, split_by_decay
from bench.train.parts import sizes
from bench.train.stacked import fit as stacked
from bench.train.step import Averaged
from tests.train.agreement import same


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "lamb"])
def test_betas_and_eps_are_the_optimizers(name):
    made = optimizer(Optim(name=name, betas=(0.8, 0.95), eps=1e-4), [nn.Parameter(torch.zeros(1))])
    assert (tuple(made.defaults["betas"]), made.defaults["eps"]) == ((0.8, 0.95), 1e-4)


@pytest.mark.parametrize(("name", "given"), [("sgd", {"betas": (0.9, 0.9)}), ("lion", {"eps": 1e-3})])
def test_an_optimizer_without_them_says_so(name, given):
    with pytest.raises(RequestError, match=f"optim.{next(iter(given))}: {name} has none"):
        optimizer(Optim(name=name, **given), [nn.Parameter(torch.zeros(1))])


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_nfnet", "xcit_nano_12_p8_224"])  # by a pattern
def test_what_does_not_decay_is_what_timm_leaves_out(name):
    import timm
    from timm.optim import param_groups_weight_decay

    with torch.device("meta"):
        net = timm.create_model(name, num_classes=10)
    ours = split_by_decay([{"params": list(net.parameters()), "lr": 0.1}], net)
    excepted = getattr(net, "no_weight_decay", set)()
    theirs = param_groups_weight_decay(net, 0.05, no_weight_decay_list=excepted)
    assert [g.get("weight_decay", 0.05) for g in ours] == [0.05, 0.0]
    assert {id(p) for p in ours[1]["params"]} == {id(p) for g in theirs if not g["weight_decay"] for p in g["params"]}
    assert all(g["lr"] == 0.1 for g in ours)


def test_norms_and_biases_of_more_axes_than_one_do_not_decay_either():
    class ChannelNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.bias = (nn.Parameter(torch.ones(1, 3, 1, 1)) for _ in range(2))

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(1, 2))

    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.LayerNorm([3, 4, 4]), ChannelNorm(), Head())
    kept, others = split_by_decay([{"params": list(net.parameters())}], net)
    names = {id(p): name for name, p in net.named_parameters()}
    assert [names[id(p)] for p in kept["params"]] == ["0.weight", "3.weight"]
    assert len(others["params"]) == 6
    assert others["weight_decay"] == 0


def test_what_an_own_optimizer_does_not_take_is_refused(folder):
    (folder / "parts").mkdir()
    text = "import torch\nfrom bench.parts import optimizer\n@optimizer\n"
    text += "def mine(parameters, lr, momentum): return torch.optim.SGD(parameters, lr, momentum)\n"
    (folder / "parts" / "mine.py").write_text(text)

    def make(*words):
        settings = experiment(compose(["model=linear", "dataset=digits", "optim=mine", *words])).optim
        return optimizer(settings, [nn.Parameter(torch.zeros(1))])

    assert make("optim.momentum=0.25").param_groups[0]["momentum"] == 0.25
    for words, said in (("optim.weight_decay=0.1", "let the optimizer take"), ("optim.eps=0.1", "is not given it")):
        with pytest.raises(RequestError, match=said):
            make(words)


def test_decay_of_weights_only_leaves_norms_and_biases(exp, digits, trained):
    """With a gradient of nearly nothing, sgd moves by lr * decay * weight a step, or not at all."""
    words = ("model=dnn", "model.hidden=[8]", "norm_layer=batch", "optim=sgd", "optim.momentum=0", "optim.lr=0.1",
             "optim.weight_decay=0.5", "optim.decayed=weights", "trainer.epochs=1", "trainer.clip=1e-9")  # fmt: skip
    found = trained(exp(*words))
    start = models.build(exp(*words), digits.shape, 10).state_dict()
    steps = len(sizes(len(digits.train), 128))
    for name, tensor in found.state.items():
        if tensor.is_floating_point() and "running" not in name:
            kept = (1 - 0.05) ** steps if tensor.ndim > 1 else 1
            torch.testing.assert_close(tensor, start[name] * kept, atol=1e-5, rtol=1e-4)


def test_class_weights_are_scikit_learns_and_the_loss_is_torchs():
    torch.manual_seed(0)
    labels, logits = torch.tensor([0] * 70 + [1] * 25 + [2] * 5), torch.randn(100, 3)
    weights = torch.from_numpy(compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())).float()
    made = loss.make(Optim(class_weights="balanced"), nn.Linear(1, 1), labels=labels)
    expected = nn.functional.cross_entropy(logits, labels, weight=weights, reduction="sum") / 100
    torch.testing.assert_close(made(logits, labels), expected)
    soft = nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(made(logits, soft), expected)
    # What mixup makes of two images is the mixture of their losses, so torch's own for shares of classes.
    mixed = 0.3 * soft + 0.7 * soft.flip(0)
    theirs = nn.functional.cross_entropy(logits, mixed, weight=weights, reduction="sum") / 100
    torch.testing.assert_close(made(logits, mixed), theirs)
    for words in ({"loss": "bce"}, {"label_smoothing": 0.2}, {"loss": "bce", "label_smoothing": 0.2}):
        made_of = loss.make(Optim(class_weights="balanced", **words), nn.Linear(1, 1), labels=labels)
        apart = [made_of(logits, one) for one in (labels, labels.flip(0))]
        torch.testing.assert_close(made_of(logits, mixed), 0.3 * apart[0] + 0.7 * apart[1])
    either = [torch.randn(100, 3, requires_grad=True), None]
    either[1] = either[0].detach().clone().requires_grad_()
    mse = loss.make(Optim(class_weights="balanced", loss="mse"), nn.Linear(1, 1), labels=labels)
    mse(either[0], mixed).backward()
    (0.3 * mse(either[1], labels) + 0.7 * mse(either[1], labels.flip(0))).backward()
    torch.testing.assert_close(either[0].grad, either[1].grad)  # the losses differ in a constant
    assert torch.isfinite(made(torch.randn(4, 5), torch.tensor([0, 1, 2, 3])))  # classes without images


def test_class_weights_raise_the_recall_of_rare_classes(exp, digits, trained):
    rare = np.isin(digits.labels[digits.train], (0, 1, 2)) & (np.arange(len(digits.train)) % 20 > 0)
    few = dataclasses.replace(digits, train=digits.train[~rare])

    def recall(word):
        made = exp("model=linear", "trainer.epochs=5", "optim.lr=0.01", word)
        scores = fit(made, few, models.build(made, digits.shape, 10)).test_scores
        labels = digits.labels[digits.test]
        return (scores.argmax(1) == labels)[labels < 3].mean()

    assert recall("optim.class_weights=balanced") > recall("optim.class_weights=none")


def test_the_average_is_its_formula_in_weights_and_running_statistics():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    step, expected = Averaged(nn.functional.cross_entropy, net, 0.9), None
    for _ in range(5):
        net(torch.randn(8, 3))
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p))
        step.end(net)
        now = {n: t.double() for n, t in copy.deepcopy(net.state_dict()).items()}
        expected = now if expected is None else {n: 0.9 * expected[n] + 0.1 * t for n, t in now.items()}
    for name, tensor in step.scored(net).state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], atol=1e-6, rtol=1e-6)


EMA = ("model=dnn", "model.hidden=[16]", "norm_layer=batch", "optim.ema=0.9", "trainer.epochs=4")


def test_the_average_is_scored_kept_and_resumed(exp, digits, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    found, plain = trained(exp(*EMA)), trained(exp(*EMA[:-2], "trainer.epochs=4"))
    assert [r["train_loss"] for r in found.history] == [r["train_loss"] for r in plain.history]
    assert found.history[-1]["val_loss"] != plain.history[-1]["val_loss"]
    scores = found.classify(torch.from_numpy(digits.images[digits.test])).numpy()
    np.testing.assert_allclose(scores, found.test_scores, atol=1e-5)
    best = found.history[found.selected_epoch - 1]
    assert -found.val_scores[np.arange(len(digits.val)), digits.labels[digits.val]].mean() == pytest.approx(
        best["val_loss"], abs=1e-5
    )

    def power_cut(row):
        if row["epoch"] == 3:
            raise KeyError

    with pytest.raises(KeyError):
        trained(exp(*EMA), on_epoch=power_cut, checkpoint=tmp_path / "c.ckpt")
    same(found, trained(exp(*EMA), checkpoint=tmp_path / "c.ckpt"))


def test_patience_ends_a_run_after_so_many_epochs_without_a_better_one(exp, digits, trained):
    words = ("model=linear", "trainer.epochs=12", "optim.lr=0.3")
    exps = [exp(*words, "trainer.patience=2", f"seed={s}") for s in range(3)]
    together = stacked.fit(exps, digits, [models.build(e, digits.shape, 10) for e in exps])
    lengths = set()
    for s, (made, program) in enumerate(zip(exps, together, strict=True)):
        whole, found = trained(exp(*words, f"seed={s}")), trained(made)
        accuracies = [row["val_accuracy"] for row in whole.history]
        last = next((e for e in range(1, 13) if e - (1 + int(np.argmax(accuracies[:e]))) >= 2), 12)
        assert [r["epoch"] for r in found.history] == list(range(1, last + 1))
        assert found.selected_epoch == 1 + int(np.argmax(accuracies[:last]))
        assert found.history[-1]["train_loss"] == whole.history[last - 1]["train_loss"]
        assert len(program.history) - program.selected_epoch in (0, 1, 2)
        lengths.add(last)
    assert min(lengths) < 12


def test_patience_waits_for_val(exp):
    with pytest.raises(RequestError, match="patience waits for an improvement on val"):
        exp("trainer.patience=2", "trainer.select=last")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("max_epochs=3", "here trainer.epochs"), ("accumulate_grad_batches=2", "here trainer.accumulate"),
     ("gradient_clip_val=1", "here trainer.clip"), ("max_steps=9", "here trainer.steps"),
     ("callbacks=[]", "here trainer.patience for EarlyStopping"), ("logger=true", "here tracking.uri")],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["trainer.", ""])
def test_lightnings_names_are_understood(exp, theirs, ours, prefix):
    with pytest.raises(RequestError, match=f"Lightning's Trainer: {ours}"):
        exp(f"{prefix}{theirs}")


def test_every_setting_of_lightnings_trainer_is_ours_or_understood():
    pytorch_lightning = pytest.importorskip("pytorch_lightning")
    theirs = set(inspect.signature(pytorch_lightning.Trainer.__init__).parameters) - {"self"}
    ours = {field.name for field in dataclasses.fields(Trainer)}
    # What nobody who compares classifiers sets, or what is gone in their next version.
    left = {"barebones", "detect_anomaly", "plugins", "reload_dataloaders_every_n_epochs", "inference_mode",
            "enable_autolog_hparams", "model_registry", "limit_predict_batches"}  # fmt: skip
    assert theirs <= ours | LIGHTNING.keys() | left
    assert not ours & LIGHTNING.keys()
    settings = {s.name for s in every(Experiment)}
    named = {
        word for text in LIGHTNING.values() for word in re.findall(r"\b(?:trainer|split|optim|tracking)\.\w+", text)
    }
    assert named <= settings
