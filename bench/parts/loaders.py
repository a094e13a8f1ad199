"""Files that libraries open in C, of which Python's audit events say nothing: heard where the library is asked.

`bench.parts.reads` listens. A function of a library is wrapped while somebody listens, and as it was after that; one
that `from ... import` has kept only calls the function when nobody listens. A class stays the class that it is, as
users inherit from it and ask for it: its `__init__` is wrapped. Where a class does not let that be set (OSFile,
VideoCapture and others that are written in C), what it opens is not heard.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Module -> functions and classes whose first argument names a file. Each is looked up in the module when it is called.
LOADERS = {
    "torch": ("from_file",),
    "torch.export": ("load",),
    "torch.package": ("PackageImporter",),
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
    "xgboost": ("Booster",),
    "lightgbm": ("Booster",),
    "netCDF4": ("Dataset",),
    "tables": ("open_file",),
    "rasterio": ("open",),
    "SimpleITK": ("ReadImage",),
    "openslide": ("OpenSlide", "open_slide"),
    "soundfile": ("read", "SoundFile"),
}
_hearers: list[Callable[[str], None]] = []


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
    classes: dict[type, tuple[Any, Any]] = {}  # one class may stand in several modules
    for module_name, names in LOADERS.items():
        module = sys.modules.get(module_name)
        for name in names if module is not None else ():
            found = getattr(module, name, None)
            if isinstance(found, type):
                if found not in classes:
                    wrapped = _wrap_init(found)
                    with suppress(TypeError):  # one written in C
                        classes[found] = vars(found).get("__init__"), wrapped
                        found.__init__ = wrapped  # type: ignore[misc]
            elif found is not None:
                before.append((module, name, found))
                setattr(module, name, _wrap(found))
    _hearers.append(hear)
    try:
        yield
    finally:
        _hearers.remove(hear)
        for module, name, function in before:
            setattr(module, name, function)
        for kind, (init, wrapped) in classes.items():
            if vars(kind).get("__init__") is not wrapped:
                continue
            if init is None:
                del kind.__init__  # type: ignore[misc]
            else:
                kind.__init__ = init  # type: ignore[misc]


def _wrap(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(*given: Any, **by_name: Any) -> Any:
        _hear(given, by_name)
        return function(*given, **by_name)

    return wrapped


def _wrap_init(kind: Any) -> Any:
    """For a class: what its `__init__` does, heard before it."""
    init = kind.__init__

    @functools.wraps(init)
    def wrapped(self: Any, *given: Any, **by_name: Any) -> None:
        _hear(given, by_name)
        if init is not object.__init__:  # that takes no arguments; `__new__` had them
            init(self, *given, **by_name)

    return wrapped


def _hear(given: tuple[Any, ...], by_name: dict[str, Any]) -> None:
    for value in (*given[:1], *by_name.values()) if _hearers else ():
        if isinstance(value, str | bytes | os.PathLike):
            path = os.fsdecode(value).removeprefix("file://")
            if os.path.isfile(path):
                for hear in _hearers:
                    hear(path)
