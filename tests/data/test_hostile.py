"""What people's folders, lists and files hold beside what they should: right, or refused with the remedy."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bench.data import ImageData, load
from bench.data.sources.classes import note_similar_names
from bench.data.sources.decode import BadImage, header, open_image, rule
from bench.data.sources.split_names import assign_splits
from bench.schema.dataset import Csv, Folder, Split
from bench.schema.errors import RequestError
from tests.data.conftest import class_folders, picture

COUNT = 20


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images in a folder `img`; lists are written beside it."""
    root = tmp_path_factory.mktemp("listed")
    for i in range(COUNT):
        picture(root / "img" / f"{i:02}.png", size=(8, 8))
    return root


def rows(form: str = "{path},{label}", labels: tuple[str, ...] = ("cat", "dog")) -> str:
    return "\n".join(form.format(path=f"img/{i:02}.png", label=labels[i % len(labels)], i=i) for i in range(COUNT))


def read(root: Path, text: str, split: Split | None = None, **settings: object) -> ImageData:
    (root / "list.csv").write_text(text, encoding="utf-8", newline="")
    return load(Csv(source="csv", file=str(root / "list.csv"), **settings), split or Split(val=0.2))


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\npath;label\r\n" + rows("{path};{label}"),  # a line of spreadsheets
        "path,label\n" + rows() + "\n,\n,\n",  # rows that were emptied
        "\n\npath\tlabel\n" + rows("{path}\t{label}"),
        "Path,LABEL\n" + rows(),
        "path,label\n" + rows("IMG/{i:02}.PNG,{label}"),
        "path,label\n" + rows("IMG\\{i:02}.png,{label}"),
        'path,label,note\n' + rows('{path},{label},"two\nlines"'),
        "path,label,fold\n" + rows("{path},{label},{i}"),
    ],
)  # fmt: skip
def test_lists_that_work(text: str, listed: Path) -> None:
    data = read(listed, text)
    assert (len(data.labels), data.classes) == (COUNT, ("cat", "dog"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty\. Expected a first line such as path,label"),
        ("path,label\n" + rows() + "\n./img/00.png,dog", r"line 22: '\./img/00\.png' is listed in line 2 already"),
        ("path,label\n" + rows() + "\nimg/../img/00.png,dog", r"is listed in line 2 already"),
        ("path,label\n" + rows(labels=("cat", "NULL")), "the label is 'NULL'"),
        ("path,label\n" + rows(labels=("cat", "n/a")), "the label is 'n/a'"),
        ("path,label\n" + rows('{path},"{label}"', ("cat", "big\ndog")), r"'big\\ndog' holds a control character"),
        ("path,label\n" + rows(labels=("1", "1e0", "2")), "'1' and '1e0' are one number"),
        ("path,label\n" + rows("{path},{i}.5"), r"holds 20 different values for 20 images.*dataset\.label_column=NAME"),
        ("file,label\n" + rows(), r"no column 'path'\. Did.*Its columns: file, label\. .*dataset\.path_column=NAME"),
        ("path,label\n" + rows("C:\\data\\{i}.png,{label}"), "not one of its 20 paths.*absolute path of Windows"),
        ("path,label\n" + rows("img/{i:02},{label}"), r"There is 00\.png: write names with their endings"),
        ("path,label\n" + rows("img%2F{i:02}.png,{label}"), "as they are, not as in an address"),
        ("path,label,is_valid\n" + rows("{path},{label},True").replace("True", "False", 9), "column 'is_valid' seems"),
        ("path,label,Set\n" + rows("{path},{label},1").replace(",1\n", ",0\n", 9), "column 'Set' seems to say"),
    ],
)
def test_lists_that_are_refused(text: str, message: str, listed: Path) -> None:
    with pytest.raises(RequestError, match=message.replace(r"\. Did.*Its", r"\..*Its")):
        read(listed, text)


def test_labels_that_read_as_none_are_told(listed: Path) -> None:
    (note,) = read(listed, "path,label\n" + rows(labels=("cat", "None", "dog"))).notes
    assert note[0] == "label_missing"
    assert note[1].startswith("7 images are of a class 'None'")


@pytest.mark.parametrize("pair", ["big_cat big-cat", "07 7", "+1 1", "dog dog\u200b", "Ａ a", "True TRUE"])
def test_names_that_differ_in_spelling_only(pair: str) -> None:
    assert [note[0] for note in note_similar_names(pair.split(" "))] == ["classes_alike"]
    assert note_similar_names(["-1", "1", "10", "v1", "v-2", "a b c"]) == []


def test_an_official_split_of_other_classes_is_refused(listed: Path) -> None:
    text = "path,label,split\n" + "\n".join(
        f"img/{i:02}.png,{'unknown' if i > 14 else 'ab'[i % 2]},{'test' if i > 14 else 'train'}" for i in range(COUNT)
    )
    with pytest.raises(RequestError, match="every image of test is of a class that train has no image of"):
        read(listed, text)


@pytest.mark.parametrize("kind", ["holdout", "kfold", "hash"])
def test_one_group_a_class_is_refused(kind: str, listed: Path) -> None:
    with pytest.raises(RequestError, match=r"every image of val is of a class|would be empty"):
        read(
            listed, "path,label,who\n" + rows("{path},{label},{label}", ("a", "b", "c")), Split(kind=kind, group="who")
        )


