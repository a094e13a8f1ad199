"""Export: a run as ONNX or torch.export, preprocessing inside, checked on val against the run itself."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.disk import disk_errors, write_atomically
from bench.schema.errors import RequestError
from bench.serve.classifier import OfRun
from bench.serve.exported import ABOUT, load_program
from bench.serve.modules import as_module

ALLOWED = 1e-4  # largest difference of a probability, in float32
MOST = 2000  # val images that are compared
AT_ONCE = 64
FILES = {"onnx": "model.onnx", "torch": "model.pt2"}
INPUT, OUTPUT = "images", "probabilities"


@dataclass(frozen=True)
class Check:
    """What the exported program says of val, against the run.

    Attributes:
        difference: the largest of a probability.
        accuracy: of the exported program; `original` of the run.
    """

    difference: float
    accuracy: float
    original: float
    images: int


def export(model: OfRun, form: str, folder: Path) -> Path:
    """Write a run's model, calibrated where `model` is, and say beside it what it takes; the file that was written.

    Args:
        form: onnx or torch.

    Raises:
        RequestError: for a model that cannot be exported, naming the layer; for a library that is missing.
    """
    trained = model.trained
    module = as_module(trained, model.temperature)
    example = torch.from_numpy(np.asarray(trained.data.images[trained.data.val[:2]]))
    if len(example) < 2:  # a batch of one would become a constant
        example = torch.cat([example, example])
    path = folder / FILES[form]
    try:
        with silence_exporters(), torch.no_grad(), disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (_onnx if form == "onnx" else _torch)(module, example, path)
    except (RequestError, ImportError):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # no half of a model
        raise
    except OSError as error:
        raise RequestError(f"{folder} cannot be written ({error.strerror or error}). Say another --out.") from None
    except Exception as error:
        where = culprit(module, error)
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise RequestError(
            f"{trained.title} cannot be exported as {form}: {where}{reason} Serve the run itself: bench serve "
            f"{trained.record.run_id[:12]}."
        ) from None
    about = {
        "title": trained.title,
        "run": trained.record.run_id,
        "classes": list(trained.classes),
        "shape": list(trained.shape),
        "fit": model.fit,
        "spans": trained.spans,
        "temperature": model.temperature,
        "input": f"{INPUT}: uint8 [batch, {', '.join(map(str, trained.shape))}], pixels 0..255",
        "output": f"{OUTPUT}: float32 [batch, {len(trained.classes)}]",
    }
    write_atomically(folder / ABOUT, json.dumps(about, indent=1))
    return path


def _onnx(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise RequestError("ONNX is written by onnxscript: pip install 'imagebench[deploy]'.") from None
    shapes = ({0: torch.export.Dim("batch")},)
    program: Any = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=[INPUT],
        output_names=[OUTPUT],
        verbose=False,
    )
    program.save(str(path))


def _torch(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)


def check(model: OfRun, path: Path) -> Check:
    """Compare an exported program with the run on val images."""
    data = model.trained.data
    rows = data.val[:MOST]
    images, labels = np.asarray(data.images[rows]), data.labels[rows]
    ours = model.probabilities([[image] for image in images])
    theirs = in_batches(load_program(path), images)
    return Check(
        float(np.abs(ours - theirs).max()),
        float((theirs.argmax(1) == labels).mean()),
        float((ours.argmax(1) == labels).mean()),
        len(rows),
    )


def in_batches(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Probabilities [N, K], batch by batch."""
    return np.concatenate([run(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)])


def culprit(module: nn.Module, error: BaseException) -> str:
    """`layer 'net.features.3' (Conv2d): ` where the error came out of a layer of the module, else an empty string."""
    names = {id(m): name for name, m in module.named_modules() if name}
    found = ""
    seen: BaseException | None = error
    while seen is not None:
        trace: TracebackType | None = seen.__traceback__
        while trace is not None:
            here = trace.tb_frame.f_locals.get("self")
            if id(here) in names:
                found = f"layer '{names[id(here)]}' ({type(here).__name__}): "
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__
    return found


@contextlib.contextmanager
def silence_exporters() -> Iterator[None]:
    """The exporters print and warn much that is of no use to who asked."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
