"""Outlines of a mask along its pixels' edges, as SVG path data.

The corners of a mask's outline decide it: going along a row of corners, or down a column, the first
and second belong to one edge, the third and fourth to the next, and so on (O'Rourke 1988,
"Uniqueness of orthogonal connect-the-dots"). Where two pixels touch at a corner it counts twice.
Filled with the even-odd rule, the path is exactly the mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def path_data(mask: NDArray[np.bool_]) -> str:
    """The outlines of an HxW mask: `M` to a corner, then `h` and `v` in turn; empty if it is."""
    y, x = _corners(mask)
    if not len(x):
        return ""
    beside = _partners(len(x))  # corners come in rows
    by_column = np.lexsort((y, x))
    below = np.empty_like(beside)
    below[by_column] = by_column[beside]
    xs, ys, across, down = x.tolist(), y.tolist(), beside.tolist(), below.tolist()
    done = bytearray(len(xs))
    pieces: list[str] = []
    for start in range(len(xs)):
        if done[start]:
            continue
        pieces.append(f"M{xs[start]} {ys[start]}")
        here = start
        while True:
            there = across[here]
            after = down[there]
            done[here] = done[there] = 1
            pieces.append(f"h{xs[there] - xs[here]}")
            if after == start:
                break
            pieces.append(f"v{ys[after] - ys[there]}")
            here = after
        pieces.append("z")
    return "".join(pieces)


def _corners(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the outline's corners, row by row; shared ones twice."""
    padded = np.pad(mask, 1).astype(np.int8)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    odd = ((a + b + c + d) & 1).astype(np.int8)
    shared = ((a == d) & (b == c) & (a != b)).astype(np.int8)
    times = (odd + 2 * shared).ravel()
    flat = np.repeat(np.arange(times.size), times)
    return np.divmod(flat, padded.shape[1] - 1)


def _partners(n: int) -> NDArray[np.intp]:
    """0 and 1, 2 and 3, ... belong together."""
    return np.arange(n) ^ 1
