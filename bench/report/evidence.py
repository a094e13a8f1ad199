"""A results folder read back: manifest, sweep and records, for the site, `bench reproduce` and `bench compare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.report.manifest import FORMAT
from bench.report.seal import faults
from bench.schema.errors import RequestError, suggestion
from bench.schema.sweep import Sweep
from bench.schema.sweep_file import sweep
from bench.track.record import Record, parse_json, read_csv

MANIFEST = "manifest.json"
NEEDED = ("definition", "config", "points", "seeds")


@dataclass(frozen=True)
class Evidence:
    """What `bench table` wrote for one sweep.

    Attributes:
        folder: where it lies; its name is the name for people.
        manifest: content of manifest.json.
        sweep: the sweep as it was run.
        records: content of records.csv.
        changed: what is no longer as it was written (`bench.report.seal`), one line each.
    """

    folder: Path
    manifest: dict[str, Any]
    sweep: Sweep
    records: list[Record]
    changed: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's name: the sweep's, with the scale where that is not `small`."""
        return self.folder.name

    @property
    def context(self) -> dict[str, Any]:
        """What `bench.report.write` was given as context, and what was changed since then."""
        return {**context(self.manifest), **({"changed": self.changed} if self.changed else {})}


def context(manifest: dict[str, Any]) -> dict[str, Any]:
    """What `bench.report.write` was given as context."""
    return {**manifest.get("context", {}), "scale": manifest.get("scale", ""), "command": manifest.get("command", "")}


def find_folders(results: Path) -> list[Path]:
    """The folders in `results` that hold a manifest or records, by name."""
    if not results.is_dir():
        raise RequestError(f"There is no folder {results}. 'bench table NAME' writes a sweep's results there.")
    return sorted(
        p for p in results.iterdir() if p.is_dir() and any((p / f).exists() for f in (MANIFEST, "records.csv"))
    )


def folder_named(name: str, results: Path) -> Path:
    """The results folder called `name`, or the folder at the path `name`.

    Raises:
        RequestError: when there is none.
    """
    for place in (results / name, Path(name)):
        if (place / MANIFEST).exists() or (place / "records.csv").exists():
            return place
    known = [p.name for p in find_folders(results)] if results.is_dir() else []
    raise RequestError(
        f"No results of '{name}' in {results}.{suggestion(name, known)} "
        f"There {'are' if len(known) != 1 else 'is'}: {', '.join(known) or 'none'}. 'bench table NAME' writes them."
    )


def read(folder: Path) -> Evidence:
    """The evidence in a results folder.

    Raises:
        RequestError: naming the file, for one that is missing, not readable, or written by a newer version.
    """
    content = manifest(folder / MANIFEST)
    return Evidence(
        folder, content, _sweep(content, folder / MANIFEST), read_csv(folder / "records.csv"), faults(folder)
    )


def manifest(path: Path) -> dict[str, Any]:
    """The content of a manifest, its format checked.

    Raises:
        RequestError: as `read`.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RequestError(f"{path}: missing. 'bench table NAME' writes it beside records.csv.") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RequestError(f"{path}: not a manifest ({str(error).splitlines()[0]}). Expected JSON.") from None
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise RequestError(f"{path}: not a manifest: it has no whole number 'format'. 'bench table NAME' writes one.")
    if content["format"] > FORMAT:
        raise RequestError(
            f"{path}: written by a newer imagebench (format {content['format']}; this one reads up to {FORMAT}). "
            "Install the newer version: pip install -U imagebench."
        )
    for name in NEEDED:
        if name not in content:
            raise RequestError(f"{path}: '{name}' is missing. 'bench table NAME' writes the manifest anew.")
    points = content["points"]
    if not isinstance(points, list) or not all(
        isinstance(p, dict) and {"axes", "config", "runs"} <= set(p) for p in points
    ):
        raise RequestError(
            f"{path}: 'points' is not a list of axes, config and runs. 'bench table NAME' writes it anew."
        )
    return content


def _sweep(content: dict[str, Any], path: Path) -> Sweep:
    """The sweep that the manifest's `definition` states; what it leaves empty is as if it were not there."""
    definition = content["definition"]
    if not isinstance(definition, dict):
        raise RequestError(f"{path}: 'definition' is not a mapping. 'bench table NAME' writes it anew.")
    return sweep(definition, f"{path}, definition")
