"""What people's folders, lists and files hold beside what they should: right, or refused with the remedy."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bench.data import ImageData, load
from bench.data.sources import depth
from bench.data.sources.classes import note_similar_names
from bench.data.sources.decode import BadImage, header, open_image, rule, unread_parts
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
        "path,label\r" + rows().replace("\n", "\r"),
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
        (
            "path,label\nfile://{root}/img/00.png,dog\n" + rows(),
            "is listed in line 2 already, with the label 'dog' there",
        ),
        ("path,label\n" + rows(labels=("cat", "NULL")), "the label is 'NULL'"),
        ("path,label\n" + rows(labels=("cat", "n/a")), "the label is 'n/a'"),
        ("path,label\n" + rows('{path},"{label}"', ("cat", "big\ndog")), r"'big\\ndog' holds a control character"),
        ("path,label\n" + rows(labels=("1", "1e0", "2")), "'1' and '1e0' are one number"),
        ("path,label\n" + rows("{path},{i}.5"), r"holds 20 different values for 20 images.*dataset\.label_column=NAME"),
        ("file,label\n" + rows(), r"no column 'path'\. Did.*Its columns: file, label\. .*dataset\.path_column=NAME"),
        ("path,label\n" + rows("C:\\data\\{i}.png,{label}"), "not one of its paths .20.*absolute path of Windows"),
        ("path,label\n" + rows("img/{i:02},{label}"), r"There is 00\.png: write names with their endings"),
        ("path,label\n" + rows("img%2F{i:02}.png,{label}"), "as they are, not as in an address"),
        ("path,label,is_valid\n" + rows("{path},{label},True").replace("True", "False", 9), "column 'is_valid' seems"),
        ("path,label,Set\n" + rows("{path},{label},1").replace(",1\n", ",0\n", 9), "column 'Set' seems to say"),
    ],
)
def test_lists_that_are_refused(text: str, message: str, listed: Path) -> None:
    with pytest.raises(RequestError, match=message.replace(r"\. Did.*Its", r"\..*Its")):
        read(listed, text.replace("{root}", str(listed)))


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_lists_in_other_codings(coding: str, listed: Path) -> None:
    (listed / "list.csv").write_bytes(("path,label\n" + rows(labels=("cat", "höhle"))).encode(coding))
    assert load(Csv(source="csv", file=str(listed / "list.csv")), Split()).classes == ("cat", "höhle")


def test_a_list_of_windows_names_the_command_that_mends_it(listed: Path) -> None:
    (listed / "my list.csv").write_bytes(("path,label\n" + rows(labels=("cat", "höhle"))).encode("cp1252"))
    dataset = Csv(source="csv", file=str(listed / "my list.csv"))
    with pytest.raises(RequestError, match=r"line 3: not UTF-8.*iconv -f WINDOWS-1252") as caught:
        load(dataset, Split())
    subprocess.run(str(caught.value)[str(caught.value).index("iconv") :], shell=True, check=True)
    assert load(Csv(source="csv", file=str(listed / "my list-utf8.csv")), Split()).classes == ("cat", "höhle")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml" + bytes(40) + b"xl/workbook.xml", "Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "old Excel"),
        (b"\x1f\x8b" + bytes(40), "gzip"),
        (b"PAR1" + bytes(40), "Parquet"),
        (b'[{"path": "a.png"}]', "JSON"),
        (b"# my list\npath,label\na.png,cat", "first line is a comment"),
        (b"img/00.png cat\nimg/01.png dog", "with blanks between the fields.*path,label"),
        (b"img/00.webp,cat\nimg/01.webp,dog", "first line holds an image.*path,label"),
        (b"path,label\nimg/00.png,cat\nimg/00.png,dog", "in line 2 already, with the label 'cat' there and 'dog' here"),
    ],
)
def test_what_is_no_list_is_named(raw: bytes, message: str, listed: Path) -> None:
    (listed / "list.csv").write_bytes(raw)
    with pytest.raises(RequestError, match=message):
        load(Csv(source="csv", file=str(listed / "list.csv")), Split())


@pytest.mark.parametrize("values", ["Training PublicTest PrivateTest", "trainA testA", "set_train set_query set_test"])
def test_columns_that_hold_splits_in_other_words(values: str, listed: Path) -> None:
    names = values.split()
    text = "path,label,Usage\n" + "\n".join(
        f"img/{i:02}.png,{'ab'[i // 3 % 2]},{names[i % len(names)]}" for i in range(COUNT)
    )
    with pytest.raises(RequestError, match=r"column 'Usage' seems to say which split|holds .* to keep"):
        read(listed, text)
    assert len(read(listed, text, split_column=None).test) == 4


@pytest.mark.parametrize(
    ("tops", "message"),
    [
        ("trainA trainB testA testB", "seem to say which split.*splits=none"),
        ("cats_train cats_test dogs_train dogs_test", "seem to say which split"),
        ("train/cat train/dog unknown", "the folder train is called as a split is.*beside it lies unknown"),
        ("test/cat test/dog unlabelled other", "the folder test is called as a split is.*other, unlabelled"),
        ("train/images/cat train/images/dog test/images/cat test/images/dog", "Move them up: expected test/cat"),
        ("train1/cat train1/dog train2/cat train2/dog", "two folders for one split.*splits=none"),
    ],
)
def test_folders_that_seem_to_be_splits(tops: str, message: str, tmp_path: Path) -> None:
    class_folders(tmp_path, tuple(tops.split()), each=1, size=(8, 8))
    with pytest.raises(RequestError, match=message):
        load(Folder(source="folder", root=str(tmp_path)), Split())


def test_texts_beside_images_are_left_aside_and_said(tmp_path: Path) -> None:
    class_folders(tmp_path, each=5, size=(8, 8))
    before = load(Folder(source="folder", root=str(tmp_path)), Split(val=0.2)).fingerprint
    names = ("cat/README.md", "cat/LICENSE", "cat/deeper/labels.csv", "dog/00.json", "dog/00.xml", "notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no image")
    (tmp_path / "dog" / "05.tif").write_bytes((tmp_path / "dog" / "00.png").read_bytes())  # one more image
    data = load(Folder(source="folder", root=str(tmp_path)), Split(val=0.2))
    assert (len(data.labels), data.skipped) == (11, ())
    assert "6 files left aside, as no images by name: notes.txt, cat/LICENSE" in " ".join(data.remarks)
    (tmp_path / "dog" / "05.tif").unlink()
    assert load(Folder(source="folder", root=str(tmp_path)), Split(val=0.2)).fingerprint == before
    (tmp_path / "dog" / "05.jpg").write_text("a text that is called an image")
    with pytest.raises(RequestError, match=r"05\.jpg is not an image"):
        load(Folder(source="folder", root=str(tmp_path)), Split())


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


def test_groups_that_say_none_or_differ_in_spelling(listed: Path) -> None:
    def notes(*groups: str) -> list[str]:
        lines = "\n".join(f"{row},{groups[i % len(groups)]}" for i, row in enumerate(rows().splitlines()))
        data = read(listed, f"path,label,patient\n{lines}\n", Split(val=0.2, group="patient"))
        return [note[0] for note in data.notes]

    with pytest.raises(RequestError, match=r"5 of 20 images have no group, the first is line 3: img/01\.png"):
        notes("1", "nan", "3", "4")
    with pytest.raises(RequestError, match=r"split\.group=patient: '1' and '1\.0' are one number spelled in two ways"):
        notes("1", "1.0", "2", "3")
    assert notes("P1", "p1", "p2", "p3", "p4") == ["groups_alike"]
    assert notes(*map(str, range(COUNT))) == ["groups_single"]
    assert notes("p1", "p2", "p3", "p4") == []


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


def fits(values: np.ndarray) -> bytes:
    cards = ("SIMPLE  = T", f"BITPIX  = {8 * values.itemsize}", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 4", "END")
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode() + values.tobytes().ljust(2880, b"\0")


def pixels(raw: bytes, span: tuple[float, float] | None = None) -> list[int]:
    head = header(raw)
    return rule([head], None, "crop", "auto", span)(raw)[:, 0, 0].tolist()


def test_deep_files_that_pillow_reads_as_something_else() -> None:
    wide = np.full((8, 8, 4), (40000, 20000, 10000, 32768), np.uint16)
    assert pixels(tiff(wide, photometric="rgb", extrasamples=["unassalpha"])) == [205, 166, 147]
    assert pixels(tiff(wide, photometric="rgb", extrasamples=["unspecified"])) == [156, 78, 39]
    assert pixels(tiff(np.full((8, 8), 2**31, np.uint32)), (0, 2**32 - 1)) == [128]
    ink = np.full((8, 8, 4), (51400, 25700, 12850, 5140), np.uint16)
    assert pixels(tiff(ink, photometric="separated", extrasamples=())) == [51, 143, 189]
    assert pixels(tiff(ink.transpose(2, 0, 1), photometric="separated", planarconfig="separate")) == [51, 143, 189]
    premultiplied = np.full((8, 8, 4), (20001, 10000, 5000, 20000), np.uint16)  # rounded up by its writer
    assert pixels(tiff(premultiplied, photometric="rgb", extrasamples=["assocalpha"])) == [255, 216, 197]
    # As wide as it has channels: which of the two is which says the file alone.
    narrow = np.arange(27, dtype=np.uint16).reshape(3, 3, 3) * 2000
    assert pixels(tiff(narrow.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate")) == [0, 8, 16]
    assert pixels(tiff(narrow, photometric="rgb")) == [0, 8, 16]
    signed = tiff(np.full((8, 8), -5, np.int8))
    assert pixels(signed, (-128, 127)) == [123]
    with pytest.raises(RequestError, match=r"hold values from -5 to 0, and no file says|range=\[-5,0\]"):
        pixels(signed)


def png(values: tuple[int, ...], clear: tuple[int, ...], bits: int = 16) -> bytes:
    """Eight pixels in each direction of one grey or colour, with the one that is called transparent."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    one = struct.pack(f">{len(values)}{'H' if bits == 16 else 'B'}", *values)
    head = struct.pack(">IIBBBBB", 8, 8, bits, 2 if len(values) == 3 else 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
        + chunk(b"IDAT", zlib.compress((b"\0" + one * min(bits, 8)) * 8)) + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize("values", [(40000,), (40000, 20000, 10000)])
def test_the_transparent_grey_or_colour_of_a_deep_png_lies_over_white(values: tuple[int, ...]) -> None:
    assert pixels(png(values, values)) == [255] * len(values)
    assert pixels(png(values, (*values[:-1], 7))) == [round(v / 257) for v in values]
    assert pixels(png((100,), (100,), bits=8)) == [255]


def test_deep_colour_where_torch_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever serves an exported model has none."""
    monkeypatch.setitem(sys.modules, "torchvision.io", None)
    with pytest.raises(BadImage, match=r"16-bit colour in a PNG is read by torchvision, .*save it with 8 bits"):
        pixels(png((40000, 20000, 10000), (1, 2, 3)))


def test_twelve_bits_span_twelve_bits() -> None:
    packed = bytes([0xFF, 0xFF, 0xFF] * 32)  # two values of 4095 in three bytes
    tags = {256: 8, 257: 8, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    raw = struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)
    assert pixels(raw) == [255]
    assert pixels(raw, (0, 65535)) == [16]


def stated(largest: int, scale: int = 1, **more: object) -> bytes:
    tags = [(340, "H", 1, 0, True), (341, "H", 1, largest, True)]
    return tiff(np.arange(64, dtype=np.uint16).reshape(8, 8) * scale, extratags=tags, **more)


def test_files_that_state_different_ranges_are_asked_about() -> None:
    """All of them became 0 to 65535: of 4095 and 1023 nothing but black was left."""
    for other in (stated(1023), tiff(np.zeros((8, 8), np.uint16))):
        heads = [header(stated(4095)), header(other)]
        with pytest.raises(RequestError, match=r"state different ranges \(.*0 to 4095.*dataset\.range="):
            rule(heads, None, "crop", "auto")
        assert rule(heads, None, "crop", "auto", (0.0, 4095.0)).ints == (0, 4095)
    heads = [header(stated(65535)), header(tiff(np.zeros((8, 8), np.uint16)))]
    assert rule(heads, None, "crop", "auto").ints == (0, 65535)
    beyond = [header(stated(255, 60))]
    assert [note[0] for note in depth.slivers(beyond, {"int": (0.0, 255.0)})] == ["range_exceeded"]


def test_a_camera_s_raw_file_is_no_preview(tmp_path: Path) -> None:
    """Pillow reads the small copy in front of it, without a word."""
    small, large = np.zeros((8, 8, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)
    with tifffile.TiffWriter(file := io.BytesIO()) as out:
        out.write(small, photometric="rgb", subfiletype=1)
        out.write(large, photometric="rgb")
    for raw in (file.getvalue(), tiff(small, photometric="rgb", extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])):
        with pytest.raises(BadImage, match="a camera's raw file, or a TIFF that begins with a small copy"):
            open_image(raw)
    with tifffile.TiffWriter(file := io.BytesIO()) as out:  # a pyramid begins with the image itself
        out.write(large, photometric="rgb")
        out.write(small, photometric="rgb", subfiletype=1)
    assert header(file.getvalue()).size == (32, 32)
    assert header(tiff(small, photometric="rgb", subfiletype=1)).size == (8, 8)


def test_deep_colour_of_jpeg_2000_is_refused() -> None:
    """Pillow turns its white into black."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "white").save(file, "JPEG2000")
    assert pixels(file.getvalue()) == [255, 255, 255]
    raw = bytearray(file.getvalue())
    at = raw.index(b"\xff\x4f\xff\x51") + 42
    assert raw[at] == 7
    raw[at : at + 9 : 3] = bytes([11] * 3)
    with pytest.raises(BadImage, match="JPEG 2000 of more than 8 bits in colour"):
        open_image(bytes(raw))


def test_a_range_for_images_of_8_bits_is_refused(listed: Path) -> None:
    with pytest.raises(RequestError, match="more than 8 bits, and this set has none: leave it out"):
        read(listed, "path,label\n" + rows(), range=(0.0, 100.0))


@pytest.mark.parametrize("compression", ["lzw", "zstd"])
def test_compressed_deep_colour_is_read_where_the_codecs_are(compression: str) -> None:
    pytest.importorskip("imagecodecs")
    wide = np.full((8, 8, 3), (40000, 20000, 10000), np.uint16)
    assert pixels(tiff(wide, photometric="rgb", compression=compression)) == [156, 78, 39]


def test_a_compression_that_needs_another_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_: object, **__: object) -> None:
        raise KeyError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile, "imread", unread)
    with pytest.raises(BadImage, match=r"pip install 'imagebench\[tiff\]'"):
        header(tiff(np.zeros((8, 8, 3), np.uint16), photometric="rgb"))


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_frames_that_are_not_read_are_told(form: str, tmp_path: Path) -> None:
    class_folders(tmp_path, each=5, size=(8, 8))
    one, other = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    one.save(tmp_path / "cat" / "a.img", form, save_all=True, append_images=[other])
    data = load(Folder(source="folder", root=str(tmp_path)), Split(val=0.2))
    assert data.remarks == ("1 file holds several frames or pages, of which the first one is read: cat/a.img.",)
    assert abs(data.images[data.paths.index("cat/a.img")][:, 0, 0].astype(int) - (255, 0, 0)).max() < 3


