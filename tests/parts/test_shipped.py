"""Parts of the package: one file in bench/shipped, found by its syntax, with settings that planning reads unimported.

CONTRIBUTING's recipes are put into a copy of the package, where each is composed, planned, run and judged.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from bench.parts.load import load
from bench.parts.outline import outline
from bench.parts.signature import defaults, settings
from bench.schema.errors import RequestError
from bench.schema.offered import KINDS, SHIPPED, Listed, shipped_parts
from tests.conftest import REPO


def recipes() -> dict[str, str]:
    """Path -> text of every file that CONTRIBUTING shows."""
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(r"```\w+\n(# ((?:bench|conf)/[\w/.]+).*?)```", text, re.DOTALL)
    return {path: code for code, path in found}


OTHERS = """
import torch
from torch import nn
from bench.parts import corruption, loss, norm_layer, pixel_norm, schedule, training

@corruption
def fog(images, severity, generator):
    return images // (1 + severity)

@loss
def hinge(logits, targets, *, margin: float = 1.0):
    return nn.functional.multi_margin_loss(logits, targets, margin=margin)

@norm_layer
def half(channels, dim):
    return nn.BatchNorm2d(channels) if dim else nn.BatchNorm1d(channels)

@pixel_norm
def centred(train):
    return train.mean(), 64.0

@schedule
def falling(done):
    return 1 - done / 2

