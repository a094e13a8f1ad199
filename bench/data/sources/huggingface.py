"""Sets of the Hugging Face hub, or a local folder in its layout. Needs the extra `huggingface`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.sources import decode
from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write
from bench.data.sources.decode import GREY_MODES, BadImage, Header
from bench.data.sources.folder import SPLITS
from bench.schema.errors import RequestError, unknown


def _identity(dataset: Any) -> Mapping[str, Any]:
    """Name, config and revision; the state of the files where the name is a local folder."""
    folder = Path(dataset.name)
    digest = hashlib.sha256()
    if folder.is_dir():
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            found = path.stat()
            digest.update(f"{path.relative_to(folder)}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    columns = [dataset.image_column, dataset.label_column]
    settings = [dataset.size, dataset.fit, dataset.colour]
    named = [dataset.name, dataset.config, dataset.revision, digest.hexdigest()]
    return {"set": named, "columns": columns, "settings": settings}


def _read(dataset: Any, write: Write) -> Contents:
    splits = _splits(dataset)
    labels: list[int] = []
    official: list[int] = []
    heads: list[Header] = []
    first = next(iter(splits.values()))
    classes = _classes(dataset, first)
    for name, rows in splits.items():
        labels += [int(v) for v in rows[dataset.label_column]]
        official += [SPLITS.get(name.lower(), UNASSIGNED)] * len(rows)
    if min(labels) < 0:  # the hub's mark for a hidden label
        raise RequestError(f"{dataset.name}: {sum(v < 0 for v in labels)} images have no label (-1).")

    for rows in splits.values():

        def head(i: int, rows: Any = rows) -> Header:
            image = _image(dataset, rows, i)
            return Header(image.size, image.mode in GREY_MODES)

        for found in decode.parallel(head, range(len(rows)), f"{dataset.name}: headers"):
            heads += found
    how = decode.rule(heads, dataset.size, dataset.fit, dataset.colour)

    for name, rows in splits.items():

        def pixels(i: int, rows: Any = rows, name: str = name) -> Any:
            try:
                return how.pixels(_image(dataset, rows, i))
            except BadImage as error:
                raise RequestError(f"{dataset.name}: image {i} of {name} {error}.") from error

        for images in decode.parallel(pixels, range(len(rows)), f"{dataset.name} {name}"):
            write(np.stack(images))
    return Contents(labels=np.array(labels, np.int64), classes=classes, official=np.array(official, np.int8), rule=how)


def _splits(dataset: Any) -> dict[str, Any]:
    """The set's splits by name; those that are neither train, val nor test are left out."""
    try:
        import datasets
    except ImportError as error:
        raise RequestError("dataset=huggingface needs the extra: pip install 'imagebench[huggingface]'.") from error
    try:
        found = datasets.load_dataset(dataset.name, dataset.config, revision=dataset.revision)
    except Exception as error:  # the hub's, fsspec's, pyarrow's and the network's own errors come through
        raise RequestError(
            f"dataset.name={dataset.name} cannot be loaded ({type(error).__name__}: {error})."
        ) from error
    known = {name: rows for name, rows in found.items() if name.lower() in SPLITS}
    if not known:
        raise RequestError(f"{dataset.name} has the splits {', '.join(found)}; expected train, val or test.")
    columns = next(iter(known.values())).column_names
    for wanted, setting in ((dataset.image_column, "image_column"), (dataset.label_column, "label_column")):
        if wanted not in columns:
            raise unknown(f"column in {dataset.name}: dataset.{setting} is", wanted, columns)
    return known


def _classes(dataset: Any, rows: Any) -> tuple[str, ...]:
    names = getattr(rows.features[dataset.label_column], "names", None)
    if names is None:
        raise RequestError(
            f"{dataset.name}: column '{dataset.label_column}' is no ClassLabel (it is "
            f"{rows.features[dataset.label_column]}). Name the column of class labels with dataset.label_column."
        )
    return tuple(names)


def _image(dataset: Any, rows: Any, i: int) -> Image.Image:
    try:
        image = rows[i][dataset.image_column]
    except (OSError, SyntaxError, ValueError) as error:
        raise RequestError(f"{dataset.name}: image {i} cannot be decoded ({error}).") from error
    if not isinstance(image, Image.Image):
        raise RequestError(f"{dataset.name}: column '{dataset.image_column}' holds {type(image).__name__}, no images.")
    return image


HUGGINGFACE = Source(_identity, _read)
