"""The standings of a results folder: entries of one dataset, split and status, ranked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.board.entry import Entry, Status, find_entries
from segbench.board.rank import Ranking, rank_entries
from segbench.errors import SegbenchError
from segbench.scoring.scores import Score
from segbench.scoring.stored import Stored, read_scores


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Entries that may be ranked together.

    Attributes:
        dataset: Name and version.
        selection: The split or fold.
        status: `verified` or `reported`; the two are never ranked together.
        entries: By name, in order.
        scores: Of each entry, its rows and scores as they were stored.
        ranking: Of them.
    """

    dataset: str
    selection: str
    status: Status
    entries: Mapping[str, Entry]
    scores: Mapping[str, Stored]
    ranking: Ranking

    @property
    def name(self) -> str:
        """Of the dataset, without its version."""
        return self.dataset.partition("@")[0]


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A reported entry where it would stand among the verified ones: unranked.

    Attributes:
        entry: The reported one.
        score: Its score by the ranking's measure.
        above: How many verified entries have a better score.
        n: How many of them there are.
    """

    entry: Entry
    score: Score
    above: int
    n: int

    @property
    def words(self) -> str:
        """Where it would stand, in words."""
        return f"would stand {self.above + 1} of {self.n + 1} among the verified entries"


def guests(standing: Standing, all_of: Sequence[Standing]) -> tuple[Guest, ...]:
    """Reported entries of the same samples, by where they would stand among the verified ones.

    None are given for a standing of reported entries.
    """
    if standing.status != "verified":
        return ()
    found: list[Guest] = []
    for other in all_of:
        same = (other.dataset, other.selection) == (standing.dataset, standing.selection)
        if other.status != "reported" or not same:
            continue
        found += [
            stand(standing, entry, other.scores[name].scores)
            for name, entry in other.entries.items()
            if other.scores[name].digest == next(iter(standing.scores.values())).digest
        ]
    return tuple(sorted(found, key=lambda guest: (guest.above, guest.entry.name)))


def stand(standing: Standing, entry: Entry, scores: Sequence[Score]) -> Guest:
    """Where an entry with these scores would stand.

    Raises:
        SegbenchError: It has no score by the ranking's measure.
    """
    measure = standing.ranking.measure
    score = next((score for score in scores if score.measure == measure), None)
    if score is None:
        raise SegbenchError(f"{entry.name}: has no score {measure}")
    sign = 1 if measure.definition.higher_is_better else -1
    places = standing.ranking.places
    better = sum(sign * place.score.value > sign * score.value for place in places)
    return Guest(entry=entry, score=score, above=better, n=len(places))


def standings(
    results: Path, *, dataset: str | None = None, measure: str = "dice"
) -> tuple[Standing, ...]:
    """Rank the entries below a results folder.

    Args:
        results: Holds `<dataset>/<entry>/entry.json` and the scores beside it.
        dataset: Only this one.
        measure: By which, as `segbench compare --measure` takes it.

    Raises:
        SegbenchError: There are no entries, one is damaged, or it lies in another dataset's folder.
    """
    if not results.is_dir():
        raise SegbenchError(f"{results}: no such folder; expected entries, as in `results/`")
    groups: dict[tuple[str, str, Status], dict[str, Entry]] = {}
    for _, entry in find_entries(results, dataset=dataset):
        if entry.status != "published":
            key = (f"{entry.dataset}@{entry.dataset_version}", entry.selection, entry.status)
            groups.setdefault(key, {})[entry.name] = entry
    if not groups:
        scored = [e for _, e in find_entries(results) if e.status != "published"]
        known = sorted({entry.dataset for entry in scored})
        raise SegbenchError(
            f"{results}: no scored entries{f' of {dataset}' if dataset else ''}; "
            f"there are scored entries of {', '.join(known) or 'nothing'} (numbers of papers are "
            f"not ranked)"
        )
    return tuple(
        _standing(results, key, entries, measure=measure) for key, entries in groups.items()
    )


def _standing(
    results: Path, key: tuple[str, str, Status], entries: dict[str, Entry], *, measure: str
) -> Standing:
    dataset, selection, status = key
    scores = {name: read_scores(results / e.dataset / name) for name, e in entries.items()}
    return Standing(
        dataset=dataset,
        selection=selection,
        status=status,
        entries=entries,
        scores=scores,
        ranking=rank_entries(scores, measure),
    )
