"""Image files of every mode come out right, and sizes by the stated rule."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.data.sources.decode import MIXED, BadImage, Rule, header, rule
from bench.data.sources.depth import Header
from bench.schema.errors import RequestError

RAMP = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def grey(raw: bytes) -> np.ndarray:
    return Rule(1, None, "crop")(raw)[0]


def rgb(raw: bytes) -> np.ndarray:
    return Rule(3, None, "crop")(raw)


def test_grey_and_bilevel() -> None:
    assert np.array_equal(grey(encoded(Image.fromarray(RAMP))), RAMP)
    assert np.array_equal(rgb(encoded(Image.fromarray(RAMP))), np.stack([RAMP] * 3))
    assert set(np.unique(grey(encoded(Image.fromarray(RAMP > 100))))) == {0, 255}


def test_palette() -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert rgb(encoded(image)).transpose(1, 2, 0).tolist() == [
        [[255, 0, 0], [0, 255, 0]],
        [[0, 0, 255], [255, 0, 0]],
    ]
    # Transparent entry: white shows.
    assert rgb(encoded(image, transparency=1))[:, 0, 1].tolist() == [255, 255, 255]


def test_alpha_lies_over_white() -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 51, 255)
    assert rgb(encoded(Image.fromarray(pixels)))[0, 0].tolist() == [255, 204, 0]
    assert grey(encoded(Image.fromarray(pixels).convert("LA")))[0].tolist() == [255, 204, 0]


def test_sixteen_bits() -> None:
    wide = RAMP.astype(np.uint16) * 257
    for raw in (encoded(Image.fromarray(wide)), encoded(Image.fromarray(wide), "tiff")):
        assert np.array_equal(grey(raw), RAMP)
    assert np.array_equal(grey(encoded(Image.fromarray(wide.astype(np.int32)), "tiff")), RAMP)


def test_floats() -> None:
    assert np.array_equal(grey(encoded(Image.fromarray(RAMP.astype(np.float32)), "tiff")), RAMP)


def test_cmyk() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # magenta and yellow: red
    red, green, blue = rgb(encoded(image, "jpeg", quality=95)).mean((1, 2))
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation: int) -> None:
    upright = np.zeros((8, 16), np.uint8)
    upright[:4, :8] = 255  # upper left
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright, 1), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(grey(raw), upright)
    assert header(raw) == Header((16, 8), True, "PNG L")


def test_first_frame_counts() -> None:
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (10, 200)]
    assert (grey(encoded(frames[0], "gif", save_all=True, append_images=frames[1:])) == 10).all()


def test_one_size_stays_and_mixed_sizes_become_square() -> None:
    wide, tall, colour = Header((30, 20), True), Header((20, 30), True), Header((30, 20), False)
    assert rule([wide, wide], None, "crop", "auto") == Rule(1, None, "crop")
    assert rule([wide, tall], None, "crop", "auto") == Rule(1, MIXED, "crop")
    assert rule([wide, colour], 24, "pad", "auto") == Rule(3, 24, "pad")
    assert rule([colour], None, "crop", "grey").channels == 1


def test_fits() -> None:
    """A white square in the middle of a wide black image."""
    pixels = np.zeros((100, 300), np.uint8)
    pixels[:, 100:200] = 255
    raw = encoded(Image.fromarray(pixels))
    assert Rule(1, 50, "crop")(raw).min() > 230
    squashed = Rule(1, 60, "squash")(raw)[0]
    assert squashed[:, 22:38].min() > 250
    assert squashed[:, :18].max() < 5
    padded = Rule(1, 60, "pad")(raw)[0]
    assert padded[:18].max() == 0
    assert padded[22:38, 22:38].min() > 250


def test_a_large_jpeg_is_close_to_pillows_own_resizing() -> None:
    smooth = Image.fromarray(np.random.RandomState(0).randint(0, 256, (6, 6, 3), dtype=np.uint8)).resize((900, 900))
    raw = encoded(smooth, "jpeg", quality=95)
    ours = Rule(3, 64, "crop")(raw).transpose(1, 2, 0).astype(float)
    theirs = np.asarray(smooth.resize((64, 64), Image.Resampling.BICUBIC), float)
    assert np.abs(ours - theirs).mean() < 2


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"just text", "not an image"),
        (encoded(Image.fromarray(RAMP))[:45], "cannot be"),
        (encoded(Image.new("RGB", (64, 64), "red"), "jpeg")[:400], "cannot be"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be opened|not an image"),
    ],
)
def test_bad_images(raw: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        grey(raw)


def test_a_decompression_bomb_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = encoded(Image.new("1", (9500, 9500)))  # a few kilobytes, 90 million pixels
    assert len(raw) < 20000
    with pytest.raises(BadImage, match="9500 x 9500 pixels"):
        grey(raw)


def tiff(array: np.ndarray, **settings: object) -> bytes:
    import tifffile

    tifffile.imwrite(raw := io.BytesIO(), array, **settings)
    return raw.getvalue()


@pytest.mark.parametrize("make", ["png", "tiff"])
def test_sixteen_bit_colour_is_scaled_not_cut(make: str) -> None:
    wide = np.array([0, 128, 129, 300, 65535], np.uint16).repeat(15).reshape(5, 5, 3)
    if make == "tiff":
        raw = tiff(wide, photometric="rgb")
    else:
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", 5, 5, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ]
        raw = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    assert Rule(3, None, "crop")(raw)[0, :, 0].tolist() == [0, 0, 1, 1, 255]
    deep = header(raw).deep
    assert deep is not None
    assert (deep.high, deep.special) == (65535, True)


def test_miniswhite_is_not_inverted() -> None:
    assert Rule(1, None, "crop")(tiff(np.full((8, 8), 60000, np.uint16), photometric="miniswhite")).max() == 22
    assert Rule(1, None, "crop")(tiff(np.full((8, 8), 200, np.uint8), photometric="miniswhite")).max() == 55


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_turned_tiff_has_the_size_it_is_shown_in(kind: type) -> None:
    stored = np.zeros((16, 8), kind)
    stored[:8] = np.iinfo(kind).max
    raw = tiff(stored, extratags=[(274, 3, 1, 6, True)])
    assert header(raw).size == (16, 8)
    shown = Rule(1, None, "crop")(raw)[0]
    assert shown.shape == (8, 16)
    assert shown[:, 8:].min() == 255  # turned clockwise: what was above is on the right


def test_values_whose_range_nobody_says_are_asked_for() -> None:
    deep = [header(tiff(np.full((8, 8), v, np.float32))) for v in (-3.0, 900.0)]
    with pytest.raises(RequestError, match=r"from -3 to 900.*dataset\.range=\[-3,900\]"):
        rule(deep, None, "crop", "auto")
    assert rule(deep, None, "crop", "auto", (-3.0, 900.0)).floats == (-3.0, 900.0)


def test_photographs_of_one_size_are_not_kept_whole_unasked() -> None:
    with pytest.raises(RequestError, match=r"4000 x 3000.*dataset\.size=224"):
        rule([Header((4000, 3000), False)] * 80, None, "crop", "auto")
    assert rule([Header((4000, 3000), False)] * 80, 224, "crop", "auto").size == 224


def test_heic_where_the_extra_is_installed() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 48), "red")).save(raw := io.BytesIO())
    assert header(raw.getvalue()).size == (64, 48)
    red, green, _ = rgb(raw.getvalue()).mean((1, 2))
    assert red > 230
    assert green < 25
