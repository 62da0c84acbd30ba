"""Ranks of entries, how sure they are, and tiers of entries that cannot be told apart.

Conventions. E entries; a rank is 1 for the best, and entries of equal value share the mean of the
ranks they take up (fractional ranks), so that no order of the input shows. NaN is never ranked: an
entry without a value has rank NaN.

Three ways to rank (Wiesenfarth et al. 2021, doi 10.1038/s41598-021-82017-6): by the mean of the
images' values (aggregate, then rank); by the mean of the images' ranks (rank, then aggregate); by
how many others an entry is significantly better than (test-based).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.statistics.bootstrap import ROUNDING
from segbench.statistics.paired import holm

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

ALPHA = 0.05


def ranks(values: Floats, *, higher_is_better: bool) -> Floats:
    """Fractional ranks along the last axis, (..., E) to (..., E)."""
    first, tied = _places(values, higher_is_better=higher_is_better)
    return np.where(np.isnan(values), np.nan, first + (tied + 1) / 2)


def _places(values: Floats, *, higher_is_better: bool) -> tuple[Places, Places]:
    """How many others are better, and how many are equal (itself included), along the last axis."""
    size = -values if higher_is_better else values
    order = np.argsort(size, axis=-1, kind="stable")  # NaN last
    ordered = np.take_along_axis(size, order, axis=-1)
    at = np.arange(values.shape[-1])
    differs = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*values.shape[:-1], min(1, values.shape[-1])), dtype=bool)
    begins = np.where(np.concatenate((edge, differs), axis=-1), at, 0)
    ends = np.where(np.concatenate((differs, edge), axis=-1), at, values.shape[-1])
    begin = np.maximum.accumulate(begins, axis=-1)
    end = np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1]
    first, tied = np.empty_like(order), np.empty_like(order)
    np.put_along_axis(first, order, begin, axis=-1)
    np.put_along_axis(tied, order, end - begin + 1, axis=-1)
    return first, tied


def settled(values: Floats) -> Floats:
    """Values (..., E) in which those that differ by rounding alone are equal, along the last axis.

    A value becomes the least of the chain of values that it differs from by rounding, so that sums
    made in another order give the same ranks.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    upper = np.where(np.isinf(ordered[..., 1:]), np.nan, ordered[..., 1:])
    with np.errstate(invalid="ignore"):
        near = upper - ordered[..., :-1] <= ROUNDING * np.abs(upper)
    if not near.any():
        return values
    at = np.arange(values.shape[-1])
    begins = np.zeros(values.shape, dtype=np.intp)
    begins[..., 1:] = np.where(near, 0, at[1:])
    begin = np.maximum.accumulate(begins, axis=-1)
    out = np.empty_like(values)
    np.put_along_axis(out, order, np.take_along_axis(ordered, begin, axis=-1), axis=-1)
    return out


def rank_probabilities(replicates: Floats, *, higher_is_better: bool) -> Floats:
    """How often each entry has each rank in the bootstrap, (E, E): row entry, column rank 1 to E.

    Entries that tie in a replicate share its ranks evenly. Replicates in which any entry is
    undefined are left out; NaN where none is left.

    Args:
        replicates: (B, E) values of all entries on the same resamples.
        higher_is_better: Which way is better.
    """
    n_entries = replicates.shape[1]
    kept = replicates[~np.isnan(replicates).any(axis=1)]
    if not len(kept):
        return np.full((n_entries, n_entries), np.nan)
    first, tied = _places(kept, higher_is_better=higher_is_better)
    entry = np.broadcast_to(np.arange(n_entries) * n_entries, kept.shape)
    total = np.zeros(n_entries * n_entries)
    for size in np.unique(tied):  # of every size of a tie, each of its places
        of_size = tied == size
        lowest = (entry + first)[of_size]
        for place in range(size):
            total += np.bincount(lowest + place, minlength=len(total)) / size
    return total.reshape(n_entries, n_entries) / len(kept)