def test_channels_that_are_not_read_are_told() -> None:
    kinds = {
        "unspecified": "1 file holds channels beside the colours, which are left out: a.",
        "unassalpha": "",
    }
    for kind, remark in kinds.items():
        raw = tiff(np.zeros((8, 8, 4), np.uint8), photometric="rgb", extrasamples=[kind])
        assert " ".join(unread_parts([header(raw)], ["a"])) == remark
    unsaid = raw.replace(b"\x52\x01\x03\0", b"\xff\xfe\x03\0")  # without ExtraSamples
    assert unread_parts([header(unsaid)], ["a"])[-1].endswith("that is taken as alpha: a.")
    more = tiff(np.zeros((8, 8, 5), np.uint8), photometric="rgb", extrasamples=["unassalpha", "unspecified"])
    assert header(more).spare == 1


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (tiff(np.zeros((8, 8))), "TIFF of a kind"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404", "web page"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "film"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM"),
        (fits(np.zeros((4, 4), ">i2")), "FITS, of which Pillow reads neither BZERO"),
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


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["interleaved", "planar", "big", "other end"])
def test_three_channels_called_grey_are_colours(bits: int, order: str) -> None:
    """Arrays [H, W, 3] that tifffile was told to save as minisblack."""
    made = np.random.RandomState(0).randint(0, 256, (6, 5, 3)).astype(np.uint8)
    deep = made.astype(np.uint16) * 257 if bits == 16 else made
    if order == "planar":
        raw = tiff(deep.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate")
    else:
        how = {"big": {"bigtiff": True}, "other end": {"byteorder": ">"}}.get(order, {})
        with tifffile.TiffWriter(file := io.BytesIO(), **how) as out:
            out.write(deep, photometric="minisblack", planarconfig="contig")
        raw = file.getvalue()
    how = rule([header(raw)], None, "crop", "auto")
    assert np.array_equal(how(raw), made.transpose(2, 0, 1))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_more_channels_of_grey_are_refused_with_the_remedy(channels: int, kind: type) -> None:
    for shape, planes in (((channels, 6, 5), "separate"), ((6, 5, channels), "contig")):
        with pytest.raises(BadImage, match="save it with 8 or 16 bits as grey or RGB"):
            header(tiff(np.ones(shape, kind), photometric="minisblack", planarconfig=planes))
