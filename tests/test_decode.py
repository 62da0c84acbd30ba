"""Every kind of mask file gives the stored number, whatever the decoder would like to make of it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from segbench.masks.decode import Kind, MaskFileError, decode, from_array
from segbench.masks.forms import number_of


def png(
    rows, *, depth: int, colour_type: int, width: int, palette: bytes = b"", height: int = 0
) -> bytes:
    """A PNG written by hand: `rows` are the packed bytes of each scan line."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height or len(rows), depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    plte = chunk(b"PLTE", palette) if palette else b""
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + plte + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def packed(values: np.ndarray, depth: int) -> list[bytes]:
    """Pack rows of small numbers into 1, 2, 4, 8 or 16 bits, most significant first."""
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in values]
    bits = (values[:, :, np.newaxis] >> np.arange(depth - 1, -1, -1)) & 1
    return [np.packbits(row.ravel()).tobytes() for row in bits.astype(np.uint8)]


def stored(decoded) -> np.ndarray:
    return np.array([number_of(v) for v in decoded.values])[decoded.codes]


@pytest.mark.parametrize("colour_type", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@given(data=st.data())
def test_png_of_every_depth_gives_the_stored_number(colour_type, depth, data):
    if colour_type == 3 and depth == 16:
        return  # the format has no such thing
    high = min(2**depth - 1, 65535)
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 19)))
    values = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, high)))
    rng_palette = bytes(range(255, -1, -1)) * 3
    palette = rng_palette[: 3 * 2**depth] if colour_type == 3 else b""
    rows = packed(values, depth)
    raw = png(rows, depth=depth, colour_type=colour_type, width=shape[1], palette=palette)
    np.testing.assert_array_equal(stored(decode(raw, ".png", expected=shape)), values)


