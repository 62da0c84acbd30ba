"""Compare entries on the same samples: differences with intervals, tests, and where they differ.

All of it comes from the rows that `segbench evaluate --out` wrote; nothing is scored again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.errors import SegbenchError
from segbench.masks.places import expanded
from segbench.measures import FOREGROUND, Measure, legal_pairs
from segbench.scoring.comparable import check_comparable, differing_handling, find_score
from segbench.scoring.evaluate import SIZE, size_order, sizes
from segbench.scoring.scores import Score, Table, score_table, weighted_values
from segbench.scoring.stored import Stored, read_scores
from segbench.statistics.bootstrap import (
    FEWEST_UNITS,
    Method,
    Statistic,
    check_method,
    few_units,
    interval,
    replicate,
)
from segbench.statistics.paired import (
    EXACT_UP_TO,
    Permutation,
    holm,
    paired_difference,
    permutation_test,
    superiority,
    wilcoxon,
)

Floats = NDArray[np.float64]

N_SHOWN = 10
"""Images on which two entries differ most."""


@dataclass(frozen=True)
class Entry:
    """One of the entries compared: its name and its score, with the interval asked for."""

    name: str
    score: Score


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Entry a's score less entry b's, with its 95 % interval (NaN where there is none).

    Attributes:
        a: The name of one entry.
        b: The name of the other.
        value: The difference.
        ci95: Of the paired bootstrap over groups.
        n_samples: Of the images compared.
        n_groups: That these images form.
    """

    a: str
    b: str
    value: float
    ci95: tuple[float, float]
    n_samples: int
    n_groups: int


@dataclass(frozen=True, kw_only=True)
class Pair(Difference):
    """Everything said of two entries.

    Attributes:
        p: Two-sided, of the permutation test by groups.
        p_smallest: The smallest that test could have given for groups of these sizes.
        p_holm: `p`, adjusted for all pairs.
        n_swaps: How many swaps of groups were computed.
        exact: Whether these are all there are.
        p_wilcoxon: Two-sided, of the groups' mean differences; NaN for a measure that is not a
            mean over images.
        a_better: The share of bootstrap resamples in which a is better, equal ones by half.
        n_defined: Images with a value for (both, only a, only b, neither).
        images: (id, value of a, value of b) of every image that has both.
    """

    p: float
    p_smallest: float
    p_holm: float
    n_swaps: int
    exact: bool
    p_wilcoxon: float
    a_better: float
    n_defined: tuple[int, int, int, int]
    images: tuple[tuple[str, float, float], ...] = field(repr=False)

    def most_different(self, n: int = N_SHOWN) -> tuple[tuple[str, float, float], ...]:
        """The images on which the entries differ most, greatest difference first."""
        differing = (image for image in self.images if image[1] != image[2])
        ranked = sorted(differing, key=lambda image: (-abs(image[1] - image[2]), image[0]))
        return tuple(ranked[:n])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Entries compared by one measure.

    Attributes:
        measure: By which.
        dataset: Name and version of what was scored.
        selection: `("split", "test")` or `("fold", 0)`.
        digest: Of the samples' content.
        table: The first entry's rows, whose samples and groups are all entries'.
        method: Of the intervals.
        entries: In the order given.
        pairs: Every two of them.
        subgroups: Differences within subgroups: column -> value -> one per pair.
        notes: What must be said beside the numbers.
    """

    measure: Measure
    dataset: tuple[str, str]
    selection: tuple[str, str | int]
    digest: str
    table: Table = field(repr=False)
    method: Method
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    subgroups: Mapping[str, Mapping[str, tuple[Difference, ...]]]
    notes: tuple[str, ...]

    @property
    def higher_is_better(self) -> bool:
        """Whether greater values of the measure are better."""
        return self.measure.definition.higher_is_better


def compare(
    *folders: str | Path,
    measure: str = "dice",
    by: Sequence[str] = (),
    interval: Method = "percentile",
) -> Comparison:
    """Compare scores folders that `segbench evaluate --out` wrote.

    The difference is that of the scores: each entry's mean over the images where it is defined, or
    each entry's pooled value. The bootstrap draws the same groups for both; the permutation test
    swaps whole groups between them.

    Args:
        folders: Two or more.
        measure: A key such as `dice` (of the main class, its mean over images), or with what is
            asked for: `"iou|class:lesion|over:dataset"`.
        by: Columns of the dataset for subgroups; `size` is always there.
        interval: `"percentile"` or `"bca"`.

    Raises:
        SegbenchError: A folder cannot be read, or the entries are not of the same samples and
            options; the message says what differs.
    """
    check_method(interval)
    if len(folders) < 2:  # noqa: PLR2004  a pair
        raise SegbenchError(f"{len(folders)} scores folder given; expected two or more to compare")
    try:
        paths = [expanded(Path(folder)) for folder in folders]
    except TypeError as error:
        found = ", ".join(type(folder).__name__ for folder in folders)
        raise SegbenchError(
            f"{found}; expected the paths of scores folders: write each with "
            f"segbench.scoring.files.write_evaluation(result, Path('scores/NAME'))"
        ) from error
    names = _names(paths)
    stored = [read_scores(path) for path in paths]
    chosen = find_score(stored[0], measure, names[0])
    if chosen.measure.over == "median":
        raise SegbenchError(
            f"{chosen.measure}: medians have no interval and are not compared (see "
            f"docs/statistics.md); compare by over:images or over:worst10"
        )
    check_comparable(dict(zip(names, stored, strict=True)), chosen.measure)
    text = str(chosen.measure)
    scores = [find_score(one, text, name) for one, name in zip(stored, names, strict=True)]
    first = stored[0]
    columns = _subgroup_labels(first, by)
    pairs = [
        _pair(chosen.measure, interval, (a, stored[i]), (b, stored[j]))
        for (i, a), (j, b) in combinations(enumerate(names), 2)
    ]
    adjusted = holm(np.array([pair.p for pair in pairs]))
    return Comparison(
        measure=chosen.measure,
        dataset=(first.dataset, first.dataset_version),
        selection=first.selection,
        digest=first.digest,
        table=first.table,
        method=interval,
        entries=tuple(
            Entry(name, _rescored(one.table, score, interval))
            for name, one, score in zip(names, stored, scores, strict=True)
        ),
        pairs=tuple(replace(p, p_holm=float(h)) for p, h in zip(pairs, adjusted, strict=True)),
        subgroups={
            column: {
                value: tuple(
                    _difference(
                        chosen.measure,
                        interval,
                        (a, stored[i].table.take(labels == value)),
                        (b, stored[j].table.take(labels == value)),
                    )
                    for (i, a), (j, b) in combinations(enumerate(names), 2)
                )
                for value in sorted(set(labels.tolist()), key=size_order if column == SIZE else str)
            }
            for column, labels in columns.items()
        },
        notes=(*_few_groups(first.table), *differing_handling(names, scores)),
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Short names that tell the folders apart.

    Raises:
        SegbenchError: One folder was given twice.
    """
    whole = [path.resolve() for path in paths]
    for i, path in enumerate(whole):
        if path in whole[:i]:
            raise SegbenchError(f"{paths[i]}: given twice; expected different scores folders")
    for depth in range(1, max(len(path.parts) for path in whole)):
        names = ["/".join(path.parts[-depth:]) for path in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in whole]


