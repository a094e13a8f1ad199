"""The columns of a set of the hub: which hold images, and what the labels are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.data.sources.classes import in_order, label_notes
from bench.data.sources.contract import Note
from bench.schema.errors import RequestError

PLAIN = ("string", "int", "uint", "large_string", "bool")  # what names a class where nobody declared classes


def check_images(dataset: Any, rows: Any) -> None:
    """Raise RequestError where the image column holds neither images nor the bytes of their files."""
    import datasets

    kind = rows.features[dataset.image_column]
    encoded = isinstance(kind, dict) and "bytes" in kind
    if isinstance(kind, datasets.Image) or encoded or "binary" in str(getattr(kind, "dtype", "")):
        return
    others = [name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    remedy = (
        f"dataset.image_column={others[0]} does" if others else "Expected one image, or the bytes of its file, a row"
    )
    raise RequestError(f"{dataset.name}: column '{dataset.image_column}' holds {kind}, no images. {remedy}.")


def read_labels(
    dataset: Any, splits: Mapping[str, Any]
) -> tuple[tuple[str, ...], dict[str, list[int]], tuple[str, ...], tuple[Note, ...]]:
    """(class names, split -> the class number of each row, remarks, notes).

    Names are those of a ClassLabel, else the values of a column of words or whole numbers, in order.

    Raises:
        RequestError: for a column of another kind, a row without a label, and where there are not two classes.
    """
    columns = {name: list(rows[dataset.label_column]) for name, rows in splits.items()}
    feature = next(iter(splits.values())).features[dataset.label_column]
    names = getattr(feature, "names", None)
    if names is None and not str(getattr(feature, "dtype", "")).startswith(PLAIN):
        raise RequestError(
            f"{dataset.name}: column '{dataset.label_column}' is no ClassLabel, words or whole numbers (it is "
            f"{feature}). Name the column of class labels with dataset.label_column."
        )
    for column in columns.values():
        # -1 is the hub's mark for a hidden label
        hidden = sum(v is None or (v < 0 if isinstance(v, int) else not v.strip()) for v in column)
        if hidden:
            raise RequestError(
                f"{dataset.name}: {hidden} of {len(column)} images of a split have no label. Publish them as a split "
                "of another name (unlabelled), which is left out and said."
            )
    remarks: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    if names is not None:
        classes = tuple(names)
        numbers = {name: [int(v) for v in column] for name, column in columns.items()}
    else:
        words = [str(v) for column in columns.values() for v in column]
        classes, remarks = in_order(set(words))
        notes = label_notes(f"{dataset.name}: column '{dataset.label_column}'", words)
        place = {name: i for i, name in enumerate(classes)}
        numbers = {name: [place[str(v)] for v in column] for name, column in columns.items()}
    used = sorted({number for column in numbers.values() for number in column})
    if len(used) < 2:
        found = f"only '{classes[used[0]]}'" if used else "none"
        raise RequestError(f"{dataset.name}: images of two classes are needed at least, found {found}.")
    return classes, numbers, remarks, notes


def other_columns(dataset: Any, rows: Any) -> list[str]:
    """The columns of text and numbers beside image and label: what may name a group."""
    taken = (dataset.image_column, dataset.label_column)
    return [
        n for n, f in rows.features.items() if n not in taken and str(getattr(f, "dtype", "")).startswith(PLAIN[:4])
    ]
