"""Whether an image file is whole, as far as its format lets that be known.

Downloads that were cut off, full disks and cards leave files of the right length whose end is zeros. Most decoders
make black or smeared rows of them and say nothing.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.sources import tiff

PNG = b"\x89PNG\r\n\x1a\n"
ENDS_WITH_ZEROS = "its pixels end with zeros, as a download that was cut off leaves them"


def damage(image: Any, raw: bytes) -> str | None:
    """What is wrong with the data of an opened image; None where nothing is known to be.

    Formats whose own decoder refuses such files (JPEG, GIF, JPEG 2000), and those that hold nothing that could tell
    (BMP, PPM, TGA and other plain pixels), are passed over.
    """
    if image.format == "PNG":
        return _png(raw)
    if image.format == "ICO":
        return next((found for at in _places(raw, PNG) if (found := _png(raw[at:]))), None)
    if image.format == "TIFF":
        return tiff.damage(raw, image.tag_v2, image.width * image.height)
    if image.format == "WEBP":
        return ENDS_WITH_ZEROS if any(tiff.zeros(data) and _unwritten(data) for data in _webp(raw)) else None
    if image.format in ("AVIF", "HEIF"):
        return ENDS_WITH_ZEROS if any(tiff.zeros(data) for data in _mdat(raw)) else None
    if image.format == "QOI" and not raw.endswith(bytes(7) + b"\1"):
        return "its end is missing"
    return None


def zero_end(image: Any, raw: bytes) -> bool:
    """Whether plain pixels, in which zeros are black, end with more than a row of them that begin within a row.

    Bars that somebody drew begin with a row; of images on black (digits, scans), most end so: see `note_zero_ends`.
    """
    tiles = getattr(image, "tile", [])
    if not tiles or any(tile[0] != "raw" for tile in tiles):
        return False
    if len({tile[1] for tile in tiles}) < len(tiles):  # a plane for each channel (SGI): rows are of another length
        return False
    start, end = min(tile[2] for tile in tiles), len(raw.rstrip(b"\0"))
    row = (len(raw) - start) // image.height  # bytes
    return start < end and 0 < row < len(raw) - end and (end - start) % row != 0


def note_zero_ends(ends: Sequence[bool], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """(name, reason, remedy) where some files end as `zero_end` says and most of the set do not."""
    found = [name for name, one in zip(names, ends, strict=True) if one]
    if not found or 2 * len(found) >= len(ends):
        return []
    return [
        (
            "zeros_at_end",
            f"{len(found):,} of {len(ends):,} files hold plain pixels that end with rows of zeros, as a download that "
            f"was cut off leaves them, the first is {found[0]}.",
            "Look at them; black ground is no fault. Their format cannot tell: compare checksums where there are some.",
        )
    ]


def _png(raw: bytes) -> str | None:
    """Pillow does not compare the checksums of chunks: zeros at the end gave black rows."""
    at = 8
    while at + 12 <= len(raw) and (kind := raw[at + 4 : at + 8]) != b"IEND":
        size = int.from_bytes(raw[at : at + 4], "big")
        end = at + 8 + size
        if kind == b"IDAT" and zlib.crc32(memoryview(raw)[at + 4 : end]) != int.from_bytes(raw[end : end + 4], "big"):
            return f"the checksum of its pixels is wrong from byte {at:,} on"
        at = end + 4
    return None


def _webp(raw: bytes) -> Iterator[bytes]:
    """The chunk of coded pixels of the image, or of the first frame."""
    at, end = 12, len(raw)
    while at + 8 <= end:
        kind, size = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            yield raw[at : at + 8 + size]
            return
        at += 8 + 16 if kind == b"ANMF" else 8 + size + size % 2


def _unwritten(chunk: bytes) -> bool:
    """Whether no coder of WebP wrote the zeros at the end of its pixels.

    Quick settings (method 0) write hundreds of them for flat pixels. Those are all needed, or the decoder stops, and
    without loss they take two bytes a pixel at most.
    """
    data = chunk[8:].rstrip(b"\0")
    zeros = len(chunk) - 8 - len(data)
    if _webp_pixels(chunk[:4], data + bytes(zeros * 9 // 10)) is not None:
        return True
    if chunk[:4] == b"VP8 ":
        return False
    shown, other = (_webp_pixels(chunk[:4], data + bytes([value]) * 9 * zeros) for value in (0, 255))
    if shown is None or other is None or (same := (shown == other).all(-1).ravel()).all():
        return False
    return zeros > 2 * (len(same) - int(same.argmin()))


def _webp_pixels(kind: bytes, data: bytes) -> NDArray[np.uint8] | None:
    """[H, W, channels] of a file with this chunk alone; None where it cannot be decoded."""
    inner = kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
    try:
        with Image.open(io.BytesIO(b"RIFF" + (len(inner) + 4).to_bytes(4, "little") + b"WEBP" + inner)) as image:
            return np.asarray(image)
    except Exception:  # Pillow's words for it change
        return None


def _mdat(raw: bytes) -> Iterator[memoryview]:
    """The boxes of data of an ISO base media file (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(raw):
        size, kind, head = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(raw[at + 8 : at + 16], "big"), 16
        size = size or len(raw) - at
        if kind == b"mdat":
            yield memoryview(raw)[at + head : at + size]
        at += max(size, head)


def _places(raw: bytes, what: bytes) -> Iterator[int]:
    at = raw.find(what)
    while at >= 0:
        yield at
        at = raw.find(what, at + 1)
