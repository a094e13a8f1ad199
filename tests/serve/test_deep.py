"""An image of more than 8 bits is asked about as the set's own images were stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data import load
from bench.reopen import open_run
from bench.schema.dataset import Folder, Split
from bench.serve.pictures import pixels
from bench.track.store import Store
from bench.train.metrics import metrics

DEEP = {
    "twelve": (np.uint16, 4095, (0.0, 4095.0)),  # 12 bits in a 16-bit file: the user says so
    "sixteen": (np.uint16, 65535, None),
    "float": (np.float32, 1, None),
}


@pytest.mark.parametrize("kind", DEEP)
def test_a_deep_image_is_read_as_its_set_was(kind: str, tmp_path: Path) -> None:
    dtype, white, span = DEEP[kind]
    rng = np.random.default_rng(0)
    for i in range(12):
        place = tmp_path / "ab"[i % 2] / f"{i:02}.tiff"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray((rng.random((8, 8)) * white).astype(dtype)).save(place)
    data = load(Folder(source="folder", root=str(tmp_path), range=span), Split(val=0.25))
    files = sorted(tmp_path.glob("a/*.tiff")) + sorted(tmp_path.glob("b/*.tiff"))
    assert data.entry is not None
    found = np.stack([pixels(file.read_bytes(), data.shape, spans=data.entry.spans) for file in files])
    assert np.array_equal(found, data.images)
    assert found.max() > 200


def test_a_dark_image_alone_gets_the_scores_of_the_test_split(folder: Path, bench_json: Any) -> None:
    """Floats up to 255 among which some lie in 0..1, and 16 bits of which some state the range: alone the
    dark ones would be read by a span of their own. By the run, and by what is exported of it."""
    draws = np.random.default_rng(0)
    for i in range(60):
        place = folder / "set" / "ab"[i % 2] / f"{i:02}.tiff"
        place.parent.mkdir(parents=True, exist_ok=True)
        grey = draws.random((8, 8)) * (0.2 + 0.8 * (i % 2))
        if i % 3 == 0:
            Image.fromarray((grey * (1 if i % 4 else 255)).astype(np.float32)).save(place)
        elif i % 3 == 1:
            Image.fromarray((grey * 65535).astype(np.uint16)).save(place, tiffinfo={340: 0, 341: 65535})
        else:
            Image.fromarray((grey * 65535).astype(np.uint16)).save(place)
    words = ("dataset=folder", f"dataset.root={folder / 'set'}", "model=linear", "trainer.epochs=3", "optim.lr=0.1")
    made = bench_json("run", *words)
    trained = open_run(Store(), made["run_id"], device="cpu")
    assert set(trained.spans) == {"int", "float"}
    assert metrics(trained.scores("test"), trained.data.labels[trained.data.test]) == pytest.approx(
        {name: made["metrics"][f"test/{name}"] for name in ("accuracy", "top5", "macro_f1", "nll", "ece")}, abs=1e-6
    )
    assert trained.data.paths is not None
    files = [str(folder / "set" / trained.data.paths[i]) for i in trained.data.test]
    assert bench_json("export", made["run_id"], "--no-timing", "--out", str(folder / "out"))
    for model in (made["run_id"], str(folder / "out")):
        for file, wanted in zip(files, np.exp(trained.scores("test")), strict=True):
            (said,) = bench_json("predict", model, file)["predictions"]
            np.testing.assert_allclose(list(said["probabilities"].values()), wanted, atol=1e-5)
