"""The columns of a list: which ones hold paths, labels and splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bench.data.sources.contract import TRAIN
from bench.data.sources.entries import IMAGES
from bench.data.sources.files import Listed
from bench.data.sources.split_names import assign_splits, fold_names, hidden_splits, split_of
from bench.schema.errors import RequestError, suggestion
from bench.schema.secrets import redact

# What says of a row whether it is in a split; columns that hold a split's name.
FLAGS = {"0", "1", "0.0", "1.0", "true", "false", "t", "f", "yes", "no", "y", "n", "x", "on", "off"}
SPLIT_COLUMNS = ("split", "splits", "set", "subset", "partition", "phase", "usage", "datasplit", "dataset", "traintest")
FOLDS = ("fold", "folds", "kfold", "cvfold", "cv")
MANY = 8  # different values; a column of splits has no more (Training, PublicTest, PrivateTest)
SHORT = {
    "tr",
    "trn",
    "tra",
    "va",
    "vl",
    "vd",
    "ts",
    "te",
    "tst",
    "ev",
}  # alone they say nothing; tr beside another does
# What says nothing of which split a column marks: is_in_train, test_flag, val_fold, train_mask.
MARKS = ("in", "for", "flag", "fold", "mask", "idx", "index", "indicator", "used", "belongs", "to")


def find_columns(dataset: Any, columns: list[str]) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Where path and label stand, and a remark where a column is spelled in another way.

    Raises:
        RequestError: where one that is needed is missing or there twice.
    """
    shown = redact(dataset.file)
    places: list[int] = []
    remarks: list[str] = []
    for setting in ("path_column", "label_column"):
        wanted = getattr(dataset, setting)
        same = [i for i, name in enumerate(columns) if name == wanted]
        same = same or [i for i, name in enumerate(columns) if name.casefold() == wanted.casefold()]
        if len(same) > 1:
            raise RequestError(f"{shown}: column '{wanted}' is there {len(same)} times. Keep one.")
        if not same:
            raise _no_column(dataset, setting, columns)
        if columns[same[0]] != wanted:
            remarks.append(f"Column {columns[same[0]]} is taken as the {setting.split('_')[0]}.")
        places.append(same[0])
    if dataset.split_column is not None and columns.count(dataset.split_column) > 1:
        number = columns.count(dataset.split_column)
        raise RequestError(f"{shown}: column '{dataset.split_column}' is there {number} times. Keep one.")
    return (places[0], places[1]), tuple(remarks)


def _no_column(dataset: Any, setting: str, columns: list[str]) -> RequestError:
    shown, wanted = redact(dataset.file), getattr(dataset, setting)
    if columns[0].startswith("#"):
        return RequestError(
            f"{shown}: its first line is a comment ({columns[0]}), expected the names of the columns. Take it out."
        )
    if len(columns) == 1 and re.search(r"\.\w+\s+\S+$", columns[0]):
        return RequestError(
            f"{shown}: its first line is '{columns[0]}', with blanks between the fields. Expected commas, and a line "
            f"above it: {dataset.path_column},{dataset.label_column}"
        )
    if any(name.lower().endswith(IMAGES) for name in columns):
        return RequestError(
            f"{shown}: its first line holds an image ({', '.join(columns)}), expected the names of the columns. "
            f"Put a line above it: {','.join(_names(dataset, columns))}"
        )
    return RequestError(
        f"{shown} has no column '{wanted}'.{suggestion(wanted, columns)} Its columns: {', '.join(columns)}. "
        f"Say which one it is: dataset.{setting}=NAME."
    )


def _names(dataset: Any, row: list[str]) -> list[str]:
    """A header for a list that has none: the field that ends as images do is the path, the next one the label."""
    names = [f"column{i}" for i in range(1, len(row) + 1)]
    path = next((i for i, field in enumerate(row) if field.lower().endswith(IMAGES)), 0)
    names[path] = dataset.path_column
    other = next((i for i in range(len(row)) if i != path), None)
    if other is not None:
        names[other] = dataset.label_column
    return names


