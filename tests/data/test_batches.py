"""Batches: every sample once on any number of devices, in an order that (seed, epoch) fix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data import ImageData, load, pixel_norm
from bench.data.batches import Batches, OffDeviceImages, place, share
from bench.data.cuts import bounds
from bench.schema.dataset import Folder, Split
from bench.schema.pixels import PixelNorm
from tests.data.conftest import class_folders


def numbered(count: int, size: int, world: int = 1, **settings: object) -> list[Batches]:
    images = torch.arange(count, dtype=torch.int32)[:, None, None, None]
    options = {"shuffle": True, "seed": 5, **settings}
    labels, indices = torch.arange(count), torch.arange(count)
    return [Batches(images, labels, indices, size, rank=r, world=world, **options) for r in range(world)]


@given(st.integers(1, 400), st.integers(1, 64), st.integers(1, 4), st.booleans())
def test_each_sample_once_on_any_number_of_devices(count: int, size: int, world: int, shuffle: bool) -> None:
    (one,) = numbered(count, size, shuffle=shuffle)
    many = numbered(count, size, world, shuffle=shuffle)
    whole = [labels for _, labels in one]
    assert sorted(torch.cat(whole).tolist()) == list(range(count))
    assert len(whole) == len(one)
    shares = [[labels for _, labels in batches] for batches in many]
    for step, expected in enumerate(whole):
        # The global batch is the same; each device has its positions of it.
        got = torch.empty_like(expected)
        for rank in range(world):
            got[share(len(expected), rank, world)] = shares[rank][step]
        assert torch.equal(got, expected)


@given(st.integers(1, 400), st.integers(2, 64))
def test_no_batch_is_too_small_to_train_on(count: int, size: int) -> None:
    sizes = np.diff(bounds(count, size, drop_last=False))
    assert sizes.sum() == count
    assert (sizes[:-1] == size).all()
    if count > size:
        assert sizes[-1] >= max(2, size / 8)
    assert sizes[-1] < size + max(2, size / 8)
    assert (np.diff(bounds(count, size, drop_last=True)) == size).all()


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    (batches,) = numbered(100, 16)
    first, second = ([x.tolist() for _, x in batches] for _ in range(2))
    assert first != second
    batches.set_epoch(0)
    assert [x.tolist() for _, x in batches] == first
    assert [x.tolist() for _, x in batches] == second
    (other,) = numbered(100, 16, seed=6)
    assert [x.tolist() for _, x in other] != first


def test_a_stream_gives_the_same_batches_as_the_map(tmp_path: Path) -> None:
    class_folders(tmp_path, each=20)
    made = [load(Folder(source="folder", root=str(tmp_path), storage=s), Split()) for s in ("map", "stream")]
    assert made[0].fingerprint == made[1].fingerprint
    cpu = torch.device("cpu")
    placed = [place(data, cpu) for data in made]
    assert isinstance(placed[1], OffDeviceImages)
    assert torch.equal(placed[0][torch.tensor([3, 1])], placed[1][torch.tensor([3, 1])])
    runs = [Batches(p, torch.from_numpy(d.labels), d.train, 8, True, 0) for p, d in zip(placed, made, strict=True)]
    for (a, x), (b, y) in zip(*runs, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)
    norms = [pixel_norm.statistics(d, d.train) for d in made]
    assert np.array_equal(norms[0], norms[1])


@pytest.mark.parametrize("name", ["none", "unit", "symmetric", "standardize"])
def test_pixel_norm(name: str, data) -> None:
    source: ImageData = data(shape=(3, 5, 7))
    source.images[source.test] = 255  # statistics may not see it
    out = pixel_norm.make(PixelNorm(name=name), source)(torch.from_numpy(source.images[source.train]))
    raw = torch.from_numpy(source.images[source.train].astype(np.float32))
    assert out.dtype == torch.float32
    if name == "standardize":
        expected = (raw - raw.mean((0, 2, 3), keepdim=True)) / raw.std((0, 2, 3), keepdim=True, correction=0)
    else:
        expected = {"none": raw, "unit": raw / 255, "symmetric": raw / 127.5 - 1}[name]
    assert torch.allclose(out, expected, atol=1e-5)


def test_a_constant_channel_is_centred(data) -> None:
    source: ImageData = data()
    source.images[:, 1] = 9
    out = pixel_norm.make(PixelNorm(), source)(torch.from_numpy(source.images))
    assert (out[:, 1] == 0).all()
    assert torch.isfinite(out).all()
