"""What the page shows: standings and published numbers arranged as boards, one a set of samples."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segbench.board.entry import Entry
from segbench.board.rank import Place
from segbench.board.standings import Standing, guests
from segbench.measures import Measure
from segbench.scoring.compare import image_values
from segbench.scoring.evaluate import SIZE, sizes
from segbench.scoring.scores import Score
from segbench.scoring.stored import Stored

Floats = NDArray[np.float64]

COLUMNS = (
    ("dice", "images"),
    ("dice", "classes"),
    ("iou", "images"),
    ("iou", "classes"),
    ("dice", "dataset"),
    ("dice", "worst10"),
    ("hd95", "images"),
    ("nsd", "images"),
)
"""Measures of the table, by key and average, where entries have them."""

OF_IMAGES = ("dice", "iou", "precision", "recall", "boundary_iou", "hd95", "assd", "nsd")
"""Measures whose values of single images the page offers."""

MAX_VALUES = 12
"""A column of the dataset with more different values than this makes no subgroups."""

_NO_SUBGROUPS = frozenset({"split", "fold", "group", "width", "height"})


@dataclass(frozen=True, kw_only=True)
class Board:
    """The entries scored on one set of samples.

    Attributes:
        key: Its folder; unique.
        dataset: The dataset's name.
        version: Of the dataset.
        selection: The split or fold; empty where there are only published numbers.
        standings: Verified first; none where there are only published numbers.
        published: Copied from papers, each under its own protocol.
    """

    key: str
    dataset: str
    version: str
    selection: str
    standings: tuple[Standing, ...]
    published: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """Dataset and selection in words."""
        return f"{self.dataset}, {self.selection}" if self.selection else self.dataset

    @cached_property
    def first(self) -> Stored:
        """The scores of the first entry, whose samples are all entries'."""
        return next(iter(self.standings[0].scores.values()))

    @property
    def measure(self) -> Measure:
        """By which the entries are ranked."""
        return self.standings[0].ranking.measure

    @cached_property
    def columns(self) -> tuple[Measure, ...]:
        """The measures of the table, the ranking's first, as far as every entry has them."""
        found = {
            (s.measure.key, s.measure.over): s.measure for s in self._scores(self.first.main_label)
        }
        chosen = [self.measure, *(found[c] for c in COLUMNS if c in found)]
        return tuple(m for m in dict.fromkeys(chosen) if all(self._has(s, m) for s in self.stored))

    @cached_property
    def of_images(self) -> tuple[Measure, ...]:
        """The measures with values of single images, the ranking's first if it has any."""
        label = self.first.main_label
        named = {s.measure.key: s.measure for s in self._scores(label, "classes")}
        named |= {s.measure.key: s.measure for s in self._scores(label, "images")}
        of_ranking = [self.measure] if self.measure.over in {"images", "classes"} else []
        chosen = [*of_ranking, *(named[key] for key in OF_IMAGES if key in named)]
        values = {m: image_values(self.first.table, m) for m in dict.fromkeys(chosen)}
        return tuple(m for m, own in values.items() if not np.isnan(own).all())

    @property
    def stored(self) -> Iterator[Stored]:
        """The scores of all entries."""
        return (stored for standing in self.standings for stored in standing.scores.values())

    @cached_property
    def subgroups(self) -> Mapping[str, tuple[str, ...]]:
        """The label of each sample by column; the size of the object is one."""
        found = {
            name: labels
            for name, labels in self.first.columns.items()
            if name not in _NO_SUBGROUPS and 1 < len(set(labels)) <= MAX_VALUES
        }
        return {**found, SIZE: tuple(sizes(self.first.table)[0])}

    def _scores(self, label: str, over: str = "") -> list[Score]:
        return [
            s
            for s in self.first.scores
            if s.measure.label == label and (not over or s.measure.over == over)
        ]

    @staticmethod
    def _has(stored: Stored, measure: Measure) -> bool:
        return any(score.measure == measure for score in stored.scores)


@dataclass(frozen=True, kw_only=True)
class Line:
    """An entry in the table of its board.

    Attributes:
        entry: Who, how, at what cost.
        place: Where it stands.
        tied: How many others its tier has.
        scores: One for each column of the board.
        guest: Of a reported entry among verified ones: where it would stand, in words.
    """

    entry: Entry
    place: Place
    tied: int
    scores: tuple[Score, ...]
    guest: str = ""


def with_guests(board: Board, standing: Standing) -> tuple[Line, ...]:
    """The lines of a standing, with reported entries where they would stand, unranked."""
    own = list(lines(board, standing))
    reported = {
        line.entry.name: line
        for other in board.standings
        if other.status == "reported"
        for line in lines(board, other)
    }
    for guest in reversed(guests(standing, board.standings)):
        line = reported[guest.entry.name]
        place = replace(line.place, tier=0, rank_ci95=(math.nan, math.nan))
        own.insert(guest.above, replace(line, place=place, tied=0, guest=guest.words))
    return tuple(own)


def lines(board: Board, standing: Standing) -> tuple[Line, ...]:
    """The entries of a standing in the order of its ranking."""
    tiers = [place.tier for place in standing.ranking.places]
    found: list[Line] = []
    for place in standing.ranking.places:
        by_measure = {s.measure: s for s in standing.scores[place.name].scores}
        found.append(
            Line(
                entry=standing.entries[place.name],
                place=place,
                tied=tiers.count(place.tier) - 1 if place.tier else 0,
                scores=tuple(by_measure[measure] for measure in board.columns),
            )
        )
    return tuple(found)


def boards(standings: Sequence[Standing], published: Sequence[Entry]) -> tuple[Board, ...]:
    """Arrange standings: those of the same samples on one board, verified before reported."""
    together: dict[tuple[str, str, str], list[Standing]] = {}
    for standing in sorted(standings, key=lambda s: s.status, reverse=True):
        key = (standing.dataset, standing.selection, _samples(standing))
        together.setdefault(key, []).append(standing)
    of_name: dict[str, list[Entry]] = {}
    for entry in published:
        of_name.setdefault(entry.dataset, []).append(entry)
    found: list[Board] = []
    for (dataset, selection, _), members in sorted(together.items()):
        name, _, version = dataset.rpartition("@")
        found.append(
            Board(
                key=_key([name, version if version != "1" else "", selection], found),
                dataset=name,
                version=version,
                selection=selection if selection.startswith("fold") else f"{selection} split",
                standings=tuple(members),
                published=_sorted(of_name.get(name, [])),
            )
        )
    for name in sorted(of_name.keys() - {board.dataset for board in found}):
        entries = _sorted(of_name[name])
        version = entries[0].dataset_version
        found.append(
            Board(
                key=_key([name, "published"], found),
                dataset=name,
                version=version,
                selection="",
                standings=(),
                published=entries,
            )
        )
    return tuple(found)


def _samples(standing: Standing) -> str:
    """What must be equal for entries to be compared image by image."""
    first = next(iter(standing.scores.values()))
    text = "\n".join((first.digest, *first.ids, *first.table.groups.tolist()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _sorted(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda e: e.name))


def _key(parts: Sequence[str], taken: Sequence[Board]) -> str:
    """A short name for a folder, unlike those that are taken."""
    words = [re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts]
    key = "-".join(word for word in words if word)[:60] or "board"
    used = {board.key.lower() for board in taken} | {"assets"}
    n = 1
    while (found := key if n == 1 else f"{key}-{n}").lower() in used:
        n += 1
    return found
