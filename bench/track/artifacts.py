"""Files of runs: where a store keeps them, and reading and writing them there.

Those of a SQLite store lie beside it, in mlartifacts/EXPERIMENT/RUN/artifacts, also after both were moved or copied:
what its rows say is where they once lay. Those of a database server lie in IMAGEBENCH_ARTIFACTS, a folder that all its
users can write: whoever makes the store says it once, the others find it there. Where nobody said it they lie in the
working directory of whoever made the experiment. An MLflow server keeps its own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bench.disk import disk_errors, write_atomically
from bench.schema.errors import RequestError
from bench.track.address import sqlite_file

FOLDER = "mlartifacts"
VARIABLE = "IMAGEBENCH_ARTIFACTS"
OPEN = "Let its owner open it to all users of the store (chmod -R a+rwX), or "
OF_SERVER = (
    f"choose another --name and, before its first run, set {VARIABLE} to a folder that all can write. With an MLflow "
    "server nobody needs one."
)
OF_FILE = "name a store of your own: tracking.uri=sqlite:////FOLDER/mlflow.db."


def location(uri: str, experiment: str, first: tuple[str, str] | None = None) -> str | None:
    """Where a new experiment's files go; None where a server decides.

    Args:
        first: name and place of the store's first experiment of ours, whose maker has chosen the folder.
    """
    file = sqlite_file(uri)
    if file is not None:
        return (file.parent / FOLDER / experiment).as_uri()
    if uri.startswith("http"):
        return None
    place = os.environ.get(VARIABLE) or _choose_folder(first) or str(Path.cwd() / FOLDER)
    return (
        f"{place.rstrip('/')}/{quote(experiment)}" if "://" in place else (Path(place).absolute() / experiment).as_uri()
    )


def _choose_folder(first: tuple[str, str] | None) -> str | None:
    """The folder of all files that the first experiment's place tells; None for one that this user may not write."""
    if first is None or not first[1].endswith(f"/{quote(first[0])}"):
        return None
    place = first[1].removesuffix(f"/{quote(first[0])}")
    folder = local(place)
    if folder is None:
        return place
    return str(folder) if os.access(folder, os.W_OK | os.X_OK) else None


def local(address: str) -> Path | None:
    """The folder that an artifact address means on this machine; None for one elsewhere.

    MLflow reads file://host/path as /path, whatever the host, so that this is a folder of this machine too.
    """
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(address) if parts.scheme == "" and address else None


def folder_of(uri: str, experiment: str, run_id: str, address: str) -> Path | None:
    """The folder with a run's files; None where only MLflow reaches them.

    Args:
        address: the run's artifact_uri.
    """
    file = sqlite_file(uri)
    place = address.removesuffix(f"/{run_id}/artifacts")
    if file is not None and (called := first_name(place, experiment)):
        folder = files_folder(file, called, run_id)
        if called == experiment or folder.is_dir():
            return folder
    return local(address)


def first_name(place: str, experiment: str) -> str:
    """What an experiment was called when it was made, as its files' folder still is; "" where no such folder is named.

    Args:
        place: address of that folder.
        experiment: what it is called now.
    """
    if place.endswith(f"/{FOLDER}/{quote(experiment)}"):
        return experiment
    head, _, name = place.rpartition("/")
    return unquote(name) if head.endswith(f"/{FOLDER}") and unquote(name) not in (".", "..") else ""


def files_folder(file: Path, experiment: str, run_id: str) -> Path:
    """Where a SQLite store's own files lie."""
    return file.parent / FOLDER / experiment / run_id / "artifacts"


def relocate(file: Path) -> None:
    """Let the rows of a SQLite store that was moved or copied say where its files lie now: MLflow's pages read them."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(file, timeout=20)) as database, database:
        query = "SELECT experiment_id, name, artifact_location FROM experiments"
        for identity, name, before in database.execute(query).fetchall():
            called = first_name(before or "", str(name))
            folder = file.parent / FOLDER / called
            now = folder.as_uri()
            if not called or before == now or (called != str(name) and not folder.is_dir()):
                continue
            if local(before) is None:
                continue
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (now, identity))
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (now, len(before) + 1, identity, len(before) + 1, before + "/"),
            )


def writable(folder: Path, uri: str) -> None:
    """Make the folder of an experiment's files, as open to others as the one it lies in.

    Raises:
        RequestError: when this user may not write there: before anything is trained.
    """
    with disk_errors(folder, _remedy(uri)):
        _make(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RequestError(f"The files of runs go to {folder}, where this user may not write. {_remedy(uri)}")


def _remedy(uri: str) -> str:
    return OPEN + (OF_SERVER if sqlite_file(uri) is None else OF_FILE)


def _make(folder: Path) -> None:
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir()
            with suppress(OSError):  # without the sticky bit of a shared folder: others go on with what one began
                path.chmod(stat.S_IMODE(path.parent.stat().st_mode) & ~stat.S_ISVTX)


def put(file: Path, folder: Path, uri: str) -> None:
    """Copy one file into a run's folder, whole or not at all.

    Raises:
        RequestError: for a full disk or a folder that may not be written.
    """
    writable(folder, uri)
    with file.open("rb") as source:
        write_atomically(folder / file.name, lambda target: shutil.copyfileobj(source, target), _remedy(uri))


def clear_parts(folder: Path) -> None:
    """Remove what killed writes left in a run's folder; for whoever alone writes there now."""
    for left in folder.glob(".*"):
        if left.is_file() and not left.is_symlink():
            left.unlink(missing_ok=True)


def plain_files(folder: Path) -> Iterator[Path]:
    """The files in a folder that are really there: no links, nothing hidden, no folders."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                yield Path(entry.path)
