"""What a file is that Pillow does not read, and what to do about it."""

from __future__ import annotations

import re

from bench.data.sources import tiff

HEIC = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
TIFF = (
    "is a TIFF of a kind that Pillow does not read (6, 10 or 14 bits, float16, float64, whole numbers of 64 bits, "
    "float colour, 16-bit grey with alpha, 16-bit palettes, four channels and more that are not called colours): save "
    "it with 8 or 16 bits as grey or RGB, or as 32-bit floats of one channel"
)
# First bytes -> what is said. Text formats come by their first word, whatever its case.
BEGINNINGS = {
    b"\xff\x0a": "is JPEG XL, which Pillow does not read: convert it to PNG or JPEG",
    b"\0\0\0\x0cJXL ": "is JPEG XL, which Pillow does not read: convert it to PNG or JPEG",
    **dict.fromkeys(tiff.BEGINNINGS, TIFF),
    b"version https://git-lfs": "is a pointer of Git LFS, not the image itself: run 'git lfs pull' where it came from",
    b"%pdf": "is a PDF and no image: export its pages as PNG",
    b"<svg": "is SVG, a drawing without pixels: export it as PNG",
    b"<?xml": "is XML and no image (an SVG drawing has no pixels: export it as PNG)",
    b"<!doctype html": "is a web page and no image: its download went wrong",
    b"<html": "is a web page and no image: its download went wrong",
    b"\x1f\x8b": "is compressed (gzip): unpack it",
    b"pk\x03\x04": "is a zip archive: unpack it",
    b"\x93numpy": "is a NumPy array: write it as PNG, or bring it by a dataset of your own ('bench new dataset')",
}
# First bytes of what is no text -> what is said where a list was expected.
PACKED = {
    b"BZh": "is compressed (bzip2): unpack it",
    b"\xfd7zXZ": "is compressed (xz): unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): unpack it",
    b"7z\xbc\xaf": "is a 7z archive: unpack it",
    b"Rar!": "is a rar archive: unpack it",
    b"ARROW1": "is Feather (Arrow): pandas.read_feather(FILE).to_csv('list.csv', index=False) writes a list",
    b"SQLite format 3": "is an SQLite database and no text: export the table as CSV",
    b"\x89HDF": "is HDF5 and no text: write a CSV file with the columns path and label",
    b"\x93NUMPY": "is a NumPy array and no text: write a CSV file with the columns path and label",
    b"\x80\x04": "is a pickle and no text: write a CSV file with the columns path and label",
}


def unread(raw: bytes) -> str:
    """Why Pillow reads no image from these bytes, which are not empty."""
    if raw[4:8] == b"ftyp":
        if raw[8:12] in HEIC:
            return "is HEIC: pip install 'imagebench[heic]' reads it, or convert it to JPEG"
        if raw[8:12] not in (b"avif", b"avis"):
            return "is a film and no image: export single pictures of it"
        return "is a damaged AVIF, or this Pillow was built without AVIF: convert it to PNG"
    if is_npz(raw):
        return BEGINNINGS[b"\x93numpy"].replace("array", "archive")
    if raw.startswith(tiff.BEGINNINGS) and tiff.no_directory(raw):
        return "is a damaged TIFF: its directory is missing or cut off"
    if raw[128:132] == b"DICM":
        return "is DICOM, which Pillow does not read: convert it to 16-bit PNG"
    start = raw[:64].lstrip().lower()
    for beginning, what in BEGINNINGS.items():
        if raw.startswith(beginning) or start.startswith(beginning):
            return what
    return "is not an image in a format that Pillow reads"


def is_npz(raw: bytes) -> bool:
    """Whether it is a zip archive of NumPy arrays."""
    return raw.startswith(b"PK\x03\x04") and b".npy" in raw[30:300]


def no_list(raw: bytes) -> str:
    """What a file is that was to be a CSV list and is of another kind, with the remedy; empty where it may be one."""
    if raw.startswith(b"PK\x03\x04") and (b"xl/" in raw[:4096] or b"xl/worksheets" in raw):
        return "is an Excel workbook and no text: save it as 'CSV UTF-8'"
    if raw.startswith(b"PK\x03\x04") and b"mimetypeapplication/vnd.oasis" in raw[:200]:
        return "is an OpenDocument spreadsheet and no text: save it as CSV, in UTF-8"
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        return "is an old Excel workbook and no text: save it as 'CSV UTF-8'"
    if is_npz(raw):
        return PACKED[b"\x93NUMPY"].replace("array", "archive")
    if raw.startswith(b"\x1f\x8b"):
        return "is compressed (gzip): unpack it"
    if raw[257:262] == b"ustar":
        return "is a tar archive: unpack it, and write a CSV file with the columns path and label"
    for beginning, what in PACKED.items():
        if raw.startswith(beginning):
            return what
    start = raw[:64].lstrip().lower()
    for beginning in (b"version https://git-lfs", b"<!doctype html", b"<html", b"<?xml"):
        if start.startswith(beginning):
            return BEGINNINGS[beginning].replace("and no image", "and no list").split(" (an SVG")[0]
    if re.match(rb"-\s+\w+:\s", raw):
        return "is YAML: write a CSV file with the columns path and label"
    if raw.startswith(b"PAR1"):
        return "is Parquet and no text: pandas.read_parquet(FILE).to_csv('list.csv', index=False) writes a list"
    if re.match(rb"\s*(\{|\[\s*[\[{\"\d])", raw):
        return "is JSON: write a CSV file with the columns path and label"
    if raw.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return "is an image: write a CSV file with the columns path and label, or say dataset=folder dataset.root=DIR"
    return ""
