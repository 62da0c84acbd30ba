"""`segbench datasets`: the catalogue, or one card whole."""

from __future__ import annotations

from typing import Annotated

import typer

from segbench.commands.options import CardPath, Data, Json

app = typer.Typer(
    help="List the datasets; `datasets show NAME` prints one card whole.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def datasets(context: typer.Context, *, data: Data = None, json: Json = False) -> None:
    """List the datasets; `datasets show NAME` prints one card whole."""
    if context.invoked_subcommand is not None:
        return
    from segbench.catalog.cards import card_folders, find_dataset  # noqa: PLC0415
    from segbench.commands.console import say_json, show  # noqa: PLC0415
    from segbench.commands.tables import catalogue_table  # noqa: PLC0415
    from segbench.masks.prepared import data_folder  # noqa: PLC0415

    found = [find_dataset(name) for name in card_folders()]
    if json:
        say_json([dataset.card.model_dump() for dataset in found])
    else:
        show(catalogue_table(found, data_folder(data)))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A dataset of the catalogue.")] = "",
    *,
    card: CardPath = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Print one card with its terms, citation and how to get the data."""
    from segbench.catalog.cards import find_dataset  # noqa: PLC0415
    from segbench.commands.console import say_json  # noqa: PLC0415
    from segbench.commands.console import show as show_table  # noqa: PLC0415
    from segbench.commands.tables import card_page  # noqa: PLC0415
    from segbench.masks.prepared import data_folder  # noqa: PLC0415

    if not name and card is None:
        raise typer.BadParameter("expected the NAME of a dataset, or --card")
    dataset = find_dataset(name, card=card)
    if json:
        say_json(dataset.card.model_dump())
    else:
        show_table(card_page(dataset, data_folder(data)))
