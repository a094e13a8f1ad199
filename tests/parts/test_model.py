"""A network of one's own, by the commands that know the built-in ones."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import models
from bench.compose import compose
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key
from bench.schema.science import flat_settings, science
from bench.track.store import Store

Bench = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]
RUN = ("run", "dataset=digits", "trainer.epochs=1", "optim.lr=0.01")


def exp(*overrides: str) -> Any:
    return experiment(compose(list(overrides)))


def test_it_runs_is_kept_with_its_source_and_found_again(bench_json: Callable[..., Any], convmixer: Path) -> None:
    done = bench_json(*RUN, "model=convmixer", "model.dim=12")
    assert done["ran"]
    assert done["status"] == "finished"
    record = Store(None).get(done["run_id"])
    made = exp("model=convmixer", "model.dim=12")
    assert record.config["model.name"] == "convmixer"
    assert record.config["model.dim"] == 12
    assert record.config["model.code"] == made.model.own.code
    folder = Store(None).artifacts(done["run_id"])
    (kept,) = json.loads((folder / "parts.json").read_text())
    assert kept["code"] == made.model.own.code
    assert kept["files"] == {"convmixer.py": convmixer.read_text()}
    assert not bench_json(*RUN, "model=convmixer", "model.dim=12")["ran"]


def test_settings_are_typed_ranged_and_named_in_messages(convmixer: Path) -> None:
    for override, message in (
        ("model.dim=0", "model.dim: expected greater than 0, got 0"),
        ("model.dim=wide", "model.dim: expected an integer, got 'wide'"),
        ("model.dims=3", "Unknown setting 'model.dims'. Did you mean 'dim'? Known here: depth, dim."),
    ):
        with pytest.raises(RequestError) as told:
            exp("model=convmixer", override)
        assert message in str(told.value)
    with pytest.raises(RequestError, match=r"Unknown model 'convmixr'. Did you mean 'convmixer'\?"):
        exp("model=convmixr")


def test_a_default_said_aloud_is_the_same_experiment(convmixer: Path) -> None:
    plain, said, other = (
        exp("model=convmixer"),
        exp("model=convmixer", "model.dim=8"),
        exp("model=convmixer", "model.dim=9"),
    )
    assert run_key(plain, "d") == run_key(said, "d") != run_key(other, "d")
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert "place" not in str(flat_settings(plain))
    assert str(convmixer) not in json.dumps(science(plain))


def test_the_norm_layer_is_the_factory_s(convmixer: Path) -> None:
    kinds = {
        "native": torch.nn.BatchNorm2d, "batch": torch.nn.BatchNorm2d, "group": torch.nn.GroupNorm,
        "layer": torch.nn.GroupNorm, "none": torch.nn.Identity,
    }  # fmt: skip
    for name, kind in kinds.items():
        net = models.build(exp("model=convmixer", f"norm_layer={name}", "norm_layer.groups=4"), (1, 8, 8), 10)
        assert type(net.get_submodule("2")) is kind
    with pytest.raises(RequestError, match="norm_layer 'batch' is not for"):
        exp("model=flatnet", "norm_layer=batch")
    with pytest.raises(RequestError, match="norm_layer 'weight' is not for"):
        exp("model=convmixer", "norm_layer=weight")


def test_groups_of_a_native_group_norm_make_other_networks(write: Write) -> None:
    """They were left out of the key with the norm's name, and the second run answered with the first one's numbers."""
    write("parts/grouped.py", "from torch import nn\nfrom bench.parts import model\n@model(native='group')\n"
          "def grouped(shape, classes, *, norm):\n    return nn.Sequential(nn.Conv2d(shape[0], 8, 1), norm(8), "
          "nn.Flatten(), nn.LazyLinear(classes))\n")  # fmt: skip
    keys = {n: run_key(exp("model=grouped", "norm_layer=group", f"norm_layer.groups={n}"), "d") for n in (2, 4)}
    native = {n: run_key(exp("model=grouped", f"norm_layer.groups={n}"), "d") for n in (2, 4)}
    assert keys == native
    assert keys[2] != keys[4]


def test_a_default_where_a_part_is_called_with_something_is_no_setting(write: Write) -> None:
    write("parts/bare.py", "from torch import nn\nfrom bench.parts import model\n@model\ndef bare(shape=(1, 2, 2), "
          "classes=10, norm=None, *, bias: bool = True):\n    return nn.Sequential(nn.Conv2d(shape[0], 3, 1), norm(3), "
          "nn.Flatten(), nn.LazyLinear(classes, bias=bias))\n")  # fmt: skip
    made = exp("model=bare", "norm_layer=batch", "model.bias=false")
    assert made.model.own.values == {"bias": False}
    assert type(models.build(made, (1, 8, 8), 5).get_submodule("1")) is torch.nn.BatchNorm2d


def test_its_stages_and_head_serve_transfer(convmixer: Path) -> None:
    net = models.build(exp("model=convmixer"), (1, 8, 8), 10)
    assert [stage.name for stage in models.stages(net)][-1] == "head"
    assert models.head_names(net) == ("6",)
    assert models.Backbone(net)(torch.zeros(2, 1, 8, 8)).shape == (2, 8)


def test_bench_models_counts_it(bench: Bench, bench_json: Callable[..., Any], convmixer: Path) -> None:
    (row,) = bench_json("models", "convmixer", "--input", "1x8x8")
    assert row["parameters"] == sum(p.numel() for p in models.build(exp("model=convmixer"), (1, 8, 8), 10).parameters())
    assert row["paper"].startswith("ConvMixer (Trockman")
    assert row["min_size"] == 2
    assert row["norm_layers"] == ["native", "none", "batch", "layer", "group", "instance"]
    assert bench("models", "convmixer")[0] == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return nn.Flatten()", "makes 1x64 of one image. Expected 1x10"),
        ("return Two()", "gives back a tuple of 2. Expected logits"),
        ("return Named()", "gives back a dict (logits, extra)"),
        ("return 3", "gives back int. Expected a network"),
        ("return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))", "cannot take images of 1x8x8"),
        ("return 1 / 0", "cannot be built for images of 1x8x8 (wrong.py, line 15): ZeroDivisionError"),
    ],
)
def test_what_is_no_classifier_is_told_before_training(write: Write, body: str, message: str) -> None:
    write(
        "parts/wrong.py",
        f"""\
        from torch import nn
        from bench.parts import model

        class Two(nn.Module):
            def forward(self, x):
                return x, x

        class Named(nn.Module):
            def forward(self, x):
                return {{"logits": x, "extra": x}}

        @model
        def wrong(shape, classes):
            "Is none."
            {body}
        """,
    )
    with pytest.raises(RequestError) as told:
        models.build(exp("model=wrong"), (1, 8, 8), 10)
    assert message in str(told.value)
    assert "model 'wrong'" in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_like_it\n", "parts/mine.py, line 2: ModuleNotFoundError: No module named 'nothing_like_it'"),
        (
            "@model\ndef mine(shape, classes, *, dim=3): pass\n",
            "setting 'dim' of model 'mine' has no type. Write dim: int = 3",
        ),
        ("@model\ndef mine(shape): pass\n", "Expected def mine(shape, classes, *, setting: int = 1)"),
        ("@model\ndef mine(shape, classes, **more): pass\n", "takes *more, which names no setting"),
        ("@model\ndef mine(shape, classes, *, name: str = 'a'): pass\n", "every part has a name already"),
        (
            "@model\ndef mine(shape, classes, *, f: 'Callable' = print): pass\n",
            "an annotation of model 'mine' cannot be read",
        ),
        (
            "@model\ndef mine(shape, classes, dim: int = 3, /): pass\n",
            "'dim' of model 'mine' stands before the /",
        ),
        ("@model\ndef mine(shape, classes, *, act=print): pass\n", "which no command can say. Settings are plain data"),
        ("@model(norm_layers=('batch',))\ndef mine(shape, classes): pass\n", "takes no `norm`"),
    ],
)
def test_a_file_that_cannot_serve_says_where_and_why(write: Write, text: str, message: str) -> None:
    if "def mine" not in text:
        text += "@model\ndef mine(shape, classes): pass\n"
    write("parts/mine.py", "from bench.parts import model\n" + text)
    with pytest.raises(RequestError) as told:
        exp("model=mine")
    assert message in str(told.value)
    assert exp("model=linear").model.family == "linear"  # which does not ask for it


def test_a_file_that_is_no_python_is_told_where_a_name_is_missing(write: Write, convmixer: Path) -> None:
    write("parts/torn.py", "def (:\n")
    assert exp("model=convmixer")
    with pytest.raises(RequestError, match=r"parts/torn.py is no Python \(line 1: "):
        exp("model=torn")


SETTINGS = """
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Optional
from torch import nn
from bench.parts import model

