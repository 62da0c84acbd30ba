"""The pages as HTML: templates with everything escaped, numbers in fixed formats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench._version import __version__
from segbench.board.entry import Entry
from segbench.board.site.boards import Board, Line, lines, with_guests
from segbench.board.site.subgroups import Subgroup, subgroup
from segbench.board.standings import Guest, Standing, guests
from segbench.catalog.cards import card_folders, read_dataset
from segbench.measures import Measure
from segbench.scoring.compare import image_values
from segbench.scoring.evaluate import SIZE, size_order
from segbench.scoring.scores import Score
from segbench.statistics.bootstrap import FEW_UNITS, N_RESAMPLES

if TYPE_CHECKING:
    import jinja2

    from segbench.board.site.viewer import Viewer
    from segbench.catalog.card import Card

OVER = {
    "images": "mean over images",
    "worst10": "worst 10\N{NARROW NO-BREAK SPACE}% of images",
    "median": "median of images",
    "dataset": "pooled",
    "classes": "mean over classes",
}
SHORT = {
    "iou": "IoU",
    "dice": "Dice",
    "hd95": "HD95",
    "hd": "HD",
    "nsd": "NSD",
    "assd": "ASSD",
    "masd": "MASD",
    "boundary_iou": "Boundary IoU",
}
BAR = 110
"""Width of an interval bar, px."""


@dataclass(frozen=True)
class Axis:
    """From values to px of an interval bar."""

    low: float
    high: float

    def x(self, value: float) -> str:
        """The place of a value, kept on the axis."""
        share = (value - self.low) / (self.high - self.low)
        return f"{4 + BAR * min(max(share, 0.0), 1.0):.1f}"


@dataclass(frozen=True, kw_only=True)
class View:
    """A board with what its pages share, computed once.

    Attributes:
        board: The board.
        viewer: Shows its images; None where they may not be shown, or are not there.
    """

    board: Board
    viewer: Viewer | None

    @cached_property
    def tables(self) -> list[tuple[Standing, tuple[Line, ...]]]:
        """The lines of each standing."""
        return [(standing, lines(self.board, standing)) for standing in self.board.standings]

    def guest(self, entry: Entry) -> Guest | None:
        """Where a reported entry would stand among the verified ones."""
        every = self.board.standings
        found = (guest for standing in every for guest in guests(standing, every))
        return next((guest for guest in found if guest.entry == entry), None)

    def with_guests(self, standing: Standing) -> tuple[Line, ...]:
        """The lines of a table: of verified entries with the reported ones in between."""
        return with_guests(self.board, standing)

    @cached_property
    def entries(self) -> list[tuple[Entry, Standing, Line]]:
        """Every ranked entry."""
        return [(line.entry, standing, line) for standing, own in self.tables for line in own]

    @property
    def has_costs(self) -> bool:
        """Whether any entry says what it costs."""
        costs = [entry.cost for entry, _, _ in self.entries]
        return any(c.parameters or c.flops or c.latencies for c in costs)

    @cached_property
    def axis(self) -> Axis:
        """Of the interval bars of the ranking's measure."""
        scores = [line.scores[0] for _, _, line in self.entries]
        ends = [x for s in scores for x in (s.value, *s.ci95)]
        return axis_of(ends, self.board.measure)

    @cached_property
    def subgroups(self) -> list[tuple[str, list[Subgroup]]]:
        """By column the entries' means within each of its values, in the order of `entries`."""
        measure = next(iter(self.board.of_images), None)
        if measure is None:
            return []
        tables = [standing.scores[e.name].table for e, standing, _ in self.entries]
        values = np.stack([image_values(table, measure) for table in tables], axis=1)
        groups = tables[0].groups
        found: list[tuple[str, list[Subgroup]]] = []
        for column, of_samples in self.board.subgroups.items():
            labels = np.array(of_samples)
            ordered = sorted(set(of_samples), key=size_order if column == SIZE else str)
            found.append((column, [subgroup(v, values, groups, labels == v) for v in ordered]))
        return found

    @cached_property
    def subgroup_axis(self) -> Axis:
        """Of the interval bars of all subgroups."""
        ends = [
            float(x)
            for _, groups in self.subgroups
            for group in groups
            for side in (group.means, group.low, group.high)
            for x in side
        ]
        return axis_of(ends, self.board.of_images[0])

    @cached_property
    def card(self) -> Card | None:
        """The dataset's card, if the catalogue has the dataset."""
        folder = card_folders().get(self.board.dataset)
        return None if folder is None else read_dataset(folder).card


