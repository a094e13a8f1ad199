"""The results that this repository shows; `tests/report/test_committed.py` rebuilds what is there."""

from __future__ import annotations

from tests.conftest import REPO

SWEEPS = {
    "activation", "architectures", "augmentation", "augmentation_care", "batchnorm", "challenges", "cnn_shape", "cut",
    "depth", "depth-confirm", "hardware", "knn", "knn_features", "ladder", "linear_limits", "loss", "norm_layer",
    "pixel_norm", "regularisation", "residual_family", "scarcity", "search", "seeds", "selection", "transfer",
    "translation", "width_depth_dnn",
}  # fmt: skip


def test_every_published_sweep_has_its_results() -> None:
    results = REPO / "results"
    assert {p.parent.name for p in results.glob("*/manifest.json")} == SWEEPS
    assert {p.parent.name for p in results.glob("*/index.html")} == SWEEPS
    assert (results / "index.html").is_file()
    index = (results / "README.md").read_text(encoding="utf-8")
    assert all(f"## {name}\n" in index.replace("\\_", "_") for name in SWEEPS)
