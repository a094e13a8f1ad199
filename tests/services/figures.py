"""Figures of reports, which take most of a report's time, in tests that write the same few again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest

BLANK = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><title>empty</title></svg>',
    "pdf": b"%PDF-1.4\n% empty\n",
    "png": bytes.fromhex(  # one pixel
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000b744558745469746c6500656d70"
        "747952d974890000000a49444154789c63f80f0001010100b138f6140000000049454e44ae426082"
    ),
}


def undrawn(patch: pytest.MonkeyPatch) -> None:
    """From now on figures are described, made and named as ever, but empty: for tests that look at none."""
    patch.setattr("bench.report.figures._save", lambda drawing, kind, **how: BLANK[kind])


def keep_subsets(patch: pytest.MonkeyPatch) -> None:
    """From now on the letters of a font that a PDF holds are cut out once: nearly half the time of a figure.

    Which letters of which font are asked for decides all of the outcome; tests/report/test_committed.py compares PDFs
    byte by byte with those of processes without this. Matplotlib before 3.11 does it another way, and is left alone.
    """
    from matplotlib.backends import _backend_pdf_ps as fonts

    if not hasattr(fonts, "SubsetResults"):
        return
    cut: Callable[..., Any] = fonts.get_glyphs_subset
    write: Callable[[Any], BytesIO] = fonts.font_as_file
    kept: dict[tuple[Any, frozenset[int]], tuple[bytes, Any]] = {}

    @contextmanager
    def once(font: Any, glyphs: Iterable[int]) -> Iterator[Any]:
        asked = font, frozenset(glyphs)
        if asked not in kept:
            with cut(font, asked[1]) as made:
                kept[asked] = write(made.font).getvalue(), made.glyph_index_map
        yield fonts.SubsetResults(*kept[asked])

    patch.setattr(fonts, "get_glyphs_subset", once)
    patch.setattr(fonts, "font_as_file", lambda font: BytesIO(font) if isinstance(font, bytes) else write(font))
