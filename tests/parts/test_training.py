"""Own loss, optimizer, schedule and training: the shipped examples, held against what they come down to."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import data as images
from bench import models
from bench.compose import compose
from bench.parts.load import forget_modules
from bench.rehearsal import rehearse
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key
from bench.schema.science import flat_settings
from bench.train import checkpoint, lightning
from bench.train.fit import fit
from tests.conftest import REPO

Write = Callable[[str, str], Path]
EXAMPLES = {"focal": "loss", "ema": "training", "sam": "optimizer", "kd": "distillation"}


@pytest.fixture
def examples(folder: Path) -> Path:
    """parts/ with the shipped examples under names of their own."""
    (folder / "parts").mkdir()
    for name, file in EXAMPLES.items():
        text = (REPO / "bench" / "parts" / "examples" / f"{file}.py").read_text()
        (folder / "parts" / f"{name}.py").write_text(text.replace("NAME", name))
    (folder / "parts" / "falling.py").write_text(
        "from bench.parts import schedule\n\n@schedule\ndef falling(done, *, power: float = 1.0):\n"
        '    "Towards zero."\n    return (1 - done) ** power\n'
    )
    return folder / "parts"


BASE = (
    "dataset=digits",
    "model=dnn",
    "model.hidden=[16]",
    "trainer.epochs=2",
    "optim.lr=0.05",
    "split.train_fraction=0.3",
)


def trained(*overrides: str, file: Path | None = None, on_epoch: Any = None) -> Any:
    exp = experiment(compose([*BASE, *overrides]))
    data = images.load(exp.dataset, exp.split)
    return fit(exp, data, models.build(exp, data.shape, len(data.classes)), on_epoch, file)


def apart(one: Any, other: Any) -> float:
    """The largest difference of two runs' kept weights."""
    return max(float((one.state[n] - other.state[n]).abs().max()) for n in one.state)


def test_each_comes_down_to_what_it_generalises(examples: Path) -> None:
    sgd = trained("optim=sgd", "optim.lr=0.05")
    assert apart(trained("optim=sgd", "optim.lr=0.05", "loss=focal", "loss.gamma=0.0"), sgd) < 1e-6
    assert apart(trained("optim=sgd", "optim.lr=0.05", "loss=focal"), sgd) > 1e-3
    assert apart(trained("optim=sgd", "optim.lr=0.05", "training=ema", "training.decay=1e-9"), sgd) < 1e-6
    assert apart(trained("optim=sgd", "optim.lr=0.05", "training=ema"), sgd) > 1e-3
    assert apart(trained("optim=sam", "optim.lr=0.05", "optim.rho=0.0"), sgd) < 1e-6
    assert apart(trained("optim=sam", "optim.lr=0.05"), sgd) > 1e-4
    parts = ("optim.lr=0.05", "trainer.accumulate=2", "trainer.clip=0.1")  # the closure clips what it has added up
    assert (
        apart(trained("optim=sam", "optim.rho=0.0", *parts), trained("optim=sgd", "optim.momentum=0.9", *parts)) < 1e-6
    )
    falling = trained("optim=sgd", "optim.lr=0.05", "schedule=linear", "optim.warmup=0.2")
    assert apart(trained("optim=sgd", "optim.lr=0.05", "schedule=falling", "optim.warmup=0.2"), falling) < 1e-6


