"""Everything a built board shows, read from a results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.board.across import Across, across_datasets
from segbench.board.entry import Entry, find_entries
from segbench.board.repeats import FOLDS, FoldScore, read_folds
from segbench.board.standings import Standing, standings
from segbench.errors import SegbenchError

NOTES = "notes.md"
"""A dataset's own words for its section of README.md, written by hand."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One dataset of the board.

    Attributes:
        name: Of the dataset.
        notes: Markdown, written by hand; "" where there is none.
        standings: Entries that are ranked together: of a version, a split and a status each.
        published: Numbers from papers, which are not ranked.
        folds: By recipe and fold, the scores of cross-validation.
    """

    name: str
    notes: str
    standings: tuple[Standing, ...]
    published: tuple[Entry, ...]
    folds: Mapping[str, Mapping[str, FoldScore]]


@dataclass(frozen=True, kw_only=True)
class Board:
    """What is built.

    Attributes:
        measure: By which entries are ranked, as it was asked for.
        sections: One a dataset, by name.
        across: Entries that stand on two or more datasets, for every split and status.
    """

    measure: str
    sections: tuple[Section, ...]
    across: tuple[Across, ...]

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Of all datasets."""
        return tuple(s for section in self.sections for s in section.standings)


def read_board(results: Path, *, dataset: str | None = None, measure: str = "dice") -> Board:
    """Rank the entries of a results folder and collect what stands beside them.

    Raises:
        SegbenchError: There are no entries, or a file is damaged.
    """
    ranked = standings(results, dataset=dataset, measure=measure)
    published = [e for _, e in find_entries(results, dataset=dataset) if e.status == "published"]
    names = sorted({s.name for s in ranked} | {entry.dataset for entry in published})
    return Board(
        measure=measure,
        sections=tuple(_section(results / name, ranked, published) for name in names),
        across=across_datasets(ranked),
    )


def _section(folder: Path, ranked: Sequence[Standing], published: Sequence[Entry]) -> Section:
    notes = folder / NOTES
    try:
        text = notes.read_text(encoding="utf-8").strip() if notes.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SegbenchError(f"{notes}: unreadable ({error})") from error
    return Section(
        name=folder.name,
        notes=text,
        standings=tuple(s for s in ranked if s.name == folder.name),
        published=tuple(entry for entry in published if entry.dataset == folder.name),
        folds=read_folds(folder / FOLDS),
    )
