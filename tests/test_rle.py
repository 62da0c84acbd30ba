"""Run lengths: golden strings from pycocotools, and round trips."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segbench.masks import rle
from segbench.masks.decode import MaskFileError

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))

# pycocotools 2.0.11: mask.encode(np.asfortranarray(m.astype("uint8")))["counts"]
GOLDEN = [
    ((1, 1), [], "1"),
    ((1, 1), [(0, 1)], "01"),
    ((3, 4), [(0, 12)], "0<"),
    ((3, 4), [(2, 5), (7, 8)], "232N2"),
    ((560, 768), [(1000, 9000), (20000, 20031), (20032, 400000)], "Xo0Pj7hg:oVHYXEQQc;o[m0"),
    (
        (40, 50),
        [
            (0, 1),
            (37, 39),
            (74, 77),
            (111, 115),
            (148, 153),
            (185, 191),
            (222, 229),
            (259, 267),
            (296, 305),
            (333, 343),
            (370, 381),
            (407, 419),
            (444, 457),
            (481, 495),
            (518, 533),
            (555, 571),
            (592, 609),
            (629, 647),
            (666, 685),
            (703, 723),
            (740, 761),
            (777, 799),
            (814, 837),
            (851, 875),
            (888, 913),
            (925, 951),
            (962, 989),
            (999, 1027),
            (1036, 1065),
            (1073, 1103),
        ],
        "01T11O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1O1ik0",
    ),
    ((100, 100), [(5000, 10000)], "Xl4Xl4"),
]


@pytest.mark.parametrize(("size", "pixels", "counts"), GOLDEN)
def test_compressed_counts_are_those_of_pycocotools(size, pixels, counts):
    flat = np.zeros(size[0] * size[1], dtype=bool)
    for start, stop in pixels:  # pixels count down the columns
        flat[start:stop] = True
    mask = flat.reshape(size[1], size[0]).T
    assert rle.compress(rle.runs_of(mask)) == counts
    np.testing.assert_array_equal(rle.mask_of(rle.decompress(counts, size), size), mask)


@given(masks)
def test_coco_round_trip(mask):
    counts = rle.compress(rle.runs_of(mask))
    np.testing.assert_array_equal(rle.mask_of(rle.decompress(counts, mask.shape), mask.shape), mask)


@given(masks)
def test_kaggle_round_trip_and_literal_definition(mask):
    text = rle.kaggle_runs(mask)
    np.testing.assert_array_equal(rle.kaggle_mask(text, mask.shape), mask)
    numbers = [int(n) for n in text.split()]
    height = mask.shape[0]
    painted = np.zeros_like(mask)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for pixel in range(start - 1, start - 1 + length):
            painted[pixel % height, pixel // height] = True
    np.testing.assert_array_equal(painted, mask)


@pytest.mark.parametrize(
    "text", ["1", "0 3", "1 0", "5 9", "1 2 2 2", "a b", "-1 4", "1 99999999999999999999"]
)
def test_damaged_kaggle_runs_are_refused(text):
    with pytest.raises(MaskFileError, match="damaged RLE"):
        rle.kaggle_mask(text, (3, 4))


@pytest.mark.parametrize("counts", [[13], [5, 6], [-1, 13], [3, 4, 5, 6]])
def test_counts_that_do_not_cover_the_picture_are_refused(counts):
    with pytest.raises(MaskFileError, match="damaged RLE"):
        rle.mask_of(counts, (3, 4))


@given(st.text(max_size=30))
def test_any_string_is_read_or_refused(text):
    with contextlib.suppress(MaskFileError):
        assert rle.mask_of(rle.decompress(text, (3, 4)), (3, 4)).shape == (3, 4)
