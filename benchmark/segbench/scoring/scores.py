"""Rows reduced to scores: means over images, pooled values, means over classes, with intervals.

Nearly every score is a sum over units (groups of images) turned into a ratio last, so the same
reduction gives the value (all weights 1) and its bootstrap replicates (resampled weights). The mean
of the worst tenth weights the images' values in order. The median has no interval: its replicates
are the values of a few images in the middle (`docs/statistics.md` says more).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.kernels import tail_sums
from segbench.measures import FOREGROUND, OVER_IMAGES, Measure, values
from segbench.scoring.soft import SoftTable
from segbench.statistics.bootstrap import (
    FEWEST_UNITS,
    SEED,
    Method,
    Statistic,
    exact_interval,
    interval,
    n_resamples_of,
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
            none (fewer than five groups). See `exact`.
        n: Images with a defined value; for pooled scores images that have valid pixels.
        signature: From which the number can be recomputed.
        n_groups: The groups that these images form.
        exact: Of a share that is 0 or 1 in all images, of what the exact interval is: `of images`,
            or `of groups with any` where a group holds several images. Empty: a bootstrap interval.
    """

    measure: Measure
    value: float
    ci95: tuple[float, float]
    n: int
    signature: str
    n_groups: int = 0
    exact: str = ""


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
        shapes: By key of a measure of shapes its values (n, K), the empty rule applied.
        soft: What was measured of probabilities; None where that was not asked for.
    """

    class_names: tuple[str, ...]
    background: int | None
    counts: Counts
    map_counts: Counts
    missing: NDArray[np.bool_]
    groups: NDArray[np.str_]
    shapes: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    soft: SoftTable | None = None

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
        counts = self.counts[chosen]
        return Table(
            self.class_names,
            self.background,
            counts,
            self.map_counts[chosen] if self.map_counts is not self.counts else counts,
            self.missing[chosen],
            self.groups[chosen],
            {key: values[chosen] for key, values in self.shapes.items()},
            None if self.soft is None else self.soft.take(chosen),
        )

    @property
    def of_soft(self) -> SoftTable:
        """What was measured of probabilities, where anything was."""
        if self.soft is None:
            raise AssertionError("no probabilities are measured")
        return self.soft

    def per_image(self, measure: Measure) -> Floats:
        """A measure's value of each image (n,), with the worst value where it is missing."""
        value = self.per_class(measure)
        return value if measure.of_map() else value[:, self.class_names.index(measure.label)]

    def per_class(self, measure: Measure) -> Floats:
        """As `per_image`, of all classes (n, K), whichever the measure names.

        Of a measure of the whole map (n,).
        """
        if measure.definition.of_shape:
            return self.shapes[measure.key]
        if measure.definition.of_probabilities:
            return self.of_soft.values[measure.key]
        counts = self.map_counts if measure.of_map() else self.counts
        value = values(measure, counts)
        lost = self.missing & (counts.total[:, 0] > 0)
        if not measure.of_map():
            lost = lost[:, np.newaxis]
        return np.where(lost, measure.definition.worst, value)


def score_table(
    table: Table,
    measures: Sequence[Measure],
    signatures: Mapping[Measure, str],
    *,
    method: Method = "percentile",
    n_resamples: int | None = None,
    seed: int = SEED,
) -> tuple[Score, ...]:
    """Score a table by every measure, with bootstrap intervals over its groups.

    Args:
        table: The rows.
        measures: What to compute.
        signatures: The full signature of each measure.
        method: Of the intervals.
        n_resamples: Bootstrap resamples; None for `n_resamples_of` the groups.
        seed: Of the resamples; the same for all measures, so that they vary together.
    """
    reduction = _Reduction.of(table, measures)
    point = reduction.points()
    low = high = np.full(len(measures), np.nan)
    if reduction.n_units >= FEWEST_UNITS:
        n = reduction.n_units
        resamples = n_resamples or n_resamples_of(n)
        drawn = replicate(reduction.apply, n, n_resamples=resamples, seed=seed)
        low, high = interval(drawn, reduction.apply, n, method=method)
    has_pixels = table.counts.total[:, 0] > 0
    with_pixels = int(has_pixels.sum()), len(np.unique(table.groups[has_pixels]))
    scores: list[Score] = []
    for i, measure in enumerate(measures):
        of_images = measure.over in OVER_IMAGES
        n, n_groups = (int(k[i]) for k in reduction.defined) if of_images else with_pixels
        no_interval = not np.isfinite(point[i]) or measure.over == "median"
        ends, exact = (float(low[i]), float(high[i])), ""
        if no_interval or n_groups < FEWEST_UNITS:
            ends = np.nan, np.nan
        elif measure.definition.is_share and point[i] in {0, 1}:
            ends = exact_interval(float(point[i]), n_groups)
            exact = "of images" if n_groups == n else "of groups with any"
        scores.append(
            Score(
                measure=measure,
                value=float(point[i]),
                ci95=ends,
                n=n,
                signature=signatures[measure],
                n_groups=n_groups,
                exact=exact,
            )
        )
    return tuple(scores)


