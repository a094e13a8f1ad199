"""Whether an image file is whole, as far as its format lets that be known.

Downloads that were cut off, full disks and cards leave files of the right length whose end is zeros. Most decoders
make black or smeared rows of them and say nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

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
        return ENDS_WITH_ZEROS if any(tiff.zeros(data) for data in _webp(raw)) else None
    if image.format in ("AVIF", "HEIF"):
        return ENDS_WITH_ZEROS if any(tiff.zeros(data) for data in _mdat(raw)) else None
    if image.format == "QOI" and not raw.endswith(bytes(7) + b"\1"):
        return "its end is missing"
    return None


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


def _webp(raw: bytes) -> Iterator[memoryview]:
    """The coded pixels of the image, or of the first frame."""
    at, end = 12, len(raw)
    while at + 8 <= end:
        kind, size = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            yield memoryview(raw)[at + 8 : at + 8 + size]
            return
        at += 8 + 16 if kind == b"ANMF" else 8 + size + size % 2


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
