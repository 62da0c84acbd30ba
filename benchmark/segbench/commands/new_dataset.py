"""`segbench new-dataset DIR`: a card and splits for a folder of images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_dataset(
    folder: Annotated[Path, typer.Argument(help="A folder with images and masks.")],
) -> None:
    """Look at a folder of images and masks and write a card and splits to fill in."""
    raise NotImplementedError