def point_values(table: Table, measures: Sequence[Measure]) -> Floats:
    """The measures' values (measures,) of a table, without intervals."""
    return _Reduction.of(table, measures).points()


def weighted_values(table: Table, measures: Sequence[Measure]) -> Statistic:
    """The measures' values (b, measures) for weights (b, groups) of the table's sorted groups.

    Medians, and means over an infinite value, are NaN: they cannot be resampled.
    """
    return _Reduction.of(table, measures).apply


@dataclass(frozen=True)
class Sums:
    """A score as a function of weighted sums: `finish(weight @ per_unit)` are its values.

    Attributes:
        per_unit: (groups, S) sums over each of the table's sorted groups.
        finish: From sums (..., S) to values (...); the same for all entries of a dataset.
    """

    per_unit: Floats
    finish: Callable[[Floats], Floats]


def linear_sums(table: Table, measure: Measure) -> Sums | None:
    """The sums behind a score; None for the worst tenth, the median and pooled probabilities."""
    reduction = _Reduction.of(table, [measure])
    counts, map_counts, total, defined = reduction.split(reduction.columns)
    if measure.over == "images":
        sums = np.hstack((total, defined))
        return Sums(sums, lambda found: _ratio(found[..., 0], found[..., 1]))
    if measure.over in OVER_IMAGES or measure.definition.of_probabilities:
        return None
    if measure.of_map():
        return Sums(_flat(map_counts), lambda found: values(measure, _counts(found)))
    of_class = _with(measure, over="dataset", label=table.class_names[0])
    if measure.over == "classes":
        return Sums(
            _flat(counts),
            lambda found: reduction.over_classes(values(of_class, _counts(found)), measure.label),
        )
    column = [table.class_names.index(measure.label)]
    one = Counts(*(count[:, column] for count in counts))
    return Sums(_flat(one), lambda found: values(of_class, _counts(found))[..., 0])


def _flat(counts: Counts) -> Floats:
    """Counts (groups, K) side by side, (groups, 4 K)."""
    return np.hstack([*counts])


def _counts(flat: Floats) -> Counts:
    """Counts (..., K) of sums (..., 4 K)."""
    return Counts(*np.split(flat, 4, axis=-1))


@dataclass(frozen=True)
class _Tail:
    """The images' defined values of a measure, worst first, with the unit of each."""

    values: Floats
    units: NDArray[np.int64]
    per_unit: Floats  # how many of the images each unit has

    @classmethod
    def of(cls, values: Floats, units: NDArray[np.intp], *, higher_is_better: bool) -> _Tail:
        order = np.argsort(values if higher_is_better else -values, kind="stable")
        order = order[~np.isnan(values[order])]
        n_units = int(units.max(initial=-1)) + 1
        per_unit = np.bincount(units[order], minlength=n_units).astype(np.float64)
        return cls(values[order], units[order].astype(np.int64), per_unit)

    @property
    def infinite(self) -> bool:
        """Whether the worst value is infinite."""
        return bool(len(self.values)) and bool(np.isinf(self.values[0]))

    def mean(self, weight: Floats) -> Floats:
        """Mean of the worst tenth (b,) for weights (b, units).

        The last image counts with the part of it that fills the tenth (expected shortfall,
        Rockafellar & Uryasev 2002, doi 10.1016/S0378-4266(02)00271-6). NaN where it is infinite.
        """
        if not len(self.values) or self.infinite:
            return np.full(len(weight), np.nan)
        tenth = weight @ self.per_unit / 10
        return _ratio(tail_sums(weight, self.units, self.values, share=tenth), tenth)


