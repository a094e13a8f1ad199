"""Protocol lint: each finding appears where it should, and an ordinary sweep has none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.compose import compose
from bench.data import ImageData, fingerprint, load
from bench.data.finding import NAMES, NEVER, Finding, stops
from bench.data.leaks import splits
from bench.data.protocol import frozen_updates, lint
from bench.schema.dataset import Folder, Split
from bench.schema.experiment import Experiment, experiment
from tests.data.conftest import class_folders


def names(found: object) -> set[str]:
    return {f.name for f in found}


def linted(*overrides: str, data: ImageData | None = None, **kwargs: object) -> list[Finding]:
    exp = made(*overrides)
    return lint([exp], {"key": data or load(exp.dataset, exp.split)}, ["key"], **kwargs)


def made(*overrides: str) -> Experiment:
    return experiment(compose(list(overrides)))


def test_an_ordinary_experiment_has_no_findings() -> None:
    assert linted("dataset=digits", "model=cnn", "augment=shift") == []
    assert linted("dataset=mnist5k", "model=cnn", "norm_layer=batch") == []


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["dataset=digits", "augment=flip"], "flip_changes_label"),
        (["dataset=mnist5k", "augment=flip_vertical"], "flip_changes_label"),
        (["dataset=shapes", "dataset.label=orientation", "augment=flip"], "flip_changes_label"),
        (["dataset=digits", "augment=rotate", "augment.rotate=120"], "rotation_changes_label"),
        (["dataset=shapes", "dataset.label=orientation", "augment.rotate=30"], "rotation_changes_label"),
        (["dataset=shapes", "dataset.label=colour", "augment=colour"], "colour_changes_label"),
        (["dataset=shapes", "dataset.label=brightness", "augment=brightness"], "brightness_changes_label"),
        (["dataset=shapes", "dataset.label=position", "augment.shift=8"], "shift_changes_label"),
        (["dataset=shapes", "dataset.label=size", "augment=scale"], "scale_changes_label"),
        (["dataset=mnist5k", "model=timm", "model.name=resnet18"], "imagenet_stem"),
        (["dataset=mnist5k", "split.train_per_class=1", "split.val=0.001"], "class_missing"),
    ],
)
def test_settings_that_mean_trouble(overrides: list[str], name: str) -> None:
    found = (
        linted("model=cnn", *overrides) if not any(o.startswith("model=") for o in overrides) else linted(*overrides)
    )
    assert name in names(found)
    assert all(f.level == "warning" and f.reason and f.remedy for f in found)


@pytest.mark.parametrize(
    "overrides",
    [
        ["dataset=shapes", "dataset.label=shape", "augment=colour"],
        ["dataset=shapes", "dataset.label=colour", "augment=flip"],
        ["dataset=mnist5k", "model=timm", "model.name=resnet18", "model.stem=small"],
        ["dataset=mnist5k", "model=vgg11_bn", "transfer.size=32"],
        ["dataset=mnist5k", "model=timm", "model.name=tf_efficientnet_lite0", "transfer=frozen"],
        ["dataset=digits", "model=knn", "augment=flip"],
    ],
)
def test_the_same_settings_where_they_are_fine(overrides: list[str]) -> None:
    assert linted(*overrides) == []


@pytest.mark.parametrize(
    ("classes", "channels", "words", "name"),
    [
        (tuple("abcdef"), 3, ["augment=flip"], "flip_changes_label"),
        (tuple("0123456789"), 1, ["augment=flip"], "flip_changes_label"),
        (("two", "one", "five", "six", "nine"), 3, ["augment.rotate=100"], "rotation_changes_label"),
        (("turn_left", "turn_right", "stop"), 3, ["augment=flip"], "flip_changes_label"),
        (("arrow up", "arrow down"), 3, ["augment=flip_vertical"], "flip_changes_label"),
        (("red apple", "green apple", "pear"), 3, ["augment=colour"], "colour_changes_label"),
        (("Red-Apple", "green-apple"), 3, ["augment=grey"], "colour_changes_label"),
        (("small", "large"), 3, ["augment=scale"], "scale_changes_label"),
        (("cat", "left"), 3, ["augment=flip"], None),
        (("arrow up", "arrow down"), 3, ["augment=flip"], None),
        (tuple("0123456789"), 3, ["augment=flip"], None),  # numbered classes of photographs
        (("0", "1"), 1, ["augment=flip"], None),
    ],
)
def test_labels_are_guessed_from_class_names(
    classes: tuple[str, ...], channels: int, words: list[str], name: str | None, data
) -> None:
    source = data(shape=(channels, 12, 12), classes=len(classes))
    source = dataclasses.replace(source, classes=classes)
    found = linted("dataset=folder", "dataset.root=photos", "model=cnn", *words, data=source)
    assert names(found) == ({name} if name else set())


def test_equal_points_of_the_plane_are_no_copies() -> None:
    assert linted("dataset=plane", "dataset.pattern=spirals", "model=dnn") == []


def test_every_finding_has_its_entry() -> None:
    import re

    import bench.data

    text = "".join(
        path.read_text() for path in Path(bench.data.__file__).parent.glob("*.py") if "inspect" not in path.name
    )
    said = set(re.findall(r'Finding\(\s*"(\w+)"', text)) | {
        f"{w}_changes_label" for w in re.findall(r'_changes\(\s*"(\w+)"', text)
    }
    said |= {
        f"{a}_{what}_{b}"
        for a, b in (("val", "test"), ("train", "test"), ("train", "val"))
        for what in ("overlaps", "duplicates_in")
    }
    import bench.schema.errors

    refused = set(re.findall(r'Refused\(\s*"(\w+)"', Path(bench.schema.errors.__file__).read_text()))
    assert said | refused == set(NAMES)
    assert refused == set(NEVER)


def parted(data: ImageData, **indices: list[int]) -> ImageData:
    return dataclasses.replace(data, **{name: np.array(values) for name, values in indices.items()})


def test_overlap_by_index(data) -> None:
    whole = data()
    assert names(splits(whole)) == set()
    assert names(splits(parted(whole, val=[1, 2], train=[2, 3, 4, 5, 8, 9, 10, 11]))) >= {"train_overlaps_val"}
    assert "val_is_test" in names(splits(parted(whole, val=[60, 61, 62, 63], test=[60, 61, 62, 63])))
    assert "val_overlaps_test" in names(splits(parted(whole, val=[59, 60, 61], test=[60, 61, 62, 63])))
    assert "padded_evaluation" in names(splits(parted(whole, test=[60, 61, 62, 63, 63])))


def test_duplicates_by_content(data) -> None:
    whole = data(count=400)
    whole.images[whole.test[0]] = whole.images[whole.train[0]]
    (found,) = splits(whole)
    assert (found.name, found.level) == ("train_duplicates_in_test", "warning")
    assert "1 of 100" in found.reason
    whole.images[whole.test[:5]] = whole.images[whole.train[:5]]
    (found,) = splits(whole)
    assert found.level == "error"
    assert stops([found], {}) == [found]
    assert stops([found], {found.name: "the copies are the question"}) == []


def test_the_same_folder_as_val_and_test(tmp_path: Path) -> None:
    """The usual accident: val/ and test/ hold the same files."""
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "val", each=5)
    for name in ("cat", "dog"):
        (tmp_path / "test" / name).mkdir(parents=True)
        for path in (tmp_path / "val" / name).iterdir():
            (tmp_path / "test" / name / f"copy of {path.name}").write_bytes(path.read_bytes())
    for storage in ("map", "stream"):
        data = load(Folder(source="folder", root=str(tmp_path), storage=storage), Split())
        (found,) = splits(data)
        assert (found.name, found.level) == ("val_is_test", "error")


def test_what_only_several_experiments_show() -> None:
    data = load(made("dataset=digits").dataset, Split())

    def together(runs: list[list[str]], claims: int = 1) -> set[str]:
        experiments = [made("dataset=digits", *words) for words in runs]
        return names(lint(experiments, {"k": data}, ["k"] * len(runs), claims))

    seeds = ["seed=0"], ["seed=1"], ["seed=2"]
    assert together([*map(list, seeds)]) == set()
    assert together([["seed=0"], ["seed=1"]]) == {"few_seeds"}
    assert together([["seed=0"]], claims=0) == set()
    sizes = [[f"seed={s}", f"trainer.batch_size={b}", "optim.lr=0.1"] for s in range(3) for b in (64, 512)]
    assert together(sizes) == {"lr_not_scaled"}
    scaled = [[f"seed={s}", f"trainer.batch_size={b}", f"optim.lr={b / 640}"] for s in range(3) for b in (64, 512)]
    assert together(scaled) == set()
    both = [[*w, f"optim.lr={lr}"] for w in sizes for lr in (0.1, 0.8)]
    assert together(both) == set()


def test_a_worn_test_split() -> None:
    assert names(linted("dataset=digits", looks={"key": 99})) == set()
    (found,) = linted("dataset=digits", looks={"key": 250})
    assert found.name == "test_worn"
    assert "250 times" in found.reason


def test_a_frozen_backbone_that_still_updates() -> None:
    import torch
    from torch import nn

    backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    net = nn.Sequential(backbone, nn.Flatten(), nn.LazyLinear(2))
    net(torch.zeros(2, 1, 8, 8))
    assert names(frozen_updates(net)) == set()
    backbone.requires_grad_(False)
    net.eval()
    (found,) = frozen_updates(net)
    assert (found.name, found.level) == ("frozen_updates", "error")
    assert not net.training


def test_check_as_a_verb(folder: Path, bench, bench_json) -> None:
    found = bench_json("check", "dataset=digits", "augment=flip", "model=cnn")
    assert [f["name"] for f in found["findings"]] == ["flip_changes_label"]
    assert not (folder / "mlruns").exists()

    (folder / "sweeps").mkdir()
    text = "question: Does it?\nbase: [dataset=digits]\naxes: {augment: [none, flip]}\n"
    (folder / "sweeps" / "mine.yaml").write_text(text)
    status, out, _ = bench("check", "mine")
    assert status == 0
    assert "warning: flip_changes_label" in out
    (folder / "sweeps" / "mine.yaml").write_text(
        text + "allow: {flip_changes_label: mirrored digits are the question}\n"
    )
    _, out, _ = bench("check", "mine")
    assert "Allowed: mirrored digits are the question" in out

    (folder / "sweeps" / "mine.yaml").write_text(text + "allow: {flip_change_label: a reason in words}\n")
    status, _, err = bench("check", "mine")
    assert status == 2
    assert "Did you mean 'flip_changes_label'" in err
    assert bench_json("check", "--names").keys() == NAMES.keys()

    class_folders(folder / "photos" / "train")
    class_folders(folder / "photos" / "val", each=4)
    for path in (folder / "photos" / "val").rglob("*.png"):
        copy = folder / "photos" / "test" / path.relative_to(folder / "photos" / "val")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    status, out, _ = bench("check", "dataset=folder", "dataset.root=photos")
    assert status == 2
    assert "error: val_is_test" in out


@pytest.mark.parametrize(
    ("name", "skips"),
    [
        *((name, False) for name in ("vgg11", "vgg16_bn", "darknet53", "cspdarknet53", "sedarknet21", "dla34")),
        *((name, True) for name in ("resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050", "convnext_atto")),
        *((name, True) for name in ("cspresnet50", "seresnet50", "tresnet_m", "repvgg_a0", "densenet121")),
    ],
)
def test_a_stem_is_said_to_skip_pixels_where_it_does(name: str, skips: bool, data) -> None:
    import timm
    import torch
    from torch import nn

    found = linted("dataset=cifar10", "model=timm", f"model.name={name}", data=data(shape=(3, 32, 32)))
    assert names(found) == ({"imagenet_stem"} if skips else set())
    with torch.device("meta"):
        net = timm.create_model(name).eval()
        sizes: list[int] = []
        first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
        first.register_forward_hook(lambda _module, _inputs, out: sizes.append(out.shape[-1]))
        side = 224 if name.startswith("vit") else 64
        net(torch.zeros(1, 3, side, side))
    assert (sizes[0] < side) == skips


CHOOSING = {
    "file": "select: {over: [optim.lr], by: test/accuracy}\n",
    "corrupted test images": "select: {over: [optim.lr], by: corrupt/noise/3/accuracy}\n",
    "axis": "base: [dataset=digits, trainer.select=test/accuracy]\n",
}


@pytest.mark.parametrize("how", CHOOSING)
def test_selection_on_test_is_an_error_by_name(how: str, folder: Path, bench, bench_json) -> None:
    (folder / "sweeps").mkdir()
    text = "question: Does it?\naxes: {optim.lr: [0.1, 0.2]}\n" + CHOOSING[how]
    if how != "axis":
        text += "base: [dataset=digits]\n"
    (folder / "sweeps" / "mine.yaml").write_text(text)
    status, out, _ = bench("check", "mine", "--json")
    (found,) = json.loads(out)["findings"]
    assert (status, found["name"], found["level"]) == (2, "selection_on_test", "error")
    assert "never on test" in found["remedy"]
    for verb in ("sweep", "table"):
        status, out, err = bench(verb, "mine")
        assert (status, out) == (2, "")
        assert "selection_on_test" in err
    # No reason allows it, whether it is there or not.
    (folder / "sweeps" / "mine.yaml").write_text(text + "allow: {selection_on_test: it is only a trial}\n")
    assert bench("check", "mine")[0] == bench("sweep", "mine")[0] == 2
    plain = "question: Does it?\nbase: [dataset=digits]\naxes: {optim.lr: [0.1, 0.2]}\n"
    (folder / "sweeps" / "mine.yaml").write_text(plain + "allow: {selection_on_test: it is only a trial}\n")
    status, _, err = bench("check", "mine")
    assert status == 2
    assert "no reason allows" in err


def test_an_epoch_is_never_chosen_on_test(folder: Path, bench) -> None:
    for verb in ("run", "check"):
        status, out, err = bench(verb, "dataset=digits", "trainer.select=test/accuracy")
        assert status == 2
        assert "selection_on_test" in out + err


def test_the_shipped_partial_freezing_is_clean(folder: Path, bench_json) -> None:
    words = [
        "dataset=digits",
        "model=resnet",
        "transfer=partial",
        "transfer.trainable_from=head",
        "transfer.weights=run:x",
    ]
    assert bench_json("check", *words, "norm_layer=batch")["findings"] == []


def test_runs_and_sweeps_check_frozen_parts_themselves(folder: Path, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a `freeze` that forgets evaluation mode, as many a training script does."""
    from torch import nn

    from bench.models import transfer

    def careless(net: nn.Module, _transfer: object, _epoch: int = 0) -> None:
        for parameter in net.parameters():
            parameter.requires_grad_(False)

    words = ["dataset=digits", "model=resnet", "norm_layer=batch", "transfer=partial", "transfer.trainable_from=head"]
    words += ["transfer.weights=run:x"]
    monkeypatch.setattr(transfer, "freeze", careless)
    for call in (["run", *words], ["sweep", "--axes", "optim.lr=0.1,0.2", "--seeds", "1", "--name", "mine", *words]):
        status, _, err = bench(*call)
        assert status == 2
        assert "frozen_updates: 19 frozen norm layers" in err
        assert "nothing was run" in err


def test_looks_at_one_test_split_add_up_over_training_subsets(folder: Path, bench: Any) -> None:
    from bench.cli.check import looks

    for subset in ("split.train_per_class=5", "split.train_per_class=10"):
        assert bench("run", "dataset=digits", "model=ncm", subset)[0] == 0
    exps = [made("dataset=digits", "model=ncm", *more) for more in ([], ["split.seed=1"])]
    keys = [fingerprint(exp.dataset, exp.split) for exp in exps]
    assert looks(exps, keys) == dict(zip(keys, (2, 0), strict=True))
