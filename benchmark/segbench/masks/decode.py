"""Decode one mask file to the values stored in it, exactly.

Decoders disagree here more than anywhere else: many turn palette indices into colours, stretch
1-, 2- and 4-bit grey to 0..255 or cut 16-bit to 8. We want the stored number. Pillow gives it for
every kind of PNG but grey of 2 and 4 bits (which it stretches, undone below) and colour of 16 bits
(which it cuts, refused below); of a TIFF see `segbench.masks.tiff`. A PNG without faults is read by
`segbench.masks.png`, to the same values in a fraction of the time.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from segbench.masks.array_shapes import mask_shape, probabilities_shape
from segbench.masks.content import (
    LOSSY,
    MASK_FORMATS,
    ending_disagrees,
    format_of,
    open_picture,
    what_else,
)
from segbench.masks.decoded import IDENTITY, Decoded, Kind, MaskFileError, Size, Swatch, Value
from segbench.masks.png import GREY_ALPHA, RGBA, open_png, samples
from segbench.masks.tiff import LOSSLESS, Tags, read_unusual

IMAGE_ENDINGS = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif"})
ARRAY_ENDINGS = frozenset({".npy", ".npz"})
LOSSY_ENDINGS = frozenset({".jpg", ".jpeg", ".webp"})
MASK_ENDINGS = IMAGE_ENDINGS | ARRAY_ENDINGS | LOSSY_ENDINGS

MAX_DISTINCT = 256
"""More distinct values or colours than this in one file and it is a picture, not a mask."""

MAX_PIXELS = 2**29
"""Of one mask, where its size is not known beforehand."""

_MAX_ITEM_BYTES = 16
_MAX_RATIO, _RATIO_FLOOR = 200, 2**26  # as of archives: probabilities give under 10

_ROUNDING = 1e-6
"""By which a mean of float32 probabilities may be outside [0, 1]; it is then clipped."""

_SUM_ROUNDING = 0.01
"""By which float16 probabilities of two classes may miss the sum of 1."""


def decode(
    data: bytes,
    ending: str,
    *,
    expected: Size | None = None,
    threshold: float = 0.5,
) -> Decoded:
    """Decode the bytes of one mask file.

    Args:
        data: The whole file.
        ending: Its ending, lower case with the dot; it chooses image or array.
        expected: The size it must have; checked in the header, before any pixel is decoded.
        threshold: Foreground is where the probability of one channel, or of the second of two, is
            greater than this; of more channels the greatest counts.

    Raises:
        MaskFileError: The file is unreadable, of another size, or no mask.
    """
    if ending in LOSSY_ENDINGS:
        raise MaskFileError(
            "lossy file",
            f"{ending} changes pixel values",
            hint="masks must be stored without loss: save them as PNG",
        )
    if ending in ARRAY_ENDINGS:
        array = array_of(data, ending, expected)
        return from_array(array, expected=expected, threshold=threshold)
    if (png := open_png(data)) is not None:
        check_size(png.size, expected)
        if (stored := samples(png)) is not None:
            return _noted(_of_samples(stored, png.colour_type, png.palette), ending, "PNG")
    return _noted(_decode_picture(data, expected, threshold), ending, format_of(data))


def _noted(decoded: Decoded, ending: str, content: str) -> Decoded:
    if not ending_disagrees(ending, content):
        return decoded
    return replace(decoded, note=f"{content} content in {ending} files")


def _decode_picture(data: bytes, expected: Size | None, threshold: float) -> Decoded:
    content = format_of(data)
    if content in LOSSY:
        raise MaskFileError(
            "lossy file",
            f"its content is {LOSSY[content]}, which changes pixel values",
            hint="masks must be stored without loss: save them as PNG",
        )
    if content not in MASK_FORMATS:
        found, advice = what_else(data)
        raise MaskFileError("unreadable file", f"it is {found}", hint=advice)
    try:
        with open_picture(data, content) as image:
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                return _decode_tiff(image, expected, threshold)
            check_size((image.height, image.width), expected)
            return _decode_image(image, data)
    except MaskFileError:
        raise
    except Image.DecompressionBombError as error:  # of a strip or frame; see `open_picture`
        if content == "TIFF":
            return _decode_unusual(data, expected, threshold)
        raise MaskFileError(
            "too many pixels", f"{content}: {error}", hint="save large masks as PNG"
        ) from error
    except UnidentifiedImageError as error:  # its text names an address in memory
        if content == "TIFF":
            return _decode_unusual(data, expected, threshold)
        raise MaskFileError(
            "unreadable file", f"a damaged {content}", hint="is the file whole?"
        ) from error
    except Exception as error:  # Pillow raises many types on damaged files
        raise MaskFileError(
            "unreadable file", str(error) or type(error).__name__, hint="is the file whole?"
        ) from error


def check_size(size: Size, expected: Size | None) -> None:
    """Refuse a mask that has not exactly the expected size, or, of any size, an absurd one.

    Raises:
        MaskFileError: It has not; the message writes sizes as width x height.
    """
    if expected is None and (min(size) < 1 or size[0] * size[1] > MAX_PIXELS):
        raise MaskFileError(
            "too many pixels" if min(size) > 0 else "wrong size",
            f"{size[1]}x{size[0]}, expected 1 to {MAX_PIXELS:,} pixels",
        )
    if expected is not None and size != expected:
        raise MaskFileError(
            "wrong size",
            f"{size[1]}x{size[0]}, expected {expected[1]}x{expected[0]}",
            hint="predict at the image's own size, or accept it with --resize nearest",
        )


def from_array(
    array: NDArray[np.generic],
    *,
    expected: Size | None = None,
    threshold: float = 0.5,
) -> Decoded:
    """Read a mask from an array in memory: HxW ids, HxWx3 colours, or probabilities in [0, 1].

    Axes of length one are dropped.

    Args:
        array: Integers or booleans HxW (or uint8 HxWx3 colours), or floats HxW (foreground) or
            CxHxW (one channel a class).
        expected: The size it must have.
        threshold: Foreground is where the probability of one channel, or of the second of two, is
            greater than this; of more channels the greatest counts.

    Raises:
        MaskFileError: Its dtype, shape, size or values are none of these.
    """
    if array.dtype.kind == "f":
        # wider floats are cut as they are: rounded first, they could fall on the other side
        exact = np.promote_types(array.dtype, np.float64)
        return _probabilities(array.astype(exact, copy=False), expected, threshold)
    if array.dtype.kind not in "bui":
        raise MaskFileError(
            "unreadable file",
            f"dtype {array.dtype}",
            hint="expected integers (class ids) or floats (probabilities)",
        )
    plain, note = mask_shape(array, expected)
    check_size((plain.shape[0], plain.shape[1]), expected)
    if plain.ndim == 3:  # noqa: PLR2004
        return replace(_colours(plain.astype(np.uint8, copy=False)), note=note)
    return replace(_values(plain), note=note)


def _decode_tiff(
    image: TiffImagePlugin.TiffImageFile, expected: Size | None, threshold: float
) -> Decoded:
    tags = Tags(image)
    check_size(tags.size, expected)
    if tags.compression not in LOSSLESS:
        raise MaskFileError(
            "lossy file",
            f"a TIFF with compression {tags.compression}, which changes pixel values or may",
            hint="masks must be stored without loss: save them as PNG, or as TIFF with deflate",
        )
    _one_frame(image)
    if tags.has_unknown_bands or (tags.bands > 1 and tags.bits > 8):  # noqa: PLR2004
        raise MaskFileError(  # Pillow would drop them
            "unreadable file",
            f"a TIFF of {tags.bands} bands of {tags.bits} bits",
            hint="save class ids in one band of 8 bits",
        )
    image.load()
    stored = tags.as_stored(image)
    match stored.mode:
        case "F":
            return from_array(np.asarray(stored), threshold=threshold)
        case "1" | "L" | "I" | "I;16" | "I;16B" | "I;16L":
            return _values(tags.numbers(np.asarray(stored)))
        case _:
            return _of_mode(stored, colour_type=0)


def _decode_unusual(data: bytes, expected: Size | None, threshold: float) -> Decoded:
    try:
        array = read_unusual(data, MAX_PIXELS if expected is None else math.prod(expected))
    except ValueError as error:
        raise MaskFileError(
            "unreadable file",
            f"a TIFF that neither Pillow nor tifffile reads ({error})",
            hint="is it whole? save class ids as 8-bit PNG, or probabilities as .npy",
        ) from error
    return from_array(array, expected=expected, threshold=threshold)


def _one_frame(image: Image.Image) -> None:
    if getattr(image, "n_frames", 1) != 1:
        raise MaskFileError("not one mask", "the file holds several frames")


def _decode_image(image: Image.Image, data: bytes) -> Decoded:
    _one_frame(image)
    # of a PNG: bit depth and colour type, which stand in its header
    depth, colour_type = (data[24], data[25]) if image.format == "PNG" else (0, 0)
    image.load()
    match image.mode:
        case "L":
            grey = np.asarray(image)
            # Pillow stretches 2- and 4-bit grey to 0..255; the stored number is what we want.
            return _values(grey // {2: 85, 4: 17}.get(depth, 1))
        case "RGB" | "RGBA" | "LA" | "PA" if depth == 16:  # noqa: PLR2004
            raise MaskFileError(
                "unreadable file", "16-bit colour PNG", hint="save class ids as 8-bit PNG"
            )
        case _:
            return _of_mode(image, colour_type)


def _of_mode(image: Image.Image, colour_type: int) -> Decoded:
    """A loaded picture by its pixel format, where that says it all."""
    match image.mode:
        case "1":
            return _values(np.asarray(image, dtype=np.uint8))
        case "P":
            return _indices(np.asarray(image, dtype=np.uint8), bytes(image.getpalette("RGB") or ()))
        case "I;16" | "I;16B" | "I;16L" | "I":
            return _values(np.asarray(image))
        case "RGB" | "RGBA" | "LA" | "PA":
            return _with_alpha(image, colour_type)
        case _:
            raise MaskFileError(
                "unreadable file",
                f"pixel format {image.mode}",
                hint="save class ids as 8-bit PNG, or probabilities as .npy or float TIFF",
            )


def _with_alpha(image: Image.Image, colour_type: int) -> Decoded:
    if image.mode in {"LA", "PA", "RGBA"}:
        _check_opaque(np.asarray(image.getchannel("A")), colour_type)
    if image.mode == "PA":
        indices = np.asarray(image.getchannel(0))
        return _indices(indices, bytes(image.getpalette("RGB") or ()))
    if image.mode == "LA":
        return _values(np.asarray(image.getchannel(0)))
    return _colours(np.asarray(image)[:, :, :3])


def _of_samples(
    stored: NDArray[np.uint8] | NDArray[np.uint16], colour_type: int, palette: bytes
) -> Decoded:
    """From the samples of a PNG: HxW, or HxW and grey + alpha, RGB or RGBA."""
    if palette and stored.dtype == np.uint8 and stored.ndim == 2:  # noqa: PLR2004
        return _indices(stored.astype(np.uint8, copy=False), palette)
    if stored.ndim == 2:  # noqa: PLR2004
        return _values(stored)
    eight_bits = stored.astype(np.uint8, copy=False)
    if colour_type in {GREY_ALPHA, RGBA}:
        _check_opaque(eight_bits[:, :, -1], colour_type)
    return _values(eight_bits[:, :, 0]) if colour_type == GREY_ALPHA else _colours(eight_bits)


def _check_opaque(alpha: NDArray[np.uint8], colour_type: int) -> None:
    low = int(alpha.min())
    if low != 255:  # noqa: PLR2004
        raise MaskFileError(
            "transparent pixels",
            f"alpha goes down to {low} (PNG colour type {colour_type})",
            hint="flatten the mask: which class a transparent pixel has is not known",
        )


def _indices(codes: NDArray[np.uint8], palette: bytes) -> Decoded:
    return Decoded(np.ascontiguousarray(codes), swatches(palette), Kind.VALUES)


@lru_cache(maxsize=256)
def swatches(palette: bytes) -> tuple[Value, ...]:
    """The values of a palette file: each index with its colour; a number where it has none.

    Args:
        palette: Red, green and blue of each index, up to 256 of them.
    """
    colours = [palette[i : i + 3] for i in range(0, len(palette) - 2, 3)][:256]
    named = [Swatch(i, (c[0], c[1], c[2])) for i, c in enumerate(colours)]
    return (*named, *range(len(named), 256))


def palette_of(values: tuple[Value, ...]) -> bytes:
    """What `swatches` made these values from; empty where they are of no palette."""
    return b"".join(bytes(value.color) for value in values if isinstance(value, Swatch))


def _values(array: NDArray[np.generic]) -> Decoded:
    if array.dtype == np.uint8:
        return Decoded(np.ascontiguousarray(array, dtype=np.uint8), IDENTITY, Kind.VALUES)
    if array.size and array.min() >= 0 and array.max() <= 255:  # noqa: PLR2004
        return Decoded(array.astype(np.uint8), IDENTITY, Kind.VALUES)
    distinct, codes = np.unique(array, return_inverse=True)
    _few(len(distinct))
    values = tuple(int(v) for v in distinct)
    return Decoded(codes.reshape(array.shape).astype(np.uint8), values, Kind.VALUES)


def _colours(rgb: NDArray[np.uint8]) -> Decoded:
    """Equal channels are grey levels; anything else is coded by colour."""
    red, green, blue = (rgb[:, :, i] for i in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return _values(red)
    packed = (red.astype(np.uint32) << 16) | (green.astype(np.uint32) << 8) | blue
    distinct, codes = np.unique(packed, return_inverse=True)
    _few(len(distinct))
    values = tuple((int(v) >> 16, int(v) >> 8 & 255, int(v) & 255) for v in distinct)
    return Decoded(codes.reshape(packed.shape).astype(np.uint8), values, Kind.COLOURS)


def _few(count: int) -> None:
    if count > MAX_DISTINCT:
        raise MaskFileError(
            "not a mask",
            f"{count} distinct values in one file",
            hint="a picture, an antialiased or a lossy copy? expected class ids or 0/255 (for "
            "probabilities as grey levels say --form probabilities)",
        )


def check_two_channels(probabilities: NDArray[np.floating]) -> None:
    """Refuse 2xHxW maps in which the object's probability is not the rest of the background's.

    The greater of two such maps is defined, but a threshold or a measure of probabilities needs the
    one probability that both say.

    Raises:
        MaskFileError: The two do not sum to 1.
    """
    sums = probabilities.sum(axis=0, dtype=np.float64)
    if sums.size and np.abs(sums - 1).max() > _SUM_ROUNDING:
        raise MaskFileError(
            "two channels that do not sum to 1",
            f"sums from {sums.min():.4g} to {sums.max():.4g}",
            hint="apply the softmax, or save the object's probabilities alone, HxW",
        )


def _probabilities(array: NDArray[np.floating], expected: Size | None, threshold: float) -> Decoded:
    array, note = probabilities_shape(array, expected)
    height, width = array.shape[-2:]
    check_size((height, width), expected)
    if not array.size:
        raise MaskFileError("wrong shape", f"{array.shape}", hint="the array is empty")
    if np.isnan(array).any():
        raise MaskFileError("NaN", f"{int(np.isnan(array).sum())} values are not a number")
    low, high = float(array.min()), float(array.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise MaskFileError(
            "not probabilities",
            f"floats from {low:.7g} to {high:.7g}",
            hint="expected [0, 1]: apply the sigmoid or softmax, or save class ids as integers",
        )
    if low < 0 or high > 1:
        array = np.clip(array, 0, 1)
    if array.ndim == 3 and array.shape[0] > 1:  # noqa: PLR2004
        _few(array.shape[0])
        codes = array.argmax(axis=0).astype(np.uint8)
        if array.shape[0] == 2 and threshold != 0.5:  # noqa: PLR2004
            check_two_channels(array)
            codes = (array[1] > threshold).astype(np.uint8)
        of_classes = tuple(range(array.shape[0]))
        exact = array.astype(np.float64, copy=False)
        return Decoded(codes, of_classes, Kind.PROBABILITIES, exact, note)
    single = array if array.ndim == 2 else array[0]  # noqa: PLR2004
    codes = (single > threshold).astype(np.uint8)
    return Decoded(codes, (0, 1), Kind.PROBABILITIES, single.astype(np.float64, copy=False), note)


def array_of(data: bytes, ending: str, expected: Size | None) -> NDArray[np.generic]:
    """The one array of a .npy or .npz file, as it was saved.

    Raises:
        MaskFileError: It is damaged, a pickle, or far larger than a mask of the expected size.
    """
    try:
        return _load_npy(io.BytesIO(data), expected) if ending == ".npy" else _npz(data, expected)
    except MaskFileError:
        raise
    except Exception as error:  # numpy, zipfile and zlib raise many types on damaged files
        raise MaskFileError("unreadable file", str(error) or type(error).__name__) from error


def _npz(data: bytes, expected: Size | None) -> NDArray[np.generic]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [PurePosixPath(n).stem for n in archive.namelist() if n.endswith(".npy")]
        key = "probabilities" if "probabilities" in names else names[0] if len(names) == 1 else None
        if key is None:
            raise MaskFileError(
                "unreadable file",
                f"arrays {', '.join(names) or 'none'}",
                hint="an .npz holds one array, or one called 'probabilities'",
            )
        about = archive.getinfo(f"{key}.npy")
        if about.file_size > max(_RATIO_FLOOR, _MAX_RATIO * about.compress_size):
            raise MaskFileError(
                "array that is packed too well",
                f"{about.file_size >> 20:,} MiB from {about.compress_size >> 10:,} KiB",
                hint=f"more than {_MAX_RATIO} bytes come out for each one; save masks as PNG",
            )
        with archive.open(about) as member:
            return _load_npy(member, expected)


def _load_npy(stream: IO[bytes], expected: Size | None) -> NDArray[np.generic]:
    """Read the header, refuse pickles and absurd sizes, then the values."""
    version = np.lib.format.read_magic(stream)
    readers: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype]]]
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise MaskFileError("unreadable file", f"npy format version {version}")
    shape, fortran, dtype = readers[version](stream)
    if dtype.hasobject:
        raise MaskFileError(
            "unreadable file",
            "the array holds Python objects (a pickle)",
            hint="pickles are never loaded: save a plain array of integers or floats",
        )
    if dtype.kind not in "buif" or dtype.itemsize > _MAX_ITEM_BYTES:
        raise MaskFileError(
            "unreadable file", f"dtype {str(dtype)[:40]}", hint="expected integers or floats"
        )
    limit = MAX_DISTINCT * math.prod(expected) if expected else MAX_PIXELS
    if math.prod(shape) > limit or min(shape, default=0) < 0:
        raise MaskFileError("wrong shape", f"{shape}", hint="far more values than pixels")
    need = math.prod(shape) * dtype.itemsize
    raw = stream.read(need)
    if len(raw) != need:
        raise MaskFileError("unreadable file", f"{len(raw)} of {need} bytes", hint="truncated?")
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order=order)
