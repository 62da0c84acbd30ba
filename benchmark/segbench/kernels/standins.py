"""The kernels in NumPy and SciPy, for where there is no compiler: the same results, more slowly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segbench.kernels.native import bad_runs, unknown_filter

NONE, SUB, UP, AVERAGE, PAETH = range(5)

_FAR_OFF = 20
"""Standard deviations and more of where a share of images ends that are drawn alone."""


def joint_pairs(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """See `segbench.kernels.joint_pairs`."""
    counts = np.bincount((a.ravel().astype(np.uint16) << 8) | b.ravel())
    pairs = np.flatnonzero(counts)
    return np.stack([pairs, counts[pairs]]).astype(np.int64, copy=False)


def joint_pairs_of_runs(
    values: NDArray[np.uint8], ends: NDArray[np.uint32], b: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """See `segbench.kernels.joint_pairs_of_runs`."""
    return joint_pairs(fill_runs(values, ends, b.size), b.ravel())


def distances(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    spacing: tuple[float, float],
    *,
    boundary_only: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """See `segbench.kernels.boundary_distances` and `point_distances`."""
    points = [_inner_boundary(m) if boundary_only else m for m in (a, b)]
    in_a, in_b = (np.argwhere(m) for m in points)
    return _nearest(in_a, in_b, spacing), _nearest(in_b, in_a, spacing)


def _inner_boundary(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    padded = np.pad(mask != 0, 1)
    surrounded = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return padded[1:-1, 1:-1] & ~surrounded


def _nearest(
    queries: NDArray[np.intp], sites: NDArray[np.intp], spacing: tuple[float, float]
) -> NDArray[np.float64]:
    if not len(sites) or not len(queries):
        return np.full(len(queries), np.inf)
    from scipy.spatial import KDTree  # noqa: PLC0415

    tree = KDTree(sites * spacing, balanced_tree=False)
    _, index = tree.query(queries * spacing)
    # From whole pixels, so that the rounding is that of the kernel.
    rows, columns = (queries - sites[index]).T.astype(np.float64)
    weight_rows, weight_columns = spacing[0] * spacing[0], spacing[1] * spacing[1]
    return np.sqrt(weight_columns * (columns * columns) + weight_rows * (rows * rows))


def unfilter(
    data: NDArray[np.uint8], rows: int, row_bytes: int, pixel_bytes: int, *, in_place: bool = False
) -> NDArray[np.uint8]:
    """See `segbench.kernels.unfilter`; never in place.

    A pixel needs those to its left, above, and above left: all pixels of one antidiagonal are found
    at once, each with the filter of its row.
    """
    del in_place
    table = data.reshape(rows, row_bytes + 1)
    filters = table[:, 0]
    if (filters > PAETH).any():
        row = int(np.argmax(filters > PAETH))
        raise unknown_filter(int(filters[row]), row)
    columns = row_bytes // pixel_bytes
    residuals = table[:, 1:].reshape(rows, columns, pixel_bytes)
    # One row and one column of zeros before the picture.
    out = np.zeros((rows + 1, columns + 1, pixel_bytes), dtype=np.uint8)
    for diagonal in range(rows + columns - 1 if columns else 0):
        y = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        x = diagonal - y
        left, above, corner = out[y + 1, x], out[y, x + 1], out[y, x]
        predicted = _predict(filters[y], left, above, corner)
        out[y + 1, x + 1] = residuals[y, x] + predicted
    return out[1:, 1:].reshape(rows, row_bytes)


def _predict(
    filters: NDArray[np.uint8],
    left: NDArray[np.uint8],
    above: NDArray[np.uint8],
    corner: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    a, b, c = (values.astype(np.int16) for values in (left, above, corner))
    to_left, to_above, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    paeth = np.where(
        (to_left <= to_above) & (to_left <= to_corner), a, np.where(to_above <= to_corner, b, c)
    )
    choices = np.stack([np.zeros_like(a), a, b, (a + b) // 2, paeth]).astype(np.uint8)
    return choices[filters, np.arange(len(filters))]


def unpack_bits(packed: NDArray[np.uint8], columns: int, depth: int) -> NDArray[np.uint8]:
    """See `segbench.kernels.unpack_bits`."""
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = (packed[:, :, np.newaxis] >> shifts) & np.uint8((1 << depth) - 1)
    rows = samples.reshape(packed.shape[0], packed.shape[1] * len(shifts))
    return np.ascontiguousarray(rows[:, :columns])


def fill_runs(values: NDArray[np.uint8], ends: NDArray[np.uint32], size: int) -> NDArray[np.uint8]:
    """See `segbench.kernels.fill_runs`."""
    lengths = np.diff(ends.astype(np.int64), prepend=0)
    if (lengths <= 0).any() or lengths.sum() != size:
        raise bad_runs(size)
    return np.repeat(values, lengths)


def tail_sums(
    weights: NDArray[np.float64],
    units: NDArray[np.int64],
    values: NDArray[np.float64],
    share: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `segbench.kernels.tail_sums`."""
    n = len(values)
    if not n:
        return np.zeros(len(weights))
    # a tenth nearly always ends before this; of very many it ends closer to its place
    looked_at = min(n, n // 5 + 20, n // 10 + _FAR_OFF * math.isqrt(n))
    while True:
        own = weights[:, units[:looked_at]]
        filled = np.cumsum(own, axis=1)
        if looked_at == n or (filled[:, -1] >= share).all():
            break
        looked_at = min(n, 2 * looked_at)
    taken = np.clip(share[:, np.newaxis] - (filled - own), 0, own)
    # one after the other from 0, as in C: the same to the last bit
    return 0.0 + np.cumsum(taken * values[:looked_at], axis=1)[:, -1]
