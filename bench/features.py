"""Features of a frozen backbone: computed once for one content, kept on disk, shared by every head, lr and seed.

The key is a hash of what decides the numbers: the backbone's tensors and structure, the preprocessing, the
images, and for augmented views the augmentation, their count and the seed. Nothing has to be declared
unchanged, and nothing stale can be found. A file appears under its key in one rename, when it is complete:
after a kill there is none, and of two processes the second waits and reads.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.augment import Augmentation, generator
from bench.data.cache import cache_folder
from bench.data.imagedata import ImageData
from bench.disk import disk_errors, open_synced
from bench.schema.errors import RequestError

KEEP_REMEDY = "Or set IMAGEBENCH_CACHE to another folder, or do without: transfer.cache=false."
LAYOUT = 1  # raise when the same content would give other numbers
BLOCK_BYTES = 256 * 2**20  # of one block's network input
MOST_IMAGES = 32  # a block; more is no faster, and activations take many times the input's memory


def features(
    data: ImageData,
    split: str,
    backbone: nn.Module,
    prepare: nn.Module,
    device: torch.device,
    settings: str,
    *,
    cache: bool = True,
    augment: Augmentation | None = None,
    views: int = 0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Features float32 [n, D] of a split's images in the split's order, or [n, views, D] of augmented views.

    Args:
        split: train, val or test.
        backbone: float32 [B, C, H, W] -> features [B, D]; used in evaluation mode, its modes are put back.
        prepare: uint8 [B, C, H, W] -> the backbone's input.
        settings: text that says how backbone and augmentation were built; part of the key, as two networks may have
            the same tensors and differ in what no tensor shows (a shortcut, an activation).
        cache: keep them on disk and use what is there. A memory map then, shared by processes; copy-on-write.
        augment: images and labels, draws -> images, labels; needs `views`.
        views: how often each image is augmented; view v draws as epoch v of a training with `seed` would.

    Raises:
        RequestError: when the cache folder cannot be written, or for an augmentation without views.
    """
    if (augment is not None) != (views > 0):
        raise RequestError("Augmented features need transfer.views, the number of views kept of every image, and v.v.")
    rows = data.split(split)

    def compute() -> NDArray[np.float32]:
        return _compute(data, rows, backbone, prepare, device, augment, views, seed, split)

    if not cache:
        return compute()
    extra = f"{settings} views={views} seed={seed if views else 0}"
    key = content_key(data, rows, backbone, prepare, device, extra)
    return cached_array(cache_folder() / "features" / f"{key}.npy", compute)


def cached_array(
    path: Path, compute: Callable[[], NDArray[Any]], *, instead: Sequence[Path] = (), lock: Path | None = None
) -> np.memmap[Any, Any]:
    """The array in `path`; computed and put there if it is missing, by one process at a time.

    Args:
        instead: files that serve as well; the first that is there is read (`filename` says which).
        lock: shared by files of which one is enough; one beside `path` where it is None.

    Raises:
        RequestError: when the folder cannot be written or the file is damaged.
    """

    def there() -> Path | None:
        return next((p for p in (path, *instead) if p.exists()), None)

    with disk_errors(path.parent, KEEP_REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        if there() is None:
            with FileLock(lock or path.with_suffix(".lock")):
                if there() is None:  # another process may have finished it while this one waited
                    part = path.with_suffix(".part")  # left by a kill: overwritten, as we hold the lock
                    with open_synced(part) as file:
                        np.save(file, compute())
                    part.replace(path)
    path = there() or path
    try:
        return np.load(path, mmap_mode="c")
    except Exception as error:  # see `bench.npz`
        raise RequestError(f"{path} is damaged ({error}). Delete it and run again.") from error


def content_key(
    data: ImageData,
    rows: NDArray[np.int64],
    backbone: nn.Module,
    prepare: nn.Module,
    device: torch.device,
    extra: str,
) -> str:
    """SHA-256 (hex) of everything that decides the features.

    The kind of device and torch's version are in it: their kernels round differently.
    """
    content = hashlib.sha256(f"{LAYOUT} {torch.__version__} {device.type} {extra}\n".encode())
    for module in (backbone, prepare):
        content.update(f"{module}\n".encode())
        for name, tensor in sorted(module.state_dict().items()):
            tensor = tensor.detach().cpu().contiguous()
            content.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            content.update(tensor.flatten().view(torch.uint8).numpy().data)
    content.update(f"{list(data.images.shape[1:])}\n".encode())
    for start in range(0, len(rows), 1024):
        content.update(np.ascontiguousarray(data.images[rows[start : start + 1024]]).data)
    return content.hexdigest()


def _compute(
    data: ImageData,
    rows: NDArray[np.int64],
    backbone: nn.Module,
    prepare: nn.Module,
    device: torch.device,
    augment: Augmentation | None,
    views: int,
    seed: int,
    split: str,
) -> NDArray[np.float32]:
    modes = [(module, module.training) for module in backbone.modules()]
    # On a CPU mobile nets run 1.5 times faster in this layout; tensor cores want it as well.
    layout = torch.channels_last
    backbone.to(device=device, memory_format=layout).eval()  # type: ignore[call-overload]
    prepare.to(device)
    out: NDArray[np.float32] | None = None
    step = _block(data, prepare, device)
    passes = max(1, views)
    with _progress(split, passes * len(rows)) as advance:
        for view in range(passes):
            for number, start in enumerate(range(0, len(rows), step)):
                part = rows[start : start + step]
                images = torch.from_numpy(data.images[part]).to(device)
                if augment is not None:
                    labels = torch.zeros(len(part), dtype=torch.int64, device=device)
                    images, targets = augment(images, labels, generator(seed, view, number, len(part)))
                    if targets.is_floating_point():
                        raise RequestError(
                            "mixup and cutmix mix labels too, which cached views cannot: transfer.views=0."
                        )
                # Around the passes only: what is moved inside could never be trained afterwards.
                with torch.inference_mode():
                    found = backbone(prepare(images).contiguous(memory_format=layout)).float().cpu().numpy()
                if out is None:
                    out = np.empty((len(rows), passes, found.shape[1]), dtype=np.float32)
                out[start : start + step, view] = found
                advance(len(part))
    for module, training in modes:
        module.training = training
    if out is None:
        raise RequestError(f"There are no images in the {split} split.")
    if not np.isfinite(out).all():
        raise RequestError(f"The backbone makes values that are not finite of the {split} images: damaged weights?")
    return out if augment is not None else out[:, 0]


def _block(data: ImageData, prepare: nn.Module, device: torch.device) -> int:
    """Images at a time."""
    one: Tensor = prepare(torch.from_numpy(data.images[data.train[:1]]).to(device))
    return max(1, min(MOST_IMAGES, BLOCK_BYTES // (one.numel() * 4)))


@contextmanager
def _progress(split: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, to be advanced by a number of images. None in a sweep's worker, whose launch has a view."""
    if not sys.stderr.isatty() or multiprocessing.parent_process() is not None:
        yield lambda images: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("features of {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(split, total=total)
        yield lambda images: bar.advance(task, images)
