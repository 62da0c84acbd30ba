"""Bootstrap over units (groups of images, or images), vectorised.

A resample draws as many units as there are, with replacement; it is kept as a row of weights (how
often each unit was drawn), so that any statistic made of sums over units is one matrix product. A
statistic is a function from weights (b, units) to values (b, M); all M are computed from the same
resamples, so that they vary together.

Percentile interval: Efron & Tibshirani 1993, chapter 13. BCa interval (bias-corrected and
accelerated): Efron 1987, doi 10.1080/01621459.1987.10478410.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError

Floats = NDArray[np.float64]
Method = Literal["percentile", "bca"]
Statistic = Callable[[Floats], Floats]
"""From weights (b, units) to values (b, M)."""

N_RESAMPLES = 10_000
FEWEST_RESAMPLES = 1000
MANY_DRAWS = 200_000_000
"""Above 20,000 units resamples are fewer, so that they draw no more than this, down to a tenth."""
SEED = 0
LEVEL = 0.95
FEW_UNITS = 20
"""Intervals from fewer units than this are known to be too narrow; `few_units` says so."""
FEWEST_UNITS = 5
"""From fewer units than this there is no interval, no test and no tier."""

ROUNDING = 1e-12
"""Values whose difference is a smaller part of their size are equal: sums in another order."""

_BLOCK_DRAWS = 4_000_000
_BLOCK_ROWS, _BLOCK_COLUMNS = 500, 64


def check_method(method: str) -> None:
    """Refuse an interval that there is not.

    Raises:
        SegbenchError: It is neither percentile nor bca.
    """
    if method not in get_args(Method):
        raise SegbenchError(f"interval {method!r}; expected {' or '.join(get_args(Method))}")


def n_resamples_of(n_units: int) -> int:
    """How many resamples an interval over so many units is made of.

    Ten thousand of a million units would take ten times as long as to count the images. The ends
    of a percentile interval of 1000 resamples are off by some hundredths of its width, which at
    that many units is itself small.
    """
    return min(N_RESAMPLES, max(FEWEST_RESAMPLES, MANY_DRAWS // max(1, n_units)))


def few_units(n_units: int, unit: str = "group") -> str:
    """What must be said beside results of few units; empty where there are enough."""
    if n_units < FEWEST_UNITS:
        return (
            f"only {n_units} {unit}s: with fewer than {FEWEST_UNITS} there are no intervals, tests "
            f"or tiers"
        )
    if n_units < FEW_UNITS:
        return (
            f"only {n_units} {unit}s: with fewer than {FEW_UNITS} intervals are too narrow and "
            f"tests weak"
        )
    return ""


def exact_interval(share: float, n_units: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share that is 0 or 1 in all of some independent units.

    Resamples of it are all equal, and their interval has no width; the exact one of Clopper and
    Pearson 1934, doi 10.1093/biomet/26.4.404, goes from 0 to 1 - (tail)^(1/n), or its mirror.

    Args:
        share: 0 or 1.
        n_units: How many units there are, 1 or more.
        level: Of the interval.
    """
    reach = 1 - ((1 - level) / 2) ** (1 / n_units)
    return (0.0, reach) if share == 0 else (1 - reach, 1.0)


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


