"""Means within subgroups, of all entries at once; intervals as `segbench evaluate --by` has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.statistics.bootstrap import percentile_interval, replicate

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """One value of a column, and the entries' means over its images.

    Attributes:
        value: Of the column.
        n_images: That have it.
        n_groups: That these images form.
        means: (E,) of the entries; NaN where no image has a value.
        low: (E,) lower end of the 95 % interval; NaN where there is none.
        high: (E,) upper end.
    """

    value: str
    n_images: int
    n_groups: int
    means: Floats
    low: Floats
    high: Floats


def subgroup(
    value: str, values: Floats, groups: NDArray[np.str_], chosen: NDArray[np.bool_]
) -> Subgroup:
    """Score the chosen images.

    Args:
        value: What they have in common.
        values: (n, E) of all images, NaN where undefined.
        groups: (n,) the group of each image.
        chosen: (n,) which images.
    """
    own = values[chosen]
    names, unit = np.unique(groups[chosen], return_inverse=True)
    sums, counts = np.zeros((2, len(names), values.shape[1]))
    np.add.at(sums, unit, np.nan_to_num(own, posinf=np.inf))
    np.add.at(counts, unit, ~np.isnan(own))

    def means(weights: Floats) -> Floats:
        n = weights @ counts
        out = np.full(n.shape, np.nan)
        return np.divide(weights @ sums, n, out=out, where=n > 0)

    with np.errstate(invalid="ignore"):  # no weight of an infinite value
        (mean,) = means(np.ones((1, len(names))))
        low = high = np.full(len(mean), np.nan)
        if len(names) > 1:
            low, high = percentile_interval(replicate(means, len(names)))
    infinite = ~np.isfinite(mean)
    return Subgroup(
        value=value,
        n_images=int(chosen.sum()),
        n_groups=len(names),
        means=mean,
        low=np.where(infinite, np.nan, low),
        high=np.where(infinite, np.nan, high),
    )
