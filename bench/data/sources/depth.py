"""Images deeper than 8 bits: their values as the file holds them, and the range that becomes 0..255.

Pillow knows no 16-bit colour (it keeps the upper byte) and does not invert 16-bit MINISWHITE, so both are done here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.schema.errors import RequestError

Range = tuple[float, float]
INTS: Range = (0.0, 65535.0)  # what 16-bit files span where nothing else is said
BITS8: Range = (0.0, 255.0)
SLIVER = 8  # a set that uses less than 1/8 of its range keeps fewer than 32 of 256 levels
TIFF_TAGS = {"bits": 258, "photometric": 262, "smallest": 340, "largest": 341, "extra": 338, "format": 339}


class Deep(NamedTuple):
    """What is known of one deep image: int or float, its extremes, the range its file states, how it was read."""

    kind: str
    low: float
    high: float
    stated: Range | None = None
    special: int = (
        0  # 1: colour or MINISWHITE; 2: alpha in 16-bit TIFF, signed bytes: earlier versions read them otherwise
    )


def is_deep(image: Image.Image, raw: bytes = b"") -> bool:
    """Whether an opened image holds more than 8 bits a value."""
    return image.mode.startswith("I") or image.mode == "F" or _is_misread(image) or deep_colour(image, raw) != ""


def deep_colour(image: Image.Image, raw: bytes) -> str:
    """`PNG` or `TIFF` where the file holds 16-bit colour (or grey with alpha), which Pillow would cut to 8; else ''."""
    if image.format == "PNG" and raw[24:25] == b"\x10" and raw[25:26] in (b"\x02", b"\x04", b"\x06"):
        return "PNG"
    bits = _tag(image, "bits")
    return "TIFF" if isinstance(bits, tuple) and len(bits) > 1 and bits[0] == 16 else ""


def _is_misread(image: Image.Image) -> bool:
    """Whether a TIFF's one channel holds whole numbers that Pillow reads as others: signed bytes, unsigned 32 bits."""
    bits, form = _tag(image, "bits"), _tag(image, "format")
    return (bits, form) in (((8,), (2,)), ((32,), (1,)), ((32,), None))


def values(image: Image.Image, raw: bytes = b"") -> NDArray[np.float64]:
    """[H, W] or [H, W, 3], as the file holds them; what is transparent lies over white, as at 8 bits."""
    kind = deep_colour(image, raw)
    if not kind and _is_misread(image):
        import tifffile

        return np.asarray(tifffile.imread(io.BytesIO(raw), key=0)).astype(np.float64)
    if not kind:
        return np.asarray(image).astype(np.float64)
    if kind == "PNG":
        import torch
        from torchvision.io import decode_png

        wide = decode_png(torch.frombuffer(bytearray(raw), dtype=torch.uint8)).numpy().transpose(1, 2, 0)
        alpha = wide[..., -1:].astype(np.float64) / 65535 if wide.shape[-1] in (2, 4) else None
        wide = wide[..., :3] if wide.shape[-1] >= 3 else wide[..., :1].repeat(3, axis=-1)
        # Over white, as 8-bit images with alpha are laid.
        return wide.astype(np.float64) if alpha is None else wide * alpha + 65535 * (1 - alpha)
    import tifffile

    wide = tifffile.imread(io.BytesIO(raw), key=0)
    if wide.ndim != 3 or (wide.shape[-1] not in (3, 4) and wide.shape[0] not in (3, 4)):
        raise ValueError(f"16-bit channels of shape {wide.shape}")
    wide = (wide if wide.shape[-1] in (3, 4) else wide.transpose(1, 2, 0)).astype(np.float64)
    if wide.shape[-1] == 3:
        return wide
    alpha, extra = wide[..., 3:] / 65535, _tag(image, "extra")
    if extra in (1, (1,)):  # the colours are multiplied by it already
        return wide[..., :3] + 65535 * (1 - alpha)
    return wide[..., :3] * alpha + 65535 * (1 - alpha) if extra in (2, (2,)) else wide[..., :3]


