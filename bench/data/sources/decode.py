"""Image files of any kind to uint8 [C, H, W], by one stated rule."""

from __future__ import annotations

import functools
import io
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.sources import depth, tiff
from bench.data.sources.damage import damage, zero_end
from bench.data.sources.depth import BITS8, INTS, Header, Range
from bench.data.sources.formats import unread
from bench.schema.errors import RequestError

MIXED = 128  # side of the square that images of mixed sizes are brought to
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
LARGEST = 1024 * 1024  # pixels of an image that is kept at its own size without being asked
SEVERAL = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")  # may hold more frames or pages; others hold previews beside an image
ORIENTATION = 0x0112  # the EXIF tag
RULE = 1  # raise when the pixels that come out change
READING = 6  # raise when some files are read otherwise: what was decoded before is decoded anew
AT_ONCE = 64 * 2**20  # bytes of decoded images held at a time
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
        ints, floats: the values of images deeper than 8 bits that become 0 and 255, see `depth.ranges`.
        special: not 0 where some are of a kind that is read anew, see `depth.Deep`; it changes the digest only.
    """

    channels: int
    size: int | None
    fit: str
    ints: Range = INTS
    floats: Range = BITS8
    special: int = 0

    def identity(self) -> dict[str, object]:
        """The rule as part of a set's digest: what came later is left out where it changes no pixel."""
        later = {"ints": INTS, "floats": BITS8, "special": 0}
        changed = {k: v for k, v in asdict(self).items() if k not in later or v != later[k]}
        return {**changed, "special": True} if self.special == 1 else changed  # as it was when there was one kind

    def __call__(self, raw: bytes) -> NDArray[np.uint8]:
        """Pixels uint8 [channels, H, W] of an encoded image. Raises BadImage."""
        with open_image(raw) as image:
            return self.pixels(image, raw)

    def pixels(self, image: Image.Image, raw: bytes = b"") -> NDArray[np.uint8]:
        """The same for an image that PIL has opened, with the bytes it was opened from. Raises BadImage.

        EXIF rotation is applied; more than 8 bits become 8 by the set's range (`depth.ranges`); alpha is laid over
        white; palettes and CMYK become RGB; of several frames the first counts. Resizing is bicubic with
        antialiasing; a JPEG more than twice as large is decoded at reduced resolution first.
        """
        try:
            if self.size is not None:
                image.draft(None, (2 * self.size, 2 * self.size))
            if depth.is_deep(image, raw):
                span = self.floats if image.mode == "F" else self.ints
                found, invert = depth.values(image, raw), depth.is_inverted(image)
                orientation = image.getexif().get(ORIENTATION, 1)  # 1 where Pillow has turned a TIFF while reading it
                image = Image.fromarray(depth.levels(found, span, invert))
                image.getexif()[ORIENTATION] = orientation
            image = ImageOps.exif_transpose(image)
            flat = self._flat(image, raw)
            if self.size is not None and flat.size != (self.size, self.size):
                flat = self._fit(flat, (self.size, self.size))
            array = np.asarray(flat, dtype=np.uint8)
        except Exception as error:  # Pillow's readers let struct's, zlib's and many others through
            raise BadImage(f"cannot be decoded ({error})") from error
        return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))

    def _flat(self, image: Image.Image, raw: bytes) -> Image.Image:
        """Mode L or RGB, 8 bits."""
        mode = "L" if self.channels == 1 else "RGB"
        if _low_clear(image, raw):  # Pillow has scaled the pixels alone
            image.info["transparency"] *= 255 // (2 ** raw[24] - 1)
        if image.has_transparency_data:
            above = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
        return image if image.mode == mode else image.convert(mode)

    def _fit(self, image: Image.Image, to: tuple[int, int]) -> Image.Image:
        if self.fit == "squash":
            return image.resize(to, Image.Resampling.BICUBIC)
        method = ImageOps.fit if self.fit == "crop" else ImageOps.pad
        return method(image, to, method=Image.Resampling.BICUBIC)


def _low_clear(image: Image.Image, raw: bytes) -> bool:
    """Whether it is a PNG of grey in 2 or 4 bits, one of which is called transparent."""
    low = raw.startswith(b"\x89PNG") and image.mode == "L" and raw[24] < 8
    return low and isinstance(image.info.get("transparency"), int)