@dataclass(frozen=True)
class _Reduction:
    """Sums per unit, and how weighted sums become the measures' values."""

    measures: tuple[Measure, ...]
    class_names: tuple[str, ...]
    background: int | None
    over_images: NDArray[np.bool_]  # (measures,)
    defined: NDArray[np.int64]  # (2, measures): images and their groups, 0 where not over images
    means: Floats  # (image measures,)
    medians: Mapping[Measure, float]
    tails: Mapping[Measure, _Tail]
    soft: Mapping[Measure, Statistic]  # pooled measures of probabilities
    columns: Floats  # (units, S): what is summed, side by side; see `split`
    edges: tuple[int, ...]

    @property
    def n_units(self) -> int:
        return len(self.columns)

    def split(self, sums: Floats) -> tuple[Counts, Counts, Floats, Floats]:
        """Of sums (..., S): counts (..., K), those of the map; image values, how many of them."""
        *pixels, total, defined = np.split(sums, self.edges, axis=-1)
        return Counts(*pixels[:4]), Counts(*pixels[-4:]), total, defined

    @classmethod
    def of(cls, table: Table, measures: Sequence[Measure]) -> _Reduction:
        _, unit = np.unique(table.groups, return_inverse=True)
        n_units = int(unit.max()) + 1 if len(unit) else 0

        def by_unit(columns: NDArray[np.number]) -> Floats:
            sums = np.zeros((n_units, columns.shape[1]))
            for i, column in enumerate(columns.T):
                sums[:, i] = np.bincount(unit, column, n_units)
            return sums

        first = table.class_names[0]
        per_class = cache(table.per_class)  # once for all classes

        def per_image(measure: Measure) -> Floats:
            if measure.of_map():
                return table.per_class(measure)
            of_class = per_class(_with(measure, over="images", label=first))
            return of_class[:, table.class_names.index(measure.label)]

        def has_value(values: Floats | None) -> tuple[int, int]:
            if values is None:
                return 0, 0
            defined = ~np.isnan(values)
            return int(defined.sum()), len(np.unique(unit[defined]))

        of_image = {m: per_image(m) for m in measures if m.over in OVER_IMAGES}
        is_mean = np.array([m.over == "images" for m in measures], dtype=bool)
        means = [values for m, values in of_image.items() if m.over == "images"]
        stacked = np.stack(means, axis=1) if means else np.empty((len(table), 0))
        parts = [by_unit(c) for c in table.counts]
        if table.map_counts is not table.counts:
            parts += [by_unit(c) for c in table.map_counts]
        # Of infinite values there is no mean to resample: its replicates are NaN.
        parts.append(by_unit(np.nan_to_num(stacked, posinf=0.0)) + _nan_if_infinite(stacked))
        parts.append(by_unit(~np.isnan(stacked)))
        return cls(
            measures=tuple(measures),
            class_names=table.class_names,
            background=table.background,
            columns=np.hstack(parts),
            edges=tuple(np.cumsum([part.shape[1] for part in parts[:-1]]).tolist()),
            over_images=is_mean,
            defined=np.array([has_value(of_image.get(m)) for m in measures]).reshape(-1, 2).T,
            means=np.array([_mean(column[~np.isnan(column)]) for column in stacked.T]),
            medians={m: _median(v) for m, v in of_image.items() if m.over == "median"},
            tails={
                m: _Tail.of(values, unit, higher_is_better=m.definition.higher_is_better)
                for m, values in of_image.items()
                if m.over == "worst10"
            },
            soft={
                m: table.of_soft.pooled(m, table.class_names.index(m.label), unit, n_units)
                for m in measures
                if m.definition.of_probabilities and m.over == "dataset"
            },
        )

    def points(self) -> Floats:
        """The measures' values (measures,) of the table itself."""
        (point,) = self.apply(np.ones((1, self.n_units)))
        # Means over images are rounded once (fsum), so that no order of summation shows in them.
        point[self.over_images] = self.means
        for i, measure in enumerate(self.measures):
            if measure.over == "median":
                point[i] = self.medians[measure]
            elif measure.over == "worst10" and self.tails[measure].infinite:
                point[i] = np.inf
        return point

    def apply(self, weight: Floats) -> Floats:
        """Values (b, measures) for weights (b, units); NaN for medians."""
        pooled, pooled_map, sums, defined = self.split(weight @ self.columns)
        means = _ratio(sums, defined)
        columns = iter(means.T)
        first = self.class_names[0]
        of_key = cache(lambda measure: values(measure, pooled))
        out = np.full((len(weight), len(self.measures)), np.nan)
        for i, measure in enumerate(self.measures):
            if measure.over == "images":
                out[:, i] = next(columns)
            elif measure.over == "worst10":
                out[:, i] = self.tails[measure].mean(weight)
            elif measure.over == "median":
                continue
            elif measure in self.soft:
                out[:, i] = self.soft[measure](weight)[:, 0]
            elif measure.of_map():
                out[:, i] = values(measure, pooled_map)
            else:
                per_class = of_key(_with(measure, over="dataset", label=first))
                if measure.over == "classes":
                    out[:, i] = self.over_classes(per_class, measure.label)
                else:
                    out[:, i] = per_class[:, self.class_names.index(measure.label)]
        return out

    def over_classes(self, per_class: Floats, label: str) -> Floats:
        """Mean (...) over the classes (..., K) that are defined, all or all but the background."""
        if label == FOREGROUND and self.background is not None:
            per_class = np.delete(per_class, self.background, axis=-1)
        defined = ~np.isnan(per_class)
        return _ratio(np.nan_to_num(per_class).sum(axis=-1), defined.sum(axis=-1))


@lru_cache(maxsize=4096)
def _with(measure: Measure, **changes: str) -> Measure:
    """The measure with another average or class."""
    return replace(measure, **changes)  # type: ignore[arg-type]  checked by the measure itself


def _nan_if_infinite(per_image: Floats) -> Floats:
    return np.where(np.isinf(per_image).any(axis=0), np.nan, 0.0)


def _median(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(np.median(defined)) if len(defined) else math.nan


def _mean(defined: Floats) -> float:
    return math.fsum(defined) / len(defined) if len(defined) else math.nan


def _ratio(numerator: Floats, denominator: NDArray[np.number]) -> Floats:
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