def split_column(dataset: Any, columns: list[str], rows: list[list[str]]) -> tuple[int, tuple[str, ...]]:
    """(the column of splits, a remark where it is spelled in another way); -1 where there is none.

    Raises:
        RequestError: for a name that no column has, or where another column holds names of splits.
    """
    shown, wanted = redact(dataset.file), dataset.split_column
    if wanted is None:
        return -1, ()
    if wanted in columns:
        return columns.index(wanted), ()
    same = [name for name in columns if name.casefold() == wanted.casefold()]
    if len(same) == 1:
        return columns.index(same[0]), (f"Column {same[0]} is taken as the split.",)
    if wanted != type(dataset).__dataclass_fields__["split_column"].default:
        raise RequestError(
            f"{shown}: no column is named '{wanted}' (dataset.split_column).{suggestion(wanted, columns)} "
            f"Its columns: {', '.join(columns)}. dataset.split_column=null draws the splits."
        )
    bare: list[str] = []
    for i, name in enumerate(columns):
        filled = {row[i].strip() for row in rows if len(row) == len(columns)}
        values = filled - {""}
        if (
            name not in (dataset.path_column, dataset.label_column)
            and len(values) > 1
            and values == set(assign_splits(values))
        ):
            raise RequestError(
                f"{shown}: column '{name}' holds {', '.join(sorted(values))}. Say dataset.split_column={name} to keep "
                "these splits, or dataset.split_column=null to draw others."
            )
        if name in (dataset.path_column, dataset.label_column) or not (values and 1 < len(filled) <= MANY):
            continue
        plain = re.sub(r"[^a-z]", "", name.casefold())
        if _is_bare(name) and {value.casefold() for value in values} <= FLAGS:
            bare.append(name)
            if len(bare) == 1:
                continue
        numbers = 1 < len(values) <= 3 and plain in SPLIT_COLUMNS and all(map(_is_number, values))
        short = "tr" in (low := {value.casefold() for value in values}) and len(low) > 1 and low <= SHORT
        if numbers or short or _is_flag(name, values) or hidden_splits(values):
            raise RequestError(
                f"{shown}: column '{name}' seems to say which split an image belongs to ({', '.join(sorted(values))}), "
                "in words that are no names of splits. Write train, val and test into a column split, or say "
                "dataset.split_column=null to draw others."
            )
    folds = [name for name in columns if re.sub(r"[^a-z]", "", name.casefold()) in FOLDS]
    remarks = [f"Column {name} is not used: split.group={name} keeps each fold on one side." for name in folds]
    remarks += [
        f"Column {name} is not taken as a split: for that, call it split, with train and test." for name in bare
    ]
    return -1, tuple(remarks)


def _is_bare(name: str) -> bool:
    """Whether a column is called valid or test and no more: alone, it may tell of quality, or of a medical test."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    return [word for word in words if word not in ("image", "images", "img")] in (["valid"], ["test"])


def _is_flag(name: str, values: set[str]) -> bool:
    """Whether a column tells of each row if it is in a split: is_test, holdout, is_training_img; true or false."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    words = [word.removeprefix("is") for word in words if word not in MARKS]
    return split_of(" ".join(words)) is not None and {value.casefold() for value in values} <= FLAGS


def check_unsaid_splits(shown: str, column: str, listed: Sequence[Listed], paths: Sequence[str]) -> tuple[str, ...]:
    """A remark where folders in the paths are folds.

    Raises:
        RequestError: where no column holds splits, and labels (train_cat), or folders in the paths, do.
    """
    labels = {item.label for item in listed}
    if seem := hidden_splits(labels) or fold_names(labels):
        raise RequestError(
            f"{shown}: labels in column '{column}' ({', '.join(sorted(seem)[:4])}) seem to say which split an image "
            "belongs to. Write train, val and test into a column split, and the class alone into this one; if they "
            "are classes, say dataset.split_column=null."
        )
    folders = [re.split(r"[\\/]", path)[:-1] for path in paths]
    remarks: list[str] = []
    for depth in range(min(map(len, folders))):
        at = [folder[depth] for folder in folders]
        names = set(at)
        if at == [item.label for item in listed] or not 1 < len(names) <= MANY:
            continue
        splits = set((found := assign_splits(names)).values())
        if TRAIN in splits and (len(found) == len(names) or len(splits) > 1):
            raise RequestError(
                f"{shown}: its images lie in the folders {', '.join(sorted(found))}, which are called as splits are, "
                "and no column says which split an image belongs to. Write train, val and test into a column split, "
                "or say dataset.split_column=null to draw others."
            )
        if fold_names(names):
            remarks.append(
                f"Folders {', '.join(sorted(names)[:3])} of the paths are not used: a column of their names, and "
                "split.group=COLUMN, keeps each on one side."
            )
    return tuple(remarks)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.0+)?", text) is not None
