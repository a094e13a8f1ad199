"""Images from a function of the user's own (`bench.parts.dataset`)."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL, Contents, Source, Write, stamp
from bench.parts.images import Images
from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.parts.walk import files_below
from bench.schema.dataset import OwnDataset
from bench.schema.errors import RequestError

SPLITS = {"train": TRAIN, "val": VAL, "test": TEST, "": UNASSIGNED}


def _identity(dataset: OwnDataset) -> Mapping[str, Any]:
    """The code, the settings, and what is read: files named by `reads`, `packages`, else every image, read now."""
    own = dataset.own
    packages = own.says("packages")
    if own.says("reads") is None and packages is None:
        content = hashlib.sha256()
        for chunk in _chunks(dataset):
            beside = {name: list(map(str, values)) for name, values in chunk.columns.items()}
            said = [chunk.images.shape, list(map(str, chunk.classes)), list(map(str, chunk.labels)), list(chunk.split),
                    beside]  # fmt: skip
            content.update(json.dumps(said).encode())
            content.update(np.ascontiguousarray(chunk.images).tobytes())
        return {"code": own.code, "settings": own.settings, "content": content.hexdigest()}
    versions = {"packages": {name: version(name) for name in packages}} if packages is not None else {}
    return {"code": own.code, "settings": own.settings, "files": list(_files(dataset)), **versions}


def _files(dataset: OwnDataset) -> Iterator[Any]:
    values = dataset.own.values
    for name in dataset.own.says("reads", ()):
        if name not in values:
            raise RequestError(f"dataset '{dataset.name}' says that it reads '{name}', which is none of its settings.")
        place = Path(os.path.expanduser(str(values[name])))
        if place.is_dir():
            yield [[str(file.relative_to(place)), *stamp(file)] for file in files_below(place) if file.is_file()]
        else:
            yield stamp(place)


def _read(dataset: OwnDataset, write: Write) -> Contents:
    labels: list[Any] = []
    official: list[int] = []
    classes: tuple[str, ...] = ()
    columns: dict[str, list[str]] = {}
    for chunk in _chunks(dataset):
        if labels and columns.keys() != chunk.columns.keys():
            raise RequestError(f"dataset '{dataset.name}': columns {', '.join(chunk.columns) or 'none'} follow columns "
                               f"{', '.join(columns) or 'none'}. All chunks have the same.")  # fmt: skip
        if labels and isinstance(labels[0], str) != isinstance(chunk.labels[0], str):
            raise RequestError(f"dataset '{dataset.name}': labels like {chunk.labels[0]!r} follow labels like "
                               f"{labels[0]!r}. All are numbers, or all are names.")  # fmt: skip
        if classes and chunk.classes and tuple(map(str, chunk.classes)) != classes:
            raise RequestError(f"dataset '{dataset.name}': classes {', '.join(map(str, chunk.classes))} follow classes "
                               f"{', '.join(classes)}. All chunks have the same.")  # fmt: skip
        write(np.ascontiguousarray(chunk.images))
        labels += list(chunk.labels)
        official += [SPLITS[str(s)] for s in chunk.split] if len(chunk.split) else [UNASSIGNED] * len(chunk.labels)
        classes = classes or tuple(map(str, chunk.classes))
        for name, values in chunk.columns.items():
            columns.setdefault(name, []).extend(map(str, values))
    numbers, names = _number_labels(labels, classes, dataset.name)
    found = {name: tuple(values) for name, values in columns.items()}
    return Contents(labels=numbers, classes=names, official=np.array(official, np.int8), columns=found)


def _number_labels(labels: list[Any], classes: tuple[str, ...], name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as numbers from 0 without a gap, and the names of the classes.

    Raises:
        RequestError: for a gap, a class without an image, or a label that is no class.
    """
    if not labels:
        raise RequestError(f"dataset '{name}' has not a single image.")
    if twice := [one for one, count in Counter(classes).items() if count > 1]:
        raise RequestError(f"dataset '{name}': two classes are called '{twice[0]}'. Give each a name of its own.")
    named = isinstance(labels[0], str)
    present = sorted(set(map(str, labels))) if named else sorted({int(label) for label in labels})
    if named:
        names = classes or tuple(map(str, present))
        if strange := [label for label in present if label not in names]:
            raise RequestError(f"dataset '{name}': label '{strange[0]}' is none of the classes {', '.join(names)}.")
        numbers = np.array([names.index(str(label)) for label in labels], np.int64)
    else:
        names = classes or tuple(str(i) for i in range(int(present[-1]) + 1))
        numbers = np.array(labels).astype(np.int64)
        if present[0] < 0 or present[-1] >= len(names):  # type: ignore[operator]
            raise RequestError(
                f"dataset '{name}': labels are {present[0]}..{present[-1]}, but there are {len(names)} classes. "
                + ("Number them from 0." if min(numbers) < 0 else f"Expected 0..{len(names) - 1}.")
            )
    missing = [names[i] for i in range(len(names)) if i not in set(numbers.tolist())]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise RequestError(
            f"dataset '{name}': {len(missing)} of {len(names)} classes have no image ({shown}). Number the labels from "
            "0 without a gap, or give class names as labels."
        )
    if len(names) < 2:
        raise RequestError(f"dataset '{name}' has one class, {names[0]}. Expected two or more.")
    return numbers, names