def _few_groups(table: Table) -> list[str]:
    n = table.n_groups
    notes = [few] if (few := few_units(n, table.unit)) else []
    if FEWEST_UNITS <= n <= EXACT_UP_TO:
        notes.append(
            f"{n} {table.unit}s can be swapped in 2^{n} = {2**n} ways, and each way and its "
            f"opposite differ equally: no two-sided p-value can be under 2/{2**n} = {2 / 2**n:.2g}"
        )
    return notes


def _subgroup_labels(stored: Stored, by: Sequence[str]) -> dict[str, NDArray[np.str_]]:
    found: dict[str, NDArray[np.str_]] = {}
    for column in dict.fromkeys((*by, SIZE)):
        if column == SIZE:
            found[column] = np.array(sizes(stored.table)[0])
        elif column in stored.columns:
            found[column] = np.array(stored.columns[column])
        else:
            raise SegbenchError(
                f"--by {column}: the rows of {stored.folder} have no such column; there are "
                f"{', '.join([*stored.columns, SIZE])}"
            )
    return found


def _rescored(table: Table, score: Score, method: Method) -> Score:
    return score_table(table, [score.measure], {score.measure: score.signature}, method=method)[0]


def _together(a: Table, b: Table) -> Table:
    """Both tables as one, whose sorted groups are a's and then b's in the same order."""
    both = ((a, "0 "), (b, "1 "))
    shared = a.shapes.keys() & b.shapes.keys()
    return Table(
        a.class_names,
        a.background,
        Counts.concatenate([a.counts, b.counts]),
        Counts.concatenate([a.map_counts, b.map_counts]),
        np.concatenate([a.missing, b.missing]),
        np.concatenate([[mark + group for group in table.groups] for table, mark in both]),
        {key: np.concatenate((a.shapes[key], b.shapes[key])) for key in sorted(shared)},
        a.soft.and_then(b.soft) if a.soft is not None and b.soft is not None else None,
    )


