"""What a file is by its content, before any decoder looks at it; endings are not believed."""

from __future__ import annotations

import io
import struct
from typing import Final

from PIL import Image, ImageFile, UnidentifiedImageError

MASK_FORMATS: Final = ("PNG", "BMP", "GIF", "TIFF")
"""What a mask may be stored in: Pillow's names. Other decoders are never started on a mask."""

IMAGE_FORMATS: Final = (*MASK_FORMATS, "JPEG")
"""What a data set's image may be stored in."""

LOSSY: Final = {
    "JPEG": "JPEG",
    "WEBP": "WebP",
    "AVIF": "AVIF",
    "JPEG2000": "JPEG 2000",
    "JXL": "JPEG XL",
}
"""Formats that change pixel values as they are written, or may: by our key, their names."""

_FORMAT_OF_ENDING: Final = {
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL ", "JXL"),
)
_OTHERS: Final[tuple[tuple[bytes, str, str], ...]] = (
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "fetch the files with `git lfs pull`",
    ),
    (b"\x93NUMPY", "a NumPy array", "give it the ending .npy"),
    (b"PK\x03\x04", "a ZIP archive", "an .npz? then give it that ending; else unpack it"),
    (b"%!PS", "PostScript", "expected a PNG; no program is started on it"),
    (b"%PDF", "a PDF", "expected a PNG"),
    (b"\x1f\x8b", "compressed with gzip", "a .nii.gz? save each slice as PNG or .npy"),
    (b"<!DOC", "a web page", "a download that failed? fetch the file again"),
    (b"<html", "a web page", "a download that failed? fetch the file again"),
    (b"<svg", "an SVG drawing", "expected pixels: save a PNG"),
    (b"<?xml", "XML", "expected a PNG"),
    (b"{", "text such as JSON", "expected a picture; RLE is one .json for all samples"),
    (b"[", "text such as JSON", "expected a picture; RLE is one .json for all samples"),
)


def format_of(data: bytes) -> str:
    """The picture format that the first bytes name, as Pillow calls it; empty if none is known."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in {b"avif", b"avis", b"mif1", b"heic"}:
        return "AVIF"
    return ""


def open_picture(data: bytes, content: str) -> ImageFile.ImageFile:
    """Open a picture of a format that is known, of any size: the caller has a limit of pixels.

    `PIL.Image.open` refuses 179 million pixels and warns of half as many, in all formats alike; its
    limit is one variable for the whole process, which a library must not change for its callers.

    Raises:
        UnidentifiedImageError: It is damaged.
    """
    Image.preinit()
    if content not in Image.OPEN:
        Image.init()
    try:
        return Image.OPEN[content][0](io.BytesIO(data), "")
    except (SyntaxError, IndexError, TypeError, struct.error) as error:  # what Pillow catches
        raise UnidentifiedImageError(f"a damaged {content}") from error


def ending_disagrees(ending: str, content: str) -> bool:
    """Whether a file's ending (with the dot, lower case) names another format than it holds."""
    return _FORMAT_OF_ENDING.get(ending, content) != content


def not_one_of(accepted: tuple[str, ...], data: bytes) -> str:
    """What a file is, what was expected and what to do; empty if its format is accepted."""
    content = format_of(data)
    if content in accepted:
        return ""
    found, advice = what_else(data)
    return f"it is {LOSSY.get(content, found)}; expected {', '.join(accepted)} ({advice})"


def what_else(data: bytes) -> tuple[str, str]:
    """What a file is that is no picture which could be read, and what to do about it."""
    if not data:
        return "an empty file", "was it written to its end?"
    start = data[:64].lstrip()
    for magic, name, advice in _OTHERS:
        if start[: len(magic)].lower() == magic.lower():
            return name, advice
    if data[344:348] in {b"n+1\0", b"ni1\0"}:
        return "a NIfTI volume", "save each slice as PNG or .npy"
    if not data.strip(b"\0"):
        return "nothing but zero bytes", "a copy or download that failed? fetch it again"
    return "no picture that is read here", "expected PNG, BMP, GIF or TIFF; is the file whole?"
