"""The sets that torchvision reads, and downloads with checksums where they are not there yet."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.catalog import CARDS, as_published
from bench.data.sources import checksums, files
from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL, Contents, Note, Source, Write, state
from bench.data.sources.files import Listed, Listing, Options
from bench.schema.errors import RequestError

FILE_SETTINGS = {"fit": "crop", "on_bad_image": "error", "storage": "map"}  # of sets of image files, with defaults
Opened = tuple[Any, int]  # a torchvision dataset and the official split that it is
Reader = Callable[[Any, list[Opened], Write], Contents]


def _open(dataset: Any, name: str, splits: Mapping[int, Mapping[str, Any]], extra: Mapping[str, Any]) -> list[Opened]:
    """torchvision's dataset `name`, once for each official split; downloads what the root does not hold."""
    import torchvision.datasets

    from bench.data.cache import cache_folder

    root = Path(os.path.expanduser(dataset.root)) if dataset.root is not None else cache_folder() / "downloads"
    made = getattr(torchvision.datasets, name)
    opened = []
    for official, chosen in splits.items():
        try:
            with checksums.mismatches(made) as damaged:
                # A folder the user names is used as it is; nothing is fetched into it.
                opened.append((made(str(root), download=dataset.root is None, **chosen, **extra), official))
        except Exception as error:  # torchvision lets urllib's, zipfile's, pickle's and its own errors through
            if damaged:
                raise RequestError(f"{dataset.source}: {checksums.mismatch_sentence(damaged)}") from error
            remedy = (
                f"Torchvision's {name} did not find what it needs below dataset.root={root}"
                if dataset.root is not None
                else "Without a network, fetch it elsewhere in torchvision's layout and say dataset.root=FOLDER"
            )
            reason = " ".join(str(error).split()).rstrip(". ")
            raise RequestError(f"{dataset.source}: {type(error).__name__}: {reason}. {remedy}.") from error
    return opened


def _arrays(images_of: Callable[[Any], NDArray[np.uint8]], labels_of: Callable[[Any], Any]) -> Reader:
    """A reader for sets that torchvision holds as one array."""

    def read(dataset: Any, opened: list[Opened], write: Write) -> Contents:
        _only_for_files(dataset)
        classes = as_published(dataset.source, _names(opened[0][0]))
        labels, official = [], []
        for part, split in opened:
            images = images_of(part)
            if dataset.size is not None and images.shape[-2:] != (dataset.size, dataset.size):
                raise RequestError(
                    f"{dataset.source}: its images are {images.shape[-1]} pixels wide; leave dataset.size out."
                )
            write(np.ascontiguousarray(images))
            labels.append(np.asarray(labels_of(part), np.int64))
            official.append(np.full(len(images), split, np.int8))
        return Contents(labels=np.concatenate(labels), classes=classes, official=np.concatenate(official))

    return read


def _paths(paths_of: Callable[[Any], list[Any]], labels_of: Callable[[Any], list[int]]) -> Reader:
    """A reader for sets that torchvision holds as lists of files."""

    def read(dataset: Any, opened: list[Opened], write: Write) -> Contents:
        classes = as_published(dataset.source, _names(opened[0][0]))
        listed = [
            Listed(str(path), str(path), classes[label], split)
            for part, split in opened
            for path, label in zip(paths_of(part), labels_of(part), strict=True)
        ]
        how = Options(
            dataset.source,
            dataset.size,
            dataset.fit,
            on_bad_image=dataset.on_bad_image,
            storage=dataset.storage,
            range=dataset.range,
        )
        where = f"{dataset.source}\0{dataset.root}"
        return files.read(how, Listing(listed, [], where), write, classes)

    return read


def _only_for_files(dataset: Any) -> None:
    for name, default in {**FILE_SETTINGS, "workers": None, "range": None}.items():
        if getattr(dataset, name) != default:
            raise RequestError(
                f"dataset.{name}={getattr(dataset, name)} is for sets of image files; {dataset.source} is one array of "
                "images. Leave it out."
            )


def _names(part: Any) -> tuple[str, ...]:
    """Class names; the first where a class has several, without EMNIST's empty first letter. SVHN has none."""
    names = [name if isinstance(name, str) else name[0] for name in getattr(part, "classes", "0123456789")]
    return tuple(name for name in names if name != "N/A")


def _grey(part: Any) -> NDArray[np.uint8]:
    return np.asarray(part.data)[:, None]


def _upright(part: Any) -> NDArray[np.uint8]:
    """EMNIST's files hold each image transposed."""
    return np.asarray(part.data).transpose(0, 2, 1)[:, None]


def _nhwc(part: Any) -> NDArray[np.uint8]:
    return np.asarray(part.data).transpose(0, 3, 1, 2)


