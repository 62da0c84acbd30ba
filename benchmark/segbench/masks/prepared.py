"""A prepared dataset on disk, mask format version 1: dataset.json, samples.csv, images/, masks/."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, cast, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.errors import SegbenchError
from segbench.masks.content import IMAGE_FORMATS, not_one_of
from segbench.masks.labels import LabelClass
from segbench.masks.places import Place, Remote, expanded, is_url, place_of
from segbench.masks.png import PALETTE, open_png, samples

SCHEMA_VERSION = 1
N_FOLDS = 5
FIXED_COLUMNS = ("id", "split", "fold", "group", "width", "height", "image", "mask")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of samples.csv; `image` and `mask` are paths below the dataset's folder."""

    id: str
    split: str
    fold: int | None
    group: str
    width: int
    height: int
    image: str
    mask: str
    fields: Mapping[str, str]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width


@dataclass(frozen=True)
class Sample:
    """One sample, read: image HxWx3 uint8 RGB, mask HxW uint8 class ids, the source's columns."""

    id: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    fields: Mapping[str, str]


@dataclass(frozen=True)
class PreparedDataset:
    """A prepared dataset; open it with `PreparedDataset.open(folder)`.

    Attributes:
        root: Its folder.
        info: dataset.json, as it is.
        rows: samples.csv, in its order.
    """

    root: Place
    info: Mapping[str, Any]
    rows: tuple[Row, ...]

    @classmethod
    def open(cls, root: Place) -> PreparedDataset:
        """Read dataset.json and samples.csv (no pixels).

        Raises:
            SegbenchError: The folder is not a prepared dataset of this format version.
        """
        root = place_of(root)
        info = read_info(root)
        return cls(root, info, _read_rows(root / "samples.csv"))

    @property
    def folder(self) -> Path:
        """Its folder on this machine.

        Raises:
            SegbenchError: It lies at a URL.
        """
        if isinstance(self.root, Path):
            return self.root
        raise SegbenchError(
            f"{self.root}: this needs the dataset in a folder; copy it to this machine (URLs are "
            f"read by `segbench evaluate`)"
        )

    @property
    def name(self) -> str:
        """The dataset's name, as in its card."""
        return str(self.info["name"])

    @property
    def version(self) -> str:
        """The version of its card."""
        return str(self.info["version"])

    @cached_property
    def classes(self) -> tuple[LabelClass, ...]:
        """Its classes, by id."""
        return tuple(
            LabelClass(
                id=c["id"],
                name=c["name"],
                color=tuple(c["color"]),
                background=c.get("background", False),
            )
            for c in self.info["classes"]
        )

    def select(self, split: str = "test", *, fold: int | None = None) -> tuple[Row, ...]:
        """The rows of a split, or of a role (train, val, test) when fold K is tested.

        With a fold, fold K is `test`, fold K+1 (mod 5) is `val` and the rest is `train`.

        Raises:
            SegbenchError: There is no such split or fold, or it is empty.
        """
        if fold is None:
            rows = tuple(row for row in self.rows if row.split == split)
        else:
            if fold not in range(N_FOLDS):
                raise SegbenchError(f"fold {fold}: expected 0 to {N_FOLDS - 1}")
            rows = tuple(r for r in self.rows if r.fold is not None and role(r.fold, fold) == split)
        if not rows:
            known = sorted({row.split for row in self.rows} if fold is None else SPLITS)
            raise SegbenchError(
                f"{self.name}: no samples in {selection_name(split, fold)}; "
                f"expected one of {', '.join(known)}"
            )
        return rows

    def digest(self, split: str = "test", *, fold: int | None = None) -> str:
        """The content digest of a split, or of the fold that is tested or validates."""
        key = "split_digests" if fold is None else "fold_digests"
        validates = fold is not None and split == "val"
        name = split if fold is None else str((fold + 1) % N_FOLDS if validates else fold)
        try:
            return str(self.info[key][name])
        except KeyError:
            raise SegbenchError(
                f"{self.root / 'dataset.json'}: no digest of {selection_name(split, fold)}; "
                f"prepare the dataset again with `segbench prepare {self.name} --force`"
            ) from None

    def read_image(self, row: Row) -> NDArray[np.uint8]:
        """The image, HxWx3 uint8 RGB.

        Raises:
            SegbenchError: The file is missing, damaged, or of another size than samples.csv says.
        """
        return read_rgb(self.root / row.image, size=row.size)

    def read_mask(self, row: Row) -> NDArray[np.uint8]:
        """The mask, HxW uint8 class ids (255 = ignore).

        Raises:
            SegbenchError: The file is missing, damaged, of another size than samples.csv says, or
                not an 8-bit palette or grey PNG.
        """
        path = self.root / row.mask
        try:
            png = open_png(data := path.read_bytes())
            if png is not None and (png.colour_type, png.size) == (PALETTE, row.size):
                stored = samples(png)
                if stored is not None:
                    return stored.astype(np.uint8, copy=False)
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.mode != "P" or (image.height, image.width) != row.size:
                    raise SegbenchError(
                        f"{path}: {image.mode} {image.width}x{image.height}, expected a palette "
                        f"PNG of {row.width}x{row.height}; run `segbench check {self.root}`"
                    )
                return np.asarray(image, dtype=np.uint8)
        except (OSError, ValueError, SyntaxError) as error:
            raise self._unreadable(path, error) from error

    def _unreadable(self, path: Place, error: Exception) -> SegbenchError:
        return SegbenchError(
            f"{path}: unreadable ({error}); run `segbench check {self.root}`, then prepare the "
            f"dataset again with --force"
        )

    def stamp(self, row: Row) -> str:
        """The digest of a mask's file; "" at a URL, where the dataset's own must do."""
        if not isinstance(self.root, Path):
            return ""
        path = self.root / row.mask
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise self._unreadable(path, error) from error

    def read(self, row: Row) -> Sample:
        """Image, mask and columns of one row."""
        return Sample(row.id, self.read_image(row), self.read_mask(row), row.fields)