def _chunks(dataset: OwnDataset) -> Iterator[Images]:
    """What the function gives, chunk by chunk, checked and as uint8 [n, C, H, W]."""
    make = function("dataset", dataset.own)
    try:
        made = make(**arguments(make, dataset.own.values, "dataset"))
        parts = made if inspect.isgenerator(made) else [made]
        shape: tuple[int, ...] | None = None
        for part in parts:
            chunk = _check_images(part, dataset.name)
            if not len(chunk.labels):
                continue
            if shape is not None and chunk.images.shape[1:] != shape:
                raise RequestError(
                    f"dataset '{dataset.name}': images of {_of(chunk.images.shape[1:])} follow images of {_of(shape)}. "
                    "All are of one size."
                )
            shape = chunk.images.shape[1:]
            yield chunk
    except RequestError:
        raise
    except Exception as error:
        raise error_of(f"dataset '{dataset.name}' cannot be read", error) from error


def _check_images(part: Any, name: str) -> Images:
    if isinstance(part, tuple) and len(part) in (2, 3, 4, 5):
        part = Images(*part)
    if not isinstance(part, Images):
        raise RequestError(
            f"dataset '{name}' gives {type(part).__name__}. Expected bench.parts.Images(images, labels, classes, "
            "split, columns), or a generator of them."
        )
    try:
        images, labels = np.asarray(part.images), np.asarray(part.labels)
    except ValueError:
        sizes = sorted({np.shape(image) for image in part.images})
        if len(sizes) < 2:
            raise
        raise RequestError(f"dataset '{name}': images are of {len(sizes)} sizes, such as {_of(sizes[0])} and "
                           f"{_of(sizes[-1])}. Bring them to one size first.") from None  # fmt: skip
    if images.dtype != np.uint8:
        hint = " Pixels in 0..1: (255 * images).round().astype('uint8')." if images.dtype.kind == "f" else ""
        hint = " Pixels in 0..255: images.astype('uint8')." if images.dtype.kind in "iu" and _bytes(images) else hint
        raise RequestError(f"dataset '{name}': images are {images.dtype}, expected uint8, 0..255.{hint}")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and _channels_last(images.shape, part.layout, name):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4:
        raise RequestError(f"dataset '{name}': images are {_of(images.shape)}, expected N x C x H x W or N x H x W.")
    if labels.ndim != 1 or len(labels) != len(images):
        hint = " One number an image: labels.argmax(axis=1) of one-hot rows." if labels.ndim == 2 else ""
        raise RequestError(f"dataset '{name}': {len(images)} images, but labels of shape {list(labels.shape)}.{hint}")
    if not len(images):
        return Images(images.astype(np.uint8), [], part.classes, [], part.columns)
    if labels.dtype.kind == "O":
        kinds = {str if isinstance(v, str) else int if isinstance(v, int | np.integer) else type(v) for v in labels}
        if kinds not in ({str}, {int}):
            given = " and ".join(sorted(k.__name__ for k in kinds))
            raise RequestError(f"dataset '{name}': labels are {given}, expected whole numbers or class names.")
    if labels.dtype.kind not in "iuUO":
        raise RequestError(f"dataset '{name}': labels are {labels.dtype}, expected whole numbers or class names.")
    if len(part.split) not in (0, len(images)):
        raise RequestError(f"dataset '{name}': split has {len(part.split)} entries for {len(images)} images.")
    if strange := sorted({str(s) for s in part.split} - SPLITS.keys()):
        raise RequestError(f"dataset '{name}': split '{strange[0]}' is unknown. Expected train, val, test or ''.")
    for column, values in part.columns.items():
        if len(values) != len(images):
            raise RequestError(f"dataset '{name}': column '{column}' has {len(values)} entries for {len(images)} "
                               "images.")  # fmt: skip
    return Images(images, labels.tolist(), part.classes, [str(s) for s in part.split], part.columns)


def _channels_last(shape: tuple[int, ...], layout: str, name: str) -> bool:
    """Whether images [N, ., ., .] are to be brought to [N, C, H, W].

    Raises:
        RequestError: where both the second and the last side may be the channels, and nobody says which.
    """
    if layout not in ("", "NCHW", "NHWC"):
        raise RequestError(f"dataset '{name}': layout is {layout!r}. Expected NCHW or NHWC.")
    first, last = (shape[side] in (1, 3) for side in (1, 3))
    either = (first and last and shape[1:] != (1, 1, 1)) or (not first and not last and shape[3] < shape[1])
    if not layout and either:
        raise RequestError(
            f"dataset '{name}': images are {_of(shape)}, where channels may come first or last. Say which: "
            "Images(images, labels, layout='NCHW') or 'NHWC'."
        )
    return layout == "NHWC" or (not layout and last and not first)


def _bytes(images: NDArray[Any]) -> bool:
    return bool(images.size) and int(images.min()) >= 0 and int(images.max()) <= 255


def _of(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


OWN = Source(_identity, _read)
