"""The leaderboard in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from segbench.board.across import Across
from segbench.board.standings import Guest, Standing
from segbench.board.wording import disagreements
from segbench.commands.console import console
from segbench.commands.tables import interval, new_table, shown
from segbench.statistics.bootstrap import N_RESAMPLES
from segbench.statistics.ranking import ALPHA


def show_standing(standing: Standing, reported: Sequence[Guest] = ()) -> None:
    """Print a standing: tiers, ranks and how sure they are, and where ways to rank disagree.

    Reported entries stand among the verified ones where they would, greyed and unranked.
    """
    out, ranking = console(), standing.ranking
    out.print(
        Text.assemble(
            (standing.dataset, "bold"),
            f" {standing.selection}, {standing.status} - "
            f"{ranking.n_samples} images in {ranking.n_groups} groups",
        )
    )
    out.print(f"by {ranking.measure.title}, {ranking.measure.average}")
    for note in ranking.notes:
        out.print(note, style="yellow")
    out.print(_table(standing, reported))
    for line in disagreements(standing):
        out.print(line)
    out.print(
        f"tier: not told from its best by the paired permutation test over groups (Holm, "
        f"{ALPHA:.0%}); no order within a tier is meant; ranks: 95 % of {N_RESAMPLES:,} bootstrap "
        f"resamples of groups; wins: others it is significantly better than",
        style="dim",
    )


def _table(standing: Standing, reported: Sequence[Guest]) -> Table:
    table = new_table()
    table.add_column("tier", justify="right")
    table.add_column("entry")
    names = ("score", "95 % interval", "ranks", "P(rank 1)", "mean rank", "wins", "parameters")
    for name in names:
        table.add_column(name, justify="right")
    waiting = list(reported)

    def seat(above: int) -> None:
        while waiting and waiting[0].above <= above:
            guest = waiting.pop(0)
            name = f"({guest.entry.name}, reported)"
            table.add_row("-", name, shown(guest.score), interval(guest.score), style="dim")

    last = None
    for above, place in enumerate(standing.ranking.places):
        seat(above)
        if last not in {None, place.tier}:
            table.add_section()
        parameters = standing.entries[place.name].cost.parameters
        low, high = place.rank_ci95
        table.add_row(
            "" if place.tier == last else f"{place.tier or '-'}",
            place.name,
            shown(place.score),
            interval(place.score),
            "-" if math.isnan(low) else f"{low:g} to {high:g}",
            "-" if math.isnan(place.probabilities[0]) else f"{place.probabilities[0]:.2f}",
            "-" if math.isnan(place.mean_rank) else f"{place.mean_rank:.2f}",
            f"{place.wins}",
            "" if parameters is None else f"{parameters / 1e6:.2f} M",
        )
        last = place.tier
    seat(len(standing.ranking.places))
    return table


def show_across(across: Across) -> None:
    """Print what is said of entries over datasets."""
    out = console()
    out.print(
        Text.assemble(
            (f"across {len(across.measures)} datasets", "bold"),
            f", {across.selection}, {across.status}",
        )
    )
    table = new_table()
    table.add_column("entry")
    for name in ("win rate", "95 % interval", "mean rank", "95 % interval", *across.measures):
        table.add_column(name, justify="right")
    for entry in across.entries:
        table.add_row(
            entry.name,
            f"{entry.win_rate:.2f}",
            _ends(entry.win_rate_ci95),
            "-" if math.isnan(entry.mean_rank) else f"{entry.mean_rank:.2f}",
            _ends(entry.mean_rank_ci95),
            *("-" if math.isnan(value) else f"{value:.3f}" for value in entry.values),
        )
    out.print(table)
    out.print(
        "entries of the same name on two or more datasets, ranked among themselves; win rate: the "
        "share of the others an entry is better than, averaged over its datasets; mean rank: among "
        "the entries that are on all of them; intervals: groups resampled within each dataset",
        style="dim",
    )


def _ends(ends: tuple[float, float]) -> str:
    low, high = ends
    return "" if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"
