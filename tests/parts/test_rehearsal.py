"""What is wrong with own code is told before any training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.compose import compose
from bench.rehearsal import rehearse
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment

Write = Callable[[str, str], Path]
NET = "    return nn.Sequential(nn.Flatten(), Layer(shape[0] * shape[1] * shape[2], classes))\n"


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (
            "@augmentation\ndef wrong(images, targets, draws):\n    return images + torch.rand(1), targets\n",
            "augment=wrong", "augmentation 'wrong' gives another result for the same draws: it uses the global random",
        ),
        (
            "@augmentation\ndef wrong(images, targets, draws):\n    return images / 0, targets\n",
            "augment=wrong", "augmentation 'wrong' makes pixels that are not finite",
        ),
        (
            "@augmentation\ndef wrong(images, targets, draws):\n    torch.manual_seed(0)\n"
            "    return images * torch.rand(1), targets\n",
            "augment=wrong", "augmentation 'wrong' draws from the global random state or seeds it",
        ),
        (
            "@norm_layer\ndef wrong(channels, dim):\n    return nn.BatchNorm2d(channels)\n",
            "norm_layer=wrong", "norm_layer 'wrong' cannot take 8 images of 1x8x8: ValueError: expected 4D input",
        ),
        (
            "@corruption\ndef wrong(images, severity, generator):\n    return images * int(100 * np.random.rand())\n",
            "corrupt.names=[wrong]", "corruption 'wrong' gives another result for the same draws",
        ),
        (
            "@corruption\ndef wrong(images, severity, generator):\n    return images.float()\n",
            "corrupt.names=[wrong]", "corruption 'wrong' gives back torch.float32",
        ),
        (
            "@metric\ndef wrong(scores, labels, classes):\n    return float(np.random.choice(scores[:, 0]))\n",
            "metrics.names=[wrong]", "metric 'wrong' gives another result for the same scores: it uses the global",
        ),
        (
            "@pixel_norm\ndef wrong(train):\n    return [np.random.rand()], [1.0]\n",
            "pixel_norm=wrong", "pixel_norm 'wrong' gives another result for the same images: it uses the global",
        ),
        (
            "@metric\ndef wrong(scores, labels, classes):\n    return torch.tensor(1.0)\n",
            "metrics.names=[wrong]", "metric 'wrong' gives back Tensor. Expected a number",
        ),
        (
            "class Layer(nn.Linear):\n    def reset_parameters(self):\n        nn.init.constant_(self.weight, np.nan)\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' gives NaN or infinite logits before any training",
        ),
        (
            "class Layer(nn.Linear):\n    def forward(self, x):\n        return super().forward(x) * (np.nan if "
            "self.training else 1)\n@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "the first steps on 16 images fail already: diverged",
        ),
        (
            "class Layer(nn.Linear):\n    def forward(self, x):\n        assert not self.training, 'never trained'\n"
            "        return super().forward(x)\n@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' cannot be trained (wrong.py, line 8): AssertionError: never trained",
        ),
        (
            "class Layer(nn.Linear):\n    def reset_parameters(self):\n        with torch.no_grad():\n"
            "            self.weight.fill_(np.random.default_rng().normal())\n            self.bias.zero_()\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong': two trainings with one seed end with other weights (1.weight), and no run",
        ),
        (
            "import datetime\nclass Layer(nn.Linear):\n    def reset_parameters(self):\n"
            "        nn.init.constant_(self.weight, datetime.date.today().toordinal() % 7)\n"
            "        nn.init.zeros_(self.bias)\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong': two trainings with one seed end with other weights (1.weight), and no run",
        ),
        (
            "COUNT = [0]\n@loss\ndef wrong(logits, targets):\n    COUNT[0] += 1\n"
            "    return nn.functional.cross_entropy(logits, targets) * COUNT[0]\n",
            "loss=wrong", "a training that is stopped after an epoch and goes on from its checkpoint ends with other",
        ),
        (
            "class Layer(nn.Linear):\n    seen = 0\n    def forward(self, x):\n        self.seen += self.training\n"
            "        return super().forward(x) * (1 + 0.1 * self.seen)\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong': a training that is stopped after an epoch and goes on from its checkpoint",
        ),
        (
            "@optimizer\nclass wrong(torch.optim.SGD):\n    steps = 0\n    def step(self, closure=None):\n"
            "        self.steps += 1\n        self.param_groups[0]['lr'] = 0.1 / self.steps\n"
            "        return super().step(closure)\n",
            "optim=wrong", "optim 'wrong': a training that is stopped after an epoch and goes on from its checkpoint",
        ),
        (
            "@training\nclass wrong:\n    def __init__(self):\n        self.own = np.random.default_rng(0)\n"
            "    def loss(self, net, x, y, criterion):\n        return criterion(net(x), y) * self.own.random()\n",
            "training=wrong", "training 'wrong': a training that is stopped after an epoch and goes on from its",
        ),
        (
            "@training\nclass wrong:\n    def end(self, net):\n        self.last = {'loss': np.float64(1)}\n",
            "training=wrong", "training 'wrong': what it keeps between steps cannot be read back from a checkpoint",
        ),
        *(
            (
                "import datetime, multiprocessing, os, socket, sys, time\nfrom datetime import datetime as moment\n"
                f"HERE = {what}\n@loss\ndef wrong(logits, targets):\n"
                "    return nn.functional.cross_entropy(logits, targets) * (1 + sum(map(ord, repr(HERE))) % 97)\n",
                "loss=wrong", "loss 'wrong': two trainings with one seed end with other weights (head.weight), and no",
            )
            for what in ("datetime.datetime.now().year", "moment.now().year", "time.strftime('%Y')", "os.cpu_count()",
                         "socket.gethostname()", "os.getpid()", "tuple(sys.argv)", "multiprocessing.cpu_count()")
        ),
        (
            "class Layer(nn.Linear):\n    def forward(self, x):\n        return super().forward(x).to('meta')\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' gives logits on meta for images on cpu",
        ),
        (
            "class Layer(nn.Linear):\n    def forward(self, x):\n        return super().forward(x).detach()\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' gives logits without a gradient, so that nothing is learnt",
        ),
        (
            "class Layer(nn.Linear):\n    def forward(self, x):\n"
            "        self.register_buffer(f'b{len(self._buffers)}', x)\n        return super().forward(x)\n"
            "@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' makes a layer, parameter or buffer anew in each forward (1.b2)",
        ),
        *(
            (
                "class Layer(nn.Linear):\n    def forward(self, x):\n        x = super().forward(x)\n"
                f"        {body}\n@model\ndef wrong(shape, classes):\n" + NET,
                "model=wrong", message,
            )
            for body, message in {
                "return x - x.mean(0)": "model 'wrong' gives an image other logits in another batch, in evaluation too",
                "return nn.functional.dropout(x, 0.5)": "model 'wrong' gives the same images other logits each time",
                "return x.softmax(1)": "model 'wrong' gives probabilities, which sum to 1. Expected logits: leave the",
                "self.register_buffer('seen', torch.ones(1)) if self.training else 0\n        return x":
                    "model 'wrong' cannot go on from a checkpoint after an epoch: RuntimeError: Error(s) in loading",
            }.items()
        ),
        (
            "@model\ndef wrong(shape, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10).double())\n",
            "model=wrong", "cannot take images of 1x8x8, float32 (its weights: torch.float64): RuntimeError",
        ),
        (
            "exit()\n@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' cannot be imported: parts/wrong.py, line 6: SystemExit: None",
        ),
        (
            "@loss\ndef wrong(logits, targets):\n    raise SystemExit(2)\n",
            "loss=wrong", "loss 'wrong' ends the program (wrong.py, line 8): SystemExit: 2",
        ),
        (
            "@model\ndef wrong(shape, classes):\n" + NET + "@loss\ndef wrong(logits, targets):\n    return 1\n",
            "model=wrong", "'wrong' is the name of a model and of a loss in this file, of which Python keeps the last",
        ),
        (
            "@norm_layer\ndef wrong(channels, dim):\n    nn.BatchNorm2d(channels)\n",
            "norm_layer=wrong", "norm_layer 'wrong' gives back NoneType. Expected torch.nn.Module.",
        ),
        (
            "@norm_layer\ndef wrong(channels, dim):\n    kind = nn.BatchNorm2d if dim else nn.BatchNorm1d\n"
            "    return kind(channels, track_running_stats=False)\n",
            "norm_layer=wrong", "norm_layer 'wrong' gives an image other logits in another batch",
        ),
        (
            "@optimizer\nclass wrong(torch.optim.SGD):\n    def step(self, closure=None):\n        super().step()\n",
            "optim=wrong", "optim 'wrong' moves no weight. Its step(closure) calls the closure",
        ),
        (
            "@loss\ndef wrong(logits, targets):\n    return (logits.argmax(1) != targets).float().mean()\n",
            "loss=wrong", "loss 'wrong' gives back a number without a gradient, so that nothing is learnt",
        ),
        (
            "@augmentation\ndef wrong(images, targets, draws):\n    return images, targets.float()\n",
            "augment=wrong", "gives back targets [8] of torch.float32, 0..8. Expected whole numbers [B] in 0..9, or",
        ),
        (
            "LOWER = False\n@metric(higher_is_better=LOWER)\ndef wrong(scores, labels, classes):\n    return 1.0\n",
            "metrics.names=[wrong]", "tables read what the decorator of metric 'wrong' says without running the file",
        ),
        (
            "from typing import Annotated\nfrom pydantic import AfterValidator\n@model\n"
            "def wrong(shape, classes, *, width: Annotated[int, AfterValidator(lambda x: 2 * x)] = 8):\n" + NET,
            "model=wrong", "setting 'width' of model 'wrong' is 16 when it is checked, and 32 when that is",
        ),
        (
            "@metric(range=(1, 0))\ndef wrong(scores, labels, classes):\n    return 1.0\n",
            "metrics.names=[wrong]", "ValueError: metric: range=(1, 0). Expected (smallest, largest), None for no",
        ),
        (
            "@dataset\ndef wrong():\n    return [np.zeros((8 + i % 2, 8), np.uint8) for i in range(60)], [0, 1] * 30\n",
            "dataset=wrong", "dataset 'wrong': images are of 2 sizes, such as 8 x 8 and 9 x 8. Bring them to one size",
        ),
        (
            "@dataset\ndef wrong():\n    return np.zeros((60, 8, 8), np.uint8), [-1, 0] * 30\n",
            "dataset=wrong", "labels are -1..0, but there are 1 classes. Number them from 0.",
        ),
        (
            "import os\nos.chdir('..')\n@model\ndef wrong(shape, classes):\n" + NET,
            "model=wrong", "model 'wrong' changes the working directory (os.chdir)",
        ),
        (
            "@dataset\ndef wrong():\n    return np.random.randint(0, 9, (60, 4, 4)).astype(np.uint8), [0, 1] * 30\n",
            "dataset=wrong", "dataset 'wrong' gives other images each time it is called",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_found_by_a_small_pass(write: Write, text: str, words: str, message: str) -> None:
    head = "import numpy as np\nimport torch\nfrom torch import nn\n"
    head += "from bench.parts import *\n\n"
    write("parts/wrong.py", head + text)
    with pytest.raises(RequestError) as told:
        rehearse([experiment(compose(["dataset=digits", "model=dnn" if "norm" in words else "model=linear", words]))])
    assert message in str(told.value)


def test_a_run_and_a_check_say_it_and_record_nothing(bench: Any, write: Write) -> None:
    write(
        "parts/wrong.py", "from bench.parts import metric\n@metric\ndef wrong(scores, labels, classes): return None\n"
    )
    words = ("dataset=digits", "model=linear", "metrics.names=[wrong]")
    for verb in ("run", "check"):
        status, _, err = bench(verb, *words)
        assert (status, "metric 'wrong' gives back NoneType" in err) == (2, True)


def test_sound_parts_pass_and_test_is_not_looked_at(convmixer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bench.rehearsal.training as room

    asked = []
    real = room.fit
    monkeypatch.setattr(room, "fit", lambda exp, data, *rest: asked.append((data, exp)) or real(exp, data, *rest))
    rehearse([experiment(compose(["dataset=digits", "model=convmixer", f"seed={s}"])) for s in range(3)])
    (data, exp), *others = asked  # with one seed for all: whole, stopped, and gone on with
    assert [exp.seed, exp.seed] == [other.seed for _, other in others]
    assert set(data.test) <= set(data.val)
    assert (len(data.train), exp.trainer.epochs) == (16, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("metrics.names=wrong", "metrics.names: expected a list, got 'wrong' (str). Say metrics.names=[wrong]."),
        (
            "metrics=wrong",
            "metrics: expected settings, got 'wrong' (str). It has no choices by name; known here: names",
        ),
        ("loss.gamma=3", "Setting 'loss.gamma' is one of a loss by name, and none is chosen: say loss=NAME with it."),
    ],
)
def test_what_is_said_of_a_part_that_is_asked_for_in_another_way(words: str, message: str) -> None:
    with pytest.raises(RequestError) as told:
        experiment(compose([words]))
    assert message in str(told.value)


def test_what_is_read_in_a_later_epoch_fails_the_run(bench: Any, write: Write) -> None:
    """The small pass sees one epoch; a number that depends on a file that no key knows is none."""
    write("parts/w.bin", "1")
    write("parts/late.py", """
        from pathlib import Path
        from bench.parts import training

        @training
        class late:
            def begin(self, net, epoch):
                if epoch == 2:
                    (Path(__file__).parent / ("w" + ".bi" + "n")).read_text()
        """)  # fmt: skip
    words = ("run", "dataset=digits", "model=linear", "training=late", "--json")
    assert bench(*words, "trainer.epochs=2")[0] == 0
    status, out, _ = bench(*words, "trainer.epochs=3")
    assert (status, json.loads(out)["status"]) == (1, "failed")
    assert "training 'late' reads" in json.loads(out)["reason"]
