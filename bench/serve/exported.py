"""An exported model as a Classifier: its folder holds all it needs. ONNX runs without torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import RequestError
from bench.serve.pictures import pixels

ABOUT = "model.json"  # classes, shape of the images, where it came from, how it was checked
NAMES = ("model.onnx", "model.pt2")  # in this order, where only the folder is named


def is_exported(word: str) -> bool:
    """Whether a word names an exported model: its folder, or a file in one."""
    path = Path(word)
    return (path / ABOUT).is_file() or (path.suffix in (".onnx", ".pt2") and path.is_file())


class Exported:
    """A model that `bench export` wrote.

    Args:
        place: its folder, or one of the files in it, as for the int8 form.

    Raises:
        RequestError: when something of it is missing or damaged.
    """

    temperature = 1.0

    def __init__(self, place: Path) -> None:
        folder = place if place.is_dir() else place.parent
        file = next((folder / n for n in NAMES if (folder / n).is_file()), None) if place.is_dir() else place
        if file is None:
            raise RequestError(f"{folder} holds {ABOUT} but neither {' nor '.join(NAMES)}: export it again.")
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            self.shape: tuple[int, int, int] = tuple(about["shape"])
            self.names, self.fit, self.about = tuple(about["classes"]), str(about["fit"]), about
            older = {"int": about["range"], "float": about["range"]} if about.get("range") else {}
            self.spans = {kind: (float(low), float(high)) for kind, (low, high) in about.get("spans", older).items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{folder / ABOUT} is missing or damaged ({error}): export the model again.") from None
        self.file, self._run = file, load_program(file)

    @property
    def title(self) -> str:
        """Where it came from."""
        return f"{self.about['title']} as {self.file.name}"

    @property
    def classes(self) -> tuple[str, ...]:
        """As the run's set named them."""
        return self.names

    def decode_image(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """One image, as the run's set would have stored it."""
        return [pixels(raw, self.shape, self.fit, most_pixels, self.spans)]

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> NDArray[np.float64]:
        """[N, K], rows sum to one."""
        return self._run(np.stack([image for (image,) in images])).astype(np.float64)


def load_program(file: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """images uint8 [B, C, H, W] -> probabilities [B, K], by the program in a file."""
    if file.suffix == ".onnx":
        return onnx_session(file)
    import torch

    try:
        program = torch.export.load(file).module()
    except Exception as error:  # whatever the archive's reader meets
        raise RequestError(f"{file} cannot be loaded ({type(error).__name__}): export the model again.") from None

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            return program(torch.from_numpy(images)).numpy()

    return run


def onnx_session(file: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The same by onnxruntime on the CPU."""
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class of their own
        reason = str(error).splitlines()[0]
        raise RequestError(f"{file} cannot be loaded ({reason}): export the model again.") from None
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def onnxruntime() -> Any:
    """The library.

    Raises:
        RequestError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise RequestError("ONNX models are run by onnxruntime: pip install 'imagebench[deploy]'.") from None
    return sys.modules["onnxruntime"] if onnxruntime else None