def test_a_resumed_training_ends_like_an_undisturbed_one(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    words = ("optim=sam", "optim.lr=0.05", "training=ema", "schedule=falling", "loss=focal", "trainer.epochs=3")
    whole = trained(*words)

    def killed(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    file = tmp_path / "resume.ckpt"
    with pytest.raises(KeyboardInterrupt):
        trained(*words, file=file, on_epoch=killed)
    assert file.exists()
    assert apart(trained(*words, file=file), whole) == 0


def test_what_own_code_draws_is_the_same_whatever_was_drawn_before(write: Write) -> None:
    """By any generator, where the file is imported, at the start, in a step and where images are scored."""
    write(
        "parts/noisy.py",
        """
        import random
        import numpy as np
        import torch
        from torch import nn
        from bench.parts import loss, model, training

        DRAWN = torch.rand(1).item() + np.random.rand() + random.random()

        @training
        class noisy:
            def start(self, net):
                self._head = nn.Linear(10, 10)

            def loss(self, net, inputs, targets, criterion):
                return criterion(self._head(net(inputs)), targets) * float(np.random.beta(1, 1)) * random.random()

        class Noise(nn.Module):
            def forward(self, x):
                return x + torch.rand_like(x)

        @model
        def noise(shape, classes):
            return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), Noise())

        @loss
        def drawn(logits, targets):
            return nn.functional.cross_entropy(logits * DRAWN, targets)
        """,
    )
    base = ("trainer.epochs=1", "split.train_fraction=0.1")
    for words in (("training=noisy", "loss=drawn"), ("model=noise",)):
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            forget_modules()
            exp = experiment(compose([*BASE[:1], "model=linear", *base, *words]))
            data = images.load(exp.dataset, exp.split)
            found.append(fit(exp, data, models.build(exp, data.shape, 10)).val_scores)
        assert (found[0] == found[1]).all(), words


def test_ours_and_one_s_own_stand_on_one_axis(examples: Path) -> None:
    from bench.sweep.file import from_axes
    from bench.sweep.plan import points

    axes = ["loss=cross_entropy,mse,focal", "training=usual,ema", "schedule=cosine,falling"]
    planned = points(from_axes("mine", axes, ["dataset=digits", "model=linear"], 1))
    assert len({p.key for p in planned}) == 12
    usual = next(p for p in planned if set(p.axes.values()) == {"mse", "usual", "cosine"}).experiment
    assert (usual.optim.loss, usual.optim.schedule, usual.loss, usual.training) == ("mse", "cosine", None, None)
    plain = experiment(compose(["dataset=digits", "model=linear"]))
    said = experiment(compose(["dataset=digits", "model=linear", "loss=cross_entropy", "training=usual"]))
    assert run_key(plain, "d") == run_key(said, "d")
    assert not {name.split(".")[0] for name in flat_settings(plain)} & {"loss", "schedule", "training"}


def test_distillation_from_an_earlier_run(bench_json: Any, examples: Path) -> None:
    first = bench_json("run", *BASE)
    taught = trained("training=kd", f"training.teacher={first['run_id']}")
    assert apart(taught, trained()) > 1e-3
    none = trained("training=kd", "training.share=0.0", f"training.teacher={first['run_id']}")
    assert apart(trained(), none) < 1e-6
    with pytest.raises(
        RequestError, match="asks for the run 'last', which is another one tomorrow, under the same key"
    ):
        rehearse([experiment(compose([*BASE, "training=kd", "training.teacher=last"]))])


LIGHTNING = """
    import pytorch_lightning as pl
    import torch
    from torch import nn
    from bench.parts import model

    class Theirs(pl.LightningModule):
        "As somebody has had it for years."

        def __init__(self, inputs, classes, lr):
            super().__init__()
            self.save_hyperparameters()
            self.net, self.lr = nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes)), lr

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = nn.functional.cross_entropy(self(x), y)
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch, batch_idx):
            raise RuntimeError("not here")

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)

    @model
    def theirs(shape, classes, *, lr: float = 0.05):
        "A LightningModule as it is."
        return Theirs(shape[0] * shape[1] * shape[2], classes, lr)
    """


def test_a_lightning_module_is_welcome_as_it_is(write: Write, capsys: pytest.CaptureFixture[str], bench: Any) -> None:
    write("parts/theirs.py", LIGHTNING)
    base = [w for w in BASE if not w.startswith(("optim", "model"))]

    def run(*words: str) -> Any:
        exp = experiment(compose([*base, *words]))
        data = images.load(exp.dataset, exp.split)
        torch.manual_seed(0)
        net = models.build(exp, data.shape, 10)
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
        return fit(exp, data, net)

    mine, ours = run("model=theirs"), run("model=linear", "optim=sgd", "optim.lr=0.05")
    for a, b in zip(mine.state.values(), ours.state.values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert "Theirs" not in capsys.readouterr().err
    status, _, told = bench("run", *base, "model=theirs", "trainer.epochs=1")
    assert status == 0
    assert "model  theirs, SGD at lr 0.05, 1 epoch of batches of 128; on " in told
    said = "Theirs: its own training_step and SGD at lr 0.05. Not used: validation_step. Validation, test and what"
    assert told.count("Theirs") == told.count(said) == 1
    with pytest.raises(RequestError, match=r"Theirs configures its optimizer, so that optim.\* changes nothing"):
        run("model=theirs", "optim.lr=0.5")
    with pytest.raises(RequestError, match="works on one device and whole batches"):
        run("model=theirs", "trainer.accumulate=2")


SCHEDULED = """
    import pytorch_lightning as pl
    import torch
    from torch import nn
    from bench.parts import model

    class Theirs(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.seen = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), []

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch):
            self.print(end="")
            self.log_dict(dict(own=nn.Identity()))
            self.seen.append((self.current_epoch, self.global_step, self.trainer.max_epochs))
            return dict(loss=nn.functional.cross_entropy(self(batch[0]), batch[1]) * 0.5**self.current_epoch)

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
            by = lambda kind, *given: getattr(torch.optim.lr_scheduler, kind)(optimizer, *given)
            return {}

        def on_train_epoch_end(self):
            1 / 0

    @model
    def theirs(shape, classes):
        return Theirs()
    """
SHAPES = {  # what configure_optimizers gives -> lr at the last of the 3 steps of each epoch
    "[optimizer]": [0.05, 0.05, 0.05],
    "[optimizer], [by('StepLR', 1)]": [0.05, 0.005, 0.0005],
    "dict(optimizer=optimizer, lr_scheduler=by('StepLR', 2))": [0.05, 0.05, 0.005],
    "[dict(optimizer=optimizer, lr_scheduler=dict(scheduler=by('StepLR', 1), interval='step', frequency=4))]":
        [0.05, 0.005, 0.0005],
    "[optimizer], [dict(scheduler=by('PolynomialLR', self.trainer.estimated_stepping_batches), interval='step')]":
        [0.05 * 7 / 9, 0.05 * 4 / 9, 0.05 / 9],
}  # fmt: skip


def test_a_lightning_module_s_scheduler_and_place_in_training_are_its_own(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Lightning's own Trainer has them; without one `current_epoch` is 0 for ever."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)

    def run(how: str, *words: str, file: Path | None = None, on_epoch: Any = None) -> tuple[Any, Any]:
        write("parts/theirs.py", SCHEDULED.replace("{}", how))
        exp = experiment(compose(["dataset=digits", "model=theirs", "trainer.epochs=3", "trainer.batch_size=200",
                                  "split.train_fraction=0.4", "trainer.select=last", *words]))  # fmt: skip
        data = images.load(exp.dataset, exp.split)
        net = models.build(exp, data.shape, 10)
        return net, fit(exp, data, net, on_epoch, file)

    for how, rates in SHAPES.items():
        net, whole = run(how)
        assert [row["lr"] for row in whole.history] == pytest.approx(rates), how
        assert net.seen == [(step // 3, step, 3) for step in range(9)]
    assert lightning.unused(net) == ("on_train_epoch_end",)

    def killed(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    file = tmp_path / "resume.ckpt"
    with pytest.raises(KeyboardInterrupt):
        run(how, file=file, on_epoch=killed)
    assert apart(run(how, file=file)[1], whole) == 0
    with pytest.raises(RequestError, match="another schedule or warmup: leave one of the two out"):
        run(how, "optim.warmup=0.1")
    for told, message in {
        "[optimizer], [by('StepLR', 1), by('StepLR', 1)]": "gives 2 lr schedulers",
        "dict(optimizer=optimizer, lr_scheduler=by('ReduceLROnPlateau'))": "brings ReduceLROnPlateau, which watches",
        "optimizer, optimizer": "gives SGD, SGD. Expected one optimizer",
        "[optimizer], [dict(interval='step')]": "gives NoneType as lr scheduler. Expected one of torch",
        "optimizer if self.trainer.optimizers else {}": "Theirs asks for self.trainer.optimizers, which there is not",
        "self.trainer.strategy": "Theirs asks for self.trainer.strategy, which there is not here",
    }.items():
        with pytest.raises((RequestError, RunFailed), match=message):
            run(told)


def test_of_a_lightning_module_with_only_a_forward_nothing_is_said(write: Write) -> None:
    text = textwrap.dedent(LIGHTNING)
    only = text[: text.index("    def training_step")] + text[text.index("@model") :]
    write("parts/theirs.py", only)
    exp = experiment(compose(["dataset=digits", "model=theirs"]))
    net = models.build(exp, (1, 8, 8), 10)
    assert lightning.brought(exp, net) is None


@pytest.mark.parametrize(
    ("kind", "text", "words", "message"),
    [
        ("loss", "def wrong(logits, targets): return logits", "loss=wrong", "gives back a tensor of [128, 10]"),
        ("loss", "def wrong(logits, targets):\n    return 1.0", "loss=wrong", "gives back float. Expected one number"),
        ("loss", "def wrong(logits, targets):\n    return 1 / 0", "loss=wrong", "be computed (wrong.py, line 4)"),
        ("optimizer", "def wrong(parameters):\n    return 3", "optim=wrong", "gives back int. Expected a torch.optim"),
        ("optimizer", "class wrong(__import__('torch').optim.SGD):\n  def step(self): 1", "optim=wrong", "no closure"),
        ("schedule", "def wrong(done): return -1", "schedule=wrong", "gives -1.0 at 0. Expected a number from 0"),
        ("training", "class wrong:\n    pass", "training=wrong", "has none of start, begin, loss, end, scored"),
        ("training", "class wrong:\n    def loss(self, *_): return 2", "training=wrong", "loss gives back int"),
        ("training", "class wrong:\n    def scored(self, *_): return 2", "training=wrong", "scored gives back"),
    ],
)  # fmt: skip
def test_what_does_not_serve_is_told(write: Write, kind: str, text: str, words: str, message: str) -> None:
    write("parts/wrong.py", f"from bench.parts import {kind}\n@{kind}\n{text}\n")
    with pytest.raises(RequestError) as told:
        trained(words)
    assert message in str(told.value)


def test_what_would_be_ignored_is_refused(examples: Path) -> None:
    for words, message in (
        (("loss=focal", "optim.label_smoothing=0.1"), "optim.label_smoothing is none of its settings"),
        (("schedule=falling", "optim.schedule=cosine"), "takes the place of optim.schedule"),
        (("model=knn", "loss=focal"), "knn is not trained by gradient steps"),
        (("optim.name=own",), "'own' is no optim by itself"),
    ):
        with pytest.raises(RequestError) as told:
            experiment(compose(list(words)))
        assert message in str(told.value)


def test_what_is_trained_alone_is_said(examples: Path, bench: Any) -> None:
    words = ("--axes", "loss=cross_entropy,focal", "--seeds", "2", "dataset=digits", "model=dnn", "trainer.stack=4")
    told = bench("sweep", *words, "--dry-run")[2]
    assert "trainer.stack: 2 of 4 runs are trained alone, as one program has no loss.name=focal." in told


def test_a_chain_of_known_layers_of_one_s_own_is_stacked(convmixer: Path) -> None:
    from bench.run import as_one_program

    for name, stacks in (("flatnet", True), ("convmixer", False)):
        exps = [
            experiment(compose(["dataset=digits", f"model={name}", "trainer.stack=2", f"seed={s}"])) for s in (0, 1)
        ]
        data = images.load(exps[0].dataset, exps[0].split)
        nets, _ = as_one_program(exps, data, [Path("a.ckpt"), Path("b.ckpt")])
        assert (nets is not None) == stacks
