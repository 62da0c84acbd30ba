"""Rank entries of one split by one measure, and say how sure each rank is.

Everything comes from the entries' rows: the means, the paired tests over groups, the bootstrap in
which all entries are scored on the same resamples, and the ranks of single images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segbench.measures import Measure
from segbench.scoring.comparable import check_comparable, differing_handling, find_score
from segbench.scoring.compare import image_values, paired_test
from segbench.scoring.scores import Score, linear_sums, weighted_values
from segbench.scoring.stored import Stored
from segbench.statistics.bootstrap import (
    FEWEST_UNITS,
    SEED,
    few_units,
    percentile_interval,
    replicate,
)
from segbench.statistics.paired import EXACT_UP_TO, holm, permutation_tests, smallest_p
from segbench.statistics.ranking import (
    ALPHA,
    rank_probabilities,
    rank_then_aggregate,
    ranks,
    settled,
    significant_wins,
    tiers,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one entry stands.

    Attributes:
        name: Of the entry.
        score: By which it is ranked, with its interval.
        tier: 1 for the entries that cannot be told from the best; 0 without a value.
        rank: By the score: entries of equal score share the mean of their ranks.
        rank_ci95: 95 % of the bootstrap's ranks lie within.
        probabilities: Of the ranks 1, 2, ... in the bootstrap.
        mean_rank: The mean over images of its rank on the image; NaN for measures that have no
            value of single images.
        wins: How many others it is significantly better than (all pairs, Holm).
    """

    name: str
    score: Score
    tier: int
    rank: float
    rank_ci95: tuple[float, float]
    probabilities: tuple[float, ...]
    mean_rank: float
    wins: int


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The entries of a split, ranked by one measure.

    Attributes:
        measure: By which.
        n_samples: Images.
        n_groups: Groups of images, over which tests and bootstrap run.
        places: By tier, and in each the best score first. A score that varies much from image to
            image can be in the first tier while a better one is not.
        p_holm: (E, E) p-values of all pairs in the order of `places`, Holm-adjusted; NaN on the
            diagonal.
        differences: (E, E) of row less column, positive where the row is better.
        notes: What must be said beside the ranks.
    """

    measure: Measure
    n_samples: int
    n_groups: int
    places: tuple[Place, ...]
    p_holm: Floats = field(repr=False)
    differences: Floats = field(repr=False)
    notes: tuple[str, ...]

    @property
    def orders(self) -> dict[str, Floats]:
        """The rank (E,) of each place under each of three schemes."""
        mean_ranks = np.array([place.mean_rank for place in self.places])
        wins = np.array([float(place.wins) for place in self.places])
        return {
            "mean, then rank": np.array([place.rank for place in self.places]),
            "rank, then mean": ranks(mean_ranks, higher_is_better=False),
            "significant wins": ranks(wins, higher_is_better=True),
        }


def rank_entries(entries: Mapping[str, Stored], measure: str = "dice") -> Ranking:
    """Rank entries of the same samples and options.

    Args:
        entries: By name; one or more.
        measure: A key such as `dice` (of the main class, its mean over images), or with what is
            asked for: `iou|class:lesion|over:dataset`.

    Raises:
        SegbenchError: There is no such score, or the entries are not comparable; says what differs.
    """
    (first_name, first), *_ = entries.items()
    chosen = find_score(first, measure, first_name)
    check_comparable(entries, chosen.measure)
    scores = {name: find_score(e, str(chosen.measure), name) for name, e in entries.items()}
    better = chosen.measure.definition.higher_is_better
    sign = 1 if better else -1

    def order(name: str) -> tuple[bool, float, str]:
        value = scores[name].value
        return (np.isnan(value), -sign * value, name)

    names = sorted(entries, key=order)
    # one entry alone is first in every resample, which says nothing of it
    enough = first.table.n_groups >= FEWEST_UNITS and len(names) > 1
    p, apart = _pairs([entries[name] for name in names], chosen.measure)
    p = p if enough else np.full(p.shape, np.nan)
    values = np.array([scores[name].value for name in names])
    of_rank = ranks(values, higher_is_better=better)
    replicates = replicates_of([entries[name] for name in names], chosen.measure)
    probabilities = rank_probabilities(replicates, higher_is_better=better)
    low, high = percentile_interval(ranks(replicates, higher_is_better=better))
    if not enough:
        probabilities, low, high = (np.full(a.shape, np.nan) for a in (probabilities, low, high))
    per_image = [image_values(entries[name].table, chosen.measure) for name in names]
    mean_rank = rank_then_aggregate(np.stack(per_image, axis=1), higher_is_better=better)
    adjusted = _adjusted(p)
    wins = significant_wins(sign * apart, adjusted)
    found = tiers(list(values), lambda a, b: float(p[a, b]), higher_is_better=better)
    found = found if enough else []
    tier = {i: number for number, members in enumerate(found, 1) for i in members}
    shown = sorted(range(len(names)), key=lambda i: tier.get(i, len(names) + 1))
    return Ranking(
        measure=chosen.measure,
        n_samples=len(first.table),
        n_groups=first.table.n_groups,
        places=tuple(
            Place(
                name=names[i],
                score=scores[names[i]],
                tier=tier.get(i, 0),
                rank=float(of_rank[i]),
                rank_ci95=(float(low[i]), float(high[i])),
                probabilities=tuple(probabilities[i].tolist()),
                mean_rank=float(mean_rank[i]),
                wins=int(wins[i]),
            )
            for i in shown
        ),
        p_holm=adjusted[np.ix_(shown, shown)],
        differences=sign * apart[np.ix_(shown, shown)],
        notes=(
            *([few] if (few := few_units(first.table.n_groups)) else []),
            *(["one entry alone: there is nothing to rank it among"] if len(names) == 1 else []),
            *_too_many(len(names), first),
            *differing_handling(names, [scores[name] for name in names]),
        ),
    )


def _pairs(entries: list[Stored], measure: Measure) -> tuple[Floats, Floats]:
    """(E, E) p-values of the paired test and differences of row less column."""
    together = _stacked(entries, measure)
    if together is not None:
        apart, p = permutation_tests(*together)
        return p, apart
    n = len(entries)
    p, apart = np.full((n, n), np.nan), np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        difference, tested = paired_test(entries[i].table, entries[j].table, measure)
        p[i, j] = p[j, i] = tested.p[0]
        apart[i, j], apart[j, i] = difference, -difference
    return p, apart


def _stacked(
    entries: Sequence[Stored], measure: Measure
) -> tuple[Floats, Callable[[Floats], Floats]] | None:
    """The entries' sums (E, U, S), and what makes values of sums; None where there are none."""
    sums = [linear_sums(entry.table, measure) for entry in entries]
    found = [one.per_unit for one in sums if one is not None]
    if len(found) < len(entries) or sums[0] is None:
        return None
    stacked = np.stack(found)
    n = stacked[0, :, 1].sum()
    if measure.over == "images" and n > 0 and (stacked[:, :, 1] == stacked[0, :, 1]).all():
        # Every entry has a value for the same images: their number needs no summing.
        return stacked[:, :, :1], lambda found: found[..., 0] / n
    return stacked, sums[0].finish


