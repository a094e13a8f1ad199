"""Bad files and listings: a clear error or a counted skip, never a crash or a silent loss."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import load
from bench.schema.dataset import Csv, Folder, Split
from bench.schema.errors import RequestError
from tests.data.conftest import class_folders, picture


def folder(root: Path, **settings: object) -> Folder:
    return Folder(source="folder", root=str(root), **settings)


def spoil(root: Path) -> dict[str, str]:
    """Ten good images a class, and one file of each bad kind: its name and what is said of it."""
    class_folders(root)
    (root / "cat" / "empty.png").touch()
    (root / "cat" / "half.png").write_bytes((root / "cat" / "00.png").read_bytes()[:200])
    (root / "cat" / "notes.jpg").write_text("not an image")
    Image.new("1", (9500, 9500)).save(root / "dog" / "bomb.png")
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "dog" / "circle").symlink_to(root / "dog", target_is_directory=True)
    (root / "stray.png").write_bytes((root / "cat" / "00.png").read_bytes())
    os.mkfifo(root / "cat" / "pipe.png")  # reading it would wait for ever
    return {
        "pipe.png": "no regular file",
        "empty.png": "0 bytes", "half.png": "decoded", "notes.jpg": "not an image", "bomb.png": "pixels",
        "gone.png": "does not exist", "circle": "leads back", "stray.png": "no class",
    }  # fmt: skip


@pytest.mark.parametrize("storage", ["map", "stream"])
def test_skip_counts_every_file_that_was_left_out(tmp_path: Path, storage: str) -> None:
    expected = spoil(tmp_path)
    data = load(folder(tmp_path, on_bad_image="skip", storage=storage), Split(val=0.2))
    assert data.classes == ("cat", "dog")
    assert len(data.images) == 20
    assert len(data.skipped) == len(expected)
    for name, reason in expected.items():
        assert any(name in line and reason in line for line in data.skipped), (name, data.skipped)


def test_error_names_the_files_and_the_remedy(tmp_path: Path) -> None:
    expected = spoil(tmp_path)
    with pytest.raises(RequestError) as caught:
        load(folder(tmp_path), Split())
    message = str(caught.value)
    assert "on_bad_image=skip" in message
    # What headers tell is found before anything is decoded; truncated pixels only then.
    for name in expected.keys() - {"half.png"}:
        assert name in message
    assert (tmp_path / "cat" / "notes.jpg").exists()


def test_files_are_told_by_their_path_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (class_folders(tmp_path / "photos") / "cat" / "bad.png").touch()
    for where, root in ((tmp_path, "photos"), (tmp_path, "./photos/"), (tmp_path / "photos", ".")):
        monkeypatch.chdir(where)
        (skipped,) = load(folder(Path(root), on_bad_image="skip"), Split(val=0.2)).skipped
        assert skipped.startswith("cat/bad.png is empty")


def test_hidden_files_and_litter_are_no_images(tmp_path: Path) -> None:
    class_folders(tmp_path)
    for name in (".DS_Store", "cat/.hidden", "dog/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    data = load(folder(tmp_path), Split(val=0.2))
    assert (len(data.images), data.skipped) == (20, ())


def test_folders_for_splits(tmp_path: Path) -> None:
    for name, each in (("train", 8), ("val", 3), ("test", 4)):
        class_folders(tmp_path / name, each=each)
    data = load(folder(tmp_path), Split())
    assert (len(data.train), len(data.val), len(data.test)) == (16, 6, 8)
    (tmp_path / "train").rename(tmp_path / "validation")
    with pytest.raises(RequestError, match="no folder train"):
        load(folder(tmp_path), Split())


@pytest.mark.parametrize(
    ("tops", "message"),
    [
        (("train/cat", "train/dog", "test/cat", "test/dog", "extras/fox"), "beside them extras"),
        (("cat/train", "cat/test", "dog/train", "dog/test"), "above the classes"),
        (("cat", os.fsdecode(b"d\xf6g")), "Rename it"),
    ],
)
def test_layouts_that_would_be_misread(tmp_path: Path, tops: tuple[str, ...], message: str) -> None:
    class_folders(tmp_path, tops)
    with pytest.raises(RequestError, match=message):
        load(folder(tmp_path), Split())


def test_other_names_of_splits_and_a_class_called_train(tmp_path: Path) -> None:
    class_folders(tmp_path / "a" / "Training")
    class_folders(tmp_path / "a" / "Testing", each=3)
    data = load(folder(tmp_path / "a"), Split(val=0.2))
    assert (data.classes, len(data.test)) == (("cat", "dog"), 6)
    class_folders(tmp_path / "b", ("bus", "train"))
    (tmp_path / "b" / "__MACOSX").mkdir()
    assert load(folder(tmp_path / "b"), Split(val=0.2)).classes == ("bus", "train")


def test_names_of_any_script(tmp_path: Path) -> None:
    class_folders(tmp_path, classes=("Käse", "猫", "👩‍🚒 fox"))
    (tmp_path / "猫" / "写真 №1 🐈.png").write_bytes((tmp_path / "猫" / "00.png").read_bytes())
    data = load(folder(tmp_path), Split(val=0.2))
    assert set(data.classes) == {"Käse", "猫", "👩‍🚒 fox"}
    assert len(data.images) == 31


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    class_folders(tmp_path)
    before = load(folder(tmp_path), Split(val=0.2))
    picture(tmp_path / "cat" / "00.png")
    os.utime(tmp_path / "cat" / "00.png", ns=(1, 1))
    after = load(folder(tmp_path), Split(val=0.2))
    assert before.fingerprint != after.fingerprint
    assert not np.array_equal(before.images[0], after.images[0])


@pytest.mark.parametrize("what", ["missing", "file", "empty", "one class"])
def test_wrong_roots(tmp_path: Path, what: str) -> None:
    root = tmp_path / "root"
    if what == "file":
        root.touch()
    elif what == "empty":
        root.mkdir()
    elif what == "one class":
        class_folders(root, classes=("cat",))
    with pytest.raises(RequestError, match=r"does not exist|is a file|no images|two classes"):
        load(folder(root), Split())


def test_a_folder_without_read_permission(tmp_path: Path) -> None:
    """As another user, since root may read everything."""
    class_folders(tmp_path)
    (tmp_path / "dog").chmod(0)
    code = (
        "import sys; from bench.data.sources.folder import _list_files; from bench.schema.dataset import Folder\n"
        f"_list_files(Folder(source='folder', root={str(tmp_path)!r}))"
    )
    drop = "import os; os.getuid() or os.setuid(65534)\n"
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if os.access(parent, os.W_OK) and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    imported = code.split("\n")[0] + "\n"
    done = subprocess.run([sys.executable, "-c", imported + drop + code.split("\n")[1]], capture_output=True, text=True)
    (tmp_path / "dog").chmod(0o755)
    assert "RequestError" in done.stderr, done.stderr
    assert "dog: the folder cannot be read (Permission denied)" in done.stderr


def csv(root: Path, text: str | bytes, **settings: object) -> Csv:
    raw = text.encode() if isinstance(text, str) else text
    (root / "list.csv").write_bytes(raw)
    return Csv(source="csv", file=str(root / "list.csv"), **settings)


def pictures(root: Path, count: int = 20) -> list[str]:
    return [picture(root / f"{i}.png").name for i in range(count)]


def test_csv_with_bom_quotes_and_unicode(tmp_path: Path) -> None:
    names = [picture(tmp_path / f'{i}, "the 猫" 🐈.png').name for i in range(20)]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rows = [f'{name},"{"ab"[i % 2]}, class",extra' for i, name in enumerate(quoted)]
    data = load(csv(tmp_path, b"\xef\xbb\xbf" + b"path,label,more\r\n" + "\r\n".join(rows).encode()), Split(val=0.2))
    assert data.classes == ("a, class", "b, class")
    assert np.array_equal(data.labels, np.arange(20) % 2)


def test_csv_split_column(tmp_path: Path) -> None:
    rows = [
        f"{n},{'ab'[i % 2]},{('train', 'train', 'val', 'TEST', '')[i // 4]}" for i, n in enumerate(pictures(tmp_path))
    ]
    data = load(csv(tmp_path, "path,label,split\n" + "\n".join(rows)), Split())
    assert data.val.tolist() == [8, 9, 10, 11]
    assert data.test.tolist() == [12, 13, 14, 15]
    assert len(data.train) == 12


def test_csv_of_remote_files(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for i, name in enumerate(pictures(tmp_path)):
        memory.pipe(f"/bucket/images/{i}.png", (tmp_path / name).read_bytes())
    rows = "\n".join(f"images/{i}.png,{'ab'[i % 2]}" for i in range(20))
    memory.pipe("/bucket/list.csv", f"path,label\n{rows}".encode())
    beside = load(Csv(source="csv", file="memory://bucket/list.csv"), Split(val=0.2))
    urls = "\n".join(f"memory://bucket/images/{i}.png,{'ab'[i % 2]}" for i in range(20))
    listed = load(csv(tmp_path, f"path,label\n{urls}"), Split(val=0.2))
    assert np.array_equal(beside.images, listed.images)
    assert beside.fingerprint == listed.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column"),
        ("path,label\n", "no rows"),
        ("pth,label\n0.png,a\n", "Did you mean 'pth'"),
        ("path,lable\n0.png,a\n", "Did you mean 'lable'"),
        ("path,label\n0.png,a,b\n", "line 2: expected 2 fields, found 3"),
        ("path,label\n0.png,\n", "line 2: the label is empty"),
        ("path,label\n0.png,a\n0.png,b\n", "line 3: '0.png' is listed in line 2"),
        ("path,label,split\n0.png,a,tset\n", "unknown split 'tset'"),
        ('path,label\n"0.png,a\n', "not a readable CSV line"),
        ("path,label\n0.png,a\nmissing.png,b\n", "line 3: missing.png does not exist"),
        ("path,label\n0.png,a\n\0.png,b\n", "line 3: .*null byte"),
        ("path,label\n.,a\n0.png,b\n", "line 2: . is no regular file"),
        ("0.png,a\n1.png,b\n", "first line holds an image.*Put a line above it: path,label"),
        ("path,label\n0.png,nan\n", "line 2: the label is 'nan'"),
        ("path,label\n0.png,1\n1.png,1.0\n", "'1' and '1.0' are one number"),
        ("PK\x03\x04", "zip archive.*zip://LIST.csv::"),
        ("path,label,spilt\n0.png,a,train\n1.png,b,test\n", "column 'spilt' holds test, train.*split_column=spilt"),
        ("path,label,label\n0.png,a,b\n", "column 'label' is there 2 times"),
        (b"path,label\n0.png,caf\xe9\n", "UTF-8"),
        ("path,label\nfoo://bucket/0.png,a\n0.png,b\n", "foo"),
    ],
)
def test_wrong_csv_files(tmp_path: Path, text: str | bytes, message: str) -> None:
    pictures(tmp_path, 1)
    with pytest.raises(RequestError, match=message):
        load(csv(tmp_path, text), Split())


def test_csv_header_with_spaces_and_names_with_colons(tmp_path: Path) -> None:
    names = [picture(tmp_path / f"a::{i}.png").name for i in range(20)]
    rows = "\n".join(f"{name}, {'ab'[i % 2]}" for i, name in enumerate(names))
    assert load(csv(tmp_path, f"path, label\n{rows}"), Split(val=0.2)).classes == ("a", "b")


def test_errors_of_a_remote_file_system_are_told_by_line(tmp_path: Path) -> None:
    import fsspec

    class NoCredentials(Exception):
        """As botocore's: no OSError."""

    class Locked(fsspec.AbstractFileSystem):
        protocol = "locked"

        def _open(self, *_: object, **__: object) -> None:
            raise NoCredentials("unable to locate credentials")

        def info(self, *_: object, **__: object) -> None:
            raise NoCredentials("unable to locate credentials")

    fsspec.register_implementation("locked", Locked, clobber=True)
    picture(tmp_path / "0.png")
    listing = csv(tmp_path, "path,label\nlocked://bucket/1.png,a\n0.png,b\n")
    with pytest.raises(RequestError, match=r"line 2: locked://.*NoCredentials: unable to locate credentials"):
        load(listing, Split())


def test_a_csv_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"dataset\.file=.*does not exist"):
        load(Csv(source="csv", file=str(tmp_path / "none.csv")), Split())
