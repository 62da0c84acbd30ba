"""`segbench leaderboard`: the entries of a results folder, ranked, with how sure each rank is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Json


def leaderboard(
    *,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only this dataset's entries.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort", help="The measure to rank by: hd95, or 'iou|class:lesion|over:dataset'."
        ),
    ] = "dice",
    results: Annotated[
        Path, typer.Option("--results", help="The folder of entries: <dataset>/<entry>/.")
    ] = Path("results"),
    json: Json = False,
) -> None:
    """Rank the entries of a results folder, with tiers of those that cannot be told apart."""
    from segbench.board.standings import standings  # noqa: PLC0415
    from segbench.commands.board_tables import show_standing, standing_json  # noqa: PLC0415
    from segbench.commands.console import say_json  # noqa: PLC0415

    found = standings(results, dataset=dataset, measure=sort)
    if json:
        say_json([standing_json(standing) for standing in found])
        return
    for standing in found:
        show_standing(standing)
