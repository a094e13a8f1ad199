"""Weights of an earlier run meet the pixels that they were trained on, on real images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import data as images
from bench import models
from bench.compose import compose
from bench.data import pixel_norm
from bench.models.heads import Backbone
from bench.models.preprocess import resize_crop
from bench.schema.experiment import experiment
from bench.track.store import Store
from bench.train import heads

SOURCE = ("model=cnn", "model.filters=[8,8]", "trainer.threads=1", "trainer.epochs=1")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
LITTLE = ("split.train_per_class=20", "transfer=frozen", "transfer.head=ncm")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The features that heads were given, by split."""
    seen: dict[str, Any] = {}
    features = heads.features

    def watched(data: Any, split: str, *args: Any, **options: Any) -> Any:
        seen[split] = features(data, split, *args, **options)
        return seen[split]

    monkeypatch.setattr(heads, "features", watched)
    return seen


def of_the_source(run_id: str, target: str, folder: Path) -> np.ndarray:
    """The target's train images through the source's network as the source's own code scales pixels, [200, D]."""
    exp = experiment(compose(["dataset=mnist5k", *SOURCE]))
    data = images.load(exp.dataset, exp.split)
    net = models.build(exp, data.shape, 10)
    net.load_state_dict(torch.load(Store(None).artifact(run_id, "weights.pt", folder), weights_only=True))
    scale, backbone = pixel_norm.make(exp.pixel_norm, data), Backbone(net.eval())
    asked = experiment(compose([f"dataset={target}", "model=cnn", LITTLE[0]]))
    other = images.load(asked.dataset, asked.split)
    x = torch.from_numpy(other.images[other.train]).float()
    if x.shape[-2:] != (28, 28):
        x = resize_crop(x, (28, 28), "bicubic")
    with torch.inference_mode():
        return backbone(scale(x)).numpy()


@pytest.mark.parametrize("target", ["fashion_mnist", "digits"])
def test_features_on_a_target_task_are_the_source_networks(
    folder: Path, bench: Any, bench_json: Any, kept: dict[str, Any], target: str
) -> None:
    """Also where the run is older than preprocessing.json, as long as its settings and images are still known."""
    if target == "fashion_mnist" and not DEBIAN.is_dir():
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    source = bench_json("run", "dataset=mnist5k", *SOURCE)["run_id"]
    words = ("run", f"dataset={target}", *SOURCE, *LITTLE, f"transfer.weights=run:{source}")
    assert bench_json(*words)["status"] == "finished"
    expected = of_the_source(source, target, folder)
    assert expected.shape[0] == 200
    np.testing.assert_allclose(kept["train"], expected, atol=1e-5, rtol=1e-5)

    (left,) = (folder / "mlartifacts").rglob(f"{source}/artifacts/preprocessing.json")
    said = json.loads(left.read_text())
    assert said["size"] == [28, 28]
    left.unlink()
    bench_json(*words, "--fresh")
    np.testing.assert_allclose(kept["train"], expected, atol=1e-5, rtol=1e-5)
    Store(None).client.set_tag(source, "data_fingerprint", "another")
    status, _, error = bench(*words, "--fresh")
    assert status == 2
    assert "older than preprocessing.json" in error
    assert "transfer.preprocess=own" in error
    if target == "fashion_mnist":
        own = bench_json(*words, "transfer.preprocess=own")
        assert own["status"] == "finished"
        assert np.abs(kept["train"] - expected).max() > 0.1


def test_a_run_from_an_earlier_run_hands_its_preprocessing_on(folder: Path, bench_json: Any) -> None:
    """Three tasks in a row; every way to train leaves the file: whole network or features."""
    first = bench_json("run", "dataset=mnist5k", *SOURCE, "pixel_norm=unit")["run_id"]
    for mode in ("transfer=frozen", "transfer=finetune"):
        second = bench_json("run", "dataset=digits", *SOURCE, mode, f"transfer.weights=run:{first}")["run_id"]
        texts = [
            json.loads(Store(None).artifact(run, "preprocessing.json", folder).read_text()) for run in (first, second)
        ]
        assert texts[0].pop("weights_sha256") != texts[1].pop("weights_sha256")
        assert texts[0] == texts[1]
        assert texts[0]["std"] == [255.0]