def is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white in a deep TIFF (MINISWHITE); at 8 bits Pillow has inverted it already."""
    return _tag(image, "photometric") == 0


def look(image: Image.Image, raw: bytes = b"") -> Deep:
    """What has to be known of a deep image before the set's range can be."""
    found = values(image, raw)
    kind = "float" if image.mode == "F" else "int"
    smallest, largest = _tag(image, "smallest"), _tag(image, "largest")
    stated = (_number(smallest), _number(largest)) if smallest is not None and largest is not None else None
    if not np.isfinite(found).all():
        raise ValueError("it holds values that are no numbers")
    special = 1 if is_inverted(image) or found.ndim == 3 else 0
    if _is_misread(image) or (_tag(image, "extra") is not None and found.ndim == 3):
        special = 2
    return Deep(kind, float(found.min()), float(found.max()), stated, special)


def levels(found: NDArray[np.float64], span: Range, invert: bool) -> NDArray[np.uint8]:
    """uint8 of the same shape: `span` to 0..255, halves upwards, what lies outside cut off."""
    low, high = span
    out = np.clip(np.floor((found - low) * (255 / (high - low)) + 0.5), 0, 255).astype(np.uint8)
    return 255 - out if invert else out


class Header(NamedTuple):
    """What a file's header tells: (width, height) as it will be shown, and whether it is grey.

    `form` is format and mode (JPEG RGB), `deep` what is to be known of images of more than 8 bits.
    """

    size: tuple[int, int]
    grey: bool
    form: str = ""
    deep: Deep | None = None


def ranges(headers: Iterable[Header], asked: Range | None) -> dict[str, Range]:
    """kind -> the range that becomes 0..255, for the kinds of deep images in a set.

    What the user says counts, else what all files of the kind state, else 0..65535 for integers and, for floats,
    0..1 where all lie in it, 0..255 where all lie in that.

    Raises:
        RequestError: where the values lie in none of these.
    """
    out: dict[str, Range] = {}
    for kind, deep in _by_kind(headers).items():
        low, high = min(d.low for d in deep), max(d.high for d in deep)
        stated = {d.stated for d in deep}
        if asked is not None:
            out[kind] = asked
        elif len(stated) == 1 and (only := stated.pop()) is not None and only[0] < only[1]:
            out[kind] = only
        else:
            known = ((0.0, 1.0), BITS8) if kind == "float" else (INTS,)
            fitting = next((span for span in known if span[0] <= low and high <= span[1]), None)
            if fitting is None:
                low, high = (low, high) if low < high else (min(low, 0.0), max(high, 0.0))
                raise RequestError(
                    f"The {kind} images of this set hold values from {low:g} to {high:g}, and no file says which are "
                    f"black and white. Say dataset.range=[{low:g},{high:g}], or the range of the camera or scanner."
                )
            out[kind] = fitting
    return out


def slivers(headers: Iterable[Header], spans: dict[str, Range]) -> list[tuple[str, str, str]]:
    """(name, reason, remedy) for each kind of deep image that uses a sliver of its range."""
    out = []
    for kind, deep in _by_kind(headers).items():
        low, high = min(d.low for d in deep), max(d.high for d in deep)
        span = spans[kind]
        if high > low and (high - low) * SLIVER < span[1] - span[0]:
            kept = int((high - low) * 255 / (span[1] - span[0])) + 1
            top = 2 ** max(1, int(np.ceil(np.log2(high + 1)))) - 1 if kind == "int" else high
            out.append(
                (
                    "sliver_of_range",
                    f"The {len(deep)} images of {'floats' if kind == 'float' else '16 bits'} hold values from {low:g} "
                    f"to {high:g} of {span[0]:g} to {span[1]:g}: {kept} grey levels are left of 256.",
                    f"Say which values are black and white: dataset.range=[0,{top:g}].",
                )
            )
    return out


def _by_kind(headers: Iterable[Header]) -> dict[str, list[Deep]]:
    out: dict[str, list[Deep]] = {}
    for header in headers:
        if header.deep is not None:
            out.setdefault(header.deep.kind, []).append(header.deep)
    return out


def _tag(image: Image.Image, name: str) -> object:
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(TIFF_TAGS[name])


def _number(value: object) -> float:
    return float(value[0] if isinstance(value, tuple) else value)  # type: ignore[arg-type]
