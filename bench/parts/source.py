"""The source of the own parts of a run, as a run keeps it: parts.json beside its other files."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bench.parts.declare import GROUPS
from bench.parts.load import SOURCES
from bench.schema.own import Own

FILE = "parts.json"


def text(owns: Iterable[tuple[str, Own]]) -> str:
    """`[{"kind", "name", "code", "files": {file: text}}]` of (group, part) pairs; "" where there are none.

    What stands there is what was run, whatever the files hold by now; an installed package's part has no files.
    """
    kept = []
    for group, own in owns:
        kind = GROUPS[group].name
        kept.append({"kind": kind, "name": own.name, "code": own.code, "files": SOURCES.get((kind, own.code), {})})
    return json.dumps(kept, indent=1, sort_keys=True) if kept else ""
