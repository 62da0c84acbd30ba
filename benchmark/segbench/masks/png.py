"""The fast way to read a PNG: libdeflate and the unfilter kernel.

It reads files in which everything is as it should be, and leaves all others (interlaced, animated,
of unusual chunks, very large, or damaged in any way) to Pillow, which gives its own values or its
own error. So a file that is read here is one that Pillow reads, to the same values.

"As it should be" means that every chunk is whole, known, in its place and has the right CRC; that
the data inflate to exactly the bytes that the header promises, with the right Adler-32; and that
every row has one of the five filters. What is left that Pillow could refuse: compressed data that
break a rule of DEFLATE about which libdeflate is less strict, but whose checksums all hold.

Sizes are those of the header, and are believed only after a look at the compressed data, of which a
byte cannot make more than 1032: a small file cannot ask for much memory. Both heavy steps run
without the interpreter lock.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import deflate
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.kernels import unfilter, unpack_bits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 1 << 26
"""Pixels; whether larger ones are to be read is for Pillow to judge."""

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS: Final = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
_DEPTHS: Final[dict[int, tuple[int, ...]]] = {
    GREY: (1, 2, 4, 8, 16),
    PALETTE: (1, 2, 4, 8),
    RGB: (8,),
    GREY_ALPHA: (8,),
    RGBA: (8,),
}
# Chunks that say nothing of the samples, with the length they must have. The rest of the format's
# (profiles, compressed text, animation) are for Pillow.
_ANCILLARY: Final = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7}
_FREE_LENGTH: Final = frozenset({b"bKGD", b"sBIT"})
# Pillow keeps texts and what it knows of the image in one dictionary: these keys would change it.
_TEXTS_THAT_MATTER: Final = frozenset({b"interlace", b"bbox", b"transparency", b"default_image"})
_MAX_TEXT = 1 << 20
_CHUNK = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBBBB")
_MAX_RATIO = 1032


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG that can be read here: what its header says, and its compressed data.

    Attributes:
        size: Height and width.
        depth: Bits a sample.
        colour_type: As in the header: grey, RGB, palette, grey + alpha or RGBA.
        stream: The zlib stream.
        palette: Red, green and blue of each index; empty where there is none.
    """

    size: tuple[int, int]
    depth: int
    colour_type: int
    stream: memoryview | bytes
    palette: bytes = b""


class _OthersError(Exception):
    """This file is for Pillow."""


def open_png(data: bytes) -> Png | None:
    """Look at all of a file but its pixels; None if it is for Pillow."""
    if not data.startswith(SIGNATURE):
        return None
    try:
        return _parse(memoryview(data))
    except (_OthersError, struct.error):
        return None


def samples(png: Png) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    """The samples as they are stored.

    Returns:
        HxW (grey, palette) or HxWxC, uint8, or uint16 for 16 bits; palette indices, and grey of
        few bits as it is. None if the data are not as they should be: then Pillow is to say so.
    """
    height, width = png.size
    bits = png.depth * CHANNELS[png.colour_type]
    row_bytes = (width * bits + 7) // 8
    needed = height * (row_bytes + 1)
    if needed > _MAX_RATIO * len(png.stream) or not _window_holds(png.stream, needed):
        return None
    try:
        inflated = deflate.zlib_decompress(png.stream, needed)
        rows = unfilter(inflated, rows=height, row_bytes=row_bytes, pixel_bytes=max(bits // 8, 1))
    except (deflate.DeflateError, ValueError):
        return None
    if png.depth < 8:  # noqa: PLR2004
        return unpack_bits(rows, columns=width, depth=png.depth)
    if png.depth == 16:  # noqa: PLR2004
        return rows.view(">u2").astype(np.uint16)
    channels = CHANNELS[png.colour_type]
    return rows if channels == 1 else rows.reshape(height, width, channels)


def _window_holds(stream: memoryview | bytes, needed: int) -> bool:
    """Whether no distance can be too far for the window that the stream names.

    zlib refuses those that are; libdeflate does not look.
    """
    window_bits = (stream[0] >> 4) + 8
    return window_bits == 15 or 1 << window_bits >= needed  # noqa: PLR2004


def _parse(data: memoryview) -> Png:
    kind, body, at = _chunk(data, len(SIGNATURE))
    _require(kind == b"IHDR" and len(body) == _IHDR.size)
    width, height, depth, colour_type, *methods = _IHDR.unpack(body)
    _require(methods == [0, 0, 0] and depth in _DEPTHS.get(colour_type, ()))
    _require(0 < width * height <= min(LARGEST, Image.MAX_IMAGE_PIXELS or 0))
    texts = 0
    palette = b""
    parts: list[memoryview] = []
    while True:
        kind, body, at = _chunk(data, at)
        if kind == b"IDAT":
            parts.append(body)
            continue
        if parts:  # IDAT chunks follow each other
            break
        if kind == b"PLTE":
            _require(not palette and len(body) in range(3, 769, 3))
            palette = bytes(body)
        elif kind == b"tRNS":
            lengths = {GREY: (2,), RGB: (6,), PALETTE: range(1, len(palette) // 3 + 1)}
            _require(len(body) in lengths.get(colour_type, ()))
        else:
            texts += _ancillary(kind, body, texts)
    _require(colour_type != PALETTE or len(palette) > 0)
    while kind != b"IEND":
        texts += _ancillary(kind, body, texts)
        kind, body, at = _chunk(data, at)
    stream = parts[0] if len(parts) == 1 else b"".join(parts)
    _require(len(body) == 0 and at == len(data) and len(stream) > 0)
    of_indices = palette if colour_type == PALETTE else b""  # of true colours it is a suggestion
    return Png((height, width), depth, colour_type, stream, of_indices)


def _ancillary(kind: bytes, body: memoryview, texts: int) -> int:
    """Whether a chunk says nothing of the samples; the length of its text."""
    if kind != b"tEXt":
        _require(kind in _FREE_LENGTH or _ANCILLARY.get(kind) == len(body))
        return 0
    _require(texts + len(body) <= _MAX_TEXT)
    _require(bytes(body).partition(b"\0")[0] not in _TEXTS_THAT_MATTER)
    return len(body)


def _chunk(data: memoryview, at: int) -> tuple[bytes, memoryview, int]:
    """Kind and body of the chunk that begins here, and where the next one does."""
    length, kind = _CHUNK.unpack_from(data, at)
    end = at + 8 + length
    _require(end + 4 <= len(data))
    stated = int.from_bytes(data[end : end + 4])
    _require(deflate.crc32(data[at + 4 : end]) == stated)
    return kind, data[at + 8 : end], end + 4


def _require(holds: bool) -> None:  # noqa: FBT001  an assertion
    if not holds:
        raise _OthersError