BY_FLAG = {TRAIN: {"train": True}, TEST: {"train": False}}
BY_NAME = {TRAIN: {"split": "train"}, TEST: {"split": "test"}}
# Imagenette publishes two splits, and results are stated on what it calls val: it is the test split here.
BY_VAL = {TRAIN: {"split": "train"}, TEST: {"split": "val"}}
_targets = _arrays(_grey, lambda part: part.targets)
_samples = _paths(lambda part: [path for path, _ in part._samples], lambda part: [label for _, label in part._samples])

# source -> (torchvision's class, its arguments for each official split, further arguments, reader)
READERS: dict[str, tuple[str, Mapping[int, Mapping[str, Any]], Mapping[str, Any], Reader]] = {
    "mnist": ("MNIST", BY_FLAG, {}, _targets),
    "kmnist": ("KMNIST", BY_FLAG, {}, _targets),
    "emnist_letters": (
        "EMNIST",
        BY_FLAG,
        {"split": "letters"},
        _arrays(_upright, lambda part: np.asarray(part.targets) - 1),  # the files count from 1
    ),
    "cifar10": ("CIFAR10", BY_FLAG, {}, _arrays(_nhwc, lambda part: part.targets)),
    "cifar100": ("CIFAR100", BY_FLAG, {}, _arrays(_nhwc, lambda part: part.targets)),
    "svhn": ("SVHN", BY_NAME, {}, _arrays(lambda part: part.data, lambda part: part.labels)),
    "stl10": ("STL10", BY_NAME, {}, _arrays(lambda part: part.data, lambda part: part.labels)),
    "flowers102": (
        "Flowers102",
        {TRAIN: {"split": "train"}, VAL: {"split": "val"}, TEST: {"split": "test"}},
        {},
        _paths(lambda part: part._image_files, lambda part: part._labels),
    ),
    "oxford_pets": (
        "OxfordIIITPet",
        {TRAIN: {"split": "trainval"}, TEST: {"split": "test"}},
        {},
        _paths(lambda part: part._images, lambda part: part._labels),
    ),
    "food101": ("Food101", BY_NAME, {}, _paths(lambda part: part._image_files, lambda part: part._labels)),
    "imagenette160": ("Imagenette", BY_VAL, {"size": "160px"}, _samples),
    "imagenette320": ("Imagenette", BY_VAL, {"size": "320px"}, _samples),
    "eurosat": (
        "EuroSAT",
        {UNASSIGNED: {}},
        {},
        _paths(lambda part: [path for path, _ in part.samples], lambda part: part.targets),
    ),
}

# Where below its root torchvision looks for a set: the files whose state tells whether it is the one that was decoded.
FOLDERS = {
    "mnist": "MNIST/**/*", "kmnist": "KMNIST/**/*", "emnist_letters": "EMNIST/**/*", "cifar10": "cifar-10-batches-py/*",
    "cifar100": "cifar-100-python/*", "svhn": "*.mat", "stl10": "stl10_binary/*", "flowers102": "flowers-102/**/*",
    "oxford_pets": "oxford-iiit-pet/**/*", "food101": "food-101/**/*", "imagenette160": "imagenette2-160/**/*",
    "imagenette320": "imagenette2-320/**/*", "eurosat": "eurosat/**/*",
}  # fmt: skip


def _identity(dataset: Any) -> Mapping[str, Any]:
    """The published set is one content; a root of the user's may hold another, so its files' state counts."""
    settings = {"size": dataset.size, "range": dataset.range}
    settings |= {
        name: getattr(dataset, name) for name in FILE_SETTINGS if getattr(dataset, name) != FILE_SETTINGS[name]
    }
    if dataset.root is None:
        return settings
    root = Path(os.path.expanduser(dataset.root))
    if not root.is_dir():
        raise RequestError(
            f"dataset.root={root} is no folder. Expected torchvision's layout of {dataset.source} in it."
        )
    digest = hashlib.sha256()
    for path in sorted(p for p in root.glob(FOLDERS[dataset.source]) if p.is_file()):
        digest.update(f"{path.relative_to(root)}\0{state(path)}\n".encode(errors="surrogateescape"))
    return {**settings, "root": str(root.resolve()), "files": digest.hexdigest()}


def _read(dataset: Any, write: Write) -> Contents:
    name, splits, extra, reader = READERS[dataset.source]
    found = reader(dataset, _open(dataset, name, splits, extra), write)
    return replace(found, notes=(*found.notes, *_count_note(dataset.source, len(found.labels) + len(found.skipped))))


def _count_note(source: str, there: int) -> list[Note]:
    """A note where files of a published set are missing, or more than published: torchvision takes what it finds."""
    published = sum(CARDS[source].images)
    if there == published:
        return []
    return [
        (
            "images_missing",
            f"{source}: {there:,} images are there, {published:,} were published.",
            "Unpack the set anew: numbers of a part of it are not comparable with those of others.",
        )
    ]


TORCHVISION = Source(_identity, _read)