def leave_one_out(n_units: int) -> Iterator[Floats]:
    """Blocks (b, n_units) of the jackknife's weights: every unit once, but for one."""
    block = max(1, _BLOCK_DRAWS // n_units)
    for start in range(0, n_units, block):
        rows = np.arange(min(block, n_units - start))
        one = np.ones((len(rows), n_units))
        one[rows, start + rows] = 0.0
        yield one


def replicate(
    statistic: Statistic, n_units: int, *, n_resamples: int = N_RESAMPLES, seed: int = SEED
) -> Floats:
    """A statistic's bootstrap replicates, (n_resamples, M)."""
    out, done = np.empty((0, 0)), 0
    for block in weights(n_units, n_resamples=n_resamples, seed=seed):
        for first in range(0, len(block), _BLOCK_ROWS):
            values = statistic(block[first : first + _BLOCK_ROWS])
            if not done:
                out = np.empty((n_resamples, values.shape[1]))  # filled, so that it is held once
            out[done : done + len(values)] = values
            done += len(values)
    return out


def interval(
    replicates: Floats,
    statistic: Statistic,
    n_units: int,
    *,
    method: Method = "percentile",
    level: float = LEVEL,
) -> tuple[Floats, Floats]:
    """Lower and upper end (M,) of a statistic's interval from its replicates."""
    if method == "percentile":
        return percentile_interval(replicates, level=level)
    jackknife = np.concatenate([statistic(block) for block in leave_one_out(n_units)])
    (point,) = statistic(np.ones((1, n_units)))
    return bca_interval(replicates, point, jackknife, level=level)


def percentile_interval(replicates: Floats, *, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Lower and upper end for each column of replicates (n_resamples, M), NaN ones left out.

    Returns:
        Two arrays (M,); NaN where a column has no defined replicate.
    """
    tail = (1 - level) / 2
    low = np.full(replicates.shape[1], np.nan)
    high = low.copy()
    for first in range(0, replicates.shape[1], _BLOCK_COLUMNS):
        block = np.array(replicates[:, first : first + _BLOCK_COLUMNS].T)  # a copy, rows contiguous
        gaps = np.isnan(block)
        whole = ~gaps.any(axis=1)
        if whole.any():
            at = first + np.flatnonzero(whole)
            low[at], high[at] = np.quantile(block[whole], (tail, 1 - tail), axis=1)
        for row in np.flatnonzero(~whole & ~gaps.all(axis=1)):
            at = first + row
            low[at], high[at] = np.quantile(block[row, ~gaps[row]], (tail, 1 - tail))
    return low, high


def bca_interval(
    replicates: Floats, point: Floats, jackknife: Floats, *, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Bias-corrected and accelerated interval for each column of replicates.

    Replicates equal to the estimate count half to its bias. Where the jackknife says nothing (all
    its values are equal, or none is defined) the acceleration is 0, which leaves the
    bias-corrected interval. Where the correction itself is undefined (all replicates on one side
    of the estimate, or an acceleration so great that the formula has its pole inside), the
    percentile interval stands. Where all replicates are equal, both ends are that value.

    Args:
        replicates: (n_resamples, M); NaN ones are left out.
        point: (M,) the estimates.
        jackknife: (units, M) the estimates with each unit left out; NaN ones are left out.
        level: Of the interval.

    Returns:
        Two arrays (M,); NaN where a column has no defined replicate.
    """
    from scipy.special import ndtr, ndtri  # noqa: PLC0415

    low, high = percentile_interval(replicates, level=level)
    bias = ndtri(_share_below(replicates, point))
    acceleration = _acceleration(jackknife)
    normal = ndtri((1 - level) / 2) * np.array([1.0, -1.0])[:, np.newaxis]
    with np.errstate(invalid="ignore", divide="ignore"):
        pole = 1 - acceleration * (bias + normal)
        tails = ndtr(bias + (bias + normal) / pole)
    usable = np.isfinite(bias) & (pole > 0).all(axis=0) & ~np.isnan(low)
    for column in np.flatnonzero(usable):
        kept = replicates[:, column]
        kept = kept[~np.isnan(kept)]
        low[column], high[column] = np.quantile(kept, tails[:, column])
    return low, high


def _share_below(replicates: Floats, point: Floats) -> Floats:
    """The share of defined replicates under the estimate, those that equal it by half."""
    equal = np.abs(replicates - point) <= ROUNDING * np.abs(point)
    below = (replicates < point) & ~equal
    n = (~np.isnan(replicates)).sum(axis=0)
    out = np.full(len(point), np.nan)
    return np.divide(below.sum(axis=0) + equal.sum(axis=0) / 2, n, out=out, where=n > 0)


def _acceleration(jackknife: Floats) -> Floats:
    """Skewness of the jackknife's values over 6 (Efron 1987, eq. 6.6), 0 where they are equal."""
    n = np.maximum((~np.isnan(jackknife)).sum(axis=0), 1)
    mean = np.nansum(jackknife, axis=0) / n
    influence = np.nan_to_num(mean - jackknife)
    influence[np.abs(influence) <= ROUNDING * np.abs(mean)] = 0.0
    spread = (influence**2).sum(axis=0)
    out = np.zeros(jackknife.shape[1])
    return np.divide((influence**3).sum(axis=0), 6 * spread**1.5, out=out, where=spread > 0)
