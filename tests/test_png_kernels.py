"""The PNG kernels: C, the NumPy stand-in, the specification and Pillow give the same."""

from __future__ import annotations

import io
import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from segbench import kernels
from segbench.kernels import native, standins

needs_compiled = pytest.mark.skipif(
    not kernels.available(), reason="segbench was installed without compiled kernels"
)
COMPILED = pytest.param(native, marks=needs_compiled, id="compiled")
both = pytest.mark.parametrize("implementation", [COMPILED, pytest.param(standins, id="standin")])

SEEDS = st.integers(0, 2**32 - 1)


def literal_unfilter(data, rows, row_bytes, bpp):
    """PNG specification (third edition), section 9, byte by byte."""
    above, out = [0] * row_bytes, []
    for y in range(rows):
        kind, *line = data[y * (row_bytes + 1) : (y + 1) * (row_bytes + 1)]
        for x in range(row_bytes):
            a = line[x - bpp] if x >= bpp else 0
            b = above[x]
            c = above[x - bpp] if x >= bpp else 0
            p = a + b - c
            nearest = min((a, b, c), key=lambda value, p=p: abs(p - value))  # a, then b, then c
            line[x] = (line[x] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        out.append(line)
        above = line
    return np.array(out, dtype=np.uint8).reshape(rows, row_bytes)


@both
@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(0, 6), st.one_of(st.integers(0, 20), st.just(70))),
    bpp=st.one_of(st.just(1), st.integers(1, 8)),
    share=st.sampled_from([0.02, 0.2, 1.0]),
    seed=SEEDS,
)
def test_rows_are_unfiltered_as_the_specification_says(implementation, size, bpp, share, seed):
    rng = np.random.default_rng(seed)
    rows, row_bytes = size[0], size[1] * bpp
    table = rng.integers(0, 256, (rows, row_bytes + 1), dtype=np.uint8)
    table *= rng.random(table.shape) < share
    table[:, 0] = rng.integers(0, 5, rows)
    found = implementation.unfilter(table.ravel(), rows, row_bytes, bpp)
    expected = literal_unfilter(table.tobytes(), rows, row_bytes, bpp)
    np.testing.assert_array_equal(found, expected)
    used_up = bytearray(table.tobytes())  # undone in place where there is a compiler
    found = kernels.unfilter(used_up, rows=rows, row_bytes=row_bytes, pixel_bytes=bpp)
    np.testing.assert_array_equal(found, expected)


def filtered(image, filters):
    """The filters of the rows of an 8-bit image, the other way around."""
    padded = np.pad(image, ((1, 0), (1, 0))).astype(int)
    a, b, c = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    neighbours = np.stack((a, b, c))
    nearest = np.abs(a + b - c - neighbours).argmin(axis=0)[np.newaxis]
    paeth = np.take_along_axis(neighbours, nearest, axis=0)[0]
    predicted = np.choose(filters[:, np.newaxis], (0 * a, a, b, (a + b) // 2, paeth))
    return np.column_stack((filters, (image - predicted) % 256)).astype(np.uint8)


@both
@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(0, 20),
    width=st.one_of(st.integers(0, 30), st.just(130)),
    mean_run=st.sampled_from([1, 3, 40, 500]),
    seed=SEEDS,
)
def test_filtered_label_maps_come_back(implementation, height, width, mean_run, seed):
    rng = np.random.default_rng(seed)
    size = height * width
    runs = np.repeat(rng.choice([0, 1, 2, 255], size), rng.geometric(1 / mean_run, size))
    image = runs[:size].reshape(height, width).astype(np.uint8)
    filters = rng.integers(0, 5, height)
    table = filtered(image, filters)
    found = implementation.unfilter(table.ravel(), *image.shape, 1)
    np.testing.assert_array_equal(found, image)


@needs_compiled
@pytest.mark.parametrize("kind", range(5))
def test_every_meeting_of_constant_words_comes_back(kind):
    """Eight pixels at a time is how the kernel skips; here each such word follows each other."""
    for values in itertools.product([0, 1, 200], repeat=6):
        image = np.repeat(np.array(values, dtype=np.uint8), 8).reshape(2, 24)
        table = filtered(image, np.array([0, kind]))
        np.testing.assert_array_equal(native.unfilter(table.ravel(), 2, 24, 1), image)


@both
@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 4), columns=st.integers(0, 40), depth=st.sampled_from([1, 2, 4]), seed=SEEDS)  # fmt: skip
def test_bits_are_unpacked_highest_first(implementation, rows, columns, depth, seed):
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (rows, -(-columns * depth // 8)), dtype=np.uint8)
    expected = []
    for line in packed:
        bits = "".join(f"{byte:08b}" for byte in line)
        expected.append([int(bits[i * depth : (i + 1) * depth], 2) for i in range(columns)])
    found = implementation.unpack_bits(packed, columns, depth)
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.uint8).reshape(rows, columns))


def inflate(png):
    """The inflated image data of a PNG file."""
    at, data = 8, b""
    while at < len(png):
        size, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return zlib.decompress(data)


@pytest.mark.parametrize(
    ("mode", "pixel_bytes", "depth"),
    [("1", 1, 1), ("P", 1, 2), ("P", 1, 4), ("L", 1, 8), ("RGB", 3, 8), ("RGBA", 4, 8)],
)
def test_files_that_pillow_writes_and_reads(mode, pixel_bytes, depth):
    rng = np.random.default_rng(5)
    smooth = ndimage.gaussian_filter(rng.normal(size=(61, 83)), 4)
    smooth = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    image = Image.fromarray(smooth).convert(mode)
    if mode == "P":
        image = Image.fromarray(smooth >> (8 - depth))
        image.putpalette(list(range(256)) * 3)
    file = io.BytesIO()
    image.save(file, "PNG", bits=depth)
    height, width = smooth.shape
    row_bytes = -(-width * pixel_bytes * depth // 8)
    rows = kernels.unfilter(
        inflate(file.getvalue()), rows=height, row_bytes=row_bytes, pixel_bytes=pixel_bytes
    )
    if depth < 8:
        rows = kernels.unpack_bits(rows, columns=width, depth=depth)
    expected = np.asarray(Image.open(file)).astype(np.uint8)
    np.testing.assert_array_equal(rows.reshape(expected.shape), expected)


@both
@pytest.mark.parametrize("first", [5, 6, 255])
def test_an_unknown_filter_is_named(implementation, first):
    table = np.zeros((4, 4), dtype=np.uint8)
    table[2, 0] = first
    with pytest.raises(ValueError, match=f"row 2 has filter {first}"):
        implementation.unfilter(table.ravel(), 4, 3, 1)


@pytest.mark.parametrize(
    ("size", "rows", "row_bytes", "pixel_bytes"),
    [
        *[(12, 3, 4, 1), (0, 1, 0, 1), (16, 3, 4, 1), (15, -3, -6, 1), (15, 3, -4, 1)],
        *[(15, 3, 4, 3), (15, 3, 4, 0), (99, 11, 8, 9)],
    ],
)
def test_sizes_that_do_not_fit_are_refused(size, rows, row_bytes, pixel_bytes):
    with pytest.raises(ValueError, match="bytes"):
        kernels.unfilter(bytes(size), rows=rows, row_bytes=row_bytes, pixel_bytes=pixel_bytes)


def test_packed_rows_that_do_not_fit_are_refused():
    packed = np.zeros((3, 2), dtype=np.uint8)
    for columns, depth in ((17, 1), (8, 1), (16, 8), (-1, 1)):
        with pytest.raises(ValueError, match="bits"):
            kernels.unpack_bits(packed, columns=columns, depth=depth)