def rank_then_aggregate(per_image: Floats, *, higher_is_better: bool) -> Floats:
    """The mean of the images' ranks (E,), over the images where every entry has a value.

    Args:
        per_image: (n, E) values.
        higher_is_better: Which way is better.
    """
    kept = per_image[~np.isnan(per_image).any(axis=1)]
    if not len(kept):
        return np.full(per_image.shape[1], np.nan)
    return ranks(kept, higher_is_better=higher_is_better).mean(axis=0)


def mean_rank_of(values: Floats, *, higher_is_better: bool) -> Floats:
    """The mean over datasets of the ranks among the entries that are on all of them.

    Args:
        values: (D, ..., E), NaN where an entry is not on a dataset.
        higher_is_better: Which way is better.

    Returns:
        (..., E); NaN for entries that are not on all datasets.
    """
    everywhere = ~np.isnan(values).any(axis=0)
    among = np.where(everywhere, values, np.nan)
    return ranks(settled(among), higher_is_better=higher_is_better).mean(axis=0)


def mean_win_rate(values: Floats, *, higher_is_better: bool) -> Floats:
    """The share of the others that an entry is better than, equal ones by half, over datasets.

    Args:
        values: (D, ..., E), NaN where an entry is not on a dataset.
        higher_is_better: Which way is better.

    Returns:
        (..., E): the mean over the datasets on which an entry has others; NaN where there is none.
    """
    n = (~np.isnan(values)).sum(axis=-1, keepdims=True)
    rank = ranks(settled(values), higher_is_better=higher_is_better)
    rate = np.divide(n - rank, n - 1, out=np.full(values.shape, np.nan), where=n > 1)
    on = ~np.isnan(rate)
    total, times = np.where(on, rate, 0.0).sum(axis=0), on.sum(axis=0)
    return np.divide(total, times, out=np.full(total.shape, np.nan), where=times > 0)


def pareto_front(quality: Floats, cost: Floats, *, higher_is_better: bool) -> NDArray[np.bool_]:
    """Which entries (E,) no other dominates.

    An entry dominates another if it is at least as good and costs at most as much, and is better or
    costs less. Equal entries do not dominate each other. An entry without quality or cost (NaN) is
    not on the front and dominates none.
    """
    loss = -quality if higher_is_better else quality
    known = np.flatnonzero(~(np.isnan(loss) | np.isnan(cost)))
    front = np.zeros(len(loss), dtype=bool)
    least = np.inf  # of the losses of what costs less
    by_cost = known[np.lexsort((loss[known], cost[known]))]
    for price in np.unique(cost[known]):
        same = by_cost[cost[by_cost] == price]
        best = loss[same[0]]
        if best < least:
            front[same[loss[same] == best]] = True
            least = best
    return front


def significant_wins(differences: Floats, p: Floats, *, alpha: float = ALPHA) -> NDArray[np.int64]:
    """How many others each entry is significantly better than, (E,).

    Args:
        differences: (E, E) of row less column, positive where the row is better.
        p: (E, E) p-values, adjusted for all pairs.
        alpha: Significance level.
    """
    with np.errstate(invalid="ignore"):
        return ((p < alpha) & (differences > 0)).sum(axis=1)


def tiers(
    values: Sequence[float],
    p_value: Callable[[int, int], float],
    *,
    higher_is_better: bool,
    alpha: float = ALPHA,
) -> list[list[int]]:
    """Groups of entries that cannot be told from the best of their group.

    The best entry opens a tier and takes in every entry that the paired test does not tell from it
    (Holm-adjusted for the entries not yet in a tier); the best of those that are left opens the
    next. Within a tier there is no order. Entries without a value are in none.

    Args:
        values: Of the E entries.
        p_value: The p-value of the paired test of two entries, by index.
        higher_is_better: Which way is better.
        alpha: Significance level.
    """
    sign = -1 if higher_is_better else 1
    left = sorted((i for i, v in enumerate(values) if v == v), key=lambda i: sign * values[i])  # noqa: PLR0124  NaN
    found: list[list[int]] = []
    while left:
        best, *others = left
        adjusted = holm(np.array([p_value(best, other) for other in others]))
        apart = [o for o, p in zip(others, adjusted, strict=True) if p < alpha]
        found.append([best, *(o for o in others if o not in apart)])
        left = apart
    return found
