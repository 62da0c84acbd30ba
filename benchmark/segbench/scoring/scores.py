"""Rows reduced to scores: means over images, pooled values, means over classes, with intervals.

Every score is a sum over units (groups of images) turned into a ratio last, so the same reduction
gives the value (all weights 1) and its bootstrap replicates (resampled weights).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.measures import FOREGROUND, Measure, values
from segbench.statistics.bootstrap import (
    N_RESAMPLES,
    SEED,
    Method,
    Statistic,
    interval,
    replicate,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number of a submission: a fraction, NaN where undefined.

    Attributes:
        measure: What it measures and how it is averaged.
        value: The score.
        ci95: Lower and upper end of the 95 % bootstrap interval over groups; NaN where there is
            none (fewer than two groups).
        n: Images with a defined value; for pooled scores images that have valid pixels.
        signature: From which the number can be recomputed.
    """

    measure: Measure
    value: float
    ci95: tuple[float, float]
    n: int
    signature: str


@dataclass(frozen=True)
class Table:
    """The rows of a submission, as arrays: samples x classes.

    Attributes:
        class_names: The K classes, by column of the counts.
        background: Index of the background class, None where there is none.
        counts: (n, K) counts, class against rest.
        map_counts: (n, K) counts that belong to one label map per image.
        missing: (n,) bool: no prediction; scores the worst value.
        groups: (n,) group of each image.
    """

    class_names: tuple[str, ...]
    background: int | None
    counts: Counts
    map_counts: Counts
    missing: NDArray[np.bool_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.missing)

    @property
    def n_groups(self) -> int:
        """How many groups the images form."""
        return len(np.unique(self.groups))

    @property
    def unit(self) -> str:
        """What is resampled: groups, which are the images where each is a group of its own."""
        return "group" if self.n_groups < len(self) else "image"

    def take(self, chosen: NDArray[np.bool_]) -> Table:
        """The table of some images."""
        return Table(
            self.class_names,
            self.background,
            self.counts[chosen],
            self.map_counts[chosen],
            self.missing[chosen],
            self.groups[chosen],
        )

    def per_image(self, measure: Measure) -> Floats:
        """A measure's value of each image (n,), with the worst value where it is missing."""
        counts = self.map_counts if measure.of_map() else self.counts
        value = values(measure, counts)
        if not measure.of_map():
            value = value[:, self.class_names.index(measure.label)]
        has_pixels = counts.total[:, 0] > 0
        return np.where(self.missing & has_pixels, measure.definition.worst, value)


