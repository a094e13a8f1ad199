"""An image of more than 8 bits is asked about as the set's own images were stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import load
from bench.schema.dataset import Folder, Split
from bench.serve.pictures import pixels

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
    found = np.stack([pixels(file.read_bytes(), data.shape, span=span) for file in files])
    assert np.array_equal(found, data.images)
    assert found.max() > 200
