"""The hot loops: joint histogram, distances between boundaries, PNG rows, runs, tails.

Each is written twice with the same results: in C (`histogram.c`, `boundary.c`, `png.c`, ...,
compiled when segbench is installed) and in NumPy and SciPy (`standins.py`), used where there was no
compiler or where `SEGBENCH_NO_KERNELS=1` is set. The functions here check their arguments and call
one of them. C code runs without the interpreter lock, so that threads run it at once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segbench.kernels import native, standins

__all__ = [
    "available",
    "boundary_distances",
    "fill_runs",
    "joint_histogram",
    "joint_pairs",
    "joint_pairs_of_runs",
    "point_distances",
    "tail_sums",
    "unfilter",
    "unpack_bits",
]

Bytes = NDArray[np.uint8]
Mask = NDArray[np.uint8] | NDArray[np.bool_]
Distances = NDArray[np.float64]

N_VALUES = 256
# Beyond these, squares of spacings and distances leave the range of float64.
SMALLEST_SPACING, LARGEST_SPACING = 1e-100, 1e100


def available() -> bool:
    """Whether the compiled kernels are used."""
    return native.library() is not None


def joint_pairs(reference: Bytes, prediction: Bytes) -> NDArray[np.int64]:
    """Count the pixels of each pair (reference value, predicted value) that occurs.

    Args:
        reference: Any shape, uint8.
        prediction: The same shape, uint8.

    Returns:
        (2, P) int64: the pairs as `reference << 8 | prediction`, rising; and their pixels.

    Raises:
        ValueError: The shapes or dtypes differ from the above.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"shapes {reference.shape} and {prediction.shape} differ")
    if reference.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"dtypes {reference.dtype} and {prediction.dtype}, expected uint8")
    chosen = native if available() else standins
    return chosen.joint_pairs(np.ascontiguousarray(reference), np.ascontiguousarray(prediction))


def joint_pairs_of_runs(
    values: Bytes, ends: NDArray[np.uint32], prediction: Bytes
) -> NDArray[np.int64]:
    """As `joint_pairs`, of a reference that is given as its runs.

    Args:
        values: (n,) uint8, the value of each run.
        ends: (n,) uint32, where each run ends; rising from above 0 to the number of pixels.
        prediction: Any shape, uint8.

    Returns:
        (2, P) int64: the pairs as `reference << 8 | prediction`, rising; and their pixels.

    Raises:
        ValueError: The arguments differ from the above.
    """
    _check_runs(values, ends)
    if prediction.dtype != np.uint8:
        raise ValueError(f"dtype {prediction.dtype}, expected uint8")
    chosen = native if available() else standins
    return chosen.joint_pairs_of_runs(
        np.ascontiguousarray(values), np.ascontiguousarray(ends), np.ascontiguousarray(prediction)
    )


def joint_histogram(reference: Bytes, prediction: Bytes) -> NDArray[np.int64]:
    """As `joint_pairs`, as a 256x256 int64 table; row = reference, column = prediction."""
    pairs, pixels = joint_pairs(reference, prediction)
    table = np.zeros(N_VALUES * N_VALUES, dtype=np.int64)
    table[pairs] = pixels
    return table.reshape(N_VALUES, N_VALUES)


