"""What the search for near duplicates and for wrong labels finds of what was planted."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from bench.data import ImageData, load
from bench.data.label_errors import label_errors
from bench.data.leaks import splits
from bench.data.near import across_splits, membership, near_pairs
from bench.schema.dataset import Bundled, Split


def photographs(side: int) -> list[Image.Image]:
    """Pieces of scikit-learn's two photographs that do not overlap."""
    from sklearn.datasets import load_sample_images

    return [
        Image.fromarray(photo[y : y + 96, x : x + 96]).resize((side, side), Image.Resampling.BICUBIC)
        for photo in load_sample_images().images
        for y in range(0, photo.shape[0] - 96, 96)
        for x in range(0, photo.shape[1] - 96, 96)
    ]


def jpeg(image: Image.Image) -> Image.Image:
    image.save(raw := io.BytesIO(), "jpeg", quality=40)
    return Image.open(raw)


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC).resize(image.size)


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((2, 2, image.width - 2, image.height - 2)).resize(image.size, Image.Resampling.BICUBIC)


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def closer(image: Image.Image) -> Image.Image:
    edge = image.width // 10
    return image.crop((edge, edge, image.width - edge, image.height - edge)).resize(image.size)


def planted(pieces: list[Image.Image], change) -> ImageData:
    """The pieces in train, a changed copy of each in test."""
    pixels = [np.asarray(image).transpose(2, 0, 1) for image in (*pieces, *map(change, pieces))]
    n = len(pieces)
    return ImageData(
        np.stack(pixels), np.arange(2 * n) % 2, ("a", "b"), np.arange(n), np.array([], int), np.arange(n, 2 * n), ""
    )


@pytest.mark.parametrize(
    ("side", "change", "least"),
    [
        (96, jpeg, 0.9), (96, smaller, 0.95), (96, cropped, 0.95), (96, mirrored, 1.0),
        (32, jpeg, 0.75), (32, smaller, 0.95), (32, cropped, 0.95), (32, mirrored, 1.0),
    ],
)  # fmt: skip
def test_changed_copies_are_found(side: int, change, least: float) -> None:
    pieces = photographs(side)
    data = planted(pieces, change)
    found = near_pairs(data, membership(data), np.arange(2 * len(pieces)))
    right = {p.first for p in found if p.second - p.first == len(pieces)}
    assert len(right) >= least * len(pieces)
    assert len(found) - len(right) <= 0.05 * len(pieces)
    (told,) = across_splits(data)
    assert "split.group=" in told.remedy


def test_a_set_without_copies_has_none_and_findings_name_files(tmp_path) -> None:
    pieces = photographs(48)
    alone = planted(pieces[: len(pieces) // 2], lambda image: pieces[-1 - pieces.index(image)])
    assert list(across_splits(alone)) == []
    from bench.schema.dataset import Folder

    for i, image in enumerate(pieces):
        for split in ("train", "test") if i < 4 else ("train", "val", "test")[i % 3 : i % 3 + 1]:
            file = tmp_path / split / "ab"[i % 2] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            (image if split == "train" or i else mirrored(image)).save(file)
    data = load(Folder(source="folder", root=str(tmp_path)), Split())
    (exact,) = [f for f in splits(data) if f.name == "train_duplicates_in_test"]
    assert "test/a/2.png is train/a/2.png" in exact.reason
    (near,) = across_splits(data)
    assert "train/a/0.png" in near.reason
    assert "test/a/0.png" in near.reason


def test_wrong_labels_are_found() -> None:
    data = load(Bundled(source="mnist5k"), Split())
    some = np.random.RandomState(1).choice(5000, 1000, replace=False)
    wrong = some[:50]
    labels = data.labels.copy()
    labels[wrong] = (labels[wrong] + 3) % 10
    parts = {"train": some[:700], "val": some[700:850], "test": some[850:]}
    found = label_errors(dataclasses.replace(data, labels=labels, **parts))
    right = {i for i, _, _ in found} & set(wrong.tolist())
    assert len(right) >= 35
    assert sum(other == (labels[i] - 3) % 10 for i, other, _ in found if i in right) >= 0.7 * len(right)


def test_a_backbone_finds_what_no_hash_does() -> None:
    from bench.compose import compose
    from bench.protocol.similar import BACKBONE, similar_pairs
    from bench.schema.experiment import experiment

    pieces = photographs(96)[::6]
    data = planted(pieces, closer)
    where, everyone = membership(data), np.arange(2 * len(pieces))
    found = similar_pairs(experiment(compose(list(BACKBONE))), data, where, everyone)
    seen = {p.first for p in found if p.second - p.first == len(pieces)}
    assert len(seen) >= 0.5 * len(pieces)
    assert len(seen - {p.first for p in near_pairs(data, where, everyone)}) >= 0.25 * len(pieces)
    assert all(p.splits == ("train", "test") for p in found if p.first < len(pieces) <= p.second)