def saved(array: np.ndarray, mode: str | None = None, fmt: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(stream, format=fmt)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_equal_channels_are_grey(mode, fmt):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    decoded = decode(saved(values, mode, fmt), f".{fmt.lower()}")
    assert decoded.kind is Kind.VALUES
    np.testing.assert_array_equal(stored(decoded), values)


def test_colours_keep_their_colours():
    rgb = np.array([[[255, 0, 0], [0, 0, 0]], [[0, 0, 255], [255, 0, 0]]], dtype=np.uint8)
    decoded = decode(saved(rgb), ".png")
    assert decoded.kind is Kind.COLOURS
    assert [[decoded.values[c] for c in row] for row in decoded.codes] == [
        [(255, 0, 0), (0, 0, 0)],
        [(0, 0, 255), (255, 0, 0)],
    ]


def test_one_bit_bmp_counts_white_as_one():
    mask = np.array([[True, False, True]])
    np.testing.assert_array_equal(stored(decode(saved(mask, fmt="BMP"), ".bmp")), [[1, 0, 1]])


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "int32", "uint16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_integer_arrays(dtype, order):
    values = np.asarray([[0, 1, 1], [1, 0, 1]], dtype=dtype, order=order)
    np.testing.assert_array_equal(stored(decode(npy(values), ".npy")), values.astype(int))
    np.testing.assert_array_equal(stored(decode(npz(any_name=values), ".npz")), values.astype(int))


def test_foreground_probabilities_are_cut_above_the_threshold():
    soft = np.array([[0.5, 0.50001], [0.0, 1.0]])
    np.testing.assert_array_equal(stored(from_array(soft)), [[0, 1], [0, 1]])
    np.testing.assert_array_equal(stored(from_array(soft, threshold=0.2)), [[1, 1], [0, 1]])


def test_class_probabilities_take_the_largest_channel():
    soft = np.stack(
        [np.full((2, 2), 0.3), np.array([[0.1, 0.6], [0.2, 0.3]]), np.full((2, 2), 0.4)]
    )
    expected = [[2, 1], [2, 2]]
    np.testing.assert_array_equal(stored(decode(npy(soft.astype("f4")), ".npy")), expected)
    both = npz(probabilities=soft, logits=soft * 9)
    np.testing.assert_array_equal(stored(decode(both, ".npz")), expected)
    nnunet_2d = npz(probabilities=soft[:, np.newaxis])
    np.testing.assert_array_equal(stored(decode(nnunet_2d, ".npz", expected=(2, 2))), expected)


SIX = np.zeros((2, 3), dtype=np.uint8)
BAD = {
    "wrong size": (saved(SIX), ".png", "3x2, expected 3x4"),
    "wrong size of an array": (npy(SIX), ".npy", "3x2, expected 3x4"),
    "truncated png": (saved(np.arange(4000, dtype=np.uint8).reshape(40, 100))[:-300], ".png", ""),
    "not a png": (b"hello", ".png", "is the file whole?"),
    "empty file": (b"", ".png", "an empty file"),
    "git lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        ".png",
        "git lfs pull",
    ),
    "npy called png": (npy(np.zeros((4, 3))), ".png", "give it the ending .npy"),
    "json called png": (b'{"shapes": []}', ".png", "text such as JSON"),
    "nifti called png": (bytes(344) + b"n+1\0" + bytes(90), ".png", "a NIfTI volume"),
    "postscript called png": (b"%!PS-Adobe-3.0 EPSF-3.0\n", ".png", "no program is started"),
    "web page called png": (b"<!DOCTYPE html><html>", ".png", "a download that failed"),
    "zeros": (bytes(400), ".png", "zero bytes"),
    "jpeg 2000 called tif": (b"\0\0\0\x0cjP  \r\n", ".tif", "JPEG 2000"),
    "jpeg": (saved(SIX, fmt="JPEG"), ".jpg", "without loss"),
    "jpeg called png": (saved(np.zeros((4, 3), np.uint8), fmt="JPEG"), ".png", "save them as PNG"),
    "nan": (npy(np.full((4, 3), np.nan)), ".npy", "not a number"),
    "logits": (npy(np.full((4, 3), 3.5)), ".npy", "sigmoid or softmax"),
    "channels last": (npy(np.zeros((4, 3, 7))), ".npy", "np.moveaxis(probabilities, -1, 0)"),
    "pickle": (npy(np.array([[{}]]), allow_pickle=True), ".npy", "never loaded"),
    "several arrays": (npz(a=SIX, b=SIX), ".npz", "one array, or one called 'probabilities'"),
    "complex": (npy(np.zeros((4, 3), complex)), ".npy", "dtype complex128"),
    "three dimensions": (npy(np.zeros((2, 4, 3), int)), ".npy", "HxW array"),
    "truncated npy": (npy(np.zeros((4, 3), int))[:-8], ".npy", "of 96 bytes"),
    "a photograph": (
        saved(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)),
        ".png",
        "distinct values",
    ),
    "transparent": (saved(np.zeros((4, 3, 4), np.uint8)), ".png", "flatten the mask"),
    "16-bit colour": (
        png([bytes(18)] * 4, depth=16, colour_type=2, width=3),
        ".png",
        "16-bit colour",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_a_reason(name):
    data, ending, words = BAD[name]
    expected = (40, 30) if name == "a photograph" else (4, 3)
    expected = (40, 100) if name == "truncated png" else expected
    with pytest.raises(MaskFileError) as caught:
        decode(data, ending, expected=expected)
    assert words in str(caught.value)
    assert caught.value.kind


def test_size_is_checked_in_the_header_before_any_pixel():
    """The header promises 60000x1400 pixels and no data follows: only its size is looked at."""
    huge = png([], depth=8, colour_type=0, width=60000, height=1400)
    with pytest.raises(MaskFileError, match="60000x1400, expected 3x4") as caught:
        decode(huge, ".png", expected=(4, 3))
    assert caught.value.kind == "wrong size"


@given(st.binary(max_size=200), st.sampled_from([".png", ".npy", ".npz", ".bmp", ".tif", ".gif"]))
def test_any_bytes_are_read_or_refused_never_worse(data, ending):
    with pytest.raises(MaskFileError):
        decode(data, ending, expected=(4, 3))