def open_image(raw: bytes) -> Image.Image:
    """The image with its header read. Raises BadImage for what is no image, is empty, or is a decompression bomb."""
    if not raw:
        raise BadImage("is empty (0 bytes)")
    heic()
    if raw.startswith(tiff.BEGINNINGS):
        raw = tiff.as_colour(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is told below
            image = Image.open(io.BytesIO(raw))
    except UnidentifiedImageError as error:
        raise BadImage(unread(raw)) from error
    except Exception as error:  # see `Rule.pixels`
        raise BadImage(f"cannot be opened ({error})") from error
    if image.format == "EPS":  # Pillow would run it, as the program that it is
        raise BadImage("is EPS, a program for printers: convert it to PNG")
    if image.format == "FITS":
        raise BadImage("is FITS, of which Pillow reads neither BZERO, BSCALE nor signs: save it as TIFF or 16-bit PNG")
    if image.format == "JPEG2000" and image.mode in ("LA", "RGB", "RGBA") and depth.jpeg2000_bits(raw) > 8:
        raise BadImage("is JPEG 2000 of more than 8 bits in colour, whose white Pillow makes black: convert it to PNG")
    if image.mode not in ("L", "LA", "La") and tiff.grey_channels(getattr(image, "tag_v2", {})) > 1:
        raise BadImage(unread(raw))
    if image.format == "TIFF" and depth.is_preview(image, raw):
        raise BadImage(
            "is a camera's raw file, or a TIFF that begins with a small copy of its image, and Pillow reads no more: "
            "convert it to PNG, JPEG or a TIFF of one page"
        )
    limit = Image.MAX_IMAGE_PIXELS or sys.maxsize
    if image.width * image.height > limit:
        raise BadImage(f"would unpack to {image.width} x {image.height} pixels, more than {limit:,} (Pillow's limit)")
    if (found := damage(image, raw)) is not None:
        raise BadImage(f"cannot be decoded ({found})")
    return image


@functools.cache
def heic() -> bool:
    """Let Pillow read HEIC where the extra `heic` is installed; whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def packages() -> list[bool]:
    """Whether those that read more kinds of files are installed."""
    return [heic(), find_spec("imagecodecs") is not None]


def header(raw: bytes) -> Header:
    """Of an encoded image. Raises BadImage."""
    with open_image(raw) as image:
        return read_header(image, raw)


def read_header(image: Image.Image, raw: bytes = b"") -> Header:
    """The header of an opened image; one of more than 8 bits is decoded for it. Raises BadImage."""
    # For a PNG without EXIF in front of its pixels, Pillow would decode them to look behind.
    silent = image.format == "PNG" and "exif" not in image.info
    try:
        orientation = 1 if silent else image.getexif().get(ORIENTATION, 1)
    except Exception as error:  # see `Rule.pixels`
        raise BadImage(f"has EXIF data that cannot be read ({error})") from error
    # Those that swap the axes. Pillow has swapped a TIFF's size already.
    turned = orientation in (5, 6, 7, 8) and image.format != "TIFF"
    size = (image.height, image.width) if turned else (image.width, image.height)
    zeros = zero_end(image, raw)
    grey, form = image.mode in GREY_MODES, f"{image.format or 'array'} {image.mode}"
    try:
        several = image.format in SEVERAL and bool(getattr(image, "is_animated", False))
        deep = depth.look(image, raw) if depth.is_deep(image, raw) else None
        spare = tiff.spare_channels(getattr(image, "tag_v2", {}), image.mode) if image.format == "TIFF" else 0
        return Header(size, grey, form, deep, several, _low_clear(image, raw), spare, zeros)
    except Exception as error:  # see `Rule.pixels`
        raise BadImage(f"cannot be decoded ({error})") from error


def rule(headers: Sequence[Header], size: int | None, fit: str, colour: str, span: Range | None = None) -> Rule:
    """The rule for a set: one size stays, mixed sizes become MIXED x MIXED; grey stays grey where all are grey.

    Args:
        span: the user's range of images of more than 8 bits, see `depth.ranges`.

    Raises:
        RequestError: for images of one size that are too large to be kept so without being asked, or for values whose
            range nobody says.
    """
    seen = Counter((h.size, h.grey) for h in headers)
    sizes = {size for size, _ in seen}
    if size is None and len(sizes) > 1:
        size = MIXED
    elif size is None and (one := next(iter(sizes)))[0] * one[1] > LARGEST:
        raise RequestError(
            f"Every image is {one[0]} x {one[1]} pixels: {len(headers)} of them would take "
            f"{len(headers) * 3 * one[0] * one[1] / 2**30:.1f} GiB as they are. "
            "Say the side that the model shall see, such as dataset.size=224 (2048 at most)."
        )
    if span is not None and not any(h.deep for h in headers):
        raise RequestError(
            f"dataset.range=[{span[0]:g},{span[1]:g}] is for images of more than 8 bits, and this set has none: leave "
            "it out. Values of 8 bits count as they are."
        )
    grey = colour == "grey" or (colour == "auto" and all(grey for _, grey in seen))
    spans = depth.ranges(headers, span)
    special = max((4 if h.clear else h.deep.special if h.deep is not None else 0 for h in headers), default=0)
    return Rule(1 if grey else 3, size, fit, spans.get("int", INTS), spans.get("float", BITS8), special)


def unread_parts(headers: Sequence[Header], names: Sequence[str]) -> list[str]:
    """Remarks where files hold more than is read: frames or pages, channels that are no colours."""
    kinds = {
        "several frames or pages, of which the first one is read": [head.several for head in headers],
        "channels beside the colours, which are left out": [head.spare > 0 for head in headers],
        "a fourth channel that nothing explains and that is taken as alpha": [head.spare < 0 for head in headers],
    }
    out = []
    for what, holds in kinds.items():
        found = [name for name, one in zip(names, holds, strict=True) if one]
        if found:
            out.append(f"{len(found):,} {'files hold' if len(found) > 1 else 'file holds'} {what}: {found[0]}.")
    return out


def chunk_of(how: Rule, headers: Sequence[Header], most: int = 256) -> int:
    """How many images are decoded at a time, so that they take AT_ONCE bytes at most."""
    width, height = (how.size, how.size) if how.size is not None else headers[0].size
    return max(1, min(most, AT_ONCE // (width * height * how.channels)))


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
