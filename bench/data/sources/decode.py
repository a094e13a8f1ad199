"""Image files of any kind to uint8 [C, H, W], by one stated rule."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.schema.errors import RequestError

MIXED = 128  # side of the square that images of mixed sizes are brought to
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
RULE = 1  # raise when the pixels that come out change
T = TypeVar("T")
R = TypeVar("R")


class BadImage(Exception):
    """A file that is not a readable image; the message says why."""


@dataclass(frozen=True)
class Rule:
    """What becomes of every image of a set.

    Attributes:
        channels: 1 or 3.
        size: side of the square to bring it to; None leaves it as it is.
        fit: crop (shorter side to size, then the centre), squash, or pad (longer side to size, black borders).
    """

    channels: int
    size: int | None
    fit: str

    def __call__(self, raw: bytes) -> NDArray[np.uint8]:
        """Pixels uint8 [channels, H, W] of an encoded image. Raises BadImage."""
        with opened(raw) as image:
            return self.pixels(image)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """The same for an image that PIL has opened. Raises BadImage.

        EXIF rotation is applied; 16 bits become 8 by v / 257; floats are taken as 0..255; alpha is laid over
        white; palettes and CMYK become RGB; of several frames the first counts. Resizing is bicubic with
        antialiasing; a JPEG more than twice as large is decoded at reduced resolution first.
        """
        try:
            if self.size is not None:
                image.draft(None, (2 * self.size, 2 * self.size))
            image = ImageOps.exif_transpose(image)
            flat = self._flat(image)
            if self.size is not None and flat.size != (self.size, self.size):
                flat = self._fitted(flat, (self.size, self.size))
            array = np.asarray(flat, dtype=np.uint8)
        except Exception as error:  # Pillow's readers let struct's, zlib's and many others through
            raise BadImage(f"cannot be decoded ({error})") from error
        return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))

    def _flat(self, image: Image.Image) -> Image.Image:
        """Mode L or RGB, 8 bits."""
        mode = "L" if self.channels == 1 else "RGB"
        if image.mode.startswith("I"):  # 16 bits, also where PIL holds them in 32
            wide = np.asarray(image).astype(np.float64)
            image = Image.fromarray(np.clip(np.floor(wide / 257 + 0.5), 0, 255).astype(np.uint8))
        elif image.mode == "F":
            image = Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8))
        if image.has_transparency_data:
            above = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
        return image if image.mode == mode else image.convert(mode)

    def _fitted(self, image: Image.Image, to: tuple[int, int]) -> Image.Image:
        if self.fit == "squash":
            return image.resize(to, Image.Resampling.BICUBIC)
        method = ImageOps.fit if self.fit == "crop" else ImageOps.pad
        return method(image, to, method=Image.Resampling.BICUBIC)


def opened(raw: bytes) -> Image.Image:
    """The image with its header read. Raises BadImage for what is no image, is empty, or is a decompression bomb."""
    if not raw:
        raise BadImage("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # stricter below
            image = Image.open(io.BytesIO(raw))
    except UnidentifiedImageError as error:
        raise BadImage("is not an image in a format that Pillow reads") from error
    except Exception as error:  # see `Rule.pixels`
        raise BadImage(f"cannot be opened ({error})") from error
    limit = Image.MAX_IMAGE_PIXELS or sys.maxsize
    if image.width * image.height > limit:
        raise BadImage(f"would unpack to {image.width} x {image.height} pixels, more than {limit:,} (Pillow's limit)")
    return image


@dataclass(frozen=True)
class Header:
    """What a file's header tells: (width, height) as it will be shown, and whether it is grey."""

    size: tuple[int, int]
    grey: bool


def header(raw: bytes) -> Header:
    """Of an encoded image. Raises BadImage."""
    with opened(raw) as image:
        # For a PNG without EXIF in front of its pixels, Pillow would decode them to look behind.
        silent = image.format == "PNG" and "exif" not in image.info
        try:
            orientation = 1 if silent else image.getexif().get(0x0112, 1)
        except Exception as error:  # see `Rule.pixels`
            raise BadImage(f"has EXIF data that cannot be read ({error})") from error
        turned = orientation in (5, 6, 7, 8)  # those that swap the axes
        size = (image.height, image.width) if turned else (image.width, image.height)
        return Header(size, image.mode in GREY_MODES)


def rule(headers: Iterable[Header], size: int | None, fit: str, colour: str) -> Rule:
    """The rule for a set: one size stays, mixed sizes become MIXED x MIXED; grey stays grey where all are grey."""
    seen = Counter(headers)
    if size is None and len({h.size for h in seen}) > 1:
        size = MIXED
    grey = colour == "grey" or (colour == "auto" and all(h.grey for h in seen))
    return Rule(1 if grey else 3, size, fit)


def parallel(work: Callable[[T], R], items: Sequence[T], title: str, chunk: int = 256) -> Iterator[list[R]]:
    """`work` on each item in threads (Pillow decodes outside the GIL), in order, a chunk of results at a time.

    A progress bar runs on standard error where that is a terminal.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=len(items))
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for start in range(0, len(items), chunk):
                results = list(pool.map(work, items[start : start + chunk]))
                bar.update(task, advance=len(results))
                yield results


def bad_images(source: str, bad: Sequence[str], total: int) -> RequestError:
    """The error for files that cannot be used, naming the first ten."""
    shown = "\n  ".join(bad[:10])
    more = f"\n  and {len(bad) - 10} more" if len(bad) > 10 else ""
    return RequestError(
        f"{source}: {len(bad)} of {total} files cannot be used:\n  {shown}{more}\n"
        "Repair or remove them, or say dataset.on_bad_image=skip to leave them out (they are counted and listed)."
    )
