"""The numbers that a TIFF stores; viewers show others.

Pillow shows grey of up to 8 bits where white is zero the other way round, the signed byte -1 as
255, a large unsigned number as a negative one, and turns pictures by their orientation tag. Here
that is undone. Numbers of 64 bits and half floats, which it cannot read, are read by tifffile.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _EXTRA, _SAMPLE_FORMAT = 274, 277, 338, 339
_WHITE_IS_ZERO, _SIGNED, _UNSPECIFIED = 0, 2, 0
_MAX_RATIO = 1100  # of what Deflate makes of a byte: at most 1032

LOSSLESS: Final = frozenset({1, 2, 3, 4, 5, 8, 32771, 32773, 32809, 32946, 34925, 50000})
"""Compressions that give back what was stored: none, CCITT, LZW, Deflate, PackBits, LZMA, Zstd."""

_UNDONE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What gives the stored rows back, by orientation tag."""


class Tags:
    """What stands in the header of a TIFF that Pillow has opened and not yet loaded."""

    def __init__(self, image: TiffImagePlugin.TiffImageFile) -> None:
        def number(tag: int, default: int) -> int:
            value = image.tag_v2.get(tag, default)
            return int(value[0] if isinstance(value, tuple) else value)

        self.size = number(_LENGTH, 0), number(_WIDTH, 0)
        self.bits = number(_BITS, 1)
        self.bands = number(_SAMPLES, 1)
        self.compression = number(_COMPRESSION, 1)
        self.inverted = number(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO
        self.signed = number(_SAMPLE_FORMAT, 1) == _SIGNED
        self.orientation = number(_ORIENTATION, 1)
        extra = image.tag_v2.get(_EXTRA, ())
        self.has_unknown_bands = _UNSPECIFIED in (extra if isinstance(extra, tuple) else (extra,))

    def as_stored(self, image: Image.Image) -> Image.Image:
        """The loaded image with its rows and columns as they are in the file."""
        undone = _UNDONE.get(self.orientation)
        return image if undone is None else image.transpose(undone)

    def numbers(self, shown: NDArray[Any]) -> NDArray[Any]:
        """The stored numbers of an HxW picture of one channel, from those that Pillow shows.

        Args:
            shown: Pillow's array: bool, uint8, uint16, int32 or float32.
        """
        if shown.dtype == np.bool_:
            return (shown ^ self.inverted).astype(np.uint8)
        if shown.dtype == np.uint8:
            stored = ~shown if self.inverted else shown
            stored = stored // {2: 85, 4: 17}.get(self.bits, 1)  # stretched to 0..255
            return stored.view(np.int8) if self.signed else stored
        if shown.dtype == np.int32 and self.bits == 32 and not self.signed:  # noqa: PLR2004
            return shown.view(np.uint32)
        return shown


def read_unusual(data: bytes, max_values: int) -> NDArray[np.generic]:
    """The one picture of a TIFF that Pillow does not know, such as one of float64.

    Args:
        data: The whole file.
        max_values: Refuse pictures of more than these.

    Raises:
        ValueError: tifffile cannot read it either; the message says why.
    """
    import tifffile  # noqa: PLC0415

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page, n_pages = file.pages.first, len(file.pages)
            fits = page.size <= max_values and page.nbytes <= _MAX_RATIO * len(data)
            array = np.asarray(page.asarray()) if n_pages == 1 and fits else None
    except Exception as error:  # tifffile raises many types on damaged files
        raise ValueError(str(error) or type(error).__name__) from error
    if array is None:
        raise ValueError(f"{n_pages} pages of {page.shape}")
    return array
