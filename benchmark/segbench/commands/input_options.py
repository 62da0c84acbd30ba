"""Options of commands that read predictions: which, how they are read, what is accepted."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segbench.scoring.references import ReferencePolicy


class FormFlag(StrEnum):
    """What `--form` may say."""

    IDS = "ids"
    BINARY = "binary"
    COLOURS = "colours"
    PROBABILITIES = "probabilities"


class ReferencesFormFlag(StrEnum):
    """What `--references-form` may say."""

    IDS = "ids"
    BINARY = "binary"
    COLOURS = "colours"


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


class RleOrderFlag(StrEnum):
    """What `--rle-order` may say."""

    COLUMNS = "columns"
    ROWS = "rows"
    COLUMNS_FROM_0 = "columns-from-0"
    ROWS_FROM_0 = "rows-from-0"


class Means255Flag(StrEnum):
    """What `--references-255` may say."""

    OBJECT = "object"
    IGNORE = "ignore"


FoundDataset = Annotated[
    str | None, typer.Option("--dataset", help="Found by the ids where it is not given.")
]
References = Annotated[
    str | None, typer.Option("--references", help="Reference masks, where there is no card.")
]
Classes = Annotated[
    str, typer.Option("--classes", help="With --references: names of classes 0,1,2,...")
]
ReferencesSuffix = Annotated[
    str, typer.Option("--references-suffix", help="As --suffix, of the references' names.")
]
ReferencesEnding = Annotated[
    str, typer.Option("--references-ending", help="As --ending, of the references.")
]
ReferencesIds = Annotated[str, typer.Option("--references-ids", help="As --ids, of references.")]
ReferencesForm = Annotated[
    ReferencesFormFlag | None,
    typer.Option("--references-form", help="As --form, of the references."),
]
ReferencesMap = Annotated[
    str, typer.Option("--references-map", help="As --map, of the references: 7=0,254=ignore.")
]
References255 = Annotated[
    Means255Flag | None,
    typer.Option("--references-255", help="Whether 255 is the object or ignored, if in doubt."),
]
Background = Annotated[
    bool | None,
    typer.Option(
        "--background/--no-background",
        help="With --references: whether class 0 is the background, which is no object.",
    ),
]
Suffix = Annotated[
    str, typer.Option("--suffix", help="What file names carry behind the id, as _pred.")
]
Ending = Annotated[
    str, typer.Option("--ending", help="Read only files with this ending, as .png or .npz.")
]
Ids = Annotated[
    str,
    typer.Option("--ids", help="A regular expression that finds the id in a file's path."),
]
Map = Annotated[
    str,
    typer.Option("--map", help="Class ids of values, where they are others: 7=0,#ff0000=1."),
]
MinScore = Annotated[
    float | None,
    typer.Option("--min-score", help="COCO results: take detections from this score on."),
]
Order = Annotated[
    RleOrderFlag,
    typer.Option("--rle-order", help="How the runs of a .csv number pixels (Kaggle: columns)."),
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


def reference_policy(
    references: str | None,
    *,
    suffix: str,
    ending: str,
    ids: str,
    form: ReferencesFormFlag | None,
    values: str,
    means_255: Means255Flag | None,
    background: bool | None,
) -> ReferencePolicy:
    """How bare references are read, as the options say.

    Raises:
        typer.BadParameter: There are none.
    """
    from segbench.masks.forms import FORM_FLAGS  # noqa: PLC0415
    from segbench.masks.value_map import parse_map  # noqa: PLC0415
    from segbench.scoring.references import ReferencePolicy  # noqa: PLC0415

    parse_map(values, option="--references-map")  # refused before the work
    policy = ReferencePolicy(
        suffix=suffix,
        ending=ending,
        ids=ids,
        form=FORM_FLAGS[form] if form else None,
        map=values,
        means_255=means_255.value if means_255 else None,
        background=background,
    )
    if references is None and policy != ReferencePolicy():
        raise typer.BadParameter("--references-... and --background need --references")
    return policy
