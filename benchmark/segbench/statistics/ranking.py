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

from segbench.statistics.paired import holm

Floats = NDArray[np.float64]

ALPHA = 0.05


def ranks(values: Floats, *, higher_is_better: bool) -> Floats:
    """Fractional ranks along the last axis, (..., E) to (..., E)."""
    size = values if higher_is_better else -values
    better = (size[..., np.newaxis, :] > size[..., :, np.newaxis]).sum(axis=-1)
    equal = (size[..., np.newaxis, :] == size[..., :, np.newaxis]).sum(axis=-1)
    return np.where(np.isnan(values), np.nan, better + (equal + 1) / 2)


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
    size = kept if higher_is_better else -kept
    first = (size[:, np.newaxis, :] > size[:, :, np.newaxis]).sum(axis=-1)
    tied = (size[:, np.newaxis, :] == size[:, :, np.newaxis]).sum(axis=-1)
    places = np.arange(n_entries)
    takes = (places >= first[..., np.newaxis]) & (places < (first + tied)[..., np.newaxis])
    return (takes / tied[..., np.newaxis]).mean(axis=0)


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
