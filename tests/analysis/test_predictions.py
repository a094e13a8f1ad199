"""What runs say of each image is kept, held against their metrics, and enough to compare two of them."""

from __future__ import annotations

import base64
import dataclasses
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import npz, seal
from bench.analysis import artifacts, predictions
from bench.compose import compose
from bench.data import load
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.track.record import Record
from bench.train.knn import score_by_distance
from tests.records import make_records

TRUE = np.arange(200) % 10


def arrays(wrong: int, rng: int) -> dict[str, np.ndarray]:
    """200 images in each split, the first `wrong` of them taken for another class."""
    said = np.where(np.arange(200) < wrong, (TRUE + 1) % 10, TRUE)
    logp = np.log(np.random.default_rng(rng).uniform(0.1, 1, 200))
    parts = {"true": TRUE.astype(np.uint16), "class": said.astype(np.uint16), "logp": logp.astype(np.float16)}
    return {f"{split}_{name}": part for split in predictions.SPLITS for name, part in parts.items()}


def record(found: dict[str, np.ndarray], made: Record) -> Record:
    right = float((found["test_true"] == found["test_class"]).mean())
    nll = float(-found["test_logp"].astype(float).mean())
    said = {f"{s}/{n}": v for s in predictions.SPLITS for n, v in (("accuracy", right), ("nll", nll))}
    return dataclasses.replace(made, metrics=said)


def text(found: dict[str, np.ndarray]) -> str:
    np.savez(out := io.BytesIO(), **found)
    return base64.b64encode(out.getvalue()).decode()


@pytest.fixture
def runs() -> tuple[list[Record], dict[str, str]]:
    return of_seeds(2)


def of_seeds(seeds: int) -> tuple[list[Record], dict[str, str]]:
    """The runs of two models, and what each left."""
    made = make_records({"model": ["a", "b"]}, lambda _: 0.5, seeds=seeds)
    found = [arrays(10 + 5 * i, i) for i in range(len(made))]
    records = [record(one, r) for one, r in zip(found, made, strict=True)]
    return records, {r.key: text(one) for r, one in zip(records, found, strict=True)}


def test_they_come_back_as_they_were_and_labels_are_kept_once(
    runs: tuple[list[Record], dict[str, str]], tmp_path: Path
) -> None:
    records, texts = runs
    body = predictions.keep(records, lambda r, _: texts.get(r.key))
    assert body is not None
    assert body == predictions.keep(records, lambda r, _: texts.get(r.key))  # the same bytes again
    (tmp_path / predictions.FILE).write_bytes(body)
    assert body == predictions.keep(records, predictions.read_predictions(tmp_path, artifacts.read_kept(tmp_path)))
    reader = predictions.read_predictions(tmp_path, artifacts.read_kept(tmp_path))
    for r in records:
        one, other = predictions.of(r, reader), predictions.of(r, lambda r, _: texts[r.key])
        assert one is not None
        assert other is not None
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)
    with np.load(tmp_path / predictions.FILE) as kept:
        assert sum(name.endswith("_true") for name in kept.files) == 2  # val and test, not four runs of each
    assert predictions.faults(records, reader) == []
    better = [dataclasses.replace(records[0], metrics={**records[0].metrics, "test/accuracy": 0.97}), *records[1:]]
    assert predictions.faults(better, reader) == ["seed 0: test/accuracy is 0.97, but its predictions give 0.95"]


def test_two_runs_on_the_same_images() -> None:
    one, other = arrays(10, 0), arrays(16, 1)
    assert predictions.mcnemar(one, other) == pytest.approx(2 / 2**6)  # six images, all one way
    assert predictions.mcnemar(one, one) == 1.0
    assert list(predictions.always_wrong([one, other])) == list(range(10))


def test_a_tied_image_counts_as_the_share_that_its_metrics_gave_it() -> None:
    """What a run of neighbours leaves gives its accuracy again, though its classes are no more than one each."""
    exp = experiment(compose(["dataset=digits", "model=knn", "model.k=4"]))
    data = load(exp.dataset, exp.split)
    result = score_by_distance(exp, data)
    made = dataclasses.replace(make_records({"model": ["a"]}, lambda _: 0.5)[0], metrics=seal.measure(result, data))
    body = seal.predictions(result, data)
    with np.load(io.BytesIO(body)) as found:
        assert found["test_sharing"].max() > 1
        said = (found["test_class"] == found["test_true"]).mean()
    assert made.metrics["test/accuracy"] != pytest.approx(said)
    assert predictions.faults([made], lambda *_: base64.b64encode(body).decode()) == []


def test_of_very_many_runs_the_predictions_of_the_first_replicates_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole replicates, two at least; what is kept gives the same choice, the same bytes and the same words again."""
    records, texts = of_seeds(3)
    everything, nothing_said = predictions.limit(records, lambda r, _: texts.get(r.key))
    assert nothing_said == ""
    assert predictions.keep(records, everything) == predictions.keep(records, lambda r, _: texts.get(r.key))
    monkeypatch.setattr(predictions, "MOST", 1000)  # a run takes some 500
    some, said = predictions.limit(list(reversed(records)), lambda r, _: texts.get(r.key))
    assert said == "Predictions image by image: of 2 of 3 replicates."
    assert [r.seed for r in records if some(r, predictions.FILE) is not None] == [0, 1, 0, 1]
    assert some(records[-1], "another.json") == texts[records[-1].key]  # this reader knows no names
    body = predictions.keep(records, some)
    assert body is not None
    (tmp_path / predictions.FILE).write_bytes(body)
    again, words = predictions.limit(records, predictions.read_predictions(tmp_path, lambda *_: None))
    assert (predictions.keep(records, again), words) == (body, said)


def archive(header: str) -> bytes:
    """An .npz of one array with this header and nothing behind it."""
    text = header.encode().ljust(117) + b"\n"
    with zipfile.ZipFile(out := io.BytesIO(), "w") as made:
        made.writestr("val_true.npy", np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text)
    return out.getvalue()


def saved(save: Any, *args: Any, **arrays: Any) -> bytes:
    save(out := io.BytesIO(), *args, **arrays)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        saved(np.savez_compressed, val_true=np.zeros(3 << 20, np.uint8)),  # three kilobytes become three megabytes
        saved(np.save, np.arange(3)),  # a lone array is no archive at all
        archive("{'descr': '<f8', 'fortran_order': False, 'shape': (3, }"),
        archive("{'descr': '<f8', 'fortran_order': False, 'shape': ((((3,)"),
        archive("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
    ],
)
def test_an_archive_that_swells_or_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(npz, "UNPACKED", 2**21)
    path = tmp_path / predictions.FILE
    path.write_bytes(content)
    with pytest.raises(RequestError, match="not what 'bench table' wrote"):
        predictions.read_predictions(tmp_path, lambda *_: None)
    text = base64.b64encode(path.read_bytes()).decode()
    with pytest.raises(RequestError, match=r"not an \.npz of a run"):
        predictions.of(make_records({"model": ["a"]}, lambda _: 0.5)[0], lambda *_: text)


@pytest.mark.parametrize("index", [b'{"key": {"val_true": "gone"}}', b"[" * 9000, b"[3]", b'{"key": 3}', b"\xff"])
def test_an_index_of_other_arrays_is_named(tmp_path: Path, index: bytes) -> None:
    (tmp_path / predictions.FILE).write_bytes(saved(np.savez, index=np.frombuffer(index, np.uint8)))
    with pytest.raises(RequestError, match="not what 'bench table' wrote"):
        predictions.read_predictions(tmp_path, lambda *_: None)
