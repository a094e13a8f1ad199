"""Files that `bench new` writes work as they stand; so does README's network, and a verb made by the recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.cli.new import USES, write
from bench.compose import compose
from bench.rehearsal import rehearse
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from tests.conftest import REPO

WORDS = {
    "model": "model={}", "dataset": "dataset={}", "metric": "metrics.names=[{}]", "augmentation": "augment={}",
    "loss": "loss={}", "optimizer": "optim={}", "training": "training={}",
}  # fmt: skip


def test_each_kind_works_as_it_stands(folder: Path) -> None:
    assert set(USES) == {*WORDS, "distillation", "sweep"}
    for kind, word in WORDS.items():
        path = write(kind, f"my_{kind}")
        assert path == Path("parts") / f"my_{kind}.py"
        base = [] if kind == "dataset" else ["dataset=digits"]
        rehearse([experiment(compose([*base, *([] if kind == "model" else ["model=dnn"]), word.format(f"my_{kind}")]))])
    from bench.sweep.file import read
    from bench.sweep.plan import at_scale, points

    write("sweep", "question")
    assert len(points(at_scale(read("question"), "smoke"))) == 6


def test_the_command_says_what_comes_next_and_overwrites_nothing(bench: Any, folder: Path) -> None:
    status, out, _ = bench("new", "model", "mine")
    assert (status, out) == (0, "parts/mine.py\nNext: bench run model=mine\n")
    assert bench("models", "mine")[0] == 0
    for words, message in (
        (("model", "mine"), "parts/mine.py exists already"),
        (("modl", "mine"), "Unknown kind 'modl'. Did you mean 'model'?"),
        (("model", "../mine"), "is no name for a function"),
    ):
        status, _, err = bench("new", *words)
        assert (status, message in err) == (2, True)
    with pytest.raises(RequestError, match="is no name"):
        write("model", "class")


def test_readme_s_network_is_built(folder: Path) -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    assert text.index("@model") < text.index("## What sets it apart")
    (code,) = re.findall(r"```python\n(# parts/.*?)```", text, re.DOTALL)
    (folder / "parts").mkdir()
    (folder / "parts" / "patchnet.py").write_text(code)
    rehearse([experiment(compose(["model=patchnet", "norm_layer=group", "model.dim=8", "dataset=digits"]))])
