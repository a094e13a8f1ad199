"""The environment, which notices who reads a variable of it."""

from __future__ import annotations

import dis
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from bench.parts.watches import WATCHES, note
from bench.parts.whose import whose, whose_line

# Variables that say where things lie and how the machine works; which files are read by them is heard.
OF_THE_MACHINE = re.compile(
    "HOME|USER|LOGNAME|PATH|PWD|SHELL|TERM|LANG|TZ|TMPDIR|TEMP|TMP|DISPLAY|COLUMNS|LINES|CI|EDITOR|HOSTNAME|RANK|"
    "WORLD_SIZE|(LOCAL|NODE|GROUP)_RANK|LOCAL_WORLD_SIZE|VIRTUAL_ENV|(LC_|XDG_|CUDA|NVIDIA_|NCCL_|GLOO_|OMP_|MKL_|"
    "OPENBLAS_|KMP_|NUMEXPR_|TORCH(_|INDUCTOR_|DYNAMO_|ELASTIC_|VISION_)|PYTORCH_|TRITON_|HF_|SLURM_(?!ARRAY)|MASTER_|"
    "PYTHON|CONDA_|IMAGEBENCH_|MLFLOW_(TRACKING|S3|ARTIFACT|HTTP|EXPERIMENT|RUN)_|RAY_|JOBLIB_).*"
)
_copying: tuple[Any, int] | None = None  # code and place in it of the last that asked the environment for its keys
SET_BY_CODE: set[str] = set()  # variables to which users' code has given a value


class Environment(type(os.environ)):  # type: ignore[misc]
    """`os.environ`, which notices who reads a variable; not who passes all on, to programs that are started most often.

    A variable that is set or taken out is read where the value that this gives back is used.
    """

    def __getitem__(self, key: Any) -> Any:
        """Its value."""
        frame = sys._getframe(1)
        if _copying != (frame.f_code, frame.f_lasti):  # `{**os.environ}`, `dict(os.environ)`: keys and values in one
            self._read(key, frame)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Give it a value."""
        if WATCHES and whose(sys._getframe(1)):
            SET_BY_CODE.add(os.fsdecode(key) if isinstance(key, str | bytes) else "")
        super().__setitem__(key, value)

    @staticmethod
    def _read(key: Any, frame: Any) -> None:
        name = os.fsdecode(key) if isinstance(key, str | bytes) else ""
        if WATCHES and name and not OF_THE_MACHINE.fullmatch(name):
            note("variables", name, whose_line(frame))

    def keys(self) -> Any:
        """As of a dict."""
        global _copying
        frame = sys._getframe(1)
        _copying = frame.f_code, frame.f_lasti
        self._copied(frame)
        return super().keys()

    @staticmethod
    def _copied(frame: Any) -> None:
        if WATCHES and (where := whose_line(frame)):
            note("copies", where, where)

    def copy(self) -> dict[Any, Any]:
        """As of a dict."""
        self._copied(sys._getframe(1))
        return {key: super(Environment, self).__getitem__(key) for key in self}

    def items(self) -> Any:
        """As of a dict."""
        self._copied(sys._getframe(1))
        return self.copy().items()

    def values(self) -> Any:
        """As of a dict."""
        self._copied(sys._getframe(1))
        return self.copy().values()

    def __or__(self, other: Any) -> Any:
        self._copied(sys._getframe(1))
        return self.copy() | dict(other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        self._copied(sys._getframe(1))
        return dict(other) | self.copy() if isinstance(other, Mapping) else NotImplemented

    def setdefault(self, key: Any, value: Any) -> Any:
        """As of a dict."""
        if key not in [*self]:
            self[key] = value
        elif not _is_left(frame := sys._getframe(1)):
            self._read(key, frame)
        return super().__getitem__(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """As of a dict."""
        if not _is_left(frame := sys._getframe(1)):
            self._read(key, frame)
        value = self.copy().pop(key, *default)
        if key in [*self]:
            del self[key]
        return value

    def clear(self) -> None:
        """As of a dict."""
        for key in [*self]:
            del self[key]


def _is_left(frame: Any) -> bool:
    """Whether the code that calls drops what it is given back: a statement that is a call and nothing more."""
    after = (one for one in dis.get_instructions(frame.f_code) if one.offset > frame.f_lasti)
    return next((one.opname for one in after), "") == "POP_TOP"
