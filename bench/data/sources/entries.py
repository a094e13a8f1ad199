"""What lies in a folder: sub-folders and images; what systems leave, and texts, are left aside by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.schema.errors import RequestError

# What operating systems and storage boxes leave; hidden files (.name) likewise.
LITTER = (
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "@tmp", "#recycle",
    "#snapshot", "$recycle.bin", "system volume information", "recycler", "lost+found", "found.000", "__pycache__",
)  # fmt: skip
IMAGES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".heif", ".hif",
    ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga", ".ico", ".dib", ".pcx",
)  # fmt: skip
# What is written beside images: notes, lists, annotations, checksums, programs. All else has to be an image.
TEXTS = (
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf",
    ".log", ".htm", ".html", ".url", ".webloc", ".rtf", ".tex", ".bib", ".doc", ".docx", ".odt", ".xls", ".xlsx",
    ".ods", ".py", ".ipynb", ".sh", ".bat", ".r", ".m", ".sha256", ".sha1", ".md5", ".sfv", ".torrent", ".ds_store",
)  # fmt: skip
ARCHIVES = (
    ".zip",
    ".tar",
    ".tgz",
    ".gz",
    ".7z",
    ".rar",
    ".bz2",
    ".xz",
    ".zst",
    ".parquet",
    ".npz",
    ".h5",
    ".hdf5",
    ".mat",
)
# Folders that programs keep for themselves, in which nobody looks for a class.
OWN = (".git", ".svn", ".hg", ".dvc", ".cache", ".ipynb_checkpoints", ".idea", ".vscode", ".thumbnails", ".thumbs",
       ".venv", ".spotlight-v100", ".trashes", ".fseventsd", ".documentrevisions-v100", ".temporaryitems", ".snapshot",
       ".picasaoriginals", ".comments", ".tmp.driveupload", ".dropbox", ".imagebench")  # fmt: skip
TITLES = (
    "readme", "license", "licence", "copying", "copyright", "notice", "authors", "contributors", "citation",
    "changelog", "todo", "makefile", "checksums", "md5sums", "sha256sums", "manifest",
)  # fmt: skip


def is_text(name: str) -> bool:
    """Whether a file is a text beside images, by its name: README, LICENSE, a list, annotations."""
    name = name.lower()
    return name.endswith(TEXTS) or name in TITLES


def left_aside(names: list[str]) -> list[str]:
    """A remark about files that are no images, where there are some."""
    if not names:
        return []
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return [f"{len(names):,} file{'s' if len(names) > 1 else ''} left aside, as no images by name: {shown}."]


def inode(folder: str | Path) -> tuple[int, int]:
    """(device, inode): the same for a folder and all links to it."""
    here = os.stat(folder)
    return here.st_dev, here.st_ino


def walk(folder: str, above: frozenset[tuple[int, int]], bad: list[str], aside: list[str]) -> Iterator[str]:
    """Files below `folder`, links followed; circles are added to `bad`, texts to `aside`."""
    above = above | {inode(folder)}
    for entry in entries(folder):
        if entry.is_file(follow_symlinks=False):  # nearly all of them
            if is_text(entry.name):
                aside.append(entry.path)
            else:
                yield entry.path
        elif loops(entry):
            bad.append(f"{entry.path} is a link that leads to itself")
        elif is_dir(entry):
            if inode(entry.path) in above:
                bad.append(f"{entry.path} is a link that leads back to a folder above it")
            else:
                yield from walk(entry.path, above, bad, aside)
        elif is_text(entry.name):
            aside.append(entry.path)
        else:
            yield entry.path


def sub_folders(folder: Path) -> list[str]:
    """Their names; without sorting the files beside them, of which there may be many."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if is_dir(e) and not _litter(e.name))
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: str | Path, error: OSError) -> RequestError:
    return RequestError(f"{folder}: the folder cannot be read ({error.strerror}). Check its permissions.")


def is_dir(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def hidden(folder: str | Path) -> list[str]:
    """Sub-folders that are left aside by their names, where they may be classes: .cat, Recycler."""
    with os.scandir(folder) as found:
        names = sorted(e.name for e in found if _litter(e.name) and is_dir(e))
    plain = [name for name in names if name[0] == "." or name[0].isalpha()]
    return [name for name in plain if name.lower() not in OWN and not name.lower().startswith(".trash")]


def leads_nowhere(entry: os.DirEntry[str]) -> str:
    """Where a link leads that leads to nothing, as the end of a sentence; empty for all else."""
    if not entry.is_symlink():
        return ""
    return "to itself" if loops(entry) else "" if os.path.exists(entry.path) else "nowhere"


def loops(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link that leads to itself."""
    if not entry.is_symlink():
        return False
    try:
        entry.is_dir()
    except OSError:
        return True
    return False


def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without litter."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not _litter(e.name)), key=lambda e: e.name)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER
