"""What an earlier run of the store left for a transfer: its weights, and beside them what they were trained with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench import data as images
from bench.models import origin, preprocess
from bench.models.hashes import file_sha256
from bench.restore import experiment_of
from bench.schema.errors import RequestError
from bench.schema.transfer import Input
from bench.track.record import Record
from bench.track.starts import Starts
from bench.track.store import Store

HERE = ("dataset.root", "dataset.file")  # where the run's images lay; they may lie there still


def fetch_weights(store: Store | Starts, run: str, folder: Path, preprocessing: bool) -> Path:
    """The weights of a run, as a file in `folder`; with `preprocessing`, preprocessing.json lies beside it.

    Raises:
        RequestError: when there is no such run or it has no weights, and for an older run as `derive_input`.
    """
    path = store.artifact(run, "weights.pt", folder)
    if preprocessing:
        try:
            store.artifact(run, origin.FILE, folder)
        except RequestError:
            said = origin.to_json(derive_input(store.get(run)), file_sha256(path))
            path.with_name(origin.FILE).write_text(said, encoding="utf-8")
    return path


def derive_input(record: Record) -> Input:
    """What a run of before preprocessing.json trained with: worked out from its recorded settings and its images.

    Raises:
        RequestError: when these settings or images are not what they were.
    """
    try:
        where = {name: record.config[name] for name in HERE if record.config.get(name) is not None}
        exp = experiment_of(record, record.seed, None, where)
        if exp.transfer.weights.startswith(("file:", "run:")):  # which then met pixel_norm
            exp = dataclasses.replace(exp, transfer=dataclasses.replace(exp.transfer, preprocess="own"))
        data = images.load(exp.dataset, exp.split)
        then = record.provenance.get("data_fingerprint")
        if data.fingerprint != then:
            raise RequestError(f"its images or their split have fingerprint {data.fingerprint[:12]}, not {then}.")
        return preprocess.as_input(preprocess.make(exp, data), preprocess.input_shape(exp, data.shape))
    except RequestError as error:
        raise RequestError(
            f"Run {record.run_id} is older than {origin.FILE}, and what it was trained with cannot be worked out "
            f"again: {error} Say it: transfer.input.mean=[...] transfer.input.std=[...]; "
            "or transfer.preprocess=own, for pixel_norm at the images' size."
        ) from error
