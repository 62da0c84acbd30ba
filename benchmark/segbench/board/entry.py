"""The schema of a leaderboard entry (`entry.json`), version 1, and what lies beside it.

    entry.json         who, how, on what, at what cost; digests that bind it to the files beside it
    scores.json        what `segbench evaluate --out` writes
    rows.parquet       counts and measures of every image and class
    predictions.json   the predicted masks, COCO run lengths: anyone can score them again

An entry holds no weights and no pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from segbench.catalog.strict import Strict, validate
from segbench.errors import SegbenchError

ENTRY, PREDICTIONS = "entry.json", "predictions.json"

Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\"'<>]+$")]

Status = Literal["verified", "reported", "published"]
"""`verified`: the maintainers scored these predictions themselves; `reported`: a submitter did, and
the predictions are here; `published`: a paper's number under its own protocol."""


class Latency(Strict):
    """Milliseconds from a decoded image to its mask, median of one image at a time."""

    milliseconds: float = Field(gt=0)
    device: Text


class Cost(Strict):
    """What a method costs; null where it was not measured or does not apply.

    `flops` are of the network for one image, without mirror images (a multiplication and an
    addition count as two); `training_seconds` and `training_kwh` (energy drawn at the wall or as
    the device counts it) are on `training_machine`.
    """

    parameters: int | None = Field(default=None, ge=0)
    flops: int | None = Field(default=None, ge=0)
    latencies: tuple[Latency, ...] = ()
    training_seconds: float | None = Field(default=None, ge=0)
    training_kwh: float | None = Field(default=None, gt=0)
    training_machine: str | None = None


class Digests(Strict):
    """What the entry is bound to: decoded pixels of data and predictions, the weights' file."""

    data: Sha256
    predictions: Sha256
    weights: Sha256 | None = None


class Method(Strict):
    """What made the masks: the recipe as it was followed, or a description of one's own."""

    title: Text
    description: Text
    reference: str = ""
    recipe: str = ""
    commands: tuple[Text, ...] = ()
    tta: bool = False


class Training(Strict):
    """On what it was trained: our splits, and everything from elsewhere."""

    data: Text
    external_data: str = ""
    pretraining: str = ""
    seeds: tuple[int, ...] = ()


class Links(Strict):
    """Where the method is described and kept."""

    paper: Url | None = None
    code: Url | None = None


class Published(Strict):
    """Numbers copied from a paper, with the protocol that they were made under.

    `scores` are by measure, as the source averages them: `{"dice": 0.957, "iou": 0.923}`.
    """

    source: Text
    protocol: Text
    scores: dict[Literal["dice", "iou", "accuracy"], Annotated[float, Field(ge=0, le=1)]] = Field(
        min_length=1
    )


class Entry(Strict):
    """A leaderboard entry.

    A `published` entry is this file alone: it has `published` and neither digests nor an
    evaluation of ours. The others have both.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    status: Status
    authors: tuple[Text, ...] = Field(min_length=1)
    date: date
    dataset: Text
    dataset_version: Text
    split: str | None = None
    fold: int | None = None
    method: Method
    training: Training
    cost: Cost
    digests: Digests | None = None
    segbench_version: Text | None = None
    licence: str = ""
    links: Links = Links()
    published: Published | None = None

    @model_validator(mode="after")
    def _matches_its_status(self) -> Self:
        of_paper = self.status == "published"
        if of_paper != (self.published is not None):
            raise ValueError("status `published` and a `published` part go together")
        if of_paper == (self.digests is not None and self.segbench_version is not None):
            raise ValueError(
                "an entry has digests and a segbench_version, a published one has neither"
            )
        return self

    @property
    def selection(self) -> str:
        """The split or fold that it was scored on."""
        return (self.split or "") if self.fold is None else f"fold {self.fold}"


def read_entry(folder: Path) -> Entry:
    """The entry in a folder.

    Raises:
        SegbenchError: There is none, or it breaks the schema.
    """
    path = folder / ENTRY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SegbenchError(f"{path}: unreadable ({error})") from error
    entry = validate(content, Entry, where=path)
    if entry.name != folder.name:
        raise SegbenchError(f"{path}: name {entry.name!r} in a folder called {folder.name!r}")
    return entry


def find_entries(results: Path, *, dataset: str | None = None) -> Iterator[tuple[Path, Entry]]:
    """Every entry below a results folder, `<dataset>/<entry>/`, with its folder, in order.

    Raises:
        SegbenchError: An entry breaks the schema, or lies in another dataset's folder.
    """
    for path in sorted(results.glob(f"{dataset or '*'}/*/{ENTRY}")):
        entry = read_entry(path.parent)
        if entry.dataset != path.parts[-3]:
            raise SegbenchError(f"{path}: an entry of {entry.dataset} in {path.parts[-3]}/")
        yield path.parent, entry
