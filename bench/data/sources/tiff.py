"""The directory of a TIFF's first page, read from its bytes: what Pillow and libtiff pass over in silence.

Source: TIFF 6.0 (Adobe 1992), section 2; BigTIFF (2007).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BITS, PHOTOMETRIC, CHANNELS, EXTRA, TABLES, COMPRESSION = 258, 262, 277, 338, 347, 259
DATA = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
GREY, COLOUR = 1, 2  # values of PHOTOMETRIC
DEFLATE = (8, 32946)
# JPEG, JPEG 2000, LZMA, Zstandard: none of their streams ends with a row of zeros.
NEVER_ZEROS = (7, 33003, 33005, 34712, 34925, 50000)


def as_colour(raw: bytes) -> bytes:
    """The same TIFF with three channels of grey, as arrays [H, W, 3] are often written, called red, green and blue.

    No reader shows such a file as it is meant: Pillow refuses it, or reads grey.
    """
    found = _directory(raw)
    if found is None:
        return raw
    order, start, size, entries = found
    at = {tag: i for i, (tag, _) in enumerate(entries)}
    value = {tag: entries[at[tag]][1] for tag in (PHOTOMETRIC, CHANNELS, COMPRESSION) if tag in at}
    if value.get(PHOTOMETRIC) != GREY or value.get(CHANNELS) != 3 or value.get(COMPRESSION, 1) in (6, 7):
        return raw
    out = bytearray(raw)
    place = start + size * at[PHOTOMETRIC] + size - (8 if size == 20 else 4)
    out[place : place + 2] = struct.pack(order + "H", COLOUR)
    if EXTRA in at:  # the two channels beyond the first are none then
        place, end = start + size * at[EXTRA], start + size * len(entries) + (8 if size == 20 else 4)
        out[place:end] = out[place + size : end] + bytes(size)
        count = start - (8 if size == 20 else 2)
        out[count:start] = struct.pack(order + ("Q" if size == 20 else "H"), len(entries) - 1)
    return bytes(out)


def grey_channels(tags: Mapping[int, Any]) -> int:
    """How many channels a page has that is called grey; 0 for one of colours."""
    return int(tags.get(CHANNELS, 1)) if tags.get(PHOTOMETRIC) in (0, GREY) else 0


def spare_channels(tags: Mapping[int, Any], mode: str) -> int:
    """How many channels of a page are neither colour nor alpha, and so are not read (near infrared, masks).

    -1: nothing says what the fourth one is, and Pillow takes it as alpha.
    """
    if tags.get(COMPRESSION) in (6, 7):  # JPEG, of which Pillow says itself what it holds
        return 0
    colours = {2: 3, 5: 4, 6: 3, 8: 3}.get(tags.get(PHOTOMETRIC, 1), 1)
    extra = _several(tags.get(EXTRA))
    beside = int(tags.get(CHANNELS, 1)) - colours
    if beside == 1 and not extra and mode == "RGBA" and tags.get(BITS) == (8, 8, 8, 8):
        return -1
    return max(0, beside - (1 if extra and extra[0] in (1, 2, 999) else 0))


def damage(raw: bytes, tags: Mapping[int, Any], pixels: int) -> str | None:
    """What is wrong with a TIFF's first page; None where nothing is known to be.

    Uncompressed data, LZW, PackBits and fax coding hold nothing that tells more than their decoders say.

    Args:
        tags: those of the page, as Pillow reads them.
        pixels: width x height.
    """
    if no_directory(raw):
        return "its directory is damaged"
    tables = tags.get(TABLES)
    if tables is not None and not (bytes(tables).startswith(b"\xff\xd8") and bytes(tables).endswith(b"\xff\xd9")):
        return "its JPEG tables are damaged"
    kind = tags.get(COMPRESSION, 1)
    for offsets, counts in DATA:
        for offset, count in zip(_several(tags.get(offsets)), _several(tags.get(counts)), strict=False):
            piece = memoryview(raw)[offset : offset + count]
            if kind in DEFLATE and not _inflates(piece, 16 * pixels + 2**20):
                return f"the checksum of its pixels is wrong in the piece from byte {offset:,} on"
            if kind in NEVER_ZEROS and zeros(piece):
                return f"its pixels end with zeros in the piece from byte {offset:,} on"
    return None


def no_directory(raw: bytes) -> bool:
    """Whether the directory of the first page is cut off, or was overwritten with zeros."""
    found = _directory(raw)
    return found is None or any(tag == 0 for tag, _ in found[3])


def zeros(data: bytes | memoryview, least: int = 32) -> bool:
    """Whether data ends with so many zero bytes."""
    return len(data) >= least and not any(data[-least:])


def _directory(raw: bytes) -> tuple[str, int, int, list[tuple[int, int]]] | None:
    """(byte order, where the entries begin, bytes of one, (tag, value as 16 bits) of each); None where it is cut."""
    order = "<" if raw.startswith(b"II") else ">"
    big = raw[2:4] in (b"+\0", b"\0+")
    size, counted = (20, 8) if big else (12, 2)
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), raw, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), raw, start)
        start += counted
        if not 0 < count <= 4096 or start + size * count > len(raw):
            return None
        rows = [start + size * i for i in range(count)]
        tags = [struct.unpack_from(order + "H", raw, row)[0] for row in rows]
        values = [struct.unpack_from(order + "H", raw, row + (12 if big else 8))[0] for row in rows]
    except struct.error:
        return None
    return order, start, size, list(zip(tags, values, strict=True))


def _several(value: Any) -> Sequence[int]:
    return () if value is None else value if isinstance(value, tuple) else (value,)


def _inflates(data: memoryview, most: int) -> bool:
    """Whether a zlib stream is whole and its checksum right; True too for more than `most` bytes of pixels."""
    stream, total, rest = zlib.decompressobj(), 0, bytes(data)
    try:
        while not stream.eof and total < most:
            out = stream.decompress(rest, 2**20)
            rest, total = stream.unconsumed_tail, total + len(out)
            if not out and not rest:
                return stream.eof
    except zlib.error:
        return False
    return True