def _values(measure: Measure, a: Table, b: Table) -> Statistic:
    return weighted_values(_together(a, b), [measure])


def _difference(
    measure: Measure, method: Method, a: tuple[str, Table], b: tuple[str, Table]
) -> Difference:
    statistic = paired_difference(_values(measure, a[1], b[1]))
    n = a[1].n_groups
    replicates = replicate(statistic, n) if n >= FEWEST_UNITS else None
    return _with_interval(statistic, replicates, method, a, b)


def _with_interval(
    statistic: Statistic,
    replicates: Floats | None,
    method: Method,
    a: tuple[str, Table],
    b: tuple[str, Table],
) -> Difference:
    n = a[1].n_groups
    value = float(statistic(np.ones((1, n)))[0, 0])
    low = high = np.full(1, np.nan)
    if replicates is not None and not np.isnan(value):
        low, high = interval(replicates, statistic, n, method=method)
    return Difference(
        a=a[0],
        b=b[0],
        value=value,
        ci95=(float(low[0]), float(high[0])),
        n_samples=len(a[1]),
        n_groups=n,
    )


def paired_test(a: Table, b: Table, measure: Measure) -> tuple[float, Permutation]:
    """The difference of two entries' scores on the same samples, and its permutation test."""
    values = _values(measure, a, b)
    n = a.n_groups
    return float(paired_difference(values)(np.ones((1, n)))[0, 0]), permutation_test(values, n)


def _pair(measure: Measure, method: Method, a: tuple[str, Stored], b: tuple[str, Stored]) -> Pair:
    table_a, table_b = a[1].table, b[1].table
    values = _values(measure, table_a, table_b)
    statistic, n = paired_difference(values), table_a.n_groups
    enough = n >= FEWEST_UNITS
    replicates = replicate(statistic, n) if enough else None
    apart = _with_interval(statistic, replicates, method, (a[0], table_a), (b[0], table_b))
    test = permutation_test(values, n)
    of_a, of_b = image_values(table_a, measure), image_values(table_b, measure)
    with np.errstate(invalid="ignore"):  # infinite less infinite
        apart_images = of_a - of_b
    has_a, has_b = ~np.isnan(of_a), ~np.isnan(of_b)
    better = np.nan
    if replicates is not None:
        better = superiority(replicates, higher_is_better=measure.definition.higher_is_better)[0]
    return Pair(
        a=apart.a,
        b=apart.b,
        value=apart.value,
        ci95=apart.ci95,
        n_samples=apart.n_samples,
        n_groups=apart.n_groups,
        p=float(test.p[0]) if enough else np.nan,
        p_smallest=float(test.smallest[0]) if enough else np.nan,
        p_holm=np.nan,
        n_swaps=test.n,
        exact=test.exact,
        p_wilcoxon=wilcoxon(_group_means(apart_images, table_a.groups))
        if enough and measure.over == "images" and np.isfinite(apart.value)
        else np.nan,
        a_better=float(better),
        n_defined=(
            int((has_a & has_b).sum()),
            int((has_a & ~has_b).sum()),
            int((~has_a & has_b).sum()),
            int((~has_a & ~has_b).sum()),
        ),
        images=tuple(
            (identifier, float(x), float(y))
            for identifier, x, y in zip(a[1].ids, of_a, of_b, strict=True)
            if x == x and y == y  # noqa: PLR0124  NaN
        ),
    )


def image_values(table: Table, measure: Measure) -> Floats:
    """The values (n,) of single images behind a score; NaN where the measure has none.

    For a mean over classes, the mean of the image's values for the classes that it has.
    """
    if measure.over != "classes":
        legal = ("images", measure.label) in legal_pairs(measure.definition, (measure.label,))
        if not legal:
            return np.full(len(table), np.nan)
        return table.per_image(replace(measure, over="images"))
    first = table.class_names[0]
    values = table.per_class(replace(measure, over="images", label=first)).T
    if measure.label == FOREGROUND and table.background is not None:
        values = np.delete(values, table.background, axis=0)
    n_defined = (~np.isnan(values)).sum(axis=0)
    mean = np.full(len(table), np.nan)
    return np.divide(np.nansum(values, axis=0), n_defined, out=mean, where=n_defined > 0)


def _group_means(values: Floats, groups: NDArray[np.str_]) -> Floats:
    """The mean of each group's defined values; NaN where it has none."""
    _, unit = np.unique(groups, return_inverse=True)
    defined = ~np.isnan(values)
    n = np.bincount(unit, defined)
    sums = np.bincount(unit, np.nan_to_num(values))
    return np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)
