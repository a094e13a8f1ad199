"""bench export: the same numbers out of another file, and what happens where that cannot be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import load as load_onnx
from onnx.numpy_helper import to_array
from packaging.requirements import Requirement
from torch import nn

from bench.reopen import open_run
from bench.schema.errors import RequestError
from bench.serve import export as exporting
from bench.serve.classifier import OfRun
from bench.serve.docker import PACKAGES
from bench.serve.export import check, culprit, export
from bench.serve.exported import Exported
from bench.serve.measure import measure_model
from bench.track.store import Store


@pytest.mark.parametrize(("name", "form"), [("cnn", "onnx"), ("cnn", "torch"), ("knn", "onnx"), ("ncm", "onnx"),
                                            ("frozen", "onnx"), ("colour", "torch")])  # fmt: skip
def test_an_exported_model_says_the_same(ids: dict[str, str], name: str, form: str, tmp_path: Path) -> None:
    model = OfRun(open_run(Store(), ids[name], device="cpu"), calibrated=name == "cnn")
    path = export(model, form, tmp_path)
    found = check(model, path)
    assert found.difference < 1e-5
    assert found.accuracy == found.original
    data = model.trained.data
    images = [[np.asarray(data.images[int(i)])] for i in data.test[:5]]
    again = Exported(tmp_path)
    assert again.classes == model.classes
    np.testing.assert_allclose(again.probabilities(images), model.probabilities(images), atol=1e-5)
    np.testing.assert_allclose(again.probabilities(images[:1]), model.probabilities(images[:1]), atol=1e-5)


def absent() -> set[str]:
    """Modules of packages that are installed here, and are not where only the Dockerfile's requirements are."""
    there, new = set[str](), {name.lower() for name in PACKAGES}
    while new:
        there |= new
        needs = [Requirement(text) for name in new for text in requires(name) or ()]
        asked = {need.name.lower() for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})}
        new = {name for name in asked if name not in there}
    ours = {"bench", "tests", "_pytest", "pytest", "py", "pkg_resources", "setuptools", "pip"}
    plain = {name.replace("_", "-") for name in there}
    return {
        module
        for module, owners in packages_distributions().items()
        if module not in ours and not {owner.lower().replace("_", "-") for owner in owners} & plain
    }


def test_the_verb_its_table_and_predicting_without_torch(
    ids: dict[str, str], digit: Path, tmp_path: Path, bench: Any, bench_json: Any
) -> None:
    out = tmp_path / "out"
    found = bench_json("export", ids["cnn"], "--int8", "--dockerfile", "--no-timing", "--out", str(out))
    run, onnx, int8 = found["forms"]
    assert onnx["difference"] < 1e-4
    assert 1e-4 < int8["difference"] < 0.5
    assert abs(int8["accuracy"] - run["accuracy"]) < 0.1
    graph = load_onnx(int8["file"]).graph
    assert "Relu" not in {node.op_type for node in graph.node}  # in the scale of the layer before it
    weights = [w for w in map(to_array, graph.initializer) if w.dtype == np.int8 and w.ndim > 1]
    assert len(weights) > 1
    assert max(int(np.abs(w.astype(int)).max()) for w in weights) <= 64  # 7 bits: no processor cuts their sums off
    costs = measure_model({"file": onnx["file"], "shape": [1, 8, 8]})
    assert costs["latency_ms"] > 0
    assert 10 < costs["peak_memory_mb"] < 300  # no torch in it
    wanted = bench_json("predict", ids["cnn"], str(digit))["predictions"]
    # As the Dockerfile starts it: this package's code from the folder, and no package but what it installs.
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({sorted(absent())!r}))\n"
        f"from bench.cli import main\nmain(['predict', {str(out)!r}, {str(digit)!r}, '--json'])"
    )
    env = {**os.environ, "PYTHONPATH": str(out / "imagebench")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)["predictions"]
    assert said[0]["class"] == wanted[0]["class"]
    np.testing.assert_allclose(
        list(said[0]["probabilities"].values()), list(wanted[0]["probabilities"].values()), atol=1e-5
    )
    assert "onnxruntime==" in (out / "requirements.txt").read_text()
    assert "takes no views" in bench("predict", str(out), str(digit), "--views", "2")[2]
    other = shutil.copytree(out, tmp_path / "other")  # as a second export of the run, calibrated or not
    assert "mean of 2" in bench_json("predict", f"{out},{other}", str(digit))["model"]
    assert "the same model" in bench("predict", f"{out},{out / 'model.onnx'}", str(digit))[2]
    (out / "model.onnx").write_bytes(b"nothing")
    assert "cannot be loaded" in bench("predict", str(out), str(digit))[2]
    (out / "model.json").write_text("{}")
    assert "damaged" in bench("predict", str(out), str(digit))[2]


@pytest.mark.parametrize("allowed", [-1.0, float("nan")])
def test_what_differs_is_not_left_behind(
    ids: dict[str, str], tmp_path: Path, bench: Any, monkeypatch: Any, allowed: float
) -> None:
    """A tolerance that nothing can meet stands in for a kernel that rounds otherwise, or gives what is no number."""
    monkeypatch.setattr(exporting, "ALLOWED", allowed)
    status, _, err = bench("export", ids["ncm"], "--no-timing", "--out", str(tmp_path))
    assert status == 1
    assert "differs by" in err
    assert not (tmp_path / "model.onnx").exists()


def test_what_cannot_be_exported_names_the_layer(ids: dict[str, str], tmp_path: Path, bench: Any) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * float(x.sum())  # a number of the data's: no program of fixed operators

    trained = open_run(Store(), ids["cnn"], device="cpu")
    assert trained.net is not None
    first = next(name for name, _ in trained.net.named_children())
    trained.net.set_submodule(first, Odd())
    with pytest.raises(RequestError, match=rf"cannot be exported as torch: layer 'net.{first}' \(Odd\)"):
        export(OfRun(trained), "torch", tmp_path)
    assert culprit(nn.Linear(1, 1), ValueError("elsewhere")) == ""
    status, out, err = bench("export", ids["knn"], "--int8", "--no-timing", "--out", str(tmp_path))
    assert (status, "no layers to quantize" in err, str(tmp_path / "model.onnx") in out) == (1, True, True)
    assert "--format onnx" in bench("export", ids["knn"], "--int8", "--format", "torch")[2]
    assert "no override" in bench("export", ids["knn"], "photo.jpg")[2]
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file"), "/proc/no/such"):
        status, _, err = bench("export", ids["knn"], "--no-timing", "--out", place)
        assert (status, place in err, "Serve the run" in err, "Errno" in err) == (2, True, False, False)
