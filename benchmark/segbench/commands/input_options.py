"""Options of commands that read predictions: which, how they are read, what is accepted."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class FormFlag(StrEnum):
    """What `--form` may say."""

    IDS = "ids"
    BINARY = "binary"
    COLOURS = "colours"
    PROBABILITIES = "probabilities"


class MissingFlag(StrEnum):
    """What `--missing` may say."""

    ERROR = "error"
    WORST = "worst"


class ExtraFlag(StrEnum):
    """What `--extra` may say."""

    ERROR = "error"
    IGNORE = "ignore"


class ResizeFlag(StrEnum):
    """What `--resize` may say."""

    ERROR = "error"
    NEAREST = "nearest"


FoundDataset = Annotated[
    str | None, typer.Option("--dataset", help="Found by the ids where it is not given.")
]
References = Annotated[
    str | None, typer.Option("--references", help="Reference masks, where there is no card.")
]
Classes = Annotated[
    str, typer.Option("--classes", help="With --references: names of classes 0,1,2,...")
]
Suffix = Annotated[
    str, typer.Option("--suffix", help="What file names carry behind the id, as _pred.")
]
Ending = Annotated[
    str, typer.Option("--ending", help="Read only files with this ending, as .png or .npz.")
]
Form = Annotated[
    FormFlag | None, typer.Option("--form", help="How values are read, where that is in doubt.")
]
Missing = Annotated[
    MissingFlag, typer.Option("--missing", help="worst: score missing masks as the worst.")
]
Extra = Annotated[
    ExtraFlag, typer.Option("--extra", help="ignore: leave out ids that the split lacks.")
]
Resize = Annotated[
    ResizeFlag, typer.Option("--resize", help="nearest: accept masks of another size.")
]


def class_names(classes: str) -> list[str]:
    """The names that `--classes` gives."""
    return [name.strip() for name in classes.split(",")] if classes.strip() else []