def read_info(root: Place) -> dict[str, Any]:
    """What dataset.json of a prepared dataset says.

    Raises:
        SegbenchError: It is no prepared dataset of this format version.
    """
    try:
        info = json.loads((root / "dataset.json").read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise SegbenchError(
            f"{root}: not a prepared dataset (no dataset.json); make one with "
            f"`segbench prepare`, `segbench datasets` lists what there is"
        ) from None
    except (OSError, ValueError) as error:
        raise SegbenchError(f"{root / 'dataset.json'}: unreadable ({error})") from error
    if not isinstance(info, dict) or info.get("schema_version") != SCHEMA_VERSION:
        found = info.get("schema_version") if isinstance(info, dict) else type(info).__name__
        raise SegbenchError(
            f"{root / 'dataset.json'}: schema_version {found!r}, expected {SCHEMA_VERSION}; "
            f"prepare it again with this version (`segbench prepare --force`)"
        )
    return cast("dict[str, Any]", info)


@dataclass(frozen=True)
class Samples(Sequence[Sample]):
    """A lazy sequence of samples: pixels are read when an item is asked for."""

    dataset: PreparedDataset
    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return Samples(self.dataset, self.rows[index])
        return self.dataset.read(self.rows[index])

    def __iter__(self) -> Iterator[Sample]:
        return map(self.dataset.read, self.rows)


def role(fold: int, tested: int) -> str:
    """The role of a fold's samples when one fold is tested."""
    if fold == tested:
        return "test"
    return "val" if fold == (tested + 1) % N_FOLDS else "train"


def selection_name(split: str, fold: int | None) -> str:
    """What a signature says of a selection: `test`, or `fold0` for the tested fold."""
    if fold is None:
        return split
    return f"fold{fold}" if split == "test" else f"fold{fold}-{split}"


def read_rgb(path: Place, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """An image file as HxWx3 uint8 RGB; alpha is dropped.

    Raises:
        SegbenchError: The file is missing, damaged or has another size than expected.
    """
    try:
        data = path.read_bytes()
        if other := not_one_of(IMAGE_FORMATS, data):
            raise SegbenchError(f"{path}: {other}")
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            if size is not None and (image.height, image.width) != size:
                raise SegbenchError(
                    f"{path}: {image.width}x{image.height}, expected {size[1]}x{size[0]}"
                )
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise SegbenchError(f"{path}: not a readable image ({error})") from error


def data_folder(given: Path | None = None) -> Path:
    """Where prepared datasets live: `--data`, else SEGBENCH_DATA, else the user's data folder."""
    if given is not None:
        return expanded(given)
    if environment := os.environ.get("SEGBENCH_DATA"):
        if is_url(environment):
            raise SegbenchError(
                f"SEGBENCH_DATA={environment}: this command needs a folder on this machine; give "
                f"one with --data (URLs are read by `segbench evaluate`)"
            )
        return expanded(Path(environment))
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_data_dir("segbench", appauthor=False))


def data_place(given: str | Place | None = None) -> Place:
    """As `data_folder`, where a URL will do as well."""
    found = given if given is not None else os.environ.get("SEGBENCH_DATA", "")
    return place_of(found) if found else data_folder()


def prepared_datasets(data: Place) -> list[PreparedDataset]:
    """Every prepared dataset in a data folder, by name; folders that are none are passed over."""
    folders: Sequence[Place]
    if isinstance(data, Path):
        folders = [path.parent for path in sorted(data.glob("*/dataset.json"))]
    else:
        folders = [path for path in data.folders() if (path / "dataset.json").exists()]
    return [PreparedDataset.open(f) for f in folders if not f.name.startswith(".")]


def open_prepared(name: str, *, data: Place | None = None) -> PreparedDataset:
    """The prepared dataset of a name.

    Raises:
        SegbenchError: It has not been prepared there; the message gives the command.
    """
    home = data_folder() if data is None else place_of(data)
    root = home / name
    if not (root / "dataset.json").exists():
        if isinstance(root, Remote):
            raise SegbenchError(
                f"{name} does not lie at {home}; expected {root / 'dataset.json'} (copy there what "
                f"`segbench prepare {name}` makes)"
            )
        where = f" --data {data}" if data is not None else ""
        raise SegbenchError(
            f"{name} is not prepared in {root.parent}; do it with `segbench prepare {name}{where}`"
        )
    return PreparedDataset.open(root)


def load(
    name: str, split: str = "test", *, fold: int | None = None, data: str | Place | None = None
) -> Samples:
    """The samples of a prepared dataset's split, read lazily.

    Args:
        name: The dataset, such as `"ph2"`.
        split: `"train"`, `"val"` or `"test"`; with `fold`, the role in that fold's turn.
        fold: Which of the five folds is tested.
        data: Where prepared datasets live, if not the default place.

    Raises:
        SegbenchError: The dataset is not prepared, or has no such split.
    """
    dataset = open_prepared(name, data=data_place(data))
    return Samples(dataset, dataset.select(split, fold=fold))


def _read_rows(path: Place) -> tuple[Row, ...]:
    try:
        with _text(path) as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [c for c in FIXED_COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise SegbenchError(f"{path}: no column {', '.join(missing)}")
            return tuple(_row(line) for line in reader)
    except FileNotFoundError:
        raise SegbenchError(f"{path}: missing; prepare the dataset again with --force") from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise SegbenchError(f"{path}: unreadable ({error})") from error


def _text(path: Place) -> TextIO:
    if isinstance(path, Path):
        return path.open(encoding="utf-8", newline="")
    return io.StringIO(path.read_bytes().decode("utf-8"), newline="")


def _row(line: dict[str, str]) -> Row:
    return Row(
        id=line["id"],
        split=line["split"],
        fold=int(line["fold"]) if line["fold"] else None,
        group=line["group"] or line["id"],
        width=int(line["width"]),
        height=int(line["height"]),
        image=line["image"],
        mask=line["mask"],
        fields={key: value for key, value in line.items() if key not in FIXED_COLUMNS},
    )
