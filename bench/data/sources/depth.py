"""Images deeper than 8 bits: their values as the file holds them, and the range that becomes 0..255.

Pillow knows no 16-bit colour (it keeps the upper byte) and does not invert 16-bit MINISWHITE, so both are done here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.schema.errors import RequestError

Range = tuple[float, float]
INTS: Range = (0.0, 65535.0)  # what 16-bit files span where nothing else is said
BITS8: Range = (0.0, 255.0)
SLIVER = 2  # a set that uses less than half of its range: values of 15, 14 or 12 bits in 16
WHITE_SAID = ("PNG", "PPM", "JPEG2000")  # formats whose every file of 16 bits says that 65535 is white
TOP = 65535.0  # white, in 16 bits: what is transparent lies over it, as at 8 bits
NEEDS_CODECS = (
    "a TIFF of more than 8 bits that is compressed so needs another package: pip install 'imagebench[tiff]', or save "
    "it without compression"
)
NEEDS_TORCH = "16-bit colour in a PNG is read by torchvision, which is not installed here; save it with 8 bits"
TIFF_TAGS = {
    "bits": 258,
    "photometric": 262,
    "smallest": 340,
    "largest": 341,
    "extra": 338,
    "format": 339,
    "planar": 284,
    "subfile": 254,
    "subifds": 330,
    "dng": 50706,
}


class Deep(NamedTuple):
    """What is known of one deep image: int or float, its extremes, the range its file states, how it was read."""

    kind: str
    low: float
    high: float
    stated: Range | None = None
    # Not 0 where earlier versions read it otherwise. 1: colour or MINISWHITE; 2: alpha in 16-bit TIFF, signed bytes;
    # 3: 16-bit CMYK, a transparent grey or colour in 16-bit PNG.
    special: int = 0
    wide: bool = False  # of a type that says no white: signed, of 32 bits, of formats without a rule for it


def is_deep(image: Image.Image, raw: bytes = b"") -> bool:
    """Whether an opened image holds more than 8 bits a value."""
    return image.mode.startswith("I") or image.mode == "F" or _is_misread(image) or deep_colour(image, raw) != ""


def deep_colour(image: Image.Image, raw: bytes) -> str:
    """`PNG` or `TIFF` where the file holds 16-bit colour (or grey with alpha), which Pillow would cut to 8; else ''."""
    if image.format == "PNG" and raw[24:25] == b"\x10" and raw[25:26] in (b"\x02", b"\x04", b"\x06"):
        return "PNG"
    bits = _tag(image, "bits")
    return "TIFF" if isinstance(bits, tuple) and len(bits) > 1 and bits[0] == 16 else ""


def is_preview(image: Image.Image, raw: bytes) -> bool:
    """Whether a TIFF's first page is a small copy of what the file holds: raw files of cameras (DNG, NEF, ARW, CR2)."""
    if _tag(image, "dng") is not None or raw[8:10] == b"CR":
        return True
    small = _tag(image, "subfile") in (1, (1,))
    return small and (_tag(image, "subifds") is not None or getattr(image, "n_frames", 1) > 1)


def _is_misread(image: Image.Image) -> bool:
    """Whether a TIFF's one channel holds whole numbers that Pillow reads as others: signed bytes, unsigned 32 bits."""
    bits, form = _tag(image, "bits"), _tag(image, "format")
    return (bits, form) in (((8,), (2,)), ((32,), (1,)), ((32,), None))


def values(image: Image.Image, raw: bytes = b"") -> NDArray[np.float64]:
    """[H, W] or [H, W, 3], as the file holds them; what is transparent lies over white, as at 8 bits.

    Raises:
        ValueError: for channels or a compression that nothing here reads.
    """
    kind = deep_colour(image, raw)
    if kind == "PNG":
        return _png(image, raw)
    if kind == "TIFF":
        return _tiff(image, raw)
    if _is_misread(image):
        return _first_page(raw).astype(np.float64)
    grey, clear = np.asarray(image).astype(np.float64), _clear(image)
    return grey if clear is None else np.where(grey == clear, TOP, grey)


