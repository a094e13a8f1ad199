"""A run's model in MLflow's own form (pyfunc), for `mlflow models serve`: preprocessing inside, names outside.

    curl -H 'Content-Type: application/json' http://127.0.0.1:5000/invocations \\
         -d '{"dataframe_split": {"columns": ["image"], "data": [["<an image file in base64>"]]}}'

answers with a row an image: `class`, `probability`, and the probability of each class under its name. What is logged is
the exported ONNX program, this package's code, and what that needs: neither torch nor the run's images.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import ColSpec, DataType, Schema
from PIL import Image

import bench
from bench.reopen import open_run
from bench.schema.errors import RequestError
from bench.serve.classifier import OfRun
from bench.serve.export import ALLOWED, check, export, silence_exporters
from bench.serve.exported import Exported
from bench.serve.pictures import BadImage
from bench.track.store import Store
from bench.trained import Trained

NAME = "model"
NEEDS = ("numpy", "pandas", "pillow", "onnxruntime", "fsspec", "rich", "pydantic", "filelock", "pyyaml", "mlflow")


class ImageModel(PythonModel):
    """Takes a column `image` of image files in base64."""

    def load_context(self, context: Any) -> None:
        """Called once, where the model is served."""
        self.model = Exported(Path(context.artifacts["exported"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row an image.

        Raises:
            ValueError: for a text that is no image file in base64; MLflow answers with it.
        """
        images = []
        for i, text in enumerate(model_input["image"]):
            try:
                images.append(self.model.decode_image(base64.b64decode(text, validate=True)))
            except (BadImage, ValueError) as error:
                raise ValueError(f"Row {i}: expected an image file in base64. It {error}") from None
        rows = self.model.probabilities(images)
        best = rows.argmax(1)
        said = pd.DataFrame(rows, columns=columns(self.model.classes))
        said.insert(0, "probability", rows.max(1))
        said.insert(0, "class", [self.model.classes[k] for k in best])
        return said


def columns(classes: tuple[str, ...]) -> list[str]:
    """A column for each class; one that is called as another column gets a sign behind it."""
    return [f"{name}_" if name in ("class", "probability") else name for name in classes]


def log_model(store: Store, run_id: str) -> str:
    """Log a finished run's model into the run and register it; returns its address (models:/NAME/VERSION).

    Raises:
        RequestError: for a model that cannot be exported, or whose exported form says something else.
    """
    trained = open_run(store, run_id, device="cpu")
    model = OfRun(trained.in_32_bits())
    with tempfile.TemporaryDirectory() as folder:
        path = export(model, "onnx", Path(folder))
        found = check(model, path)
        if found.difference > ALLOWED:
            raise RequestError(
                f"{trained.title}: its exported form differs by {found.difference:.2g}; it is not logged."
            )
        with silence_exporters(), warnings.catch_warnings(), track_here(store.uri), mlflow.start_run(run_id=run_id):
            warnings.simplefilter("ignore")
            info = mlflow.pyfunc.log_model(
                name=NAME,
                python_model=ImageModel(),
                artifacts={"exported": folder},
                signature=signature(trained.classes),
                input_example=example(trained),
                code_paths=[str(Path(bench.__file__).parent)],
                pip_requirements=[f"{name}=={version(name)}" for name in NEEDS],
                registered_model_name=registry_name(trained),
            )
    return f"models:/{registry_name(trained)}/{info.registered_model_version}"


def registered(store: Store, run_id: str) -> str:
    """The address of the newest model that was registered of a run; empty where none was."""
    found = mlflow.MlflowClient(store.uri).search_model_versions(f"run_id='{run_id}'")
    newest = max(found, key=lambda version: int(version.version), default=None)
    return f"models:/{newest.name}/{newest.version}" if newest is not None else ""


@contextmanager
def track_here(uri: str) -> Iterator[None]:
    """MLflow's fluent calls go to this store within; it says so in the environment, which is put back after.

    What stayed there would be taken for the user's own choice of a store by whatever runs later in this process.
    """
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def registry_name(trained: Trained) -> str:
    """The name in MLflow's registry: set and model."""
    return f"{trained.exp.dataset.source}-{getattr(trained.exp.model, 'name', trained.exp.model.family)}"


def signature(classes: tuple[str, ...]) -> ModelSignature:
    """What goes in and comes out."""
    double = [ColSpec(DataType.double, name) for name in ("probability", *columns(classes))]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]), outputs=Schema([ColSpec(DataType.string, "class"), *double])
    )


def example(trained: Trained) -> pd.DataFrame:
    """One val image as it would be posted."""
    image = np.asarray(trained.data.images[int(trained.data.val[0])])
    file = io.BytesIO()
    shown = image[0] if len(image) != 3 else np.ascontiguousarray(image.transpose(1, 2, 0))
    Image.fromarray(shown).save(file, "PNG")
    return pd.DataFrame({"image": [base64.b64encode(file.getvalue()).decode()]})
