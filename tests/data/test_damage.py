"""Image files whose end or middle was lost: told where the format lets that be known."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from PIL import Image

from bench.data.sources.damage import note_zero_ends
from bench.data.sources.decode import BadImage, Rule, header
from tests.data.test_hostile import tiff


def test_a_png_whose_end_is_zeros_is_bad() -> None:
    """Pillow makes what is missing black."""
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file := io.BytesIO(), "PNG")
    raw = file.getvalue()
    assert header(raw).size == (64, 64)
    with pytest.raises(BadImage, match="the checksum of its pixels is wrong"):
        header(raw[:6000] + bytes(len(raw) - 6000))


def saved(form: str, **options: object) -> bytes:
    """Colours of 64 x 48 pixels, of which no row is black."""
    noise = np.random.RandomState(0).randint(20, 236, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file := io.BytesIO(), form, **options)
    return file.getvalue()


BAD = r"cannot be (decoded|opened)|is a damaged (AVIF|TIFF)|is not an image"
CODED = {
    "webp": lambda: saved("WEBP"),
    "lossless webp": lambda: saved("WEBP", lossless=True),
    "avif": lambda: saved("AVIF"),
    "qoi": lambda: saved("QOI"),
    "icon": lambda: saved("ICO"),
    "tiff whose end is its directory": lambda: saved("TIFF", compression="jpeg"),
    **{
        f"tiff {kind}": functools.partial(
            tiff, np.random.RandomState(0).randint(0, 256, (48, 64, 3), np.uint8), photometric="rgb", compression=kind
        )
        for kind in ("zlib", "lzw", "packbits", "jpeg", "zstd", "lzma")
    },
}


@pytest.mark.parametrize("kind", [*CODED, "heic"])
@pytest.mark.parametrize("lost", [0.33, 0.1, 80])
def test_an_end_of_zeros_is_told_where_the_format_lets_it(kind: str, lost: float) -> None:
    """Most decoders make black or smeared rows of it and say nothing."""
    if kind == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif kind.startswith("tiff"):
        pytest.importorskip("imagecodecs")
    raw = CODED[kind]() if kind in CODED else saved("HEIF")
    assert Rule(3, None, "crop")(raw).shape == (3, 48, 64) if kind != "icon" else header(raw)
    cut = lost if lost > 1 else int(len(raw) * lost)
    with pytest.raises(BadImage, match=BAD):
        Rule(3, None, "crop")(raw[:-cut] + bytes(cut))
    with pytest.raises(BadImage, match=BAD):
        Rule(3, None, "crop")(raw[:-cut])


def test_a_damaged_middle_of_a_deflated_tiff_is_told() -> None:
    noise = np.random.RandomState(0).randint(0, 256, (48, 64, 3), np.uint8)
    raw = bytearray(tiff(noise, photometric="rgb", compression="zlib"))
    raw[len(raw) // 2] ^= 1
    with pytest.raises(BadImage, match="the checksum of its pixels is wrong"):
        header(bytes(raw))


def test_zeros_that_a_coder_wrote_are_no_damage() -> None:
    """Quick settings of WebP end flat pixels with hundreds of them."""
    noise = np.full((200, 200, 3), 128, np.uint8)
    noise[:100] = np.random.RandomState(0).randint(0, 256, (100, 200, 3))
    for lossless in (False, True):
        Image.fromarray(noise).save(
            file := io.BytesIO(), "WEBP", method=0, quality=0 if lossless else 80, lossless=lossless
        )
        assert file.getvalue().endswith(bytes(64))
        assert header(file.getvalue()).size == (200, 200)
        cut = len(file.getvalue()) // 3
        with pytest.raises(BadImage, match="end with zeros"):
            header(file.getvalue()[:-cut] + bytes(cut))


@pytest.mark.parametrize("form", ["BMP", "PPM", "TGA", "TIFF"])
def test_plain_pixels_that_end_with_zeros_are_told_where_most_of_the_set_do_not(form: str) -> None:
    raw = saved(form)
    lost = raw[: len(raw) * 3 // 5] + bytes(len(raw) - len(raw) * 3 // 5)
    whole, cut = header(raw).zeros, header(lost).zeros
    assert (whole, cut) == (False, True)
    assert "1 of 4 files" in note_zero_ends([False, cut, False, False], list("abcd"))[0][1]
    assert note_zero_ends([True, True, True, False], list("abcd")) == []  # digits on black
    barred = np.full((48, 64, 3), 99, np.uint8)
    barred[:8] = barred[-8:] = 0
    Image.fromarray(barred).save(file := io.BytesIO(), form)
    assert not header(file.getvalue()).zeros


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "TIFF", "PNG"])
def test_black_and_flat_images_are_whole(form: str) -> None:
    for side in (1, 16, 500):
        for colour in ("black", "white", "grey"):
            for options in ({}, {"lossless": True}) if form == "WEBP" else ({"compression": "tiff_adobe_deflate"},):
                Image.new("RGB", (side, side), colour).save(file := io.BytesIO(), form, **options)
                assert header(file.getvalue()).size == (side, side)
