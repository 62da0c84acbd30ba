"""The schema of a leaderboard entry (`entry.json`), version 1, and what lies beside it.

    entry.json         who, how, on what, at what cost; digests that bind it to the files beside it
    scores.json        what `segbench evaluate --out` writes
    rows.parquet       counts and measures of every image and class
    predictions.json   the predicted masks, COCO run lengths: anyone can score them again

An entry holds no weights and no pictures.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from segbench.catalog.strict import Strict, validate
from segbench.errors import SegbenchError
from segbench.masks.json_files import read_json
from segbench.masks.prepared import N_FOLDS
from segbench.scoring.files import ROWS, SCORES

ENTRY, PREDICTIONS = "entry.json", "predictions.json"
FILES = frozenset({ENTRY, PREDICTIONS, SCORES, ROWS})
"""All that an entry's folder may hold; that of a `published` entry holds the first alone."""

MAX_ENTRY_BYTES = 2**20

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in "123")}
)


def _visible(text: str) -> str:
    """Refuse what a terminal would obey or what turns the text around."""
    hidden = {c for c in text if c in _DIRECTIONS or unicodedata.category(c) == "Cc"} - {*"\n\t"}
    if hidden:
        raise ValueError(f"control characters: {', '.join(map(ascii, sorted(hidden)))}")
    return text


Prose = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_visible)]
Text = Annotated[Prose, StringConstraints(min_length=1)]
Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=300, pattern=r"^[^\n\t]*$"),
    AfterValidator(_visible),
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[^\s\"'<>\\]+$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]


def _no_device(name: str) -> str:
    """A folder of that name must be possible on every system."""
    if name.endswith(".") or name.partition(".")[0] in _DEVICES:
        raise ValueError("a name that not every system can store")
    return name


Name = Annotated[
    str,
    StringConstraints(max_length=64, pattern=r"^[a-z0-9][a-z0-9.-]*$"),
    AfterValidator(_no_device),
]

Status = Literal["verified", "reported", "published"]
"""`verified`: the maintainers scored these predictions themselves; `reported`: a submitter did, and
the predictions are here; `published`: a paper's number under its own protocol."""


class Latency(Strict):
    """Milliseconds from a decoded image to its mask, median of one image at a time."""

    milliseconds: float = Field(gt=0)
    device: Line


class Cost(Strict):
    """What a method costs; null where it was not measured or does not apply.

    `flops` are of the network for one image, without mirror images (a multiplication and an
    addition count as two); `training_seconds` and `training_kwh` (energy drawn at the wall or as
    the device counts it) are on `training_machine`.
    """

    parameters: Count | None = None
    flops: Count | None = None
    latencies: tuple[Latency, ...] = Field(default=(), max_length=20)
    training_seconds: float | None = Field(default=None, ge=0)
    training_kwh: float | None = Field(default=None, gt=0)
    training_machine: Line | None = None


class Digests(Strict):
    """What the entry is bound to: decoded pixels of data and predictions, the weights' file."""

    data: Sha256
    predictions: Sha256
    weights: Sha256 | None = None


class Method(Strict):
    """What made the masks: the recipe as it was followed, or a description of one's own."""

    title: Line
    description: Text
    reference: Prose = ""
    recipe: Prose = ""
    commands: tuple[Text, ...] = Field(default=(), max_length=50)
    tta: bool = False


class Training(Strict):
    """On what it was trained: our splits, and everything from elsewhere."""

    data: Text
    external_data: Prose = ""
    pretraining: Prose = ""
    seeds: tuple[Count, ...] = Field(default=(), max_length=100)


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


class Past(Strict):
    """Numbers that the entry had before `segbench rescore`, with what they were made by.

    `scores` are by signature; only those that changed, null where undefined.
    """

    until: date
    segbench_version: Line
    dataset_version: Line
    data: Sha256
    scores: dict[Line, float | None] = Field(max_length=5_000)


class Entry(Strict):
    """A leaderboard entry.

    A `published` entry is this file alone: it has `published` and neither digests nor an
    evaluation of ours. The others have both.
    """

    schema_version: Literal[1] = 1
    name: Name
    status: Status
    authors: tuple[Line, ...] = Field(min_length=1, max_length=100)
    date: date
    dataset: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9][a-z0-9-]*$")]
    dataset_version: Line
    split: Line | None = None
    fold: int | None = Field(default=None, ge=0, lt=N_FOLDS)
    method: Method
    training: Training
    cost: Cost
    digests: Digests | None = None
    segbench_version: Line | None = None
    licence: Annotated[Prose, StringConstraints(max_length=300)] = ""
    links: Links = Links()
    published: Published | None = None
    history: tuple[Past, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _matches_its_status(self) -> Self:
        of_paper = self.status == "published"
        if of_paper != (self.published is not None):
            raise ValueError("status `published` and a `published` part go together")
        if of_paper == (self.digests is not None and self.segbench_version is not None):
            raise ValueError(
                "an entry has digests and a segbench_version, a published one has neither"
            )
        if not of_paper and (self.split == "test") == (self.fold is not None):
            raise ValueError('an entry is scored on `split: "test"` or on a fold')
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
    if folder.is_symlink():
        raise SegbenchError(f"{folder}: is a link; expected an entry's folder")
    entry = validate(read_json(path, max_bytes=MAX_ENTRY_BYTES), Entry, where=path)
    if entry.name != folder.name:
        raise SegbenchError(f"{path}: name {entry.name!r} in a folder called {folder.name!r}")
    return entry


def find_entries(
    results: Path, *, dataset: str | None = None, faulty: Literal["error", "skip"] = "error"
) -> Iterator[tuple[Path, Entry]]:
    """Every entry below a results folder, `<dataset>/<entry>/`, with its folder, in order.

    Args:
        results: The folder.
        dataset: Only the entries of this one.
        faulty: What to do with an entry that breaks the schema or lies in another dataset's folder.

    Raises:
        SegbenchError: An entry is faulty.
    """
    for path in sorted(results.glob(f"{dataset or '*'}/*/{ENTRY}")):
        if path.parent.name.startswith("."):  # one that is being written
            continue
        try:
            entry = _in_place(path)
        except SegbenchError:
            if faulty == "error":
                raise
            continue
        yield path.parent, entry


def _in_place(path: Path) -> Entry:
    entry = read_entry(path.parent)
    if entry.dataset != path.parts[-3]:
        raise SegbenchError(f"{path}: an entry of {entry.dataset} in {path.parts[-3]}/")
    return entry


def find_twin(results: Path, entry: Entry) -> tuple[Path, Entry] | None:
    """Another entry of the same dataset that is made of the same masks, with its folder.

    The digest is of decoded masks, so versions of segbench and of the dataset play no part. Faulty
    entries are passed over: one must not keep others out.
    """
    if entry.digests is None:
        return None
    for folder, other in find_entries(results, dataset=entry.dataset, faulty="skip"):
        same = other.digests is not None and other.digests.predictions == entry.digests.predictions
        if same and other.name != entry.name:
            return folder, other
    return None
