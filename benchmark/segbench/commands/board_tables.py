"""The leaderboard in the terminal, and as JSON."""

from __future__ import annotations

import math

import numpy as np
from rich.table import Table

from segbench.board.standings import Standing
from segbench.commands.console import console
from segbench.commands.tables import interval, new_table, shown
from segbench.scoring.files import json_number
from segbench.statistics.bootstrap import N_RESAMPLES
from segbench.statistics.ranking import ALPHA


def show_standing(standing: Standing) -> None:
    """Print a standing: tiers, ranks and how sure they are, and where ways to rank disagree."""
    out, ranking = console(), standing.ranking
    out.print(
        f"[bold]{standing.dataset}[/] {standing.selection}, {standing.status} - "
        f"{ranking.n_samples} images in {ranking.n_groups} groups"
    )
    out.print(f"by {ranking.measure.title}, {ranking.measure.average}", markup=False)
    for note in ranking.notes:
        out.print(f"[yellow]{note}[/]")
    out.print(_table(standing))
    for line in disagreements(standing):
        out.print(line, markup=False)
    out.print(
        f"tier: not told from its best by the paired permutation test over groups (Holm, "
        f"{ALPHA:.0%}); no order within a tier is meant; ranks: 95 % of {N_RESAMPLES:,} bootstrap "
        f"resamples of groups; wins: others it is significantly better than",
        markup=False,
        style="dim",
    )


def _table(standing: Standing) -> Table:
    table = new_table()
    table.add_column("tier", justify="right")
    table.add_column("entry")
    names = ("score", "95 % interval", "ranks", "P(rank 1)", "mean rank", "wins", "parameters")
    for name in names:
        table.add_column(name, justify="right")
    last = None
    for place in standing.ranking.places:
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
            f"{place.probabilities[0]:.2f}",
            "-" if math.isnan(place.mean_rank) else f"{place.mean_rank:.2f}",
            f"{place.wins}",
            "" if parameters is None else f"{parameters / 1e6:.2f} M",
        )
        last = place.tier
    return table


def disagreements(standing: Standing) -> list[str]:
    """Which entries have another rank under another way to rank."""
    orders = standing.ranking.orders
    (first, ranks), *others = orders.items()
    lines: list[str] = []
    for name, other in others:
        moved = [
            f"{place.name} {was:g} -> {now:g}"
            for place, was, now in zip(standing.ranking.places, ranks, other, strict=True)
            if was != now and not np.isnan(now)
        ]
        if moved:
            lines.append(f'ranks by "{name}" in place of "{first}": {", ".join(moved)}')
    return lines


def standing_json(standing: Standing) -> dict[str, object]:
    """A standing for machines."""
    ranking = standing.ranking
    orders = ranking.orders
    return {
        "dataset": standing.dataset,
        "selection": standing.selection,
        "status": standing.status,
        "measure": str(ranking.measure),
        "n_samples": ranking.n_samples,
        "n_groups": ranking.n_groups,
        "notes": list(ranking.notes),
        "entries": [
            {
                "name": place.name,
                "tier": place.tier or None,
                "value": json_number(place.score.value),
                "ci95": [json_number(end) for end in place.score.ci95],
                "signature": place.score.signature,
                "rank": {name: json_number(order[i]) for name, order in orders.items()},
                "rank_ci95": [json_number(end) for end in place.rank_ci95],
                "rank_probabilities": [json_number(p) for p in place.probabilities],
                "wins": place.wins,
                "p_holm": {
                    other.name: json_number(ranking.p_holm[i, j])
                    for j, other in enumerate(ranking.places)
                    if i != j
                },
            }
            for i, place in enumerate(ranking.places)
        ],
    }