def _adjusted(p: Floats) -> Floats:
    upper = np.triu_indices(len(p), 1)
    out = np.full(p.shape, np.nan)
    out[upper] = holm(p[upper])
    out.T[upper] = out[upper]
    return out


def replicates_of(entries: Sequence[Stored], measure: Measure, *, seed: int = SEED) -> Floats:
    """Bootstrap values (B, E): all entries are scored on the same resamples of groups.

    Values that differ by rounding alone are equal.
    """
    n_groups = entries[0].table.n_groups
    together = _stacked(entries, measure)
    if together is None:
        columns = [
            replicate(weighted_values(e.table, [measure]), n_groups, seed=seed)[:, 0]
            for e in entries
        ]
        return settled(np.stack(columns, axis=1))
    sums, finish = together
    flat = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(n_groups, -1)
    return settled(
        replicate(
            lambda weight: finish((weight @ flat).reshape(len(weight), *sums.shape[::2])),
            n_groups,
            seed=seed,
        )
    )


def _too_many(n_entries: int, first: Stored) -> list[str]:
    """Where tests cannot tell entries apart, whatever their scores, as there are so many."""
    least = smallest_p(first.table.n_groups)
    n_pairs = n_entries * (n_entries - 1) // 2
    text = "{} tests of {} swaps each cannot reach {:.0%} after Holm's correction: {}"
    swaps = f"{round(1 / least):,}" if first.table.n_groups > EXACT_UP_TO else f"{2 / least:,.0f}"
    if (n_entries - 1) * least >= ALPHA:
        return [text.format(n_entries - 1, swaps, ALPHA, "all entries are in one tier")]
    if n_pairs * least >= ALPHA:
        return [
            text.format(n_pairs, swaps, ALPHA, "significant wins are 0; tiers need fewer tests")
        ]
    return []
