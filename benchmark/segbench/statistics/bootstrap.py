"""Bootstrap over units (groups of images, or images), vectorised.

A resample draws as many units as there are, with replacement; it is kept as a row of weights (how
often each unit was drawn), so that any statistic made of sums over units is one matrix product.
Efron & Tibshirani 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_RESAMPLES = 10_000
SEED = 0
FEW_UNITS = 20
"""Intervals from fewer units than this are known to be too narrow; say so beside them."""

_BLOCK_DRAWS = 4_000_000


def weights(n_units: int, *, n_resamples: int = N_RESAMPLES, seed: int = SEED) -> Iterator[Floats]:
    """Blocks (b, n_units) of resamples: how often each unit was drawn, as float64.

    The same seed gives the same resamples, whatever is computed from them.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _BLOCK_DRAWS // n_units)
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        drawn = generator.integers(0, n_units, size=(size, n_units), dtype=np.int64)
        drawn += np.arange(size, dtype=np.int64)[:, np.newaxis] * n_units
        counts = np.bincount(drawn.ravel(), minlength=size * n_units)
        yield counts.reshape(size, n_units).astype(np.float64)


def percentile_interval(replicates: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper end for each column of replicates (n_resamples, M), NaN ones left out.

    Returns:
        Two arrays (M,); NaN where a column has no defined replicate.
    """
    tail = (1 - level) / 2
    low = np.full(replicates.shape[1], np.nan)
    high = low.copy()
    defined = ~np.isnan(replicates)
    whole = defined.all(axis=0)
    if whole.any():
        low[whole], high[whole] = np.quantile(replicates[:, whole], (tail, 1 - tail), axis=0)
    for column in np.flatnonzero(defined.any(axis=0) & ~whole):
        kept = replicates[defined[:, column], column]
        low[column], high[column] = np.quantile(kept, (tail, 1 - tail))
    return low, high
