"""One digest over everything in a results folder: whatever is edited afterwards is seen by every command that reads it.

`digest.json` holds the SHA-256 of each file and one digest over that list. 'bench table' and 'bench report' write it
with their files. It finds accidents and edits, not a forger who runs the tool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.disk import write_atomically
from bench.track.record import parse_json

FILE = "digest.json"
NEEDED = ("records.csv", "manifest.json")  # of a sweep's folder
SOURCES = (*NEEDED, FILE, "artifacts.json", "predictions.npz")  # what the other files are made from
LOG = "protocol.jsonl"  # whose last lines may be new
TEXTS = (".md", ".csv", ".tex", ".html", ".json", ".jsonl", ".svg", ".js", ".css")
ABOUT = (
    "One digest over every file here, written with them; it finds accidents and edits, not a forger who runs the tool."
)


def seal(folder: Path, written: Iterable[str]) -> None:
    """Write the digest after `written` files were written; the others keep the checksums that they had.

    So nothing that was edited becomes right because something else was written beside it.
    """
    before = _read(folder)
    files = {name: digest for name, digest in before.get("files", {}).items() if (folder / name).is_file()}
    files |= {name: checksum(folder / name) for name in written}
    content: dict[str, Any] = {"about": ABOUT, "digest": "", "files": dict(sorted(files.items()))}
    lost = [fault for fault in faults(folder, ()) if fault.startswith(FILE)] if before else []
    if not set(NEEDED) <= set(written) and (broken := [*before.get("broken", []), *lost]):
        content["broken"] = list(dict.fromkeys(broken))
    content["digest"] = _digest(content)
    write_atomically(folder / FILE, json.dumps(content, indent=1) + "\n")


def faults(folder: Path, needed: Iterable[str] = NEEDED) -> list[str]:
    """What is no longer as it was written, one line each; a folder without a digest is one.

    Args:
        needed: files that the digest has to cover.
    """
    if not (folder / FILE).is_file():
        lost = f"{FILE}: missing, so that nobody can say whether the files here are as they were written"
        return [lost, *_by_manifest(folder)]
    content = _read(folder)
    out = [f"{FILE}: not as it was written"] if content.get("digest") != _digest(content) else []
    out += content.get("broken", [])
    put = [name for name in SOURCES if name != FILE and (folder / name).is_file()]  # beside what was written
    covered = content.get("files", {})
    out += [f"{name}: not covered by {FILE}" for name in dict.fromkeys([*needed, *put]) if name not in covered]
    for name, digest in covered.items():
        path = folder / name
        if not path.is_file():
            out.append(f"{name}: written, but not in the folder any more")
        elif checksum(path) != digest and not (path.suffix == ".jsonl" and _grown(path, digest)):
            out.append(f"{name}: not the file that was written")
    return list(dict.fromkeys(out))


def edited_before(folder: Path) -> list[str]:
    """What had been edited of the records that these files were made from, as their manifest tells."""
    return [str(fault) for fault in _manifest(folder, "context").get("edited") or ()]


def _by_manifest(folder: Path) -> list[str]:
    """What a manifest's own checksums say where the digest was taken away, or never was."""
    files = _manifest(folder, "files")
    found = [name for name, digest in files.items() if (folder / name).is_file() and checksum(folder / name) != digest]
    return [f"{name}: not the file that was written" for name in found]


def _manifest(folder: Path, part: str) -> dict[str, Any]:
    """One part of the manifest; empty where there is none that can be read."""
    try:
        found = parse_json((folder / "manifest.json").read_text(encoding="utf-8")).get(part)
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def checksum(path: Path) -> str:
    """SHA-256 of a file; a checkout may have changed the ends of lines, which is no change of content."""
    body = path.read_bytes()
    return hashlib.sha256(body.replace(b"\r\n", b"\n") if path.suffix in TEXTS else body).hexdigest()


def _grown(path: Path, digest: str) -> bool:
    """Whether a log only got further lines: its first ones are what was written."""
    lines = path.read_bytes().replace(b"\r\n", b"\n").splitlines(keepends=True)
    return any(hashlib.sha256(b"".join(lines[:n])).hexdigest() == digest for n in range(1, len(lines)))


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = parse_json((folder / FILE).read_text(encoding="utf-8"))
        return content if isinstance(content, dict) and isinstance(content.get("files"), dict) else {"files": {}}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return {"files": {}}


def _digest(content: dict[str, Any]) -> str:
    said = {name: part for name, part in content.items() if name in ("files", "broken")}
    return hashlib.sha256(f"imagebench results 1\n{json.dumps(said, sort_keys=True)}".encode()).hexdigest()