@pytest.mark.parametrize("kind", ["holdout", "kfold"])
def test_one_image_a_class_is_refused(kind: str, listed: Path) -> None:
    from bench.data.splits import split

    for count in (2, 7, 50):
        with pytest.raises(RequestError, match="would be empty"):
            split(np.arange(count), np.zeros(count, np.int8), Split(kind=kind))


def test_a_pattern_that_names_two_groups_is_refused(listed: Path) -> None:
    with pytest.raises(RequestError, match=r"\{group\} may stand there once"):
        read(listed, "path,label\n" + rows(), Split(group="{group}/{group}.png"))


@pytest.mark.parametrize(
    "names",
    [
        "entraînement test", "Trainingsdaten Validierungsdaten Testdaten", "addestramento prova", "训练集 测试集",
        "訓練 テスト", "обучение тест", "seg_train seg_test", "mnist-train mnist-val mnist-test", "train_hq test_hq",
    ],
)  # fmt: skip
def test_names_of_splits_in_other_words(names: str) -> None:
    found = assign_splits(names.split())
    assert list(found) == names.split()
    assert len(set(found.values())) == len(found)


def test_what_is_no_split_stays_none() -> None:
    assert assign_splits(["cat_eye", "cat_ear"]) == {}
    assert assign_splits(["big", "small"]) == {}
    assert list(assign_splits(["red train", "red bus"])) == []


@pytest.mark.parametrize("inside", ["{}", "data/{}"])
def test_folders_with_some_folders_in_common_look_like_splits(inside: str, tmp_path: Path) -> None:
    for k in range(6):
        for name in ("learn", "check")[: 1 + (k < 2)]:
            picture(tmp_path / name / inside.format(f"class{k}") / "0.png", size=(8, 8))
    with pytest.raises(RequestError, match=r"hold the same folders \(class0, class1\), as splits do"):
        load(Folder(source="folder", root=str(tmp_path)), Split())


def tiff(values: np.ndarray, **settings: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **settings)
    return file.getvalue()


def pixels(raw: bytes, span: tuple[float, float] | None = None) -> list[int]:
    head = header(raw)
    return rule([head], None, "crop", "auto", span)(raw)[:, 0, 0].tolist()


def test_deep_files_that_pillow_reads_as_something_else() -> None:
    wide = np.full((8, 8, 4), (40000, 20000, 10000, 32768), np.uint16)
    assert pixels(tiff(wide, photometric="rgb", extrasamples=["unassalpha"])) == [205, 166, 147]
    assert pixels(tiff(wide, photometric="rgb", extrasamples=["unspecified"])) == [156, 78, 39]
    assert pixels(tiff(np.full((8, 8), 2**31, np.uint32)), (0, 2**32 - 1)) == [128]
    signed = tiff(np.full((8, 8), -5, np.int8))
    assert pixels(signed, (-128, 127)) == [123]
    with pytest.raises(RequestError, match=r"hold values from -5 to 0, and no file says|range=\[-5,0\]"):
        pixels(signed)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (tiff(np.zeros((8, 8))), "TIFF of a kind"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404", "web page"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "film"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "EPS"),
    ],
)
def test_what_is_no_image_is_named(raw: bytes, what: str) -> None:
    with pytest.raises(BadImage, match=what):
        open_image(raw)


def meta(folder: Path) -> None:
    told = json.loads((folder / "meta.json").read_text())
    told["meta"]["classes"].reverse()
    (folder / "meta.json").write_text(json.dumps(told))


def remembered(folder: Path) -> None:
    (file,) = (folder.parents[1] / "scanned").iterdir()
    with np.load(file) as saved:
        arrays = dict(saved)
    np.savez(file, **{**arrays, "hashes": arrays["hashes"][:3]})


def locked(folder: Path) -> None:
    os.rename(folder, folder.with_name("elsewhere"))
    folder.with_suffix(".lock").unlink(missing_ok=True)
    folder.with_suffix(".lock").mkdir()


def test_what_happens_to_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))
    dataset = Folder(source="folder", root=str(class_folders(tmp_path / "own", each=5, size=(8, 8))))
    before = load(dataset, Split()).fingerprint
    (folder,) = (tmp_path / "cache" / "decoded").glob("folder-*/")
    remembered(folder)
    assert load(dataset, Split()).fingerprint == before
    meta(folder)
    with pytest.raises(RequestError, match=r"damaged \(meta\.json is not what was written\)"):
        load(dataset, Split())
    locked(folder)
    with pytest.raises(RequestError, match=r"Is a directory.*IMAGEBENCH_CACHE"):
        load(dataset, Split())


def test_the_hub_is_asked_which_commit_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real server that answers as the hub's API does, on loopback."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from bench.data.sources.huggingface import HUGGINGFACE
    from bench.schema.dataset import HuggingFace

    now = ["a" * 40]

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = json.dumps({"id": "who/cats", "sha": now[0]}).encode()
            self.send_response(200 if self.path.startswith("/api/datasets/who/cats") else 404)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    cats = HuggingFace(source="huggingface", name="who/cats")
    before = HUGGINGFACE.identity(cats)
    assert HUGGINGFACE.identity(cats) == before
    now[0] = "b" * 40
    assert HUGGINGFACE.identity(cats) != before
    server.shutdown()
    server.server_close()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert HUGGINGFACE.identity(cats)["set"][-1] == ""  # nobody answers
    pinned = HuggingFace(source="huggingface", name="who/cats", revision="c" * 40)
    assert HUGGINGFACE.identity(pinned)["set"][-1] == "c" * 40