@training
class noisy:
    def __init__(self, *, size: float = 0.01):
        self.size = size

    def loss(self, net, inputs, targets, criterion):
        return criterion(net(inputs + self.size * torch.randn_like(inputs)), targets)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the recipes' files in it."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("bench", "conf", "sweeps"):
        shutil.copytree(REPO / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in recipes().items():
        (root / path).write_text(text, encoding="utf-8")
    (root / "bench" / "shipped" / "others.py").write_text(OTHERS, encoding="utf-8")
    (root / "work").mkdir()
    return root


PLANNED = """
import json, sys
from bench.compose import compose
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key
from bench.schema.science import flat_settings, science

def planned(*words):
    exp = experiment(compose(["dataset=bars", "augment=darken", "optim=signs", *words]))
    flat = {k: v for k, v in flat_settings(exp).items() if "." in k}
    return {"key": run_key(exp, "d"), "science": science(exp), "flat": flat}

out = {"plain": planned("model=shallow"), "wide": planned("model=shallow_wide"), "said": planned("model=shallow",
       "model.width=32"), "metric": planned("model=shallow", "metrics.names=[sure]")}
out["heavy"] = [name for name in ("torch", "numpy", "timm", "mlflow") if name in sys.modules]
print(json.dumps(out))
"""


def python(package: Path, *words: str) -> str:
    """What a Python process prints that imports the copy."""
    done = subprocess.run(
        [sys.executable, *words], cwd=package / "work", env={"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


VERBS = """
import contextlib, io, json, sys
from bench.cli import main

if __name__ == "__main__":
    said = []
    for words in json.loads(sys.argv[1]):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = main(words)
        said.append((status, out.getvalue()))
    print(json.dumps(said))
"""


def test_the_recipes_are_planned_without_their_code(package: Path) -> None:
    assert {Path(path).stem for path in recipes()} == {
        *("shallow", "shallow_wide", "darken", "sure", "signs", "bars", "hello")
    }
    out = json.loads(python(package, "-c", PLANNED))
    assert out["heavy"] == []
    assert out["plain"]["key"] == out["said"]["key"]  # a default is the same said or left out
    said = out["plain"]["science"]
    assert {k: v for k, v in said.items() if not k.startswith("optim.") or k == "optim.name"} == {
        "dataset.source": "own", "dataset.name": "bars", "model.family": "own", "model.name": "shallow",
        "augment.name": "darken", "optim.name": "signs",
    }  # fmt: skip
    assert out["wide"]["science"] == {**said, "model.width": 256}
    assert out["metric"]["science"] == {**said, "metrics.names": ["sure"]}
    flat = out["plain"]["flat"]  # a record has every setting
    assert flat["model.width"] == 32
    assert flat["augment.least"] == 0.5
    assert flat["optim.decay"] == 0.0
    assert flat["model.code"] == SHIPPED


def test_the_recipes_run_and_are_judged(package: Path) -> None:
    (package / "work" / "sweeps").mkdir(exist_ok=True)
    (package / "work" / "sweeps" / "mine.yaml").write_text(
        "question: Does a wider layer make fewer sure mistakes?\n"
        "base: [dataset=bars, augment=darken, optim=signs, trainer.epochs=2]\n"
        "axes: {model: [shallow, shallow_wide]}\nseeds: 2\nscales: {smoke: {}}\n"
        "table: {rows: model, metric: test/sure}\n"
        "claims:\n  - {says: Wider is better, metric: test/sure, compare: {model: shallow_wide}, "
        "against: {model: shallow}}\n"
    )
    (package / "work" / "verbs.py").write_text(VERBS)
    sweep = ["sweep", "mine", "--scale", "smoke", "--json"]
    verbs = [
        [*sweep, "--workers", "1"], sweep, ["table", "mine", "--scale", "smoke"], ["models", "shallow*"], ["data"],
        ["options", "darken"], ["hello", "you"], ["--help"],
        ["run", "dataset=bars", "model=cnn", "trainer.epochs=1", "augment=darken", "corrupt.names=[fog]", "loss=hinge",
         "norm_layer=half", "pixel_norm=centred", "schedule=falling", "training=noisy", "metrics.names=[sure]"],
    ]  # fmt: skip
    said = json.loads(python(package, "verbs.py", json.dumps(verbs)).splitlines()[-1])
    assert [status for status, _ in said] == [0] * len(verbs)
    ran, again, table, listed, data, options, hello, overview, all_kinds = (text for _, text in said)
    done = json.loads(ran.splitlines()[-1])
    assert (done["planned"], done["ran"], done["failed"]) == (4, 4, 0)
    assert json.loads(again.splitlines()[-1])["ran"] == 0
    assert "share of sure mistakes (%)" in table
    manifest = (package / "work/results/mine-smoke/manifest.json").read_text()
    assert SHIPPED not in json.dumps(json.loads(manifest).get("parts", {}))  # nobody's own code
    assert "where it was published" in listed
    assert "Noise of 8 x 8 pixels" in data
    assert "Each image times a factor" in options
    assert hello == "Hello you\n"
    assert "bench hello      say hello" in overview
    assert re.search(r"fog +0\.\d+", all_kinds)


@pytest.mark.parametrize("part", shipped_parts(), ids=lambda part: part.name)
def test_what_planning_reads_is_what_the_code_says(part: Listed) -> None:
    """A wrong outline would give a wrong key, or settings that the function does not have."""
    function, bare = load(part), outline(part)
    assert list(inspect.signature(function).parameters) == list(inspect.signature(bare).parameters)
    assert defaults(part, function) == defaults(part, bare)
    read, real = (typing.get_type_hints(settings(part, f), include_extras=True) for f in (bare, function))
    assert read == real
    assert inspect.getdoc(function)
    assert part.kind in KINDS


def test_a_part_of_ones_own_has_a_name_of_its_own(write: Any) -> None:
    from bench.compose import compose

    write("parts/mine.py", "from bench.parts import metric\n@metric\ndef kappa(s, l, c):\n    return 1.0\n")
    with pytest.raises(RequestError, match="'kappa' exists already"):
        compose(["metrics.names=[kappa]"])


def test_old_keys_stay() -> None:
    """What is measured on request was a list of names before these were parts."""
    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.schema.science import science

    assert science(experiment(compose(["metrics.names=[kappa,auroc]"])))["metrics.names"] == ["kappa", "auroc"]
