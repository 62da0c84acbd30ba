"""plots/: a standing's intervals, rank probabilities, tests, distributions and costs, as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.board import drawings
from segbench.board.columns import COSTS
from segbench.board.contents import Board
from segbench.board.standings import Standing
from segbench.errors import SegbenchError

KINDS = {
    "forest": (drawings.intervals, "Scores with their 95 % intervals and tiers"),
    "ranks": (drawings.rank_probabilities, "How often each entry has each rank in the bootstrap"),
    "significance": (drawings.significance, "Which entries are significantly better than which"),
    "distributions": (drawings.distributions, "How the scores of single images spread"),
}
"""The plots of every standing; Pareto plots come for the costs that are known."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A file of plots/.

    Attributes:
        name: Of the file.
        title: What it shows.
        standing: Of what.
    """

    name: str
    title: str
    standing: Standing = field(repr=False)


def write_plots(board: Board, folder: Path) -> tuple[Plot, ...]:
    """Draw every standing into a new folder.

    Raises:
        SegbenchError: Two standings have the same file name.
    """
    folder.mkdir()
    made: dict[str, Plot] = {}
    for standing in board.standings:
        for plot in _standing(standing, folder):
            if plot.name in made:
                raise SegbenchError(f"{plot.name}: drawn for two standings; rename a version")
            made[plot.name] = plot
    return tuple(made.values())


def _standing(standing: Standing, folder: Path) -> list[Plot]:
    made: list[Plot] = []

    def path_of(kind: str, title: str) -> Path:
        made.append(Plot(name=f"{_slug(standing)}-{kind}.svg", title=title, standing=standing))
        return folder / made[-1].name

    for kind, (draw, title) in KINDS.items():
        if draw is drawings.distributions and not drawings.has_images(standing):
            continue
        if len(standing.entries) > 1 or draw in {drawings.intervals, drawings.distributions}:
            draw(standing, path_of(kind, title))
    for column in COSTS:
        if len(drawings.priced(standing, column)) > 1:
            title = f"Score against {column.axis}; the line joins what no other entry dominates"
            drawings.pareto(standing, column, path_of(f"pareto-{column.key}", title))
    return made


def _slug(standing: Standing) -> str:
    parts: Sequence[str] = (standing.dataset, standing.selection, standing.status)
    return re.sub(r"[^A-Za-z0-9.@-]", "_", "-".join(parts))
