"""The pixels of a probability map by their value: all that measures of probabilities need.

An image is sorted once into its distinct values (`distinct`), each with its pixels outside and
inside the class; tied pixels are one value from there on. For what is pooled over images the
distinct values are put into cells (`cells`), whose counts add. A cell is a level of the logit
within a bin of equal width, so that ranking and bins are formed of the same few thousand numbers:

* `LEVELS` levels of equal width of log(p / (1 - p)) between -`SPAN` and `SPAN`; what is beyond lies
  in the outermost. All values of 8-bit maps (k / 255) have levels of their own.
* bin k of M is (k / M, (k + 1) / M], and 0 lies in the first, as in Guo et al. 2017 (arXiv
  1706.04599): so the bins from k on hold exactly the pixels that a cut at k / M makes foreground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Binning = Literal["width", "mass"]

LEVELS = 4096
SPAN = 16.0


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Pixels by value in ascending order; arrays (..., V) of numbers that add.

    Attributes:
        negatives: Pixels outside the class.
        positives: Pixels of the class.
        mass: The sum of the probabilities of both.
    """

    negatives: NDArray[Any]
    positives: NDArray[Any]
    mass: NDArray[Any]

    @property
    def pixels(self) -> NDArray[Any]:
        """Pixels of each value."""
        return self.negatives + self.positives


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of one image that hold any pixel, in ascending order; arrays (V,).

    Attributes:
        level: int16, of the logit.
        bin: int16, of equal width.
        counts: Pixels and probabilities in each.
    """

    level: NDArray[np.int16]
    bin: NDArray[np.int16]
    counts: Histogram


def distinct(
    probabilities: NDArray[np.floating], inside: NDArray[np.bool_]
) -> tuple[Floats, Histogram]:
    """The distinct values of an image, ascending, and its pixels by value.

    Args:
        probabilities: (P,) in [0, 1], of any width of float.
        inside: (P,) whether a pixel is of the class.
    """
    # The bits of floats from 0 to 1 are in the order of the floats and leave the lowest place free
    # for `inside`: one sort of whole numbers does both. Adding 0 makes -0 a 0.
    bits = (probabilities.astype(np.float64) + 0.0).view(np.uint64)
    packed = np.sort((bits << np.uint64(1)) | inside.astype(np.uint64))
    is_inside = (packed & np.uint64(1)).astype(np.int64)
    bits = packed >> np.uint64(1)
    starts = np.flatnonzero(np.concatenate(([True], bits[1:] != bits[:-1])))[: len(bits)]
    values = bits[starts].view(np.float64)
    positives = _sums(is_inside, starts)
    pixels = np.diff(np.append(starts, len(bits)))
    return values, Histogram(pixels - positives, positives, values * pixels)


def level_of(values: Floats) -> NDArray[np.int16]:
    """The level of the logit of each value, 0 to LEVELS - 1."""
    with np.errstate(divide="ignore"):
        logit = np.log(values) - np.log1p(-values)
    place = (np.clip(logit, -SPAN, SPAN) + SPAN) * (LEVELS / (2 * SPAN))
    return np.minimum(place, LEVELS - 1).astype(np.int16)


def bin_of(values: Floats, bins: int) -> NDArray[np.int16]:
    """The bin of equal width of each value, 0 to bins - 1."""
    edges = np.arange(1, bins) / bins
    return np.searchsorted(edges, values, side="left").astype(np.int16)


def cells(values: Floats, counts: Histogram, *, bins: int) -> Cells:
    """Put an image's distinct values into cells; see the module."""
    level, bin_ = level_of(values), bin_of(values, bins)
    key = level.astype(np.int64) * bins + bin_
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))[: len(key)]
    summed = (_sums(array, starts) for array in (counts.negatives, counts.positives, counts.mass))
    return Cells(level[starts], bin_[starts], Histogram(*summed))


def _sums(array: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[Any]:
    """Sums of the stretches that begin at each start."""
    return np.add.reduceat(array, starts) if len(starts) else array[:0]
