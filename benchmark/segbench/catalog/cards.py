"""Find and read dataset cards: those packed with segbench, the user's, or one named by path."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from segbench.catalog.card import Card
from segbench.catalog.pins import Pins, read_pins
from segbench.catalog.strict import read_toml
from segbench.errors import Problems, SegbenchError
from segbench.masks.labels import id_problems
from segbench.masks.prepared import N_FOLDS, SPLITS

SPLIT_COLUMNS = ("id", "split", "fold", "group", "image_sha256", "mask_sha256")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of splits.csv; digests are of the source's own files, None where not measured."""

    id: str
    split: str
    fold: int | None
    group: str
    image_sha256: str | None
    mask_sha256: str | None


@dataclass(frozen=True)
class Dataset:
    """A dataset in the catalogue: its folder, card, pinned splits (by sample id) and references."""

    folder: Path
    card: Card
    assignments: Mapping[str, Assignment]
    pins: Pins = field(default_factory=Pins)


def content_folder(name: str) -> Path:
    """A content folder (`datasets`, `baselines`): the packed one, else the checkout's.

    Raises:
        SegbenchError: Neither exists; the installation is damaged.
    """
    package = Path(str(resources.files("segbench")))
    for folder in (package / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    raise SegbenchError(f"no {name} folder in {package} or the checkout; install segbench again")


def card_folders() -> dict[str, Path]:
    """Every folder with a card, by dataset name: SEGBENCH_CARDS before segbench's own."""
    roots = [Path(p) for p in os.environ.get("SEGBENCH_CARDS", "").split(os.pathsep) if p]
    missing = [str(root) for root in roots if not root.is_dir()]
    if missing:
        raise SegbenchError(f"SEGBENCH_CARDS names {', '.join(missing)}: no such folder")
    found: dict[str, Path] = {}
    for root in (*roots, content_folder("datasets")):
        own = [root] if (root / "card.toml").is_file() else []
        for folder in (*own, *sorted(root.iterdir())):
            if (folder / "card.toml").is_file():
                found.setdefault(folder.name, folder)
    return found


def find_dataset(name: str, *, card: Path | None = None) -> Dataset:
    """The dataset of a name, or the one whose card (or its folder) is given.

    Raises:
        SegbenchError: There is none of that name, or its card or splits are faulty.
    """
    if card is not None:
        dataset = read_dataset(card if card.is_dir() else card.parent)
        if name and name != dataset.card.name:
            raise SegbenchError(f"{card}: is the card of {dataset.card.name}, not of {name}")
        return dataset
    folders = card_folders()
    if name not in folders:
        raise SegbenchError(
            f"no dataset called {name!r}; there are {', '.join(sorted(folders))}; for your own, "
            f"`segbench new-dataset DIR` writes a card, found by --card or SEGBENCH_CARDS"
        )
    return read_dataset(folders[name])


def read_dataset(folder: Path) -> Dataset:
    """Read `card.toml` and `splits.csv` of one folder.

    Raises:
        SegbenchError: A file is missing or faulty; the message names file, line or key.
    """
    card = read_toml(folder / "card.toml", Card)
    if card.name != folder.name:
        raise SegbenchError(
            f"{folder / 'card.toml'}: name = {card.name!r} in a folder called {folder.name!r}; "
            f"the two must be the same"
        )
    return Dataset(folder, card, _read_splits(folder / "splits.csv"), read_pins(folder))


def _read_splits(path: Path) -> dict[str, Assignment]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = tuple(reader.fieldnames or ())
            if columns != SPLIT_COLUMNS:
                raise SegbenchError(
                    f"{path}: columns {', '.join(columns)}; expected {', '.join(SPLIT_COLUMNS)}"
                )
            lines = list(reader)
    except FileNotFoundError:
        raise SegbenchError(f"{path}: missing; a card needs its splits beside it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SegbenchError(f"{path}: unreadable ({error})") from error
    problems = Problems()
    for kind, identifier in id_problems(line["id"] for line in lines):
        problems.add(kind, identifier)
    found = {line["id"]: _assignment(line, problems) for line in lines}
    _check_groups(found, problems)
    if not found:
        problems.add("no samples", path.name)
    problems.raise_if_any(f"{path}: faulty splits")
    return found


def _assignment(line: dict[str, str], problems: Problems) -> Assignment:
    known = {"", *map(str, range(N_FOLDS))}
    cells: dict[str | None, str | None] = {**line}  # csv fills short and long lines with None
    if None in cells or None in cells.values():
        problems.add("line with too few or too many values", line["id"])
        line = {key: line[key] or "" for key in SPLIT_COLUMNS}
    if line["split"] not in {*SPLITS, ""}:
        problems.add(f"split other than {', '.join(SPLITS)}", f"{line['id']}: {line['split']}")
    if line["fold"] not in known:
        problems.add(f"fold other than 0 to {N_FOLDS - 1}", f"{line['id']}: {line['fold']}")
    return Assignment(
        id=line["id"],
        split=line["split"],
        fold=int(line["fold"]) if line["fold"] in known - {""} else None,
        group=line["group"] or line["id"],
        image_sha256=line["image_sha256"] or None,
        mask_sha256=line["mask_sha256"] or None,
    )


def _check_groups(assignments: Mapping[str, Assignment], problems: Problems) -> None:
    """A group is never in two splits or two folds."""
    first: dict[str, Assignment] = {}
    for item in assignments.values():
        other = first.setdefault(item.group, item)
        if item.split != other.split:
            problems.add("group in two splits", f"{item.group}: {other.id} and {item.id}")
        if item.fold != other.fold:
            problems.add("group in two folds", f"{item.group}: {other.id} and {item.id}")
