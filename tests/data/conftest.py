"""Files laid out as the published sets lay them out, and an ImageData of random pixels."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import ImageData
from bench.data.catalog import class_names

STREAM = np.random.RandomState(7)


def idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def picture(path: Path, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Path:
    """A file of random pixels; `size` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = STREAM.randint(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def class_folders(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 10, **kwargs: object) -> Path:
    for name in classes:
        for i in range(each):
            picture(root / name / f"{i:02}.png", **kwargs)
    return root


@pytest.fixture
def data() -> Callable[..., ImageData]:
    def make(count: int = 64, shape: tuple[int, int, int] = (3, 12, 12), classes: int = 4) -> ImageData:
        stream = np.random.RandomState(0)
        everyone = np.arange(count)
        return ImageData(
            images=stream.randint(0, 256, (count, *shape), dtype=np.uint8),
            labels=(everyone % classes).astype(np.int64),
            classes=tuple(f"c{i}" for i in range(classes)),
            train=everyone[: count // 2],
            val=everyone[count // 2 : 3 * count // 4],
            test=everyone[3 * count // 4 :],
            fingerprint="0" * 64,
        )

    return make


def mnist_like(folder: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        raw = root / folder / "raw"
        for name, count in (("train", 30), ("t10k", 20)):
            idx(raw / f"{name}-images-idx3-ubyte", STREAM.randint(0, 256, (count, 28, 28)))
            idx(raw / f"{name}-labels-idx1-ubyte", np.arange(count) % 10)

    return make


def emnist(root: Path) -> None:
    raw = root / "EMNIST" / "raw"
    for name, count in (("train", 52), ("test", 26)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 3, 20] = 255  # stored transposed: upright it is at row 20, column 3
        idx(raw / f"emnist-letters-{name}-images-idx3-ubyte", images)
        idx(raw / f"emnist-letters-{name}-labels-idx1-ubyte", np.arange(count) % 26 + 1)


def cifar(name: str, key: str, meta: tuple[str, str], batches: tuple[str, ...], test: str, classes: int) -> Callable:
    """The pickles of CIFAR; torchvision checks their MD5, so its list is replaced by that of these files."""

    def make(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import hashlib

        import torchvision.datasets as tv

        made = getattr(tv, {"cifar-10-batches-py": "CIFAR10", "cifar-100-python": "CIFAR100"}[name])

        def dump(file: str, content: object) -> str:
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(content))
            return hashlib.md5(path.read_bytes()).hexdigest()

        def batch(count: int) -> dict[str, object]:
            pixels = STREAM.randint(0, 256, (count, 3072), dtype=np.uint8)
            return {"data": pixels, key: [i % classes for i in range(count)]}

        trains = [[b, dump(b, batch(2 * classes))] for b in batches]
        monkeypatch.setattr(made, "train_list", trains)
        monkeypatch.setattr(made, "test_list", [[test, dump(test, batch(classes))]])
        md5 = dump(meta[0], {meta[1]: list(class_names()[made.__name__.lower()])})
        monkeypatch.setattr(made, "meta", {"filename": meta[0], "key": meta[1], "md5": md5})

    return make


def svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    import torchvision.datasets as tv
    from scipy.io import savemat

    splits = {}
    for split, count in (("train", 30), ("test", 20)):
        path = root / f"{split}_32x32.mat"
        labels = np.arange(count)[:, None] % 10
        savemat(
            path, {"X": STREAM.randint(0, 256, (32, 32, 3, count), dtype=np.uint8), "y": np.where(labels, labels, 10)}
        )
        splits[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(tv.SVHN, "split_list", splits)


def stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    import torchvision.datasets as tv

    base = root / "stl10_binary"
    base.mkdir(parents=True)
    (base / "class_names.txt").write_text("\n".join(class_names()["stl10"]) + "\n")

    def listed(*files: str) -> list[list[str]]:
        return [[f, hashlib.md5((base / f).read_bytes()).hexdigest()] for f in files]

    for split, count in (("train", 30), ("test", 20)):
        (base / f"{split}_X.bin").write_bytes(STREAM.randint(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes())
        (base / f"{split}_y.bin").write_bytes((np.arange(count) % 10 + 1).astype(np.uint8).tobytes())
    monkeypatch.setattr(tv.STL10, "train_list", listed("train_X.bin", "train_y.bin"))
    monkeypatch.setattr(tv.STL10, "test_list", listed("test_X.bin", "test_y.bin"))


def flowers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    import torchvision.datasets as tv
    from scipy.io import savemat

    base = root / "flowers-102"
    count = 306  # each of the 102 classes once in each split
    for i in range(1, count + 1):
        picture(base / "jpg" / f"image_{i:05}.jpg", size=(12, 9 + i % 3))
    ids = np.arange(1, count + 1)
    savemat(base / "imagelabels.mat", {"labels": (ids - 1)[None] % 102 + 1})
    savemat(base / "setid.mat", {"trnid": ids[None, :102], "valid": ids[None, 102:204], "tstid": ids[None, 204:]})
    files = {"image": ("102flowers.tgz", ""), "label": ("imagelabels.mat", ""), "setid": ("setid.mat", "")}
    for key in ("label", "setid"):
        name = files[key][0]
        files[key] = (name, hashlib.md5((base / name).read_bytes()).hexdigest())
    monkeypatch.setattr(tv.Flowers102, "_file_dict", files)


def pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    cats = ("Abyssinian", "Bengal", "Birman")  # in the published files cats have a capital letter
    for file, start in (("trainval", 0), ("test", 4)):
        rows = []
        for label, shown in enumerate(class_names()["oxford_pets"], 1):
            name = shown if shown in cats else shown.lower().replace(" ", "_")
            for i in range(start, start + (4 if file == "trainval" else 1)):
                picture(base / "images" / f"{name}_{i}.jpg", size=(15, 10 + i))
                rows.append(f"{name}_{i} {label} {1 + (shown not in cats)} 1")
        (base / "annotations" / f"{file}.txt").write_text("\n".join(rows) + "\n")


def food(root: Path) -> None:
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for split, start in (("train", 0), ("test", 4)):
        meta = {name: [f"{name}/{i}" for i in range(start, start + 4)] for name in class_names()["food101"]}
        for paths in meta.values():
            for path in paths:
                picture(base / "images" / f"{path}.jpg", size=(16, 12))
        (base / "meta" / f"{split}.json").write_text(json.dumps(meta))


def imagenette(side: int) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        from torchvision.datasets import Imagenette

        for split in ("train", "val"):
            for wnid in Imagenette._WNID_TO_CLASS:
                for i in range(4):
                    picture(root / f"imagenette2-{side}" / split / wnid / f"{split}{i}.JPEG", size=(side + i, side))

    return make


def eurosat(root: Path) -> None:
    class_folders(root / "eurosat" / "2750", class_names()["eurosat"], each=8, size=(64, 64))


# source -> (makes its files, shape of an image, splits that the publisher made)
LAYOUTS: dict[str, tuple[Callable, tuple[int, int, int], tuple[int, int, int]]] = {
    "mnist": (mnist_like("MNIST"), (1, 28, 28), (0, 0, 20)),
    "kmnist": (mnist_like("KMNIST"), (1, 28, 28), (0, 0, 20)),
    "emnist_letters": (emnist, (1, 28, 28), (0, 0, 26)),
    "cifar10": (
        cifar("cifar-10-batches-py", "labels", ("batches.meta", "label_names"),
              tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", 10),
        (3, 32, 32), (0, 0, 10),
    ),
    "cifar100": (
        cifar("cifar-100-python", "fine_labels", ("meta", "fine_label_names"), ("train",), "test", 100),
        (3, 32, 32), (0, 0, 100),
    ),
    "svhn": (svhn, (3, 32, 32), (0, 0, 20)),
    "stl10": (stl10, (3, 96, 96), (0, 0, 20)),
    "flowers102": (flowers, (3, 128, 128), (102, 102, 102)),
    "oxford_pets": (pets, (3, 128, 128), (0, 0, 37)),
    "food101": (food, (3, 12, 16), (0, 0, 404)),
    "imagenette160": (imagenette(160), (3, 128, 128), (0, 0, 40)),
    "imagenette320": (imagenette(320), (3, 128, 128), (0, 0, 40)),
    "eurosat": (eurosat, (3, 64, 64), (0, 0, 0)),
}  # fmt: skip