def axis_of(ends: Sequence[float], measure: Measure) -> Axis:
    """An axis that holds all finite values with some air, but not beyond the best value."""
    finite = [x for x in ends if math.isfinite(x)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    air = 0.04 * (high - low) or 0.02
    best = measure.definition.best
    if measure.definition.higher_is_better:
        return Axis(low - air, max(high, min(high + air, best)))
    return Axis(min(low, max(low - air, best)), high + air)


def render(template: str, **content: object) -> str:
    """One page as HTML."""
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # noqa: PLC0415

    def source(name: str) -> str:
        path = resources.files("segbench.board.site") / "templates" / name
        return path.read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    shared: dict[str, Any] = {
        "version": __version__,
        "few": FEW_UNITS,
        "n_resamples": f"{N_RESAMPLES:,}",
        "bar": BAR,
        "heading": heading,
        "full_heading": full_heading,
        "shown": shown,
        "interval": interval,
        "plain": plain,
        "ranks": ranks,
        "sort_value": sort_value,
        "duration": duration,
        "is_finite": math.isfinite,
    }
    environment.globals.update(shared)
    return environment


def heading(measure: Measure) -> str:
    """A measure's name in the head of a column."""
    return SHORT.get(measure.key, measure.definition.short_title)


def full_heading(measure: Measure) -> str:
    """A measure in words, with class, average and unit."""
    unit = f", {measure.unit}" if measure.unit else ""
    title = measure.definition.short_title
    return f"{title}, class {measure.label}, {OVER[measure.over]}{unit}"


def decimals(measure: Measure) -> int:
    """That are shown: three of fractions, one of distances and numbers."""
    return 1 if measure.definition.unit else 3


def shown(score: Score) -> str:
    """A score as text."""
    return plain(score.value, decimals(score.measure))


def interval(score: Score) -> str:
    """Its interval as text, empty where it has none."""
    low, high = score.ci95
    digits = decimals(score.measure)
    star = "*" if score.exact else ""
    return "" if math.isnan(low) else f"[{plain(low, digits)}, {plain(high, digits)}]{star}"


def plain(value: float, digits: int) -> str:
    """A number as text, a dash where it is undefined."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return f"{value:.{digits}f}" if math.isfinite(value) else "\N{INFINITY}"


def sort_value(value: float | None) -> str:
    """A number for sorting: nothing where it is undefined."""
    return "" if value is None or math.isnan(value) else f"{value:.9g}"


def ranks(line: Line) -> str:
    """The ranks that 95 % of the bootstrap's resamples give."""
    low, high = line.place.rank_ci95
    if math.isnan(low):
        return "\N{EN DASH}"
    return f"{low:g}" if low == high else f"{low:g}\N{EN DASH}{high:g}"


def duration(seconds: float) -> str:
    """A time in minutes or hours."""
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f}\N{NARROW NO-BREAK SPACE}min"
    return f"{seconds / 3600:.1f}\N{NARROW NO-BREAK SPACE}h"


def subgroup_cells(view: View, group: Subgroup, digits: int) -> list[Mapping[str, str]]:
    """What the table of subgroups shows of each entry."""
    axis = view.subgroup_axis
    return [
        {
            "value": plain(float(mean), digits),
            "interval": ""
            if math.isnan(low)
            else f"[{plain(float(low), digits)}, {plain(float(high), digits)}]",
            "x": "" if not math.isfinite(mean) else axis.x(float(mean)),
            "low": "" if math.isnan(low) else axis.x(float(low)),
            "high": "" if math.isnan(low) else axis.x(float(high)),
            "sort": sort_value(float(mean)),
        }
        for mean, low, high in zip(group.means, group.low, group.high, strict=True)
    ]