def _png(image: Image.Image, raw: bytes) -> NDArray[np.float64]:
    """[H, W, 3] of a 16-bit PNG of colour, or of grey with alpha."""
    try:
        import torch
        from torchvision.io import decode_png
    except ImportError as error:
        raise ValueError(NEEDS_TORCH) from error
    wide = decode_png(torch.frombuffer(bytearray(raw), dtype=torch.uint8)).numpy().transpose(1, 2, 0)
    alpha = wide[..., -1:].astype(np.float64) / TOP if wide.shape[-1] in (2, 4) else None
    wide = wide[..., :3] if wide.shape[-1] >= 3 else wide[..., :1].repeat(3, axis=-1)
    if alpha is None and (clear := _clear(image)) is not None:
        alpha = (wide != clear).any(-1, keepdims=True).astype(np.float64)
    return wide.astype(np.float64) if alpha is None else wide * alpha + TOP * (1 - alpha)


def _tiff(image: Image.Image, raw: bytes) -> NDArray[np.float64]:
    """[H, W, 3] of a 16-bit TIFF of colour."""
    wide = _first_page(raw)
    planes = _tag(image, "planar") in (2, (2,))  # one channel after the other, not one pixel after the other
    if wide.ndim != 3 or wide.shape[0 if planes else -1] not in (3, 4):
        raise ValueError(f"16-bit channels of shape {wide.shape}")
    wide = (wide.transpose(1, 2, 0) if planes else wide).astype(np.float64)
    if wide.shape[-1] == 3:
        return wide
    colours, last = wide[..., :3], wide[..., 3:] / TOP
    if image.mode == "CMYK":  # as Pillow turns 8 bits of it into colours
        return (TOP - colours) * (1 - last)
    extra = _tag(image, "extra")
    if extra in (1, (1,)):  # the colours are multiplied by alpha already
        return np.minimum(colours + TOP * (1 - last), TOP)
    return colours * last + TOP * (1 - last) if extra in (2, (2,)) else colours


def _first_page(raw: bytes) -> NDArray[Any]:
    """What a TIFF's first page holds."""
    import tifffile

    try:
        return np.asarray(tifffile.imread(io.BytesIO(raw), key=0))
    except (ImportError, KeyError, ValueError) as error:  # each by another compression
        if isinstance(error, ImportError) or "imagecodecs" in str(error):
            raise ValueError(NEEDS_CODECS) from error
        raise


def _clear(image: Image.Image) -> Any:
    """The one grey, or colour, that a PNG without alpha calls transparent; None where it calls none so."""
    return image.info.get("transparency") if image.format == "PNG" else None


def is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white in a deep TIFF (MINISWHITE); at 8 bits Pillow has inverted it already."""
    return _tag(image, "photometric") == 0


def look(image: Image.Image, raw: bytes = b"") -> Deep:
    """What has to be known of a deep image before the set's range can be."""
    found = values(image, raw)
    kind = "float" if image.mode == "F" else "int"
    smallest, largest = _tag(image, "smallest"), _tag(image, "largest")
    stated = (_number(smallest), _number(largest)) if smallest is not None and largest is not None else None
    bits = _tag(image, "bits")
    if stated is None and kind == "int" and isinstance(bits, tuple) and 8 < bits[0] < 16:  # 12: 0 to 4095
        stated = (0.0, 2.0 ** bits[0] - 1)
    if not np.isfinite(found).all():
        raise ValueError("it holds values that are no numbers")
    special = 1 if is_inverted(image) or found.ndim == 3 else 0
    if _is_misread(image) or (_tag(image, "extra") is not None and found.ndim == 3):
        special = 2
    if image.mode == "CMYK" or _clear(image) is not None:
        special = 3
    signed = image.mode == "I" or _is_misread(image)
    wide = kind == "int" and image.format not in WHITE_SAID and (signed or image.format != "TIFF")
    return Deep(kind, float(found.min()), float(found.max()), stated, special, wide)


def levels(found: NDArray[np.float64], span: Range, invert: bool) -> NDArray[np.uint8]:
    """uint8 of the same shape: `span` to 0..255, halves upwards, what lies outside cut off."""
    low, high = span
    out = np.clip(np.floor((found - low) * (255 / (high - low)) + 0.5), 0, 255).astype(np.uint8)
    return 255 - out if invert else out


