"""From what is named on a command line to pixels as a run's images were stored. No torch."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench.data.sources import depth
from bench.data.sources.decode import BadImage, Rule, open_image, read_header
from bench.data.sources.entries import walk
from bench.data.sources.fetch import fetch, is_remote
from bench.schema.errors import RequestError

Shape = tuple[int, int, int]  # C, H, W
Spans = Mapping[str, depth.Range]
NO_SPANS: Spans = {}
DEEP = 8  # a pixel of more than 8 bits takes as much memory on its way as so many others


def places(words: Iterable[str], lines: Iterable[str] = ()) -> Iterator[str]:
    """Paths and addresses of images, in order: files, folders, patterns (`photos/*.jpg`), URLs.

    Args:
        lines: what `-` stands for, a place a line.

    Raises:
        RequestError: for a pattern that matches nothing and a folder without images.
    """
    for word in words:
        if not word.strip():
            raise RequestError("An image was named by an empty word: files, folders, patterns, addresses, or -.")
        if word == "-":
            yield from _listed(lines)
        elif is_remote(word):
            yield word
        elif Path(word).is_dir():
            yield from _inside(Path(word))
        elif not Path(word).exists() and glob.has_magic(word):
            found = sorted((p for p in glob.glob(word, recursive=True) if os.path.isfile(p)), key=len)
            if not found:
                raise RequestError(f"Nothing matches '{word}' in {Path.cwd()}.")
            once = {os.path.realpath(p): p for p in reversed(found)}  # ** goes through links that lead back
            yield from sorted(once.values())
        else:
            yield word


def _inside(folder: Path) -> Iterator[str]:
    """Files below a folder whose names are those of images; what systems leave, and what is hidden, is left out."""
    endings = Image.registered_extensions()
    found = sorted(p for p in walk(str(folder), frozenset(), [], []) if os.path.splitext(p)[1].lower() in endings)
    if not found:
        raise RequestError(f"There is no image in the folder {folder}.")
    yield from found


def _listed(lines: Iterable[str]) -> Iterator[str]:
    """Places of a list: a line each, or with a zero byte between them, as `find -print0` writes.

    Raises:
        RequestError: where it names none.
    """
    rest, empty = iter(lines), True
    for line in rest:
        text = [line.strip()] if "\0" not in line else "".join([line, *rest]).split("\0")
        for place in filter(None, text):
            empty = False
            yield place
    if empty:
        raise RequestError("The list on standard input names no image.")


def read(place: str) -> bytes:
    """The bytes of a file or an address. Raises BadImage."""
    return fetch(place)


def pixels(
    raw: bytes, shape: Shape, fit: str = "crop", most_pixels: int | None = None, spans: Spans = NO_SPANS
) -> NDArray[np.uint8]:
    """An encoded image as the run's set would have stored it: uint8 [C, H, W].

    An image that has the set's size is taken as it is, any other is brought to it as `dataset.fit` says.

    Args:
        most_pixels: refuse what unpacks to more; of more than 8 bits, an eighth of it.
        spans: int, float -> the values of the set's images of more than 8 bits that became 0 and 255. Of a kind that
            the set had none of, what the image says counts (`bench.data.sources.depth.ranges`).

    Raises:
        BadImage: for what is no image, is damaged, or is a decompression bomb, and for values whose range nobody says.
    """
    channels, height, width = shape
    with open_image(raw) as image:
        if most_pixels is not None:
            deep = depth.is_deep(image, raw)
            most, of = (most_pixels // DEEP, " of more than 8 bits") if deep else (most_pixels, "")
            if image.width * image.height > most:
                raise BadImage(f"would unpack to {image.width} x {image.height} pixels{of}, more than {most:,} allowed")
        how = _rule(image, raw, channels, height if height == width else None, fit, spans)
        flat = np.array(how.pixels(image, raw))  # a copy: Pillow's own memory is read-only
    if flat.shape[1:] == (height, width):
        return flat
    shown = Image.fromarray(flat[0] if channels == 1 else np.ascontiguousarray(flat.transpose(1, 2, 0)))
    if fit == "squash":
        shown = shown.resize((width, height), Image.Resampling.BICUBIC)
    else:
        method = ImageOps.fit if fit == "crop" else ImageOps.pad
        shown = method(shown, (width, height), method=Image.Resampling.BICUBIC)
    array = np.array(shown, np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _rule(image: Image.Image, raw: bytes, channels: int, size: int | None, fit: str, spans: Spans) -> Rule:
    """The set's rule for one image of it."""
    head = read_header(image, raw)
    if head.deep is not None and head.deep.kind not in spans:
        try:
            spans = {**spans, **depth.ranges([head], None)}
        except RequestError as error:
            raise BadImage(f"has values whose range is not known ({error})") from None
    return Rule(channels, size, fit, spans.get("int", depth.INTS), spans.get("float", depth.BITS8))


__all__ = ["BadImage", "Shape", "pixels", "places", "read"]
