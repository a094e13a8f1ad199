"""Sets of the Hugging Face hub, or a local folder in its layout. Needs the extra `huggingface`."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.sources import decode, depth
from bench.data.sources.classes import note_similar_names
from bench.data.sources.contract import TRAIN, Contents, Note, Source, Write
from bench.data.sources.damage import note_zero_ends
from bench.data.sources.decode import BadImage
from bench.data.sources.depth import Header
from bench.data.sources.fetch import fetch
from bench.data.sources.hub_columns import check_images, other_columns, read_labels
from bench.data.sources.hub_files import missing_shards, note_class_names, note_unlisted
from bench.data.sources.hub_folder import check_folder
from bench.data.sources.lost import refuse_lost
from bench.data.sources.scan import scan
from bench.data.sources.split_names import assign_splits
from bench.parts.walk import files_below
from bench.schema.errors import RequestError, unknown_name

HUB_SECONDS = 5  # to wait for the hub's answer


def _identity(dataset: Any) -> Mapping[str, Any]:
    """Name, config and the commit that the hub serves now; the content of the files where the name is a folder."""
    folder, digest = Path(dataset.name), ""
    if folder.is_dir():
        digest = _content(folder)
    else:
        digest = commit(dataset.name, dataset.revision)
    columns = [dataset.image_column, dataset.label_column]
    settings = [dataset.size, dataset.fit, dataset.colour, dataset.on_bad_image, dataset.range, decode.READING]
    settings += decode.packages() if dataset.on_bad_image == "skip" else []
    named = [dataset.name, dataset.config, dataset.revision, digest]
    chosen = {} if dataset.splits is None else {"splits": list(dataset.splits)}
    return {"set": named, "columns": columns, "settings": settings, **chosen}


def commit(name: str, revision: str | None) -> str:
    """The commit (40 hex digits) that the hub serves under a name and revision now; empty where it cannot be asked.

    Then what was decoded at an earlier visit without the hub stays in use.
    """
    if revision is not None and re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    try:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        return api.dataset_info(name, revision=revision, timeout=HUB_SECONDS).sha or ""
    except Exception:  # the hub's own errors, the network's, no such package: loading tells them
        return ""


def _read(dataset: Any, write: Write) -> Contents:
    splits, parts, notes = _splits(dataset)
    classes, numbers, remarks, doubts = read_labels(dataset, splits)
    bad: list[str] = []
    total = sum(len(rows) for rows in splits.values())

    def tried(work: Callable[[bytes], Any], rows: Any, numbers: list[int], title: str) -> Iterator[Any]:
        """(number, result) of `work` on each image, those that cannot be read left out and noted."""

        def one(i: int) -> Any:
            try:
                return work(_encoded_bytes(dataset, rows, i))
            except BadImage as error:
                return error

        results = itertools.chain.from_iterable(decode.parallel(one, numbers, title))
        for i, result in zip(numbers, results, strict=True):
            if isinstance(result, BadImage):
                bad.append(f"{title}: image {i} {result}")
            else:
                yield i, result

    def refuse() -> None:
        if bad and dataset.on_bad_image == "error":
            raise decode.bad_images(dataset.name, bad, total)

    heads: list[Header] = []
    readable: dict[str, list[int]] = {}
    start: dict[str, int] = {}
    listed: list[tuple[str, int]] = []
    kept: list[int] = []  # places in `listed`
    for name, rows in splits.items():
        found = list(tried(decode.header, rows, [*range(len(rows))], name))
        heads += [head for _, head in found]
        readable[name] = [i for i, _ in found]
        start[name] = len(listed)
        listed += [(classes[label], parts[name]) for label in numbers[name]]
    refuse()
    how = decode.rule(heads, dataset.size, dataset.fit, dataset.colour, dataset.range)

    def decoded(raw: bytes) -> tuple[Any, int]:
        return how(raw), int.from_bytes(hashlib.sha256(raw).digest()[:8], "little")

    labels: list[int] = []
    official: list[int] = []
    origins: list[int] = []
    forms: list[str] = []
    paths: list[str] = []
    told = other_columns(dataset, next(iter(splits.values())))
    columns: dict[str, list[str]] = {column: [] for column in told}
    head_of = iter(heads)
    for name, rows in splits.items():
        form = {i: f"{h.form} {h.size[0]} x {h.size[1]}" for i, h in zip(readable[name], head_of, strict=False)}
        beside = {other: rows[other] for other in told}
        for i, (pixels, origin) in tried(decoded, rows, readable[name], name):
            write(pixels[None])
            origins.append(origin)
            forms.append(form[i])
            labels.append(numbers[name][i])
            official.append(parts[name])
            kept.append(start[name] + i)
            paths.append(f"{name} {i}")
            for other in told:
                columns[other].append(str(beside[other][i]))
    refuse()
    if not labels:
        raise RequestError(f"{dataset.name}: there is not a single usable image among {total}.")
    refuse_lost(dataset.name, listed, kept)
    names = [f"{name} {i}" for name, known in readable.items() for i in known]  # of `heads`
    return Contents(
        labels=np.array(labels, np.int64),
        classes=classes,
        official=np.array(official, np.int8),
        skipped=tuple(bad),
        rule=how,
        origins=np.array(origins, np.uint64),
        paths=tuple(paths),
        columns={name: tuple(values) for name, values in columns.items()},
        forms=tuple(forms),
        notes=(
            *notes,
            *doubts,
            *note_similar_names(classes),
            *note_zero_ends([head.zeros for head in heads], names),
            *depth.slivers(heads, {"int": how.ints, "float": how.floats}),
        ),
        remarks=(*remarks, *decode.unread_parts(heads, names)),
    )


def _splits(dataset: Any) -> tuple[dict[str, Any], dict[str, int], list[Note]]:
    """(the set's splits by name, which each one is, a note about those that are neither train, val nor test)."""
    try:
        import datasets
    except ImportError as error:
        raise RequestError("dataset=huggingface needs the extra: pip install 'imagebench[huggingface]'.") from error
    try:
        kept = None  # where the library keeps what it read
        if Path(dataset.name).is_dir():
            check_local(dataset)
            kept = str(Path(datasets.config.HF_DATASETS_CACHE) / "imagebench" / _state(Path(dataset.name)))
        made = datasets.load_dataset_builder(dataset.name, dataset.config, revision=dataset.revision, cache_dir=kept)
        files = {str(split): [str(file) for file in part] for split, part in (made.config.data_files or {}).items()}
        made.download_and_prepare()
        found = made.as_dataset()
    except RequestError:
        raise
    except Exception as error:  # the hub's, fsspec's, pyarrow's and the network's own errors come through
        last = error.__cause__ or error
        raise RequestError(f"dataset.name={dataset.name} cannot be loaded ({type(last).__name__}: {last}).") from error
    for name in dataset.splits or ():
        if name not in found:
            raise unknown_name(f"split of {dataset.name}: dataset.splits names", name, list(found))
    parts = assign_splits(found if dataset.splits is None else dataset.splits)
    known = {name: rows for name, rows in found.items() if name in parts}
    if not known or (dataset.splits is not None and set(dataset.splits) != set(known)):
        raise RequestError(
            f"{dataset.name} has the splits {', '.join(found)}; expected names that say train, val or test."
        )
    if len(set(parts.values())) < len(parts):
        kinds = list(parts.values())
        first = ",".join(name for i, name in enumerate(parts) if kinds.index(kinds[i]) == i)
        raise RequestError(
            f"{dataset.name} has two splits of one kind: {', '.join(parts)}. Say which ones are meant: "
            f"'dataset.splits=[{first}]'."
        )
    if TRAIN not in parts.values():
        raise RequestError(
            f"{dataset.name} has {', '.join(parts)} and no split train, so that nothing could be learned. Name a set "
            "or a config that has one; to draw splits from these images, save them as dataset=folder reads them."
        )
    notes = _note_revision(dataset)
    others = {name: len(rows) for name, rows in found.items() if dataset.splits is None and name not in parts}
    if others:
        shown = ", ".join(f"{name} ({count:,} images)" for name, count in others.items())
        notes.append(
            (
                "splits_left_out",
                f"Splits of {dataset.name} that are neither train, val nor test are left out: {shown}.",
                "Nothing to do where that is meant; else publish them under those names.",
            )
        )
    columns = next(iter(known.values())).column_names
    for wanted, setting in ((dataset.image_column, "image_column"), (dataset.label_column, "label_column")):
        if wanted not in columns:
            raise unknown_name(f"column in {dataset.name}: dataset.{setting} is", wanted, columns)
    if missing := missing_shards(files):  # which a card may mean: a small part of a set
        notes.append(("shards_missing", f"{dataset.name}: {missing}", "Nothing to do where its card means that."))
    names = getattr(next(iter(known.values())).features[dataset.label_column], "names", None)
    notes += note_class_names(dataset, {name: files.get(name, []) for name in known}, names)
    notes += note_unlisted(dataset.name, files, {name: len(rows) for name, rows in known.items()})
    for name, rows in known.items():
        check_images(dataset, rows)
        known[name] = rows.cast_column(dataset.image_column, datasets.Image(decode=False))
    return known, parts, notes


def _content(folder: Path) -> str:
    """Hex digest of the names and bytes of a folder's files."""
    places = sorted(str(p) for p in files_below(folder) if p.is_file())
    found = hashlib.sha256(scan(places, str(folder.resolve()), "huggingface").hashes.tobytes())
    found.update("\n".join(os.path.relpath(place, folder) for place in places).encode(errors="surrogateescape"))
    return found.hexdigest()


def _state(folder: Path) -> str:
    """Where a folder is, and its files' names and content, as 32 letters: what the library's cache of it is called.

    The library knows a config of a README by its name alone, and files by size and time: another folder of that name,
    or other files, came out as the first ones.
    """
    return hashlib.sha256(os.fsencode(folder.resolve()) + _content(folder).encode()).hexdigest()[:32]


def check_local(dataset: Any) -> None:
    """Raise RequestError where the library takes a local folder otherwise than its folders say.

    Where the folder's own README says which files are in which split (`configs:` with `data_files:`), that is meant.
    """
    import datasets
    from huggingface_hub import RepoCard

    readme = Path(dataset.name) / "README.md"
    said = RepoCard.load(readme, ignore_metadata_errors=True).data.to_dict() if readme.is_file() else {}
    if any("data_files" in config for config in said.get("configs") or []):
        return
    chosen = datasets.load_dataset_builder(dataset.name, dataset.config).config
    names = [name for name in datasets.get_dataset_config_names(dataset.name) if name != chosen.name]
    others = [datasets.load_dataset_builder(dataset.name, name).config.data_files for name in names]
    check_folder(dataset.name, chosen.data_files, others)
    if missing := missing_shards(chosen.data_files or {}):
        raise RequestError(f"{dataset.name}: {missing} Bring all of them, or rename those that are there.")


def _note_revision(dataset: Any) -> list[Note]:
    """A note where nothing says which commit of a set of the hub is meant."""
    if dataset.revision is not None or Path(dataset.name).is_dir():
        return []
    now = commit(dataset.name, None)
    return [
        (
            "revision_unsaid",
            f"{dataset.name} is read without dataset.revision: the hub may serve other images under this name later.",
            f"Say which ones are meant: dataset.revision={now or 'COMMIT'}.",
        )
    ]


def _encoded_bytes(dataset: Any, rows: Any, i: int) -> bytes:
    """The file of an image as it was published: its own header says how it is to be read. Raises BadImage."""
    found = rows[i][dataset.image_column]
    if found is None or not (found["bytes"] or found["path"]):
        raise BadImage("is missing")
    return bytes(found["bytes"]) if found["bytes"] is not None else fetch(found["path"])


HUGGINGFACE = Source(_identity, _read)
