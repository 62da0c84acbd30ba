"""Tests of two entries on the same units (groups of images, or images).

A statistic of both entries is a function of weights (b, 2 U): how often each unit of A counts, then
how often each unit of B. The paired bootstrap draws the same units for both; the permutation test
swaps A and B in whole units. So pooled measures, which have no value of a single unit, are tested
like means.

Permutation test: Good 2005, Permutation, Parametric and Bootstrap Tests, chapter 3; Monte-Carlo
p-values: Phipson & Smyth 2010, doi 10.2202/1544-6115.1585. Signed ranks: Wilcoxon 1945,
doi 10.2307/3001968, zeros after Pratt 1959, doi 10.1080/01621459.1959.10501526. Adjustment: Holm
1979, Scandinavian Journal of Statistics 6, 65-70.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.statistics.bootstrap import ROUNDING, SEED, Statistic

Floats = NDArray[np.float64]

N_PERMUTATIONS = 10_000
EXACT_UP_TO = 16
"""Up to this many units every one of the 2^U swaps is computed."""

_EXACT_WILCOXON_UP_TO = 50
_BLOCK_DRAWS = 2_000_000
_BLOCK_SUMS = 50_000  # sums of one block of swaps stay in the processor's cache
_TIES = 1e-9  # differences of swaps that are relatively closer than this are equal


def difference(of_a: Floats, of_b: Floats) -> Floats:
    """A - B, exactly 0 where they differ by no more than rounding."""
    apart = of_a - of_b
    apart[np.abs(apart) <= ROUNDING * (np.abs(of_a) + np.abs(of_b))] = 0.0
    return apart


def paired_difference(values: Statistic) -> Statistic:
    """The difference A - B for weights (b, U) that both entries share, as the bootstrap draws."""

    def statistic(weight: Floats) -> Floats:
        nothing = np.zeros_like(weight)
        of_a, of_b = values(np.hstack((weight, nothing))), values(np.hstack((nothing, weight)))
        return difference(of_a, of_b)

    return statistic


@dataclass(frozen=True)
class Permutation:
    """A two-sided permutation test for each of M statistics.

    Attributes:
        p: (M,) the p-values; NaN where the difference is undefined.
        smallest: (M,) the p-value of the most extreme swap there is: no data of these sizes could
            have given a smaller one.
        n: How many swaps, the observed one among them.
        exact: Whether these are all there are.
    """

    p: Floats
    smallest: Floats
    n: int
    exact: bool


def permutation_test(
    values: Statistic, n_units: int, *, n_permutations: int = N_PERMUTATIONS, seed: int = SEED
) -> Permutation:
    """Test that A and B could be swapped in any unit: |difference| at least as great as observed.

    With up to 16 units all 2^U swaps are computed (one half of them, as the other half differs only
    in sign), so that no p-value is under 2/2^U. With more, `n_permutations` random ones are drawn
    and the observed one is counted among them: (b + 1) / (m + 1). A swap after which the difference
    is undefined counts as extreme.

    Args:
        values: Values (b, M) for weights (b, 2 U), A's units first.
        n_units: U, the units of each entry.
        n_permutations: Random swaps where U is over 16.
        seed: Of the random swaps.
    """
    exact = n_units <= EXACT_UP_TO
    swaps = _all_swaps(n_units) if exact else _random_swaps(n_units, n_permutations, seed)
    none = np.zeros((1, n_units))
    blocks = [none, *swaps] if not exact else list(swaps)
    apart = np.concatenate([_swapped(values, block) for block in blocks])
    observed = apart[0]  # the first swap is none
    size = np.abs(apart)
    largest = np.max(np.nan_to_num(size, nan=np.inf), axis=0, initial=0.0)
    with np.errstate(invalid="ignore"):
        p = _share_reaching(size, np.abs(observed))
        smallest = _share_reaching(size, largest)
    undefined = np.isnan(observed)
    return Permutation(
        p=np.where(undefined, np.nan, p),
        smallest=np.where(undefined, np.nan, smallest),
        n=len(apart),
        exact=exact,
    )


def permutation_tests(
    sums: Floats,
    finish: Callable[[Floats], Floats],
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = SEED,
) -> tuple[Floats, Floats]:
    """`permutation_test` of every two of E entries whose values are made of sums over units.

    All pairs see the same swaps, and what a swap moves is summed once for every entry.

    Args:
        sums: (E, U, S) the sums of every entry's units.
        finish: From sums (..., S) to values (...).
        n_permutations: Random swaps where U is over 16.
        seed: Of the random swaps.

    Returns:
        (E, E) differences of row less column, and (E, E) p-values, NaN where the difference is
        undefined and on the diagonal.
    """
    n_entries, n_units, n_sums = sums.shape
    exact = n_units <= EXACT_UP_TO
    swaps = _all_swaps(n_units) if exact else _random_swaps(n_units, n_permutations, seed)
    flat = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(n_units, -1)
    total = sums.sum(axis=1)
    value = finish(total)
    with np.errstate(invalid="ignore"):
        observed = difference(value[:, np.newaxis], value[np.newaxis])
        least = np.abs(observed) * (1 - _TIES)
    reached = np.zeros((n_entries, n_entries), dtype=np.int64)
    n = 0
    if not exact:
        reached += 1  # the observed one
        n += 1
    size = max(1, _BLOCK_SUMS // max(1, n_entries * n_sums))
    for block in swaps:
        n += len(block)
        for start in range(0, len(block), size):
            moved = (block[start : start + size] @ flat).reshape(-1, n_entries, n_sums)
            kept = total - moved
            for i in range(n_entries - 1):
                first = finish(kept[:, [i]] + moved[:, i + 1 :])
                other = finish(kept[:, i + 1 :] + moved[:, [i]])
                apart = np.abs(difference(first, other))
                reached[i, i + 1 :] += (~(apart < least[i, i + 1 :])).sum(axis=0)
    p = np.where(np.isnan(observed), np.nan, reached / n)
    upper = np.triu_indices(n_entries, 1)
    p.T[upper] = p[upper]
    np.fill_diagonal(p, np.nan)
    return observed, p


def smallest_p(n_units: int, *, n_permutations: int = N_PERMUTATIONS) -> float:
    """No p-value of a permutation test over so many units can be smaller."""
    return 2 / 2**n_units if n_units <= EXACT_UP_TO else 1 / (n_permutations + 1)


def _share_reaching(size: Floats, least: Floats) -> Floats:
    """The share of swaps whose difference reaches a size, but for rounding; undefined ones do."""
    return (~(size < least * (1 - _TIES))).mean(axis=0)


def _swapped(values: Statistic, swap: Floats) -> Floats:
    keep = 1 - swap
    return difference(values(np.hstack((keep, swap))), values(np.hstack((swap, keep))))


def _all_swaps(n_units: int) -> Iterator[Floats]:
    """Every swap of units but the first, (b, U) of 0 and 1; the first row is none."""
    free = max(n_units - 1, 0)
    codes = np.arange(2**free, dtype=np.int64)[:, np.newaxis]
    bits = (codes >> np.arange(free)) & 1
    swaps = np.hstack((np.zeros((len(codes), n_units - free), dtype=np.int64), bits))
    yield swaps.astype(np.float64)


def _random_swaps(n_units: int, n: int, seed: int) -> Iterator[Floats]:
    generator = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _BLOCK_DRAWS // n_units)
    for start in range(0, n, block):
        size = (min(block, n - start), n_units)
        yield generator.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)


def wilcoxon(differences: Floats) -> float:
    """Two-sided p-value of the signed-rank test on one difference per unit.

    Zeros are ranked and then dropped (Pratt). The null distribution is exact up to 50 units that
    have neither ties nor zeros, else normal, without a correction for continuity. Undefined
    differences (NaN) are left out; 1 where all are zero, NaN where none is left.
    """
    from scipy import stats  # noqa: PLC0415

    kept = differences[~np.isnan(differences)]
    if not len(kept):
        return float("nan")
    size = np.abs(kept)
    if not size.any():
        return 1.0
    distinct = len(np.unique(size)) == len(size) and size.all()
    method = "exact" if distinct and len(size) <= _EXACT_WILCOXON_UP_TO else "approx"
    _, p = stats.wilcoxon(kept, zero_method="pratt", method=method)
    return float(p)  # type: ignore[arg-type]  scipy's result is a tuple of numbers


def holm(p: Floats) -> Floats:
    """P-values (M,) adjusted for testing all of them; NaN ones were not tested and stay NaN."""
    order = np.argsort(p)  # NaN last
    order = order[: int((~np.isnan(p)).sum())]
    adjusted = np.full(p.shape, np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def superiority(replicates: Floats, *, higher_is_better: bool) -> Floats:
    """The share of replicates (n, M) of A - B in which A is better, equal ones by half; (M,)."""
    defined = ~np.isnan(replicates)
    better = (replicates > 0) if higher_is_better else (replicates < 0)
    wins = (better & defined).sum(axis=0) + (replicates == 0).sum(axis=0) / 2
    n = defined.sum(axis=0)
    return np.divide(wins, n, out=np.full(len(n), np.nan), where=n > 0)
