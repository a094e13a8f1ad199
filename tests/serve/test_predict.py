"""bench predict: the numbers of the record, out of image files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import log_loss

from bench.data import load
from bench.reopen import open_run
from bench.schema.dataset import Folder, Split
from bench.schema.errors import RequestError
from bench.serve.pictures import BadImage, pixels, places
from bench.serve.temperature import fit_temperature, scale_scores
from bench.track.store import Store
from bench.train.metrics import metrics
from tests.data.conftest import class_folders
from tests.trained_runs import RUNS


@pytest.mark.parametrize("name", RUNS)
def test_a_loaded_run_scores_test_as_its_record_says(ids: dict[str, str], name: str) -> None:
    """Every kind of model: the whole path from stored weights, preprocessing and train images."""
    trained = open_run(Store(), ids[name], device="cpu")
    for split in ("val", "test"):
        labels = trained.data.labels[trained.data.split(split)]
        for metric, value in metrics(trained.scores(split), labels).items():
            assert trained.record.metrics[f"{split}/{metric}"] == pytest.approx(value, abs=2e-6), metric


@pytest.mark.parametrize("name", ["cnn", "knn", "colour"])
def test_image_files_get_the_scores_of_the_test_split(
    ids: dict[str, str], name: str, tmp_path: Path, bench_json: Any
) -> None:
    trained = open_run(Store(), ids[name], device="cpu")
    chosen = trained.data.test[:40]
    for i in chosen:
        image = trained.data.images[int(i)]
        shown = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(np.asarray(shown)).save(tmp_path / f"{i:06}.png")
    found = bench_json("predict", ids[name][:8], str(tmp_path))
    rows = np.array([list(p["probabilities"].values()) for p in found["predictions"]])
    wanted = trained.scores("test")[:40]
    order = np.argsort(chosen)
    np.testing.assert_allclose(np.log(rows), wanted[order], atol=1e-5)


def test_text_csv_lists_and_bad_files(ids: dict[str, str], digit: Path, bench: Any, monkeypatch: Any) -> None:
    folder = digit.parent
    status, out, _ = bench("predict", "last", ids["cnn"], "--top", "1")
    assert status == 1  # an id where an image was expected is no image, and the message says so
    status, out, _ = bench("predict", ids["cnn"], str(digit), "--top", "2")
    assert status == 0
    assert out.startswith(f"{digit}: ")
    assert out.count("%") == 2

    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "note.txt").write_text("no image")
    status, out, err = bench("predict", ids["cnn"], str(folder), "--csv")
    assert status == 1
    assert "broken.png" in err
    assert "note.txt" not in err + out  # a folder is asked for its images
    assert "\r" not in out  # which a terminal is not given
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [Path(r["image"]).name[0] for r in rows] == ["0", "1", "2"]
    assert all(abs(sum(float(r[str(k)]) for k in range(10)) - 1) < 1e-4 for r in rows)

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{digit}\n\n{folder / 'note.txt'}\n"))
    status, out, err = bench("predict", ids["cnn"], "-", "--json")
    found = json.loads(out)["predictions"]
    assert status == 1
    assert "class" in found[0]
    assert "not an image" in found[1]["error"]
    assert "Nothing matches" in bench("predict", ids["cnn"], f"{folder}/*.jpeg")[2]
    (folder / "empty").mkdir()
    assert "no image in the folder" in bench("predict", ids["cnn"], f"{folder}/empty")[2]
    assert bench("predict", ids["cnn"], digit.as_uri())[0] == 0


def test_names_and_lists_of_every_kind(ids: dict[str, str], digit: Path, tmp_path: Path, bench: Any) -> None:
    root = tmp_path / "set"
    for name in ("@eaDir/thumb.png", ".cache/a.png", "sub/a.png", "new\nline \x1b[2J.png", "=.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(digit.read_bytes())
    (root / "sub" / "up").symlink_to(root)
    out = bench("predict", ids["ncm"], str(root))[1]
    assert len(out.splitlines()) == 3  # no thumbnails of systems, nothing hidden, no circle
    assert r"new\nline \x1b[2J.png: " in out
    assert len(bench("predict", ids["ncm"], f"{root}/**/a.png")[1].splitlines()) == 1
    assert list(places(["-"], ["a b.png\n", "\n", " c.png\n"])) == ["a b.png", "c.png"]
    assert list(places(["-"], ["a.png\0new\n", "line.png\0"])) == ["a.png", "new\nline.png"]
    for words, message in (
        ([""], "empty word"),
        ([str(digit), "--csv", "--json"], "say one of them"),
    ):
        status, out, err = bench("predict", ids["ncm"], *words)
        assert (status, message in out + err) == (2, True)
    assert "the same model" in bench("predict", f"{ids['ncm']},{ids['ncm'][:8]}", str(digit))[2]
    with pytest.raises(RequestError, match="names no image"):
        list(places(["-"], ["\n"]))


def test_a_float_image_is_no_black_one_where_the_set_has_none(ids: dict[str, str], tmp_path: Path) -> None:
    """Sets of 8 bits said that floats span 0 to 255: one in 0..1 was classified as black."""
    data = load(Folder(source="folder", root=str(class_folders(tmp_path / "set", each=3, size=(8, 8)))), Split(val=0.3))
    assert data.entry is not None
    assert data.entry.spans == {}
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tiff")
    found = pixels((tmp_path / "a.tiff").read_bytes(), data.shape, spans=data.entry.spans)
    assert set(found.ravel().tolist()) == {128}


def test_an_ensemble_is_the_mean(ids: dict[str, str], digit: Path, bench: Any, bench_json: Any) -> None:
    def row(run: str, *more: str) -> Any:
        return np.array(list(bench_json("predict", run, str(digit), *more)["predictions"][0]["probabilities"].values()))

    members = [row(ids[name]) for name in ("cnn", "knn", "ncm")]
    np.testing.assert_allclose(row(",".join(ids[n] for n in ("cnn", "knn", "ncm"))), np.mean(members, 0), atol=1e-9)
    assert "same classes" in bench("predict", f"{ids['cnn']},{ids['colour']}", str(digit))[2]
    # Views of one's own choice, and those of the run.
    assert not np.allclose(row(ids["cnn"], "--views", "4", "--augment", "shift"), members[0])
    assert "nothing is augmented" in bench("predict", ids["cnn"], str(digit), "--views", "4")[2]
    assert "neighbours" in bench("predict", ids["knn"], str(digit), "--views", "4", "--augment", "shift")[2]


def test_temperature_makes_confidence_honest(ids: dict[str, str], digit: Path, bench_json: Any) -> None:
    """Never worse on val, where it is fitted; the order of the classes stays."""
    trained = open_run(Store(), ids["knn"], device="cpu")  # far too modest: its ECE is 0.2
    scores, labels = trained.scores("val"), trained.data.labels[trained.data.val]
    temperature = fit_temperature(scores, labels)
    before, after = (log_loss(labels, np.exp(scale_scores(scores, t)), labels=range(10)) for t in (1.0, temperature))
    assert temperature < 0.8
    assert after < before - 0.05
    grid = [log_loss(labels, np.exp(scale_scores(scores, t)), labels=range(10)) for t in np.geomspace(0.05, 10, 200)]
    assert after <= min(grid) + 1e-6
    plain, honest = (
        bench_json("predict", ids["knn"], str(digit), *words)["predictions"][0] for words in ((), ("--calibrate",))
    )
    assert honest["class"] == plain["class"]
    assert honest["probabilities"][honest["class"]] > plain["probabilities"][plain["class"]]


def test_images_of_every_kind_become_the_set_s(tmp_path: Path) -> None:
    def raw(image: Image.Image, kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        image.save(file, kind)
        return file.getvalue()

    wide = Image.fromarray(np.arange(30 * 60 * 3, dtype=np.uint64).reshape(30, 60, 3).astype(np.uint8))
    for image in (wide, wide.convert("L"), wide.convert("P"), wide.convert("RGBA"), wide.convert("I;16")):
        for shape in ((1, 8, 8), (3, 16, 16), (1, 12, 20)):
            for fit in ("crop", "squash", "pad"):
                found = pixels(raw(image), shape, fit)
                assert (found.shape, found.dtype) == (shape, np.uint8)
    assert pixels(raw(wide.convert("CMYK"), "JPEG"), (3, 30, 60)).shape == (3, 30, 60)
    np.testing.assert_array_equal(pixels(raw(wide), (3, 30, 60)), np.asarray(wide).transpose(2, 0, 1))
    for bad, reason in (
        (b"", "empty"),
        (b"GIF89a", "not an image|opened"),
        (raw(Image.new("L", (4000, 3000)))[:-400], "decoded"),
    ):
        with pytest.raises(BadImage, match=reason):
            pixels(bad, (1, 8, 8))
    with pytest.raises(BadImage, match="more than 1,000,000"):
        pixels(raw(Image.new("L", (4000, 3000))), (1, 8, 8), most_pixels=1_000_000)
    deep = raw(Image.new("I;16", (500, 300)))  # 16 bits take eight times the memory on their way
    with pytest.raises(BadImage, match="500 x 300 pixels of more than 8 bits, more than 125,000 allowed"):
        pixels(deep, (1, 8, 8), most_pixels=1_000_000)
    assert pixels(deep, (1, 8, 8), most_pixels=1_200_000).shape == (1, 8, 8)


def test_runs_that_cannot_classify_say_why(ids: dict[str, str], digit: Path, bench: Any, folder: Path) -> None:
    """In an empty store: no run, a failed one, and weights that are gone."""
    assert "no finished run" in bench("predict", "last", str(digit))[2]
    assert "No run 'deadbeef" in bench("predict", "deadbeef" * 4, str(digit))[2]
    assert "names no run" in bench("predict", "photo.jpg", str(digit))[2]
    assert bench("run", "dataset=digits", "model=linear", "optim=sgd", "optim.lr=1e38", "trainer.epochs=2")[0] == 1
    failed = Store().records("runs")[0].run_id
    status, _, err = bench("predict", failed, str(digit))
    assert status == 2
    assert "failed: " in err
    assert bench("run", "dataset=digits", "model=linear", "trainer.epochs=1")[0] == 0
    done = Store().records("runs")[-1].run_id
    (Store().artifacts(done) / "weights.pt").unlink()
    assert "no artifact 'weights.pt'" in bench("predict", "last", str(digit))[2]
    (folder / "mlflow.db").unlink()
    assert "no store" in bench("predict", "last", str(digit))[2]


def test_moved_and_changed_images_are_noticed(folder: Path, tmp_path: Path, bench: Any, bench_json: Any) -> None:
    """A network needs no images any more; neighbours need exactly the ones they were."""
    noise = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        for i in range(12):
            place = tmp_path / "set" / name / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((level + noise.integers(0, 40, (9, 12))).astype(np.uint8)).save(place)
    base = ("run", "dataset=folder", f"dataset.root={tmp_path / 'set'}")
    net = bench_json(*base, "model=linear", "trainer.epochs=1")["run_id"]
    knn = bench_json(*base, "model=knn", "model.k=1")["run_id"]
    (tmp_path / "set").rename(tmp_path / "moved")
    image = str(tmp_path / "moved" / "dark" / "3.png")
    assert bench("predict", net, image)[0] == 0
    status, _, err = bench("predict", knn, image)
    assert status == 2
    assert "dataset.root=DIR" in err
    here = f"dataset.root={tmp_path / 'moved'}"
    assert bench("predict", knn, image, here)[1].startswith(f"{image}: dark")
    (tmp_path / "moved" / "dark" / "5.png").unlink()
    assert "not what they were" in bench("predict", knn, image, here)[2]
