"""Values longer than MLflow takes: written in pieces, read as one.

MLflow cuts a parameter or a tag that is too long, and says so in a log only. What was cut is another setting, or a
point that nobody finds again. So the rest of a long value goes into further ones, `NAME:2`, `NAME:3`, ..., and a tag
of the run says that there are such.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

PARAMETER, TAG = 6000, 8000  # characters that MLflow takes
CUT = "imagebench.cut"  # tag of a run with values in pieces


def cut(values: Mapping[str, str], room: int) -> dict[str, str]:
    """The same values, those of more than `room` characters in pieces."""
    out = {}
    for name, value in values.items():
        out[name] = value[:room]
        for number, start in enumerate(range(room, len(value), room), 2):
            out[f"{name}:{number}"] = value[start : start + room]
    return out


def join(values: dict[str, str]) -> None:
    """Put pieces together again, in place."""
    for name in [name[:-2] for name in values if name.endswith(":2")]:
        whole = [values[name]] if name in values else []
        for number in count(2):
            if (piece := values.pop(f"{name}:{number}", None)) is None:
                break
            whole.append(piece)
        values[name] = "".join(map(str, whole))
