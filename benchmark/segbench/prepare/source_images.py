"""A source's image as 8-bit RGB, exactly; what would lose values is refused, never clipped."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from segbench.errors import SegbenchError
from segbench.masks.content import IMAGE_FORMATS, format_of, not_one_of
from segbench.masks.tiff import Tags, read_unusual

BROWSER_FORMATS = {"PNG": ".png", "JPEG": ".jpg"}
"""Formats whose bytes are kept as they are."""

_EIGHT_BITS = 8
_OPAQUE = 255
_EXACT = frozenset({"1", "L", "P", "RGB", "LA", "PA", "RGBA"})
"""Pillow's pixel formats that are RGB of 8 bits without loss, but for their alpha."""


def read_source_image(path: Path, data: bytes) -> tuple[NDArray[np.uint8], str | None]:
    """The image's pixels, HxWx3 uint8, and the ending under which its bytes can be kept.

    The ending is None where the image is to be written anew.

    Raises:
        SegbenchError: It is no picture that is read, or 8-bit RGB would lose some of it: more than
            8 bits, floats, more than three bands, transparent pixels, several frames.
    """
    if other := not_one_of(IMAGE_FORMATS, data):
        raise SegbenchError(f"{path}: {other}")
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            return _pixels(path, image, data), _kept_as(image)
    except SegbenchError:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        if format_of(data) == "TIFF":
            raise _refused_unusual(path, data, error) from error
        raise SegbenchError(f"{path}: not a readable image ({error})") from error


def _kept_as(image: Image.Image) -> str | None:
    return BROWSER_FORMATS.get(image.format or "") if _frames(image) == 1 else None


def _frames(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1)


def _pixels(path: Path, image: Image.Image, data: bytes) -> NDArray[np.uint8]:
    if _frames(image) != 1 and image.format != "MPO":  # a camera's preview beside its picture
        raise _refused(path, f"{_frames(image)} frames or pages", "save the one that is meant")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = Tags(image)
        bands, bits = tags.bands, tags.bits
        if tags.has_unknown_bands:
            raise _refused(path, f"{bands} bands")
        image.load()
        image = tags.as_stored(image)
    else:
        bands = len(image.getbands())
        bits = data[24] if image.format == "PNG" else _EIGHT_BITS  # it stands in the header
        image.load()
    if image.mode not in _EXACT:
        raise _refused(path, f"pixel format {image.mode}{_range(np.asarray(image))}")
    if bits > _EIGHT_BITS:
        raise _refused(path, f"{bits} bits a band")
    if bands > len(image.getbands()):
        raise _refused(path, f"{bands} bands")
    if image.has_transparency_data:
        low = int(np.asarray(image.convert("RGBA").getchannel("A")).min())
        if low < _OPAQUE:
            raise _refused(
                path,
                f"alpha goes down to {low}",
                "put the image onto the background that is meant, and save it as RGB",
            )
    return np.asarray(image.convert("RGB"))


def _range(values: NDArray[np.generic]) -> str:
    """The least and the greatest value of what has one number a pixel."""
    if values.ndim != 2 or not values.size:  # noqa: PLR2004
        return ""
    return f" with values from {values.min():g} to {values.max():g}"


def _refused_unusual(path: Path, data: bytes, error: Exception) -> SegbenchError:
    try:
        values = read_unusual(data, max_values=2**31)
    except ValueError:
        return SegbenchError(f"{path}: not a readable image ({error})")
    return _refused(
        path, f"{values.dtype} {'x'.join(map(str, values.shape))}, {values.min():g} to "
        f"{values.max():g}"
    )  # fmt: skip


def _refused(path: Path, found: str, remedy: str = "") -> SegbenchError:
    advice = remedy or (
        "how its values become 8-bit RGB is not for us to guess: convert the images first, by one "
        "rule for all of them, and give those"
    )
    return SegbenchError(f"{path}: {found}; expected 8-bit grey or RGB, or values would be lost. {advice}")  # fmt: skip  # noqa: E501
