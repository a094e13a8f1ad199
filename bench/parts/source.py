"""The source of the own parts of a run, as a run keeps it: parts.json beside its other files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from bench.parts.load import SOURCES
from bench.schema.errors import RequestError
from bench.schema.offered import GROUPS
from bench.schema.own import SOURCE, Own

FOLDER = "parts"


def text(owns: Iterable[tuple[str, Own]]) -> str:
    """`[{"kind", "name", "code", "files": {file: text}}]` of (group, part) pairs; "" where there are none.

    What stands there is what was run, whatever the files hold by now; an installed package's part has no files.
    """
    kept = []
    for group, own in owns:
        kind = GROUPS[group].name
        kept.append({"kind": kind, "name": own.name, "code": own.code, "files": SOURCES.get(own.code, {})})
    return json.dumps(kept, indent=1, sort_keys=True) if kept else ""


def files(kept: Iterable[str], where: str) -> dict[str, str]:
    """All files of several runs' parts.json: path -> text, those of the part's folder below `parts/`.

    Raises:
        RequestError: for what is no such file, a path that leads elsewhere, or two versions of one file.
    """
    found: dict[str, str] = {}
    codes: set[tuple[str, str | None]] = set()  # one part's file may have had two names
    for one in dict.fromkeys(kept):
        try:
            parts = [(part["name"], part.get("code"), dict(part["files"])) for part in json.loads(one)]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RequestError(f"{where}: not the source of own parts as a run keeps it ({SOURCE}).") from None
        for name, code, texts in parts:
            if code and (name, code) in codes:
                continue
            codes.add((name, code))
            for file, content in texts.items():
                path = Path(file[3:]) if file.startswith("../") else Path(FOLDER, file)
                if path.is_absolute() or ".." in path.parts or not isinstance(content, str):
                    raise RequestError(f"{where}: {file!r} is no place for a file of '{name}'.")
                if found.setdefault(path.as_posix(), content) != content:
                    raise RequestError(
                        f"{where}: the chosen cells were run with two versions of {file}, which cannot lie in one "
                        "place. Name cells of one version: --cell AXIS=VALUE."
                    )
    return found


def lay_out(texts: dict[str, str], root: Path) -> Path:
    """Write the files below `root`; gives the folder of the parts."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8"))
    return root / FOLDER
