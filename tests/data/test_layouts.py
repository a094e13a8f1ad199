"""How people lay out splits and classes, in folders, lists and on the hub: understood, or refused with the remedy."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bench.data import ImageData, load
from bench.data.leaks import splits
from bench.data.sources.classes import in_order, note_several
from bench.data.sources.companions import note_companions
from bench.data.sources.decode import BadImage, header, rule
from bench.data.sources.depth import ranges, slivers
from bench.data.sources.huggingface import check_local
from bench.data.sources.split_names import hidden_splits
from bench.schema.dataset import Csv, Folder, HuggingFace, Split
from bench.schema.errors import RequestError
from tests.data.conftest import class_folders
from tests.data.test_hostile import png, tiff


def folder(root: Path, tops: str, **settings: object) -> ImageData:
    class_folders(root, tuple(tops.split()), each=2, size=(4, 4))
    return load(Folder(source="folder", root=str(root), **settings), Split(val=0.3, test=0.3))


def listed(root: Path, text: str, **settings: object) -> ImageData:
    (root / "list.csv").write_text(text, encoding="utf-8")
    return load(Csv(source="csv", file=str(root / "list.csv"), **settings), Split(val=0.3, test=0.3))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folders = ("a", "train", "test", "b/train", "b/test")
    return class_folders(tmp_path_factory.mktemp("images"), folders, 12, size=(4, 4))


def rows(labels: str, head: str = "path,label", more: str = "", where: str = "a") -> str:
    """Twelve lines and more, in which labels, what stands behind them, and folders of images take turns."""
    names, behind, folders = labels.split(), more.split() or [""], where.split()
    lines = [
        f"{folders[i % len(folders)]}/{i % 12:02}.png,{names[i % len(names)]}{behind[i % len(behind)]}"
        for i in range(12 * len(folders))
    ]
    return "\n".join([head, *dict.fromkeys(lines)])


@pytest.mark.parametrize(
    ("tops", "message"),
    [
        ("fold1 fold2 fold3", "fold1, fold2, fold3 seem to say which split"),
        ("traincat traindog testcat testdog", "seem to say which split"),
        ("cat/a/train cat/a/test dog/a/train dog/a/test", r"cat/a holds folders for splits \(test, train\)"),
        ("cat cat/deep/Training cat/deep/Testing dog", "cat/deep holds folders for splits"),
        ("val/cat val/dog", r"no folder train\. To use the images of val alone, say dataset\.root=.*/val"),
        ("train/a train/b test", "test is called as a split is and holds images without folders of classes"),
        ("train/a train/b test/.keep", "test is called as a split is and holds no folder of a class"),
        (
            "train_set/train_set/a train_set/train_set/b test_set/test_set/a test_set/test_set/b",
            "each split holds one folder, such as test_set/test_set, .* expected test_set/a",
        ),
        ("asl_train/asl_train/A asl_train/asl_train/B asl_test/asl_test", "expected asl_train/A"),
        ("data/train/a data/train/b", r"the folder train lies in .*/data\. Point dataset\.root at .*/data\."),
        ("a\u202eb c", "cannot be shown"),
        ("learn/cat learn/dog exam/Cat exam/Dog", "exam and learn hold the same folders"),
        ("images", "found only 'images'"),
        (".cat dog", r"found only 'dog'\. Folders left aside by their names: \.cat"),
    ],
)
def test_folders_that_are_refused(tops: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(RequestError, match=message) as caught:
        folder(tmp_path, tops)
    if "found only" in message:
        assert "If labels.csv lists the images: dataset=csv dataset.file=" in str(caught.value)


@pytest.mark.parametrize(
    ("tops", "remark"),
    [
        ("..cat bird dog", "Folders left aside by their names: ..cat."),
        ("Recycler bird dog", "Folders left aside by their names: Recycler."),
        ("bird/north bird/south dog/east", "Folders inside class folders (east, north, south) count as their class"),
    ],
)
def test_folders_that_are_no_classes_are_told(tops: str, remark: str, tmp_path: Path) -> None:
    data = folder(tmp_path, tops)
    assert data.classes == ("bird", "dog")
    assert remark in " ".join(data.remarks)


def test_a_class_folder_that_is_a_link_to_nothing_is_no_silent_loss(tmp_path: Path) -> None:
    (tmp_path / "dog").symlink_to(tmp_path / "away" / "dog")
    with pytest.raises(RequestError, match="dog is a link that leads nowhere"):
        folder(tmp_path, "bird cat")
    (tmp_path / "dog").unlink()
    (tmp_path / "README.md").symlink_to(tmp_path / "away")
    (tmp_path / "latest").symlink_to(tmp_path / "run7")
    data = folder(tmp_path, "bird cat nan")
    assert data.notes[0][0] == "label_missing"
    assert "latest (a link that leads nowhere)" in data.remarks[0]
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to(tmp_path / "a.JPG")
    with pytest.raises(RequestError, match="latest is a link that leads nowhere"):
        folder(tmp_path, "bird cat")


def test_what_is_beside_folders_of_splits_or_links_above_them(tmp_path: Path) -> None:
    (tmp_path / "packed" / "train").mkdir(parents=True)
    (tmp_path / "packed" / "test.zip").write_bytes(b"PK")
    with pytest.raises(RequestError, match=r"test\.zip is called as a split is and has to be unpacked first"):
        folder(tmp_path / "packed", "train/cat train/dog")
    (tmp_path / "empty" / "fox").mkdir(parents=True)
    with pytest.raises(RequestError, match="no image is in the class folders fox"):
        folder(tmp_path / "empty", "cat dog", on_bad_image="skip")
    (tmp_path / "loop" / "cat").mkdir(parents=True)
    (tmp_path / "loop" / "cat" / "up").symlink_to("..")  # by which dogs were cats
    data = folder(tmp_path / "loop", "cat dog", on_bad_image="skip")
    assert (len(data.labels), data.skipped[0].split(" ", 1)[1]) == (4, "is a link that leads back to a folder above it")


def test_two_classes_of_one_folder_stop(tmp_path: Path) -> None:
    class_folders(tmp_path, ("cat", "dog"), each=8)
    (tmp_path / "fox").symlink_to("dog")
    found = {f.name: f for f in splits(load(Folder(source="folder", root=str(tmp_path)), Split(val=0.2)))}
    assert found["labels_disagree"].level == "error"
    assert "dog/00.png ('dog') and fox/00.png ('fox'). All images of dog, fox" in found["labels_disagree"].reason
    (tmp_path / "fox").unlink()
    (tmp_path / "cat" / "copy.png").write_bytes((tmp_path / "dog" / "00.png").read_bytes())
    found = {f.name: f for f in splits(load(Folder(source="folder", root=str(tmp_path)), Split(val=0.2)))}
    assert found["labels_disagree"].level == "warning"


def test_masks_and_copies_among_images_are_told() -> None:
    names = [f"img/scan ({i}).png" for i in range(20)]
    ((name, reason, _),) = note_companions([*names, *(f"img/scan ({i})_mask.png" for i in range(20))])
    assert (name, "20 with 'mask', such as scan (0)_mask.png" in reason) == ("named_after_others", True)
    assert note_companions([*names, "img/scan (0)_mask.png", *(f"x/scan ({i})_mask.png" for i in range(20))]) == []


@pytest.mark.parametrize("split", ["test", "val"])
def test_a_split_that_vanishes_stops(split: str, tmp_path: Path) -> None:
    """Another one would be drawn from train, and the number be that of other images."""
    for name in ("train", split):
        class_folders(tmp_path / name, each=4, size=(4, 4))
    for file in (tmp_path / split).rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(RequestError, match=rf"not one file of the split {split} can be used \(8 files\)"):
        load(Folder(source="folder", root=str(tmp_path), on_bad_image="skip"), Split())


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("https://host/data.zip", "https://host/data.zip is an address"),
        ("data.zip", r"is an archive: unpack it"),
        ("list.csv", r"is a list: say dataset=csv dataset\.file="),
        ("~nobody/photos", r"~nobody/photos does not exist"),
        ("", r"dataset\.root is empty"),
    ],
)
def test_roots_that_are_no_folders(root: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.zip").write_bytes(b"PK")
    (tmp_path / "list.csv").write_text("path,label\n")
    with pytest.raises(RequestError, match=message):
        load(Folder(source="folder", root=root), Split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows("train_cat train_dog test_cat test_dog"), r"labels in column 'label' \(test_cat, .* seem to say"),
        (rows("cat/train dog/train cat/test"), "seem to say which split"),
        (rows("traincat traindog testcat testdog"), "seem to say which split"),
        (rows("train test"), "seem to say which split"),
        (rows("fold_1 fold_2 fold_3"), "seem to say which split"),
        (rows("x y", where="train test"), "lie in the folders test, train, which are called as splits are"),
        (rows("x y", where="b/train b/test"), "lie in the folders test, train"),
        (rows("x y", "path,label,train", ",1 ,0"), "column 'train' seems to say"),
        (rows("x y", "path,label,is_training_img", ",1 ,0"), "column 'is_training_img' seems to say"),
        (rows("x y", "path,label,Holdout", ",x ,"), "column 'Holdout' seems to say"),
        (rows("x y", where="train test a"), "lie in the folders test, train"),
        (rows("x y", "path,label,val_fold", ",1 ,0"), "column 'val_fold' seems to say"),
        (rows("x y", "path,label,used_for_training", ",1 ,0"), "column 'used_for_training' seems to say"),
        (rows("x y", "path,label,kind", ",tr ,te"), r"column 'kind' seems to say .*\(te, tr\)"),
        (rows("x y", "path,label,isTest", ",FALSE ,TRUE"), "column 'isTest' seems to say"),
        (rows("x y", "path,label,split", ",1 ,2"), r"unknown split '1'.*split_column=null draws"),
        (rows(f"{'x' * 300} y"), "the label has 300 letters"),
        (rows("x\u202ey z"), "control character"),
        ("path,label\n'a/00.png','x'\n'a/01.png','y'", "stands in quotes of a kind that CSV has not"),
        (
            rows("x y", "path,label,note", ",a ,b").replace("y,b", 'y,"b', 1).replace("11.png,y,b", '11.png,y,b"'),
            r"line 13: a quote that begins above is not closed, so that whole lines \(a/02\.png,x,a\)",
        ),
        (rows("longer shorter")[:-4], r"line 13: the label 'sho' is there once, is the beginning of 'shorter'"),
    ],
)
def test_lists_that_hold_splits_elsewhere(text: str, message: str, images: Path) -> None:
    with pytest.raises(RequestError, match=message):
        listed(images, text)
    if "seem" in message or "folders" in message:
        assert listed(images, text, split_column=None).classes


def test_lists_that_look_odd_and_are_right(images: Path) -> None:
    assert listed(images, rows("train bus boat")).classes == ("boat", "bus", "train")
    assert listed(images, "\ufeff\ufeffpath, label\n" + rows('"x" "y"').partition("\n")[2].replace(",", ", ")).classes
    assert listed(images, rows("x y", "path,label,test_score", ",0.5 ,0.25")).classes == ("x", "y")
    for column, values in (("valid", ",0 ,1"), ("test", ",yes ,no"), ("test image", ",x ,")):
        assert "not taken as a split" in listed(images, rows("x y", f"path,label,{column}", values)).remarks[0]
    assert listed(images, rows("x y", "path,label,phase", ",1 ,")).classes == ("x", "y")
    assert listed(images, rows("x y", "path,label,language", ",tr ,en")).classes == ("x", "y")
    assert listed(images, "path,label\n" + "\n".join(f"{c}/{i:02}.png,{c}" for c in ("a", "train") for i in range(12)))
    said = "\n".join(f"a/{i:02}.png,{'xy'[i % 2]},{('train', '', 'test')[i % 3]}" for i in range(12))
    assert "4 images of no split count as those of train" in listed(images, f"path,label,split\n{said}").remarks[0]
    with pytest.raises(RequestError, match="column 'test' seems to say"):
        listed(images, rows("x y", "path,label,valid,test", ",0,1 ,1,0"))
    quoted = "\n".join(f'a/{i:02}.png,{"xy"[i % 2]}, "tall" one' for i in range(12))
    assert listed(images, f"path,label,note\n{quoted}").classes == ("x", "y")
    with pytest.raises(RequestError, match="line 3: not a readable CSV line"):
        listed(images, 'path,label\na/00.png,x\n"a/01.png"b,y')


@pytest.mark.parametrize(
    "names",
    [
        "train station,val d'isere,beach",
        "bullet train,test tube,cup",
        "training ground,development site,beach",
        "CV1,CV2",
    ],
)
def test_things_that_are_called_with_a_word_of_splits(names: str, images: Path, tmp_path: Path) -> None:
    classes = names.split(",")
    text = "\n".join(["path,label", *(f"a/{i:02}.png,{classes[i % len(classes)]}" for i in range(12))])
    assert set(listed(images, text).classes) == set(classes)
    class_folders(tmp_path, tuple(classes), each=4, size=(4, 4))
    assert set(load(Folder(source="folder", root=str(tmp_path)), Split(val=0.3, test=0.3)).classes) == set(classes)
    (note,) = listed(images, rows("TBD x y")).notes
    assert note[1].startswith("4 images are of a class 'TBD'")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"ARROW1\0\0", "Feather"),
        (b"SQLite format 3\0", "SQLite"),
        (b"img/0.png".ljust(257, b"\0") + b"ustar\0", "tar archive"),
        (b"\xfd7zXZ\0", "xz"),
        (b"- path: a.png\n  label: x\n", "YAML"),
        (b"<!DOCTYPE html><html>", "a web page and no list"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_files_that_are_no_lists(raw: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(raw)
    with pytest.raises(RequestError, match=what):
        load(Csv(source="csv", file=str(tmp_path / "list.csv")), Split())


def test_names_of_classes() -> None:
    assert [note[0] for note in note_several(["cat|dog", "cat", "dog"])] == ["several_labels"]
    assert [note[0] for note in note_several(["cat;dog", "dog;cat"])] == ["several_labels"]
    assert note_several(["sea lion", "sea", "lion", "a/b", "R&D"]) == []
    assert note_several(["['cat']", "['dog']", "['cat', 'dog']"])
    assert note_several(["['cat']", "['dog']"]) == []
    assert in_order(["10", "2", "1"])[1] == ("Classes are in the order of their numbers: 1, 2, 10.",)
    assert hidden_splits(["trainer", "tester", "bus"]) == []
    assert hidden_splits(["train_cat", "test_cat", "other"]) == ["train_cat", "test_cat"]


def test_half_of_a_range_is_asked_about_or_warned_of() -> None:
    """Signed 16 bits came out at half their brightness, 14 bits at a quarter, and nothing was said."""
    for kind in (np.int16, np.int32, np.uint32):
        raw = tiff(np.arange(0, 32768, 512).astype(kind).reshape(8, 8))
        with pytest.raises(RequestError, match=r"dataset\.range=\[0,32767\]"):
            rule([header(raw)], None, "crop", "auto")
    for bits, kept in ((14, 64), (15, 128)):
        head = header(tiff(np.linspace(0, 2**bits - 1, 64).astype(np.uint16).reshape(8, 8)))
        ((name, reason, remedy),) = slivers([head], ranges([head], None))
        assert (name, f"{kept} grey levels" in reason) == ("sliver_of_range", True)
        assert f"dataset.range=[0,{2**bits - 1}]" in remedy
    full = header(tiff(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)))
    assert slivers([full], ranges([full], None)) == []


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint32])
def test_small_values_of_a_type_that_says_no_white_are_asked_for(kind: type) -> None:
    """They came out black, or nearly so."""
    values = np.arange(64, dtype=kind).reshape(8, 8)
    file = io.BytesIO()
    tifffile.imwrite(file, values)
    with pytest.raises(RequestError, match=r"from 0 to 63, .*Say dataset\.range=\[0,63\]"):
        rule([header(file.getvalue())], None, "crop", "auto")
    asked = rule([header(file.getvalue())], None, "crop", "auto", (0.0, 63.0))(file.getvalue())
    assert asked.ravel().tolist() == [int(v * 255 / 63 + 0.5) for v in range(64)]
    wide = io.BytesIO()
    tifffile.imwrite(wide, values.astype(np.int64))
    with pytest.raises(BadImage, match="whole numbers of 64 bits"):
        header(wide.getvalue())


@pytest.mark.parametrize("bits", [2, 4])
def test_the_transparent_grey_of_few_bits_lies_over_white(bits: int) -> None:
    raw = png((0x55,), (1 if bits == 2 else 5,), bits=bits)
    head = header(raw)
    assert head.clear
    made = rule([head], None, "crop", "auto")
    assert set(made(raw).ravel().tolist()) == {255}
    assert made.identity()["special"] == 4


@pytest.mark.parametrize(
    ("tops", "message"),
    [
        ("train/cat train/dog holdout/cat holdout/dog", "4 of 8 files are in no split .*first is holdout/cat"),
        ("Training/cat Training/dog Testing/cat Testing/dog", "takes Testing/cat/00.png as a part of train"),
        ("fold1/cat fold1/dog fold2/cat fold2/dog", "takes all as one split, train, and the folders fold1 and fold2"),
    ],
)
def test_folders_of_which_the_hubs_library_takes_a_part(tops: str, message: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    class_folders(tmp_path / "set", tuple(tops.split()), each=2, size=(4, 4))
    with pytest.raises(RequestError, match=rf"{message}(.|\n)*dataset=folder dataset\.root="):
        load(HuggingFace(source="huggingface", name=str(tmp_path / "set")), Split(val=0.3, test=0.3))


@pytest.mark.parametrize("said", ["data_dir: {0}", 'data_files: [{{split: train, path: "{0}/train/**"}}]'])
def test_files_of_a_hub_folders_other_configs_are_not_lost(said: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    for config in ("full", "tiny"):
        class_folders(tmp_path / "set" / config / "train", each=4, size=(4, 4))
    configs = "\n".join(f"- config_name: {name}\n  {said.format(name)}" for name in ("full", "tiny"))
    (tmp_path / "set" / "README.md").write_text(f"---\nconfigs:\n{configs}\n---\n")
    dataset = HuggingFace(source="huggingface", name=str(tmp_path / "set"), config="tiny")
    check_local(dataset)
    if "data_files" in said:  # other images at the same place are no old ones
        assert len(load(dataset, Split(val=0.3, test=0.3)).labels) == 8
        class_folders(tmp_path / "set" / "tiny" / "train", each=5, size=(4, 4))
        assert len(load(dataset, Split(val=0.3, test=0.3)).labels) == 10
        for i, one in enumerate(
            (tmp_path / "set" / "tiny").rglob("*.png")
        ):  # of the same size and time as the old ones
            Image.new("RGB", (4, 4), (i, 0, 0)).save(one, "BMP")
            os.utime(one, ns=(1, 1))
        before = load(dataset, Split(val=0.3, test=0.3)).images.sum()
        for one in (tmp_path / "set" / "tiny").rglob("*.png"):
            Image.new("RGB", (4, 4), (9, 9, 9)).save(one, "BMP")
            os.utime(one, ns=(1, 1))
        assert before != load(dataset, Split(val=0.3, test=0.3)).images.sum() == 10 * 48 * 9
    if "data_dir" in said:
        class_folders(tmp_path / "set" / "more", each=1, size=(4, 4))
        with pytest.raises(RequestError, match="2 of 19 files are in no split"):
            check_local(dataset)


def test_two_tests_of_the_hub_are_told_apart_by_name(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    root = tmp_path / "set"
    parts = ("train", "test_1", "test_2")
    for i in range(len(parts)):
        class_folders(root / f"part{i}", each=2 + i, size=(4, 4))
    said = "\n".join(f"  - split: {name}\n    path: part{i}/**" for i, name in enumerate(parts))
    (root / "README.md").write_text(f"---\nconfigs:\n- config_name: all\n  data_files:\n{said}\n---\n")
    dataset = HuggingFace(source="huggingface", name=str(root))
    with pytest.raises(RequestError, match=r"'dataset\.splits=\[train,test_1\]'"):
        load(dataset, Split(val=0.5))
    counts = []
    for chosen in (("train", "test_1"), ("train", "test_2")):
        data = load(replace(dataset, splits=chosen), Split(val=0.5))
        counts.append((len(data.labels), len(data.test)))
    assert counts == [(10, 6), (12, 8)]
    with pytest.raises(RequestError, match=r"Unknown split of .* 'test_3'.*Expected one of: test_1, test_2, train"):
        load(replace(dataset, splits=("train", "test_3")), Split(val=0.5))


def table(folder: Path, name: str, label: list[Any], **more: Any) -> HuggingFace:
    """A Parquet file of files' bytes: white where the label is the first one's, else black; a split each file."""
    datasets = pytest.importorskip("datasets")
    images = []
    for i, one in enumerate(label):
        pixels = np.full((4, 4, 3), 255 if one == label[0] else 0, np.uint8)
        pixels[0, 0, 0] = i
        Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
        images.append(file.getvalue())
    folder.mkdir(exist_ok=True)
    datasets.Dataset.from_dict({"image": images, "label": label}, **more).to_parquet(str(folder / f"{name}.parquet"))
    return HuggingFace(source="huggingface", name=str(folder))


@pytest.mark.parametrize(("words", "classes"), [(["b", "a"], ("a", "b")), ([10, 9], ("9", "10"))])
def test_tables_without_the_hubs_own_features(words: list[Any], classes: tuple[str, ...], tmp_path: Path) -> None:
    """Bytes of files and words, as pandas writes them."""
    data = load(table(tmp_path / "set", "train", words * 10), Split(val=0.2, test=0.2))
    assert data.classes == classes
    white = data.images[:, 0, 1, 1] == 255
    assert np.array_equal(data.labels == classes.index(str(words[0])), white)


def test_labels_of_a_table_that_say_no_classes(tmp_path: Path) -> None:
    for name, words, message in (
        ("one", ["cat"] * 10, "two classes are needed at least, found only 'cat'"),
        ("real", [0.5, 1.5] * 5, "no ClassLabel, words or whole numbers"),
        ("none", ["cat", "dog", " "] * 4, "4 of 12 images of a split have no label"),
    ):
        with pytest.raises(RequestError, match=message):
            load(table(tmp_path / name, "train", words), Split(val=0.2, test=0.2))
    with pytest.raises(RequestError, match="has test and no split train"):
        load(table(tmp_path / "test", "test", ["cat", "dog"] * 5), Split(val=0.2))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_files_that_number_the_classes_otherwise_are_refused(kind: str, tmp_path: Path) -> None:
    """The library takes the first file's names for all: half of the labels were others."""
    datasets = pytest.importorskip("datasets")
    for name, classes in (("train", ["cat", "dog"]), ("test", ["dog", "cat"])):
        kinds = datasets.Features({"image": datasets.Value("binary"), "label": datasets.ClassLabel(names=classes)})
        dataset = table(tmp_path / "set", name, [0, 1] * 5, features=kinds)
    if kind == "arrow":
        both = {
            name: datasets.Dataset.from_parquet(str(tmp_path / "set" / f"{name}.parquet")) for name in ("train", "test")
        }
        datasets.DatasetDict(both).save_to_disk(str(tmp_path / "saved"))
        dataset = replace(dataset, name=str(tmp_path / "saved"))
    with pytest.raises(RequestError, match=r"numbers the classes (cat, dog|dog, cat), and another file"):
        load(dataset, Split(val=0.2))
    if kind == "parquet":
        table(tmp_path / "set", "test", [1, 0] * 5)  # which says no names
        assert [note[0] for note in load(dataset, Split(val=0.2)).notes] == ["classes_unsaid"]


