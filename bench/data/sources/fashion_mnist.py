"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 + 10,000 grey images, 28x28, MIT licence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.catalog import class_names
from bench.data.sources.contract import TEST, TRAIN, Contents, Source, Write, stamp
from bench.data.sources.idx import read_idx
from bench.schema.errors import RequestError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
# MD5 of the uncompressed files. Debian's .gz files hold the published content under other gzip headers.
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def _identity(dataset: Any) -> Mapping[str, Any]:
    """The checksums, as the content is the same wherever it lies; in a folder of the user's, also the files' state."""
    if dataset.root is None:
        return {"md5": MD5}
    return {"md5": MD5, "files": [stamp(path) for path in _files(Path(os.path.expanduser(dataset.root)))]}


def _read(dataset: Any, write: Write) -> Contents:
    if dataset.root is not None:
        folder = Path(os.path.expanduser(dataset.root))
    else:
        folder = DEBIAN if DEBIAN.is_dir() else _download()
    train, train_labels, test, test_labels = (
        read_idx(path, md5) for path, md5 in zip(_files(folder), MD5.values(), strict=True)
    )
    write(train[:, None])
    write(test[:, None])
    return Contents(
        labels=np.concatenate([train_labels, test_labels]).astype(np.int64),
        classes=class_names()["fashion_mnist"],
        official=np.repeat(np.array([TRAIN, TEST], np.int8), [len(train), len(test)]),
    )


def _files(folder: Path) -> list[Path]:
    """The four files, gzipped or not; where one is missing, the path at which the .gz was expected."""
    plain = [folder / name for name in MD5]
    return [path if path.exists() else path.with_name(path.name + ".gz") for path in plain]


def _download() -> Path:
    from torchvision.datasets import FashionMNIST

    from bench.data.cache import cache_folder

    root = cache_folder() / "downloads"
    try:
        FashionMNIST(str(root), download=True)
    except Exception as error:  # torchvision lets urllib's, socket's and its own errors through
        raise RequestError(
            f"fashion_mnist: torchvision could not download it ({error}). Install Debian's package "
            f"dataset-fashion-mnist, or put {'.gz, '.join(MD5)}.gz into a folder and say dataset.root=FOLDER."
        ) from error
    return root / "FashionMNIST" / "raw"


FASHION_MNIST = Source(_identity, _read)
