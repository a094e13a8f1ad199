"""Protocol lint: each finding appears where it should, and an ordinary sweep has none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.compose import compose
from bench.data import ImageData, load, protocol
from bench.data.finding import NAMES, NEVER, Finding, stops
from bench.data.leaks import splits
from bench.data.protocol import frozen_updates, lint, single_channels
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
        (("LeftTurn", "RightTurn"), 3, ["augment=flip"], "flip_changes_label"),
        (("L", "R"), 3, ["augment=flip"], "flip_changes_label"),
        (("clockwise", "counter-clockwise"), 3, ["augment=flip_vertical"], "flip_changes_label"),
        (("clockwise", "counterclockwise"), 3, ["augment.rotate=180"], None),
        (("left", "right"), 3, ["augment.rotate=180"], "rotation_changes_label"),
        (("thumbs_up", "thumbs_down"), 3, ["augment.rotate=180"], "rotation_changes_label"),
        (("north", "south"), 3, ["augment=flip_vertical"], "flip_changes_label"),
        (("0", "90", "180", "270"), 3, ["augment.rotate=30"], "rotation_changes_label"),
        (("0", "90", "180", "270"), 3, ["augment=flip"], "flip_changes_label"),
        (tuple("bdpq"), 3, ["augment=flip"], "flip_changes_label"),
        (("6", "9"), 1, ["augment.rotate=180"], "rotation_changes_label"),
        (tuple(str(i) for i in range(12)), 1, ["augment=flip"], None),  # numbered classes
        (("cat", "left"), 3, ["augment=flip"], None),
        (("arrow up", "arrow down"), 3, ["augment=flip"], None),
        (tuple("0123456789"), 3, ["augment=flip"], None),  # numbered classes of photographs
        (("0", "1"), 1, ["augment=flip"], None),
    ],
)
def test_labels_are_guessed_from_class_names(
    classes: tuple[str, ...], channels: int, words: list[str], name: str | None, data
) -> None:
    source = data(count=240, shape=(channels, 12, 12), classes=len(classes))
    source = dataclasses.replace(source, classes=classes)
    found = linted("dataset=folder", "dataset.root=photos", "model=cnn", *words, data=source)
    assert names(found) == ({name} if name else set())


def test_digits_saved_as_rgb_are_writing(data) -> None:
    source = data(count=240, classes=10)
    source.images[:] = source.images[:, :1]
    source = dataclasses.replace(source, classes=tuple("0123456789"))
    assert names(linted("dataset=folder", "dataset.root=x", "model=cnn", "augment=flip", data=source)) == {
        "flip_changes_label"
    }


def test_equal_points_of_the_plane_are_no_copies() -> None:
    assert linted("dataset=plane", "dataset.pattern=spirals", "model=dnn") == []


def test_every_finding_has_its_entry() -> None:
    import re

    import bench.data

    room = Path(bench.data.__file__).parent
    files = [*(path for path in room.glob("*.py") if "inspect" not in path.name), room.parent / "refusals.py"]
    text = "".join(path.read_text() for path in files)
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
    text = "".join(path.read_text() for path in (Path(bench.data.__file__).parent / "sources").glob("*.py"))
    text += "".join((Path(bench.data.__file__).parent / name).read_text() for name in ("cache.py", "groups.py"))
    noted = set(re.findall(r'\(\s*"(\w+)",\s*f?"', text)) & set(NAMES)
    assert {"sliver_of_range", "classes_alike", "splits_left_out"} <= noted
    import bench.analysis.fairness

    doubted = set(re.findall(r'yield \(?\s*"(\w+)"', Path(bench.analysis.fairness.__file__).read_text()))
    assert said | refused | noted | doubted == set(NAMES)
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
    (found,) = frozen_updates(net)
    assert (found.name, found.level) == ("frozen_updates", "error")
    backbone.eval()
    assert names(frozen_updates(net)) == set()


def test_group_norm_with_groups_of_one_channel_is_instance_norm() -> None:
    from torch import nn

    from bench.models import build

    assert names(single_channels(nn.Sequential(nn.GroupNorm(2, 4), nn.GroupNorm(1, 1), nn.GroupNorm(1, 4)))) == set()
    (found,) = single_channels(nn.Sequential(nn.GroupNorm(2, 4), nn.GroupNorm(8, 8)))
    assert (found.name, found.level) == ("groups_of_one", "warning")
    assert found.reason == "1 of 2 group norms have as many groups as channels, 8 in 1: they are instance norms."
    exp = experiment(compose(["dataset=digits", "model=cnn", "model.filters=[2,4]", "norm_layer=group"]))
    assert names(single_channels(build(exp, (1, 8, 8), 10))) == set()  # ours have two channels or more


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

    found = linted("dataset=cifar10", "model=timm", f"model.name={name}", data=data(count=128, shape=(3, 32, 32)))
    assert names(found) == ({"imagenet_stem"} if skips else set())
    with torch.device("meta"):
        net = timm.create_model(name).eval()
        sizes: list[int] = []
        first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
        first.register_forward_hook(lambda _module, _inputs, out: sizes.append(out.shape[-1]))
        side = 224 if name.startswith("vit") else 64
        net(torch.zeros(1, 3, side, side))
    assert (sizes[0] < side) == skips


def test_replicates_are_what_claims_rest_on() -> None:
    """A model without randomness has one seed; folds drawn anew are its replicates."""
    made = [experiment(compose(["dataset=digits", "split=kfold", f"split.fold={fold}"])) for fold in range(3)]
    assert [f.name for f in protocol.together(made, 1)] == ["few_seeds"]
    assert not list(protocol.together(made, 1, ["split.fold"]))