def test_what_a_hub_folder_lacks_is_told(tmp_path: Path) -> None:
    dataset = table(tmp_path / "set", "train-00000-of-00002", ["cat", "dog"] * 5)
    with pytest.raises(RequestError, match=r"1 of 2 files are missing .*first is train-00001-of-00002\.parquet"):
        load(dataset, Split(val=0.2))
    class_folders(tmp_path / "named", ("train",), each=10, size=(4, 4))
    lines = "\n".join(f"{i:02}.png,{'cat' if i % 2 else 'dog'}" for i in range(8))
    (tmp_path / "named" / "train" / "metadata.csv").write_text(f"file_name,label\n{lines}\n")
    data = load(replace(dataset, name=str(tmp_path / "named")), Split(val=0.3, test=0.3))
    assert "2 of 10 images of train are left out" in data.notes[0][1]


def test_the_hubs_hash_split_goes_by_the_files_and_not_by_their_size(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert datasets
    class_folders(tmp_path / "set" / "train", each=20, size=(8, 8))
    dataset = HuggingFace(source="huggingface", name=str(tmp_path / "set"))
    how = Split(kind="hash", val=0.3, test=0.3)
    one, other = (load(replace(dataset, size=size), how) for size in (8, 16))
    assert np.array_equal(one.test, other.test)
    same = load(Folder(source="folder", root=str(tmp_path / "set" / "train")), how)
    names = {same.paths[i] for i in same.test}
    assert len(names) == len(one.test)


def test_16_bits_and_vanished_classes_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for k, name in enumerate(("cat", "dog")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(4):
                values = np.full((4, 4), (20000 + 257 * i, 40000)[k], np.uint16)
                Image.fromarray(values).save(tmp_path / "set" / split / name / f"{i}.png")
    dataset = HuggingFace(source="huggingface", name=str(tmp_path / "set"), on_bad_image="skip")
    data = load(dataset, Split(val=0.3))
    assert sorted(set(data.images.ravel().tolist())) == [78, 79, 80, 81, 156]  # v * 255 / 65535
    for file in (tmp_path / "set").rglob("dog/*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"not one file of 1 of 2 classes can be used: dog \(8 files\)"):
        load(dataset, Split(val=0.3))
