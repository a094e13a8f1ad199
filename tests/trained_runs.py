"""Runs of every kind of model, made once a session: their store is copied for each test that asks for it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RUNS = {
    "cnn": ("dataset=digits", "model=cnn", "model.filters=[8]", "model.kernels=[3]", "norm_layer=batch",
            "optim.lr=0.01"),
    "views": ("dataset=digits", "model=linear", "optim.lr=0.1", "augment=shift", "augment.shift=1",
              "augment.test_time=2", "trainer.precision=bf16-mixed"),
    "knn": ("dataset=digits", "model=knn", "model.k=3"),
    "ncm": ("dataset=digits", "model=ncm", "pixel_norm=unit"),
    # Weights of an earlier run under neighbours: features of 64 x 64 images.
    "frozen": ("dataset=shapes", "dataset.count=200", "model=resnet20", "model.depth=8", "model.width=4",
               "transfer=frozen", "transfer.head=knn"),
    # A head that was trained in 16 bits on features of 32.
    "head16": ("dataset=shapes", "dataset.count=200", "model=resnet20", "model.depth=8", "model.width=4",
               "transfer=frozen", "optim.lr=0.01", "trainer.precision=bf16-mixed"),
    "colour": ("dataset=shapes", "dataset.count=200", "dataset.side=64", "model=resnet20", "model.depth=8",
               "model.width=4"),
}  # fmt: skip


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Path, dict[str, str]]:
    """A folder with a store, and the ids of the runs in it by the names above."""
    from contextlib import redirect_stdout
    from io import StringIO

    from bench.cli import main

    folder, before = tmp_path_factory.mktemp("runs"), Path.cwd()
    shutil.copy(empty_store, folder / "mlflow.db")
    ids: dict[str, str] = {}
    os.chdir(folder)
    try:
        for name in ("cnn", "views", "knn", "ncm", "colour", "frozen", "head16"):
            words = [*RUNS[name], "trainer.epochs=2", "trainer.threads=1"]
            if name in ("frozen", "head16"):
                words.append(f"transfer.weights=run:{ids['colour']}")
            said = StringIO()
            with redirect_stdout(said):
                assert main(["run", *words, "--json"]) == 0
            ids[name] = json.loads(said.getvalue())["run_id"]
    finally:
        os.chdir(before)
    return folder, ids


@pytest.fixture
def ids(runs: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The runs, with their store as the working directory."""
    monkeypatch.chdir(runs[0])
    return runs[1]


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    """An image of the test split of digits as a file: a PNG of the set's own size, and its folder."""
    from bench import data
    from bench.compose import compose
    from bench.schema.experiment import experiment

    exp = experiment(compose(["dataset=digits"]))
    found = data.load(exp.dataset, exp.split)
    for place in range(3):
        i = int(found.test[place])
        name = f"{place}-{found.classes[found.labels[i]]}.png"
        Image.fromarray(np.asarray(found.images[i][0])).save(tmp_path / name)
    return sorted(tmp_path.glob("0-*.png"))[0]
