"""`segbench new-dataset DIR`: a card and splits for a folder of images and masks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ValuesFlag(StrEnum):
    """What `--values` may say."""

    CLASSES = "classes"
    INSTANCES = "instances"
    GREY = "grey"


def new_dataset(
    folder: Annotated[Path, typer.Argument(help="A folder with images and masks.")],
    *,
    name: Annotated[str, typer.Option("--name", help="The dataset's name.")] = "",
    out: Annotated[Path, typer.Option("--out", help="Where the card's folder is made.")] = Path(),
    masks: Annotated[
        str, typer.Option("--masks", help="The folder of the masks, where several could be.")
    ] = "",
    values: Annotated[
        ValuesFlag | None,
        typer.Option("--values", help="What the masks' numbers are."),
    ] = None,
) -> None:
    """Look at a folder of images and masks, and write a commented card and splits to fill in."""
    from segbench.commands.console import say  # noqa: PLC0415
    from segbench.prepare.new_coding import Hold  # noqa: PLC0415
    from segbench.prepare.new_dataset import look, write  # noqa: PLC0415

    guess = look(folder, masks=masks, hold=Hold(values.value) if values else None)
    card = write(folder, guess, out, name=name)
    names = ", ".join(label for _, label, _ in guess.coding.classes)
    say(f"{len(guess.pairs)} images with masks: {guess.layout.image} and {guess.layout.mask}")
    say(f"classes: {names} ({guess.coding.comment})")
    if guess.unpaired:
        shown = ", ".join(guess.unpaired[:3])
        say(f"without a partner, left out: {len(guess.unpaired)} ({shown}, ...)")
    say(f"written: {card / 'card.toml'} and splits.csv")
    say("next: read the card; give images of one patient or place one group in splits.csv; then")
    say(f"  segbench prepare {card.name} --card {card} --source {folder}")