def jpeg2000_bits(raw: bytes) -> int:
    """Bits a value of a JPEG 2000 image, by the first component in its SIZ segment (ISO/IEC 15444-1, A.5.1)."""
    at = raw.find(b"\xff\x4f\xff\x51") + 42
    return (raw[at] & 0x7F) + 1 if 42 <= at < len(raw) else 0


class Header(NamedTuple):
    """What a file's header tells: (width, height) as it will be shown, and whether it is grey.

    `form` is format and mode (JPEG RGB), `deep` what is to be known of images of more than 8 bits, `several` whether
    there are more frames or pages than the one that is read, `clear` whether it is grey of less than 8 bits with a
    transparent one, `spare` how many channels are neither colour nor alpha (-1: one is taken as alpha unsaid),
    `zeros` whether plain pixels end with them, see `damage.zero_end`.
    """

    size: tuple[int, int]
    grey: bool
    form: str = ""
    deep: Deep | None = None
    several: bool = False
    clear: bool = False
    spare: int = 0
    zeros: bool = False


def ranges(headers: Iterable[Header], asked: Range | None) -> dict[str, Range]:
    """kind -> the range that becomes 0..255, for the kinds of deep images in a set.

    What the user says counts, else what all files of the kind state alike, else 0..65535 for integers and, for floats,
    0..1 where all lie in it, 0..255 where all lie in that.

    Raises:
        RequestError: where files state different ranges; where the values lie in none of these; where whole numbers
            of a type that says no white (signed, or of 32 bits) use a sliver of 0..65535.
    """
    out: dict[str, Range] = {}
    for kind, deep in _by_kind(headers).items():
        low, high = min(d.low for d in deep), max(d.high for d in deep)
        stated = {d.stated for d in deep}
        if asked is not None:
            out[kind] = asked
        elif len(stated) == 1 and (only := stated.pop()) is not None and only[0] < only[1]:
            out[kind] = only
        elif len(others := {INTS if span is None and kind == "int" else span for span in stated}) > 1:
            shown = [f"{span[0]:g} to {span[1]:g}" if span is not None else "none" for span in sorted(others, key=str)]
            raise RequestError(
                f"The {kind} images of this set state different ranges ({', '.join(shown[:4])}), and one rule has to "
                "hold for all. Save them alike, or say what is black and white in all of them: dataset.range=[0,4095]."
            )
        else:
            known = ((0.0, 1.0), BITS8) if kind == "float" else (INTS,)
            fitting = next((span for span in known if span[0] <= low and high <= span[1]), None)
            small = fitting is not None and any(d.wide for d in deep) and high * SLIVER < fitting[1]
            if fitting is None or small:
                low, high = (low, high) if low < high else (min(low, 0.0), max(high, 0.0))
                top = 2 ** max(1, int(np.ceil(np.log2(high + 1)))) - 1 if small else high
                raise RequestError(
                    f"The {kind} images of this set hold values from {low:g} to {high:g}, and no file says which are "
                    f"black and white. Say dataset.range=[{0 if small else low:g},{top:g}], or the range of the camera "
                    "or scanner."
                )
            out[kind] = fitting
    return out


def slivers(headers: Iterable[Header], spans: dict[str, Range]) -> list[tuple[str, str, str]]:
    """(name, reason, remedy) for each kind of deep image that uses a sliver of its range, or more than files state."""
    out = []
    for kind, deep in _by_kind(headers).items():
        low, high = min(d.low for d in deep), max(d.high for d in deep)
        span = spans[kind]
        if all(d.stated == span for d in deep) and (low < span[0] or high > span[1]):
            out.append(
                (
                    "range_exceeded",
                    f"The {len(deep)} {kind} images hold values from {low:g} to {high:g}, and state a range from "
                    f"{span[0]:g} to {span[1]:g}: what lies outside is black or white.",
                    "Say which values are black and white: dataset.range=[BLACK,WHITE].",
                )
            )
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