def boundary_distances(
    a: Mask, b: Mask, *, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[Distances, Distances]:
    """Euclidean distances between the inner boundaries of two masks, both ways.

    The inner boundary are the foreground pixels of which at least one of the four neighbours is
    background; outside of the image is background.

    Args:
        a: HxW bool or uint8, not 0 is foreground.
        b: The same shape.
        spacing: Distance between neighbouring rows, and between neighbouring columns.

    Returns:
        The distance from each boundary pixel of `a` to the nearest of `b`, and from each of `b` to
        the nearest of `a`; float64, in row-major order of the pixels, infinite where the other mask
        is empty. With unit spacing they are the correctly rounded roots of exact integers.

    Raises:
        ValueError: The arguments differ from the above.
    """
    return _distances(a, b, spacing, boundary_only=True)


def point_distances(
    a: Mask, b: Mask, *, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[Distances, Distances]:
    """As `boundary_distances`, between all pixels that are not 0."""
    return _distances(a, b, spacing, boundary_only=False)


def _distances(
    a: Mask, b: Mask, spacing: tuple[float, float], *, boundary_only: bool
) -> tuple[Distances, Distances]:
    if a.ndim != 2 or a.shape != b.shape:  # noqa: PLR2004
        raise ValueError(f"shapes {a.shape} and {b.shape}, expected two equal HxW")
    if not all(SMALLEST_SPACING <= s <= LARGEST_SPACING for s in spacing):
        raise ValueError(f"spacing {spacing}, expected two positive numbers")
    rows, columns = spacing
    chosen = native if available() else standins
    if rows == columns:  # exact in pixels, and scaled once
        result = chosen.distances(_bytes(a), _bytes(b), (1.0, 1.0), boundary_only=boundary_only)
        return result if rows == 1 else (result[0] * rows, result[1] * rows)
    return chosen.distances(_bytes(a), _bytes(b), spacing, boundary_only=boundary_only)


def _bytes(mask: Mask) -> Bytes:
    if mask.dtype not in {np.dtype(np.bool_), np.dtype(np.uint8)}:
        raise ValueError(f"dtype {mask.dtype}, expected bool or uint8")
    return np.ascontiguousarray(mask).view(np.uint8)


def unfilter(
    data: bytes | bytearray | memoryview, *, rows: int, row_bytes: int, pixel_bytes: int
) -> Bytes:
    """Undo the filters of a PNG's rows (PNG specification, section 9).

    Args:
        data: The inflated bytes of one pass: for each row its filter, then `row_bytes` bytes. A
            bytearray is used up: the result may be a view of it.
        rows: Number of rows.
        row_bytes: Bytes of a row without the filter, a multiple of `pixel_bytes`.
        pixel_bytes: Whole bytes a pixel, 1 to 8; 1 for packed bits.

    Returns:
        (rows, row_bytes) uint8.

    Raises:
        ValueError: The sizes do not fit each other, or a row has an unknown filter.
    """
    if min(rows, row_bytes) < 0 or pixel_bytes not in range(1, 9) or row_bytes % pixel_bytes:
        raise ValueError(f"{rows} rows of {row_bytes} bytes with {pixel_bytes} bytes a pixel")
    source = np.frombuffer(data, dtype=np.uint8)
    expected = rows * (row_bytes + 1)
    if source.size != expected:
        raise ValueError(
            f"{source.size} bytes, expected {expected}: {rows} rows of 1 + {row_bytes}"
        )
    chosen = native if available() else standins
    return chosen.unfilter(
        source, rows, row_bytes, pixel_bytes, in_place=isinstance(data, bytearray)
    )


def unpack_bits(packed: Bytes, *, columns: int, depth: int) -> Bytes:
    """One byte a sample, from samples of 1, 2 or 4 bits (PNG specification, section 7.2).

    Args:
        packed: (rows, ceil(columns * depth / 8)) uint8; the highest bits come first.
        columns: Samples in a row.
        depth: Bits a sample: 1, 2 or 4.

    Returns:
        (rows, columns) uint8.

    Raises:
        ValueError: The arguments differ from the above.
    """
    if depth not in {1, 2, 4} or columns < 0:
        raise ValueError(f"{columns} samples of {depth} bits, expected 1, 2 or 4 bits")
    row_bytes = math.ceil(columns * depth / 8)
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != row_bytes:  # noqa: PLR2004
        raise ValueError(
            f"{packed.dtype} {packed.shape}, expected uint8 (rows, {row_bytes}) for {columns} "
            f"samples of {depth} bits"
        )
    chosen = native if available() else standins
    return chosen.unpack_bits(np.ascontiguousarray(packed), columns, depth)


def fill_runs(values: Bytes, ends: NDArray[np.uint32], *, size: int) -> Bytes:
    """A flat label map from its runs.

    Args:
        values: (n,) uint8, the value of each run.
        ends: (n,) uint32, where each run ends; rising from above 0 to `size`.
        size: Number of pixels.

    Returns:
        (size,) uint8.

    Raises:
        ValueError: The arguments differ from the above.
    """
    _check_runs(values, ends)
    if size < 0:
        raise ValueError(f"{size} pixels")
    chosen = native if available() else standins
    return chosen.fill_runs(np.ascontiguousarray(values), np.ascontiguousarray(ends), size)


def tail_sums(
    weights: Distances, units: NDArray[np.int64], values: Distances, *, share: Distances
) -> Distances:
    """Sums of the first values of a list, as far as a share of weight goes, for each resample.

    Args:
        weights: (b, u) float64, how much weight each of u units has; not negative.
        units: (n,) int64, the unit of each value.
        values: (n,) float64, in the order in which they are taken.
        share: (b,) float64, the weight that is summed; the last value counts with what fills it.

    Returns:
        (b,) float64: the weighted sums.

    Raises:
        ValueError: The arguments differ from the above.
    """
    if weights.ndim != 2 or share.shape != weights.shape[:1]:  # noqa: PLR2004
        raise ValueError(f"weights {weights.shape} and shares {share.shape}")
    if units.ndim != 1 or units.shape != values.shape:
        raise ValueError(f"{units.shape} units and {values.shape} values")
    if units.dtype != np.int64 or {weights.dtype, values.dtype, share.dtype} != {np.dtype("f8")}:
        raise ValueError(f"{weights.dtype}, {units.dtype}, {values.dtype} and {share.dtype}")
    if units.size and not 0 <= units.min() <= units.max() < weights.shape[1]:
        raise ValueError(f"units from {units.min()} to {units.max()} of {weights.shape[1]}")
    chosen = native if available() else standins
    return chosen.tail_sums(
        np.ascontiguousarray(weights),
        np.ascontiguousarray(units),
        np.ascontiguousarray(values),
        np.ascontiguousarray(share),
    )


def _check_runs(values: Bytes, ends: NDArray[np.uint32]) -> None:
    if values.dtype != np.uint8 or ends.dtype != np.uint32 or not values.ndim == ends.ndim == 1:
        raise ValueError(f"{values.dtype} {values.shape} and {ends.dtype} {ends.shape}")
    if values.size != ends.size:
        raise ValueError(f"{values.size} values and {ends.size} ends of runs")
