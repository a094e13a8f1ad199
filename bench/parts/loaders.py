"""Files that libraries open in C, of which Python's audit events say nothing: heard where the library is asked.

`bench.parts.reads` listens. A function of a library is wrapped while somebody listens, and as it was after that.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Module -> functions whose first argument names a file. Each is looked up in the module when it is called.
LOADERS = {
    "torch.jit": ("load",),
    "safetensors": ("safe_open",),
    "safetensors.torch": ("safe_open",),
    "safetensors.numpy": ("safe_open",),
    "torchvision.io": ("read_file", "read_image", "read_video"),
    "torchvision.io.image": ("read_file",),
    "cv2": ("imread", "imreadmulti", "VideoCapture", "FileStorage"),
    "h5py.h5f": ("open",),
    "lmdb": ("open", "Environment"),
    "faiss": ("read_index",),
    "pyarrow": ("memory_map", "OSFile"),
    "pyarrow.parquet": ("read_table", "read_pandas", "ParquetFile"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.feather": ("read_table", "read_feather"),
    "polars": ("read_csv", "read_parquet", "read_ipc", "scan_csv", "scan_parquet", "scan_ipc"),
    "onnxruntime": ("InferenceSession",),
}


def import_loaders(texts: Iterable[str]) -> None:
    """Import those that users' files name, before the files do: one imported while somebody listens is not heard."""
    texts = list(texts)
    for name in LOADERS:
        if any(name.partition(".")[0] in text for text in texts) and name not in sys.modules:
            with suppress(Exception):  # their own file says that it is missing, or broken
                importlib.import_module(name)


@contextmanager
def listen(hear: Callable[[str], None]) -> Iterator[None]:
    """Inside, `hear` gets the name of each file that is asked for."""
    before: list[tuple[Any, str, Any]] = []
    for module_name, names in LOADERS.items():
        module = sys.modules.get(module_name)
        for name in names if module is not None else ():
            function = getattr(module, name, None)
            if function is not None:
                before.append((module, name, function))
                setattr(module, name, _wrap(function, hear))
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def _wrap(function: Any, hear: Callable[[str], None]) -> Any:
    @functools.wraps(function, updated=())
    def wrapped(*given: Any, **by_name: Any) -> Any:
        for value in (*given[:1], *by_name.values()):
            if isinstance(value, str | bytes | os.PathLike):
                path = os.fsdecode(value).removeprefix("file://")
                if os.path.isfile(path):
                    hear(path)
        return function(*given, **by_name)

    return wrapped
