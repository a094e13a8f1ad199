"""The small inputs that once went wrong: each comes out right, or is refused with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import ImageData, load
from bench.data.near import across_splits
from bench.schema.dataset import Csv, Folder, Split
from bench.schema.errors import RequestError
from tests.data.conftest import class_folders, picture

SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "cases" / "make_images.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="needs shared/cases beside the checkout")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, SCRIPT, root], check=True, capture_output=True)
    return root


def read(root: Path, split: Split | None = None, **settings: object) -> ImageData:
    return load(Folder(source="folder", root=str(root), **settings), split or Split(val=0.2))


def listed(file: Path, split: Split | None = None, **settings: object) -> ImageData:
    return load(Csv(source="csv", file=str(file), **settings), split or Split(val=0.2))


def test_content_decides_not_name_size_and_time(cases: Path) -> None:
    one, other = read(cases / "identity_a"), read(cases / "identity_b")
    assert one.fingerprint != other.fingerprint
    assert other.images.mean() > one.images.mean() + 50


def test_black_images_of_the_same_time_are_other_images(tmp_path: Path) -> None:
    class_folders(tmp_path / "set")
    before = read(tmp_path / "set")
    for file in (tmp_path / "set").rglob("*.png"):
        times, raw = file.stat(), file.read_bytes()
        spoiled = bytes([raw[-1] ^ 1])
        file.write_bytes(raw + spoiled)  # still decodes to the same pixels: the bytes decide
        os.truncate(file, len(raw) + 1)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = read(tmp_path / "set")
    assert before.fingerprint != again.fingerprint
    for file in (tmp_path / "set").rglob("*.png"):
        times, size = file.stat(), file.stat().st_size
        Image.new("RGB", (20, 16)).save(file)
        os.truncate(file, size)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    black = read(tmp_path / "set")
    assert black.images.max() == 0


@pytest.mark.parametrize("tops", ["train_eval", "training_set_test_set", "train_holdout", "Train_Data_Test_Data"])
def test_folders_of_splits(tops: str, cases: Path) -> None:
    data = read(cases / f"splits_{tops}")
    assert data.classes == ("cat", "dog")
    assert (len(data.test), len(data.train) + len(data.val)) == (20, 20)
    assert any("is taken as the" in line for line in data.remarks)


def test_folders_that_look_like_splits_are_refused(cases: Path, tmp_path: Path) -> None:
    for name in ("batch_a", "batch_b"):
        class_folders(tmp_path / name, each=3)
    with pytest.raises(
        RequestError, match=r"batch_a and batch_b hold the same folders.*train, val and test.*splits=none"
    ):
        read(tmp_path)
    assert read(tmp_path, splits="none").classes == ("batch_a", "batch_b")


def test_a_column_of_splits(cases: Path) -> None:
    root = cases / "csv_split"
    for data in (listed(root / "list.csv"), listed(root / "list_upper.csv")):
        assert [len(data.split(s)) for s in ("train", "val", "test")] == [24, 8, 8]
    with pytest.raises(RequestError, match="Did you mean 'split'"):
        listed(root / "list.csv", split_column="spilt")
    assert len(listed(root / "list.csv", split_column=None).test) == 8


def test_ties_are_drawn(cases: Path) -> None:
    tests = np.zeros(10)
    for seed in range(20):
        data = read(cases / "ties", Split(seed=seed))
        tests += np.bincount(data.labels[data.test], minlength=10)
    # 14 of 70 in each of 20 draws, 28 a class on the average.
    assert tests.sum() == 280
    assert tests.min() >= 22
    assert tests.max() <= 34


def test_depth_of_pixels(cases: Path) -> None:
    data = read(cases / "depth")
    floats = data.images[data.labels == data.classes.index("float")]
    assert abs(floats.mean() / 255 - 0.3) < 0.02
    (note,) = data.notes
    assert note[0] == "sliver_of_range"
    assert "dataset.range=[0,4095]" in note[2]
    twelve = cases / "twelve_only"
    for name in ("a", "b"):
        (twelve / name).mkdir(parents=True, exist_ok=True)
        for i, file in enumerate(sorted((cases / "depth" / "twelve").iterdir())):
            if i % 2 == (name == "a"):
                (twelve / name / file.name).write_bytes(file.read_bytes())
    scaled = read(twelve, range=(0.0, 4095.0))
    assert len(np.unique(scaled.images)) > 200
    assert scaled.notes == ()
    assert scaled.fingerprint != read(twelve).fingerprint


def test_a_class_that_vanishes_stops(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"fox \(12 files\).*leaves out files, not classes"):
        read(cases / "skipped", on_bad_image="skip")


def test_skipped_files_are_counted_wherever_a_number_stands(cases: Path, folder: Path, bench, bench_json) -> None:
    shutil.copytree(cases / "skipped", folder / "photos")
    shutil.rmtree(folder / "photos" / "fox")
    words = ["dataset=folder", "dataset.root=photos", "dataset.on_bad_image=skip", "model=ncm"]
    assert bench_json("run", *words)["skipped_images"] == 2
    assert "2 files could not be read" in bench("run", *words)[1]
    found = {f["name"]: f["reason"] for f in bench_json("check", *words)["findings"]}
    assert "cat/bad0.png is empty" in found["images_skipped"]
    axes = ["--axes", "model=ncm,knn", *words[:3], "--seeds", "1", "--name", "mine"]
    status, out, err = bench("sweep", *axes)
    assert status == 0, err
    assert "images_skipped: 2 files" in err + out
    assert "Skipped: 2 files of a set could not be read" in out  # the table
    from bench.track.store import Store

    assert all(r.provenance["skipped_images"] == "2" for r in Store(None).records("mine"))


def test_litter_of_systems(cases: Path) -> None:
    data = read(cases / "litter")
    assert np.bincount(data.labels).tolist() == [12, 12]
    assert data.classes == ("cat", "dog")
    assert "LICENSE, README.md, classes.txt" in " ".join(data.remarks)


def test_names_draw_as_they_are_written(cases: Path, folder: Path, bench, bench_json) -> None:
    root = shutil.copytree(cases / "names", folder / "names")
    shutil.copytree(cases / "litter" / "cat", root / "_other")
    words = ["dataset=folder", "dataset.root=names", "split.val=0.2"]
    facts = bench_json("data", *words)
    assert (facts["images"], facts["classes"]) == (36, ["$5-$10", "_other", "a $_$ b"])
    assert bench("run", *words, "model=ncm")[0] == 0
    status, _, err = bench("explain", "last", "confusion", "precision-recall")
    assert status == 0, err
    (drawn,) = (folder / "explain").rglob("precision-recall.svg")
    for name in facts["classes"]:
        assert f"<!-- {name}  AP " in drawn.read_text()


def test_links_that_lead_nowhere_are_named(cases: Path) -> None:
    with pytest.raises(RequestError, match=r"self is a link that leads to itself(.|\n)*on_bad_image=skip"):
        read(cases / "links")
    data = read(cases / "links", on_bad_image="skip")
    assert np.bincount(data.labels).tolist() == [12, 12]
    assert "self is a link" in data.skipped[0]


def test_one_level_too_deep(cases: Path) -> None:
    with pytest.raises(RequestError, match=r"Point dataset\.root at .*deep/PetImages"):
        read(cases / "deep")


@pytest.mark.parametrize("how", [{}, {"kind": "kfold", "folds": 4}, {"kind": "hash"}, {"train_fraction": 0.5}])
def test_no_subject_is_on_two_sides(how: dict, cases: Path) -> None:
    for group in ("subject", "img/{group}_*"):
        data = listed(cases / "groups" / "list.csv", Split(group=group, **how))
        assert data.groups is not None
        sides = [set(data.groups[data.split(s)].tolist()) for s in ("train", "val", "test")]
        assert all(sides)
        assert len(set.union(*sides)) == sum(map(len, sides))
        if how.get("kind") != "hash":
            assert np.ptp(np.bincount(data.labels[data.test])) <= 3
    (asked,) = across_splits(listed(cases / "groups" / "list.csv"))
    assert "split.group=COLUMN" in asked.remedy
    assert list(across_splits(listed(cases / "groups" / "list.csv", Split(group="subject")))) == []
    with pytest.raises(RequestError, match=r"split\.group=subjct: no such column\. Did you mean 'subject'"):
        listed(cases / "groups" / "list.csv", Split(group="subjct"))


def test_a_growing_set_keeps_its_test_images(tmp_path: Path) -> None:
    class_folders(tmp_path, each=40)
    before = read(tmp_path, Split(kind="hash", val=0.2))
    assert before.paths is not None
    for i in range(20):
        picture(tmp_path / ("cat", "ant")[i % 2] / f"a{i}.png")
    after = read(tmp_path, Split(kind="hash", val=0.2))
    assert after.paths is not None
    for name in ("train", "val", "test"):
        was = {before.paths[i] for i in before.split(name)}
        now = {after.paths[i] for i in after.split(name)}
        assert was <= now
    other = read(tmp_path, Split(kind="hash", val=0.2, seed=1))
    assert set(other.test.tolist()) != set(after.test.tolist())