class Size(Enum):
    SMALL = "small"
    LARGE = "large"

@dataclass
class Block:
    width: int = 3

@model
def mine(shape, classes, *, size: Size = Size.SMALL, act: Literal["relu", "gelu"] = "relu", depth: Optional[int] = None,
         widths: list[int] = [1, 2], named: dict[str, int] = {"a": 1}, block: Block = Block()):
    assert isinstance(size, Size) and isinstance(block, Block)
    widths.append(len(widths))  # on every call anew
    width = sum(widths) + block.width
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))
"""


def test_settings_are_whatever_is_plain_data(write: Write) -> None:
    write("parts/mine.py", SETTINGS)
    for _ in range(2):
        net = models.build(exp("model=mine"), (1, 8, 8), 10)
        assert net.get_submodule("1").out_features == 1 + 2 + 2 + 3  # type: ignore[union-attr]
    said = exp("model=mine", "model.size=large", "model.widths=[4]", "model.block.width=1", "model.named.b=2")
    assert models.build(said, (1, 8, 8), 10).get_submodule("1").out_features == 4 + 1 + 1  # type: ignore[union-attr]
    assert said.model.own.values == {
        "size": "large", "act": "relu", "depth": None, "widths": [4], "named": {"a": 1, "b": 2}, "block": {"width": 1}
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["mine = model(lambda shape, classes: None)", "if True:\n    @model\n    def mine(shape, classes): pass",
             "def base(shape, classes): pass\nmine = model(functools.partial(base))"]
)  # fmt: skip
def test_a_decorator_where_no_part_is_found_is_told(write: Write, text: str) -> None:
    write("parts/mine.py", "import functools\nfrom bench.parts import model\n" + text)
    with pytest.raises(RequestError, match=r"parts/mine.py, line \d: model is found as @model on a function"):
        exp("model=mine")


def test_a_name_of_ours_is_ours_in_lists_and_without_a_file_too(write: Write) -> None:
    write("parts/mine.py", "from bench.parts import *\n@corruption\ndef blur(i, s, g): return i\n"
          "@optimizer\ndef madgrad(parameters): pass\n")  # fmt: skip
    for words in ("corrupt.names=[blur]", "optim=madgrad"):
        with pytest.raises(RequestError, match=r"is one of ours already, and is offered by parts/mine\.py"):
            exp("model=dnn", words)


def test_two_of_one_name_are_refused(write: Write, convmixer: Path) -> None:
    write("parts/second.py", convmixer.read_text())
    with pytest.raises(
        RequestError, match=r"model 'convmixer' is offered twice: parts/convmixer.py, line 2\d and parts/second"
    ):
        exp("model=convmixer")
    write("parts/second.py", "from bench.parts import model\n@model\ndef cnn(shape, classes): pass\n")
    with pytest.raises(
        RequestError, match=r"model 'cnn' exists already: conf/model/cnn.yaml, and parts/second.py, line 3"
    ):
        exp("model=cnn")


def test_another_folder_by_its_name(bench: Bench, convmixer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEBENCH_PARTS", "")  # put back after
    elsewhere = convmixer.parent.rename(convmixer.parents[1] / "elsewhere")
    assert "Unknown model 'convmixer'" in bench(*RUN, "model=convmixer")[2]
    assert bench("models", "flatnet", "--parts", str(elsewhere))[0] == 0
    monkeypatch.setenv("IMAGEBENCH_PARTS", "")
    assert "there is no such folder" in bench("models", "--parts", "nowhere")[2]


def test_completion_and_hydra_s_own_flags_know_it(bench: Bench, convmixer: Path) -> None:
    status, out, _ = bench("run", "model=convmixer", "model.dim=4", "--cfg", "job")
    assert status == 0
    assert "name: convmixer" in out
    assert "dim: 4" in out
    from bench.cli.completion import candidates

    assert candidates(["run", "model=convm"]) == ["model=convmixer"]
    assert "model.dim=" in candidates(["run", "model=convmixer", "model.d"])
