"""The schema of a dataset card, version 1. A published card is never edited, it is superseded."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from segbench.catalog.strict import Strict
from segbench.masks.labels import IGNORE_ID, LabelClass, class_name_problem, foreground

RESERVED_NAMES = frozenset({"plots", "site"})
"""Folders of the rendered leaderboard; no dataset may take them."""

ArchiveKind = Literal["rar", "zip", "tar"]
Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


class ClassEntry(Strict):
    """One class: pixel value, name, colour in the palette of the masks.

    Class 0 is the background where it is called so, or where `background = true` says so.
    """

    id: int = Field(ge=0, le=254)
    name: Text
    color: tuple[
        Annotated[int, Field(ge=0, le=255)],
        Annotated[int, Field(ge=0, le=255)],
        Annotated[int, Field(ge=0, le=255)],
    ]
    background: bool = False

    @model_validator(mode="after")
    def _readable(self) -> ClassEntry:
        if self.background and self.id:
            raise ValueError("only class 0 may be the background; it is no object")
        if problem := class_name_problem(self.id, self.name):
            raise ValueError(problem)
        return self


class UrlSource(Strict):
    """An archive to download."""

    kind: Literal["url"]
    url: Url
    archive: ArchiveKind
    sha256: Sha256 | None = None


class KaggleSource(Strict):
    """A dataset on Kaggle."""

    kind: Literal["kaggle"]
    reference: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+(/versions/\d+)?$")]
    archive: ArchiveKind = "zip"


class ManualSource(Strict):
    """A dataset that a person must fetch: the instructions are printed."""

    kind: Literal["manual"]
    instructions: Text


class DrawnSource(Strict):
    """A dataset drawn by segbench's own code from a seed."""

    kind: Literal["drawn"]
    drawer: Literal["synthetic-lesions"]
    seed: int


Source = Annotated[
    UrlSource | KaggleSource | ManualSource | DrawnSource, Field(discriminator="kind")
]


class Layout(Strict):
    """Where images and masks lie, at whatever depth the pattern starts.

    `{id}` stands for the sample's id wherever it occurs; the rest of a pattern is literal, but `*`
    stands for anything within one name. Upper and lower case are not told apart.
    """

    id: Text
    image: Text
    mask: Text

    @field_validator("id")
    @classmethod
    def _regular_expression(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @field_validator("image", "mask")
    @classmethod
    def _has_id(cls, pattern: str) -> str:
        if "{id}" not in pattern:
            raise ValueError("expected {id} where the sample's id stands")
        return pattern


class ThresholdRule(Strict):
    """Two classes by grey level: above is the foreground; alpha is ignored."""

    kind: Literal["threshold"]
    above: int = Field(ge=0, le=65534)


class OneBitRule(Strict):
    """Two classes in a 1-bit picture: the set (white) pixels are the foreground."""

    kind: Literal["one-bit"]


class PaletteRule(Strict):
    """Classes by colour: each colour in the source must be a class's (or the ignore colour)."""

    kind: Literal["palette"]
    ignore: tuple[int, int, int] | None = None


class IdsRule(Strict):
    """The stored number is the class id, or is mapped to one (`map = {"7" = 0}`; 255 = ignore)."""

    kind: Literal["ids"]
    map: dict[int, int] | None = None


MaskRule = Annotated[
    ThresholdRule | OneBitRule | PaletteRule | IdsRule, Field(discriminator="kind")
]


class ColumnFrom(Strict):
    """A column taken from the source's table, its values renamed where `values` says."""

    source: Text
    values: dict[str, str] | None = None


class ColumnOneHot(Strict):
    """A column from several marked ones: the marked (non-empty) source column gives the value."""

    one_hot: dict[str, str]


class Table(Strict):
    """A table in the source that describes the samples."""

    kind: Literal["xlsx", "csv", "pipes"]
    file: Text
    key: Text
    columns: dict[str, ColumnFrom | ColumnOneHot]


class Metadata(Strict):
    """The source's own columns in samples.csv.

    `from_id` is a regular expression on the id whose named groups become columns; `tables` are
    tried in turn until one is found in the source.
    """

    from_id: str | None = None
    tables: tuple[Table, ...] = ()


class Splits(Strict):
    """How splits.csv was made (it is a file, never code run at the user's)."""

    method: Text
    seed: int | None = None
    group: Text


class Licence(Strict):
    """On what terms the source may be used."""

    name: Text
    terms: Text
    url: Url | None = None


class Card(Strict):
    """A dataset card (`card.toml`)."""

    schema_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Text
    title: Text
    task: Literal["semantic"]
    description: Text
    homepage: Url | None = None
    citation: Text
    ignore_id: Literal[255] = IGNORE_ID
    classes: tuple[ClassEntry, ...] = Field(min_length=2)
    sources: tuple[Source, ...] = Field(min_length=1)
    layout: Layout | None = None
    mask: MaskRule | None = None
    metadata: Metadata = Metadata()
    splits: Splits
    licence: Licence

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{', '.join(sorted(RESERVED_NAMES))} are folders of the leaderboard")
        return name

    @model_validator(mode="after")
    def _whole(self) -> Card:
        ids = [c.id for c in self.classes]
        if ids != sorted(set(ids)):
            raise ValueError(f"classes must be in order of their ids, each once; found {ids}")
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names):
            raise ValueError(f"two classes share a name: {', '.join(names)}")
        drawn = any(isinstance(s, DrawnSource) for s in self.sources)
        if not drawn and (self.layout is None or self.mask is None):
            raise ValueError("[layout] and [mask] are needed to read the source")
        two = len(self.classes) == 2 and len(foreground(self.labels)) == 1  # noqa: PLR2004
        if isinstance(self.mask, ThresholdRule | OneBitRule) and not two:
            raise ValueError(f"mask.kind {self.mask.kind} needs background (0) and one class")
        return self

    @property
    def labels(self) -> tuple[LabelClass, ...]:
        """The classes as the mask format knows them."""
        return tuple(
            LabelClass(id=c.id, name=c.name, color=c.color, background=c.background)
            for c in self.classes
        )
