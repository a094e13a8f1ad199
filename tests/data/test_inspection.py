"""`bench data`: counts, warnings, duplicates and pictures, on sets made to have them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.compose import groups
from bench.data import load, preview
from bench.data.catalog import CARDS, OWN, class_names
from bench.data.inspection import inspect
from bench.schema.dataset import Bundled, Folder, Plane, Split
from tests.data.conftest import LAYOUTS


def test_the_catalogue_is_complete_and_true() -> None:
    assert set(CARDS) | set(OWN) == set(groups()["dataset"])
    assert {name: len(set(names)) for name, names in class_names().items()} == {n: c.classes for n, c in CARDS.items()}
    for name in ("digits", "mnist5k"):
        data, card = load(Bundled(source=name), Split()), CARDS[name]
        assert (len(data.images), data.shape, data.classes) == (sum(card.images), card.shape, class_names()[name])
    for name, (_, shape, _) in LAYOUTS.items():
        published = CARDS[name].shape
        assert published[0] == shape[0]
        assert published[1] in (None, shape[1])
        assert CARDS[name].licence
        assert CARDS[name].paper


def blob(seed: int, side: int = 48) -> Image.Image:
    """A smooth random picture: what a photograph is to a perceptual hash."""
    small = np.random.RandomState(seed).randint(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """160 smooth pictures in train, few and uneven classes, copies of every kind, a constant image."""
    root = tmp_path / "photos"
    for split, counts in (("train", (120, 40)), ("val", (10, 10)), ("test", (10, 0))):
        for k, count in enumerate(counts):
            folder = root / split / ("cat", "dog")[k]
            folder.mkdir(parents=True)
            for i in range(count):
                blob(1000 * k + i + 300 * ("train", "val", "test").index(split)).save(folder / f"{i:03}.png")
    cat = root / "train" / "cat"
    for i in range(11):
        (cat / f"{i:03}.png").unlink()
    (root / "test" / "dog" / "000.png").write_bytes((root / "train" / "dog" / "000.png").read_bytes())
    (root / "train" / "dog" / "copy.png").write_bytes((root / "train" / "dog" / "001.png").read_bytes())
    blob(20).save(root / "val" / "dog" / "other.jpg", quality=80)  # a recompressed cat of train, labelled dog
    Image.new("RGB", (48, 48), "red").save(cat / "flat.png")
    return root


def test_what_a_colleague_would_notice(troubled: Path) -> None:
    found = inspect(load(Folder(source="folder", root=str(troubled)), Split()))
    assert found.counts.tolist() == [[110, 41], [10, 11], [10, 1]]
    assert {f.name for f in found.findings} == {
        "train_duplicates_in_test", "few_images", "constant_images", "exact_duplicates",
        "near_duplicates_across_splits", "near_duplicates_disagree",
    }  # fmt: skip
    assert sorted(tuple(sorted(p.splits)) for p in found.exact) == [("test", "train"), ("train", "train")]
    (near,) = found.near
    assert set(near.splits) == {"train", "val"}
    assert set(near.labels) == {0, 1}


def test_a_fixed_cameras_pictures_are_as_many_pairs_as_images(data) -> None:
    """All of them look alike: all pairs of 600 would be 179,700, and of 10,000 would fill the memory."""
    source = data(count=600, shape=(3, 24, 24), classes=2)
    scene = np.asarray(blob(1, 24)).transpose(2, 0, 1).astype(int)
    noise = np.random.RandomState(0).randint(-3, 4, source.images.shape)
    source.images[:] = np.clip(scene + noise, 0, 255)
    found = inspect(source)
    assert len({p.second for p in found.near}) == 599
    assert len(found.near) < 6 * 600
    across = {f.name for f in found.findings}
    assert {"near_duplicates", "near_duplicates_across_splits", "near_duplicates_disagree"} <= across


def test_points_are_no_duplicates_and_are_drawn_as_points(tmp_path: Path) -> None:
    data = load(Plane(source="plane", pattern="spirals"), Split())
    preview.grid(data, tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as image:
        assert image.width < 1.5 * image.height  # a plane, not rows of images
    found = inspect(data)
    assert (found.exact, found.near, found.findings) == ([], [], [])


def test_imbalance(data) -> None:
    source = data(count=600)
    source.labels[:] = 0
    source.labels[::25] = np.arange(24) % 3 + 1
    assert "imbalance" in {f.name for f in inspect(source, near=0).findings}


def test_statistics_are_numpys(data) -> None:
    source = data(shape=(3, 5, 6))
    found = inspect(source, near=0)
    pixels = source.images[source.train] / 255
    assert np.allclose(found.mean, pixels.mean((0, 2, 3)), atol=1e-4)
    assert np.allclose(found.std, pixels.std((0, 2, 3)), atol=1e-4)


def test_data_as_a_verb(folder: Path, troubled: Path, bench, bench_json) -> None:
    (troubled / "train" / "cat" / "broken.png").touch()
    words = ["data", "dataset=folder", f"dataset.root={troubled}", "dataset.on_bad_image=skip", "augment=colour"]
    words.append("corrupt=classic")
    facts = bench_json(*words)
    assert {Path(f).name for f in facts["files"]} >= {"labels.png", "preview.png", "augment.png", "corrupt.png"}
    assert facts["counts"]["train"] == [110, 41]
    assert facts["skipped"] == 1
    for file in facts["files"]:
        assert Path(file).stat().st_size > 0
        if file.endswith(".png"):
            with Image.open(file) as image:
                image.load()
                assert min(image.size) > 100
    (own,) = (folder / "inspect").glob("folder-photos-*")
    with (own / "duplicates.csv").open() as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["exact", "exact", "near"]
    assert "broken.png is empty" in (own / "skipped.txt").read_text()

    status, out, _ = bench("data", "digits", "--near", "100", "--out", "here")
    assert status == 0
    assert "Alpaydin" in out
    assert "near of 100 images compared" in out
    assert not (folder / "here" / "augment.png").exists()


def test_the_list_and_a_misspelled_name(folder: Path, bench) -> None:
    status, out, _ = bench("data")
    assert status == 0
    assert all(name in out for name in (*CARDS, *OWN))
    assert "airplane, automobile, bird" in out
    card = json.loads(bench("data", "--json")[1])["published"]["cifar10"]
    assert card["classes"] == len(card["class_names"]) == 10
    status, _, err = bench("data", "mnist5")
    assert status == 2
    assert "Did you mean 'mnist5k'" in err
    (folder / "photos").mkdir()
    (folder / "list.csv").touch()
    for word, hint in (("photos", "dataset=folder dataset.root=photos"), ("list.csv", "dataset=csv dataset.file=")):
        status, _, err = bench("data", word)
        assert status == 2
        assert hint in err
    status, _, err = bench("data", "plane", "--out", "list.csv")
    assert status == 2
    assert "--out: the folder list.csv cannot be made" in err
