"""Entries that stand on several datasets, by name: mean rank and win rate with intervals.

On every dataset the entries that stand on two or more are ranked among themselves by their score.

* Win rate: the share of the other entries there that an entry is better than, equal ones by half,
  averaged over the datasets that it is on (the "mean win rate" of HELM: Liang et al. 2023, TMLR,
  arXiv 2211.09110). An entry may be absent from a dataset.
* Mean rank: the mean of an entry's ranks over the datasets (Demsar 2006, JMLR 7, 1-30), among the
  entries that are on all of them; others have none, as ranks among different rivals do not average.

Intervals: in each of the resamples groups are drawn anew within every dataset, independently of the
others (stratified), and everything is ranked again. The datasets themselves are not resampled: the
intervals say nothing of a dataset that is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.board.entry import Status
from segbench.board.rank import replicates_of
from segbench.board.standings import Standing
from segbench.errors import SegbenchError
from segbench.measures import Measure
from segbench.statistics.bootstrap import SEED, percentile_interval
from segbench.statistics.ranking import mean_rank_of, mean_win_rate

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Overall:
    """One entry over the datasets.

    Attributes:
        name: Of the entry.
        values: By dataset its score; NaN where it is not on it.
        win_rate: Its mean over datasets.
        win_rate_ci95: Of the bootstrap.
        mean_rank: NaN where it is not on all datasets.
        mean_rank_ci95: Of the bootstrap.
    """

    name: str
    values: tuple[float, ...]
    win_rate: float
    win_rate_ci95: tuple[float, float]
    mean_rank: float
    mean_rank_ci95: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Across:
    """Entries of two or more datasets, the greatest win rate first.

    Attributes:
        selection: The split.
        status: Of the entries.
        measures: By dataset (name and version), by what it is ranked.
        entries: Two or more.
    """

    selection: str
    status: Status
    measures: dict[str, Measure]
    entries: tuple[Overall, ...]


def across_datasets(standings: Sequence[Standing]) -> tuple[Across, ...]:
    """What can be said over datasets, for each split and status that has such entries.

    Of several versions of a dataset the one with the most entries counts, or the later in order.
    """
    found: list[Across] = []
    for selection, status in dict.fromkeys((s.selection, s.status) for s in standings):
        by_name: dict[str, Standing] = {}
        for standing in standings:
            if (standing.selection, standing.status) == (selection, status):
                other = by_name.get(standing.name)
                if other is None or len(standing.entries) >= len(other.entries):
                    by_name[standing.name] = standing
        across = _across(list(by_name.values()))
        if across is not None:
            found.append(across)
    return tuple(found)


def _across(standings: list[Standing]) -> Across | None:
    times = Counter(name for standing in standings for name in standing.entries)
    shared = [name for name, n in times.items() if n > 1]
    standings = [s for s in standings if sum(name in s.entries for name in shared) > 1]
    shared = [name for name in shared if sum(name in s.entries for s in standings) > 1]
    if len(shared) < 2 or len(standings) < 2:  # noqa: PLR2004  nothing to rank, or nowhere
        return None
    if len({s.ranking.measure.definition.higher_is_better for s in standings}) > 1:
        raise SegbenchError("datasets are ranked by measures of which other values are better")
    better = standings[0].ranking.measure.definition.higher_is_better
    values = np.stack([_values(standing, shared) for standing in standings])
    drawn = np.stack([_drawn(s, shared, SEED + 1 + i) for i, s in enumerate(standings)])
    low, high = percentile_interval(mean_win_rate(drawn, higher_is_better=better))
    first, last = percentile_interval(mean_rank_of(drawn, higher_is_better=better))
    win_rate = mean_win_rate(values, higher_is_better=better)
    mean_rank = mean_rank_of(values, higher_is_better=better)
    entries = [
        Overall(
            name=name,
            values=tuple(values[:, i].tolist()),
            win_rate=float(win_rate[i]),
            win_rate_ci95=(float(low[i]), float(high[i])),
            mean_rank=float(mean_rank[i]),
            mean_rank_ci95=(float(first[i]), float(last[i])),
        )
        for i, name in enumerate(shared)
    ]
    return Across(
        selection=standings[0].selection,
        status=standings[0].status,
        measures={s.dataset: s.ranking.measure for s in standings},
        entries=tuple(sorted(entries, key=lambda e: (-e.win_rate, e.name))),
    )


def _values(standing: Standing, names: list[str]) -> Floats:
    """The scores (E,) of entries, NaN of those that are not there."""
    scores = {place.name: place.score.value for place in standing.ranking.places}
    return np.array([scores.get(name, np.nan) for name in names])


def _drawn(standing: Standing, names: list[str], seed: int) -> Floats:
    """The bootstrap's values (B, E), NaN of entries that are not there."""
    here = [i for i, name in enumerate(names) if name in standing.entries]
    stored = [standing.scores[names[i]] for i in here]
    found = replicates_of(stored, standing.ranking.measure, seed=seed)
    out = np.full((len(found), len(names)), np.nan)
    out[:, here] = found
    return out