def score_table(
    table: Table,
    measures: Sequence[Measure],
    signatures: Mapping[Measure, str],
    *,
    method: Method = "percentile",
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> tuple[Score, ...]:
    """Score a table by every measure, with bootstrap intervals over its groups.

    Args:
        table: The rows.
        measures: What to compute.
        signatures: The full signature of each measure.
        method: Of the intervals.
        n_resamples: Bootstrap resamples.
        seed: Of the resamples; the same for all measures, so that they vary together.
    """
    reduction = _Reduction.of(table, measures)
    (point,) = reduction.apply(np.ones((1, reduction.n_units)))
    # Means over images are rounded once (fsum), so that no order of summation shows in them.
    point[reduction.over_images] = reduction.means
    low = high = np.full(len(measures), np.nan)
    if reduction.n_units > 1:
        n = reduction.n_units
        drawn = replicate(reduction.apply, n, n_resamples=n_resamples, seed=seed)
        low, high = interval(drawn, reduction.apply, n, method=method)
    with_pixels = int((table.counts.total[:, 0] > 0).sum())
    scores: list[Score] = []
    for i, measure in enumerate(measures):
        undefined = bool(np.isnan(point[i]))
        scores.append(
            Score(
                measure=measure,
                value=float(point[i]),
                ci95=(np.nan, np.nan) if undefined else (float(low[i]), float(high[i])),
                n=int(reduction.defined[i]) if measure.over == "images" else with_pixels,
                signature=signatures[measure],
            )
        )
    return tuple(scores)


def weighted_values(table: Table, measures: Sequence[Measure]) -> Statistic:
    """The measures' values (b, measures) for weights (b, groups) of the table's sorted groups."""
    return _Reduction.of(table, measures).apply


@dataclass(frozen=True)
class _Reduction:
    """Sums per unit, and how weighted sums become the measures' values."""

    measures: tuple[Measure, ...]
    class_names: tuple[str, ...]
    background: int | None
    value_sums: Floats  # (units, image measures)
    value_counts: Floats
    counts: Counts  # (units, K), float64
    map_counts: Counts
    over_images: NDArray[np.bool_]  # (measures,)
    defined: NDArray[np.int64]  # (measures,), 0 where not over images
    means: Floats  # (image measures,)

    @property
    def n_units(self) -> int:
        return len(self.value_sums)

    @classmethod
    def of(cls, table: Table, measures: Sequence[Measure]) -> _Reduction:
        _, unit = np.unique(table.groups, return_inverse=True)
        n_units = int(unit.max()) + 1 if len(unit) else 0

        def by_unit(columns: NDArray[np.number]) -> Floats:
            sums = np.zeros((n_units, *columns.shape[1:]))
            np.add.at(sums, unit, columns)
            return sums

        over_images = np.array([m.over == "images" for m in measures], dtype=bool)
        per_image = np.empty((len(table), int(over_images.sum())))
        for i, measure in enumerate(m for m in measures if m.over == "images"):
            per_image[:, i] = table.per_image(measure)
        is_defined = ~np.isnan(per_image)
        defined = np.zeros(len(measures), dtype=np.int64)
        defined[over_images] = is_defined.sum(axis=0)
        return cls(
            measures=tuple(measures),
            class_names=table.class_names,
            background=table.background,
            value_sums=by_unit(np.nan_to_num(per_image)),
            value_counts=by_unit(is_defined),
            counts=Counts(*(by_unit(c) for c in table.counts)),
            map_counts=Counts(*(by_unit(c) for c in table.map_counts)),
            over_images=over_images,
            defined=defined,
            means=np.array([_mean(column[~np.isnan(column)]) for column in per_image.T]),
        )

    def apply(self, weight: Floats) -> Floats:
        """Values (b, measures) for weights (b, units)."""
        sums, counts = weight @ self.value_sums, weight @ self.value_counts
        means = _ratio(sums, counts)
        pooled = Counts(*(weight @ c for c in self.counts))
        pooled_map = Counts(*(weight @ c for c in self.map_counts))
        columns = iter(means.T)
        first = self.class_names[0]
        of_key = cache(lambda measure: values(measure, pooled))
        out = np.empty((len(weight), len(self.measures)))
        for i, measure in enumerate(self.measures):
            if measure.over == "images":
                out[:, i] = next(columns)
            elif measure.of_map():
                out[:, i] = values(measure, pooled_map)
            else:
                per_class = of_key(replace(measure, over="dataset", label=first))
                if measure.over == "classes":
                    out[:, i] = self._over_classes(per_class, measure.label)
                else:
                    out[:, i] = per_class[:, self.class_names.index(measure.label)]
        return out

    def _over_classes(self, per_class: Floats, label: str) -> Floats:
        """Mean over the classes that are defined, all or all but the background."""
        if label == FOREGROUND and self.background is not None:
            per_class = np.delete(per_class, self.background, axis=1)
        defined = ~np.isnan(per_class)
        return _ratio(np.nan_to_num(per_class).sum(axis=1), defined.sum(axis=1))


def _mean(defined: Floats) -> float:
    return math.fsum(defined) / len(defined) if len(defined) else math.nan


def _ratio(numerator: Floats, denominator: NDArray[np.number]) -> Floats:
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
