"""Submissions in one file: COCO results (.json) and Kaggle's tables (.csv) of run lengths.

What is silent elsewhere is said or refused here: detections are united only once it is known from
which score on (`min_score`); a class may be named; regions of one image and class are united.
"""

from __future__ import annotations

import csv
import hashlib
import posixpath
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal, cast, get_args

import numpy as np

from segbench.errors import Problems, SegbenchError
from segbench.masks import rle
from segbench.masks.decode import MASK_ENDINGS, MAX_DISTINCT, check_size
from segbench.masks.decoded import Decoded, Kind, MaskFileError, Size, Value
from segbench.masks.json_files import parse_json
from segbench.masks.labels import LabelClass
from segbench.masks.names import MAX_PART_BYTES

MAX_REGIONS = 1000
"""Of one sample: objects, each a region, or a few for each class."""
MAX_CELL_CHARACTERS = 2**24
"""Of a .csv: a million runs; Python's reader would stop at 131,072 and takes four bytes each."""
MAX_CELLS = 2**22
"""Of a .csv: a row of two short cells takes a hundred times the memory of its characters."""

RleOrder = Literal["columns", "rows", "columns-from-0", "rows-from-0"]
"""How the runs of a .csv number pixels: Kaggle's go down the columns and count from 1."""

Runs = str | Sequence[int]
Region = tuple[int | str, Size | None, Runs]
"""Class (by number or name), size where the file tells it, and runs."""

_SHOWN_CUTS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What a table of run lengths does not say of itself.

    Attributes:
        min_score: Regions with a lower score are left out; None: there are no scores.
        rle_order: How the runs of a .csv number pixels.
    """

    min_score: float | None = None
    rle_order: RleOrder = "columns"


@dataclass(frozen=True)
class RleTable:
    """Masks as run lengths: for each sample (class value, runs to mask) in any order."""

    origin: str
    regions: Mapping[str, Sequence[Region]]
    notes: tuple[str, ...] = ()
    order: RleOrder = "columns"

    @property
    def ids(self) -> frozenset[str]:
        """The samples that the table names."""
        return frozenset(self.regions)

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Paint one sample's regions; see `Submission.decode`.

        Regions of one class are united.

        Raises:
            MaskFileError: A region is damaged, has another size, or regions of two classes overlap.
        """
        del threshold
        regions = self.regions[identifier]
        if len(regions) > MAX_REGIONS:
            raise MaskFileError("too many regions", f"{len(regions):,}, expected one an object")
        own = next((own for _, own, _ in regions if own is not None), size)
        check_size(own, None if any_size else size)
        named = {value for value, _, _ in regions}
        if unknown := sorted(value for value in named if isinstance(value, str)):
            raise MaskFileError("class by name", ", ".join(unknown[:3]))
        values: tuple[Value, ...] = (0, *sorted(cast("set[int]", named) - {0}))
        if len(values) > MAX_DISTINCT:
            raise MaskFileError("not a mask", f"{len(values)} classes in one sample")
        codes = np.zeros(own, dtype=np.uint8)
        painted = np.zeros(own, dtype=bool)
        for value, region_size, runs in regions:
            if region_size is None:
                mask = rle.kaggle_mask(cast("str", runs), own, order=self.order)
            else:
                check_size(region_size, own)
                counts = rle.decompress(runs, own) if isinstance(runs, str) else runs
                mask = rle.mask_of(counts, own)
            code = values.index(cast("int", value))
            if (codes[mask & painted] != code).any():
                raise MaskFileError(
                    "overlapping classes", f"class {value}", hint="a pixel has one class"
                )
            codes[mask] = code
            painted |= mask
        if 0 in named and not painted.all():
            raise MaskFileError(
                "regions of class 0 beside pixels in none",
                f"{int((~painted).sum()):,} pixels",
                hint="pixels in no region are class 0: are the classes counted from 0? the first "
                "object is 1",
            )
        return Decoded(codes, values, Kind.VALUES)

    def stamp(self, identifier: str) -> str:
        """The digest of one sample's regions; see `Submission.stamp`."""
        return hashlib.sha256(f"{self.order}{self.regions[identifier]!r}".encode()).hexdigest()

    def part(self, identifiers: Collection[str]) -> RleTable:
        """The regions of some samples; see `Submission.part`."""
        return replace(self, regions={key: self.regions[key] for key in identifiers}, notes=())

    def of_classes(self, classes: Sequence[LabelClass]) -> RleTable:
        """The table with its classes by number, as those of a dataset.

        Raises:
            SegbenchError: A class is named that there is not.
        """
        ids = {label.name: label.id for label in classes}
        problems = Problems()

        def number(identifier: str, value: int | str) -> int:
            if isinstance(value, str) and value not in ids:
                problems.add(f"unknown class {value!r}", identifier, hint=f"there are {list(ids)}")
                return 0
            return value if isinstance(value, int) else ids[value]

        regions = {
            identifier: [(number(identifier, value), size, runs) for value, size, runs in found]
            for identifier, found in self.regions.items()
        }
        problems.raise_if_any(f"{self.origin}: the predictions were not scored")
        return replace(self, regions=regions)


def read_table(
    data: bytes, name: str, *, origin: str, options: TableOptions | None = None
) -> RleTable:
    """Read a whole submission from a COCO results .json or a Kaggle .csv of run lengths.

    Args:
        data: The file.
        name: Its name, whose ending tells which of the two it is.
        origin: Where it comes from, for messages.
        options: What it does not say of itself.

    Raises:
        SegbenchError: The file is neither, or can be read in several ways.
    """
    options = options or TableOptions()
    try:
        if name.lower().endswith(".json"):
            return _coco(data.decode("utf-8-sig"), origin, options)
        return _kaggle(_decoded(data), origin, options)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise SegbenchError(
            f"{origin}: {name} is not a table of run lengths ({said}); "
            f"expected COCO results [{{image_id, category_id, segmentation: {{size, counts}}}}] "
            f"or a Kaggle CSV with an id and an EncodedPixels column"
        ) from error


def _coco(text: str, origin: str, options: TableOptions) -> RleTable:
    if options.rle_order != "columns":
        raise SegbenchError(
            f"{origin}: --rle-order {options.rle_order} is of a .csv; COCO's runs go down the "
            f"columns"
        )
    parsed = parse_json(text)
    names: dict[str, str] = {}
    if isinstance(parsed, dict):
        whole = cast("dict[str, object]", parsed)
        names = _file_names(cast("list[dict[str, object]]", whole.get("images", [])))
        parsed = whole["annotations"]
    items = cast("list[dict[str, object]]", parsed)
    kept = _above(items, origin, options.min_score)
    regions: dict[str, list[Region]] = {identifier: [] for identifier in names.values()}
    if not names:  # of results alone: an image all of whose detections are cut is empty
        regions = {_short(str(item["image_id"])): [] for item in items}
    for i, item in enumerate(kept):
        image = str(item["image_id"])
        if names and image not in names:
            raise ValueError(f"annotation {i} is of image {image}, which `images` does not list")
        regions[names.get(image, image)].append(_region(item, i))
    if not regions:
        raise ValueError("no masks in it")
    notes = _united(regions)
    if options.min_score is not None:
        cut = (
            f"{len(kept):,} of {len(items):,} detections have a score of {options.min_score:g} or "
            f"more; the others were left out"
        )
        notes = (*notes, cut)
    return RleTable(f"{origin} (COCO RLE)", regions, notes)


def _file_names(images: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """The sample's id of each image of a COCO file: its file's name without folder and ending."""
    found: dict[str, str] = {}
    stems: set[str] = set()
    for image in images:
        name = PurePosixPath(str(image.get("file_name", image["id"])).replace("\\", "/")).name
        stem = posixpath.splitext(name)[0] if "file_name" in image else name
        if stem in stems or str(image["id"]) in found:
            raise ValueError(f"`images` lists {_short(name)} twice")
        stems.add(stem)
        found[_short(str(image["id"]))] = _short(stem)
    return found


def _region(item: Mapping[str, object], i: int) -> Region:
    if item.get("iscrowd"):
        raise ValueError(
            f"annotation {i} has iscrowd = 1, which marks a crowd that is not told apart: leave "
            f"such regions out of predictions"
        )
    if isinstance(item["segmentation"], list):
        raise TypeError(
            f"annotation {i} is a polygon: how its edge becomes pixels differs between tools. "
            f"Save run lengths: pycocotools' annToRLE gives them"
        )
    segmentation = cast("dict[str, object]", item["segmentation"])
    height, width = cast("list[int]", segmentation["size"])
    counts = cast("str | list[int]", segmentation["counts"])
    if not isinstance(counts, str):
        counts = [_integer(c) for c in counts]
    return _integer(item["category_id"]), (_integer(height), _integer(width)), counts


def _above(
    items: Sequence[Mapping[str, object]], origin: str, min_score: float | None
) -> Sequence[Mapping[str, object]]:
    """The detections from a score on.

    Raises:
        SegbenchError: There are scores and no cut, or the other way round.
    """
    found = [item["score"] for item in items if "score" in item]
    scores = [s for s in found if isinstance(s, int | float) and not isinstance(s, bool)]
    if len(scores) < len(found):
        raise TypeError("a score is no number")
    if not scores:
        if min_score is None:
            return items
        raise SegbenchError(f"{origin}: --min-score {min_score:g}, but the file has no scores")
    if len(scores) < len(items):
        raise SegbenchError(
            f"{origin}: {len(scores):,} of {len(items):,} regions have a score; expected all or "
            f"none"
        )
    if min_score is None:
        left = ", ".join(f"{sum(s >= cut for s in scores):,} at {cut:g}" for cut in _SHOWN_CUTS)
        raise SegbenchError(
            f"{origin}: {len(scores):,} detections with scores; a mask is what is detected from a "
            f"score on, and which one changes the result: say --min-score 0.5 (left are {left})"
        )
    return [item for item, score in zip(items, scores, strict=True) if score >= min_score]


def _united(regions: Mapping[str, Sequence[Region]]) -> tuple[str, ...]:
    """What to say where an image has several regions of one class."""
    several = [
        identifier
        for identifier, found in regions.items()
        if max(Counter(value for value, _, _ in found).values(), default=0) > 1
    ]
    if not several:
        return ()
    note = (
        f"regions of one image and class are united, in {len(several):,} images ({several[0]}, ...)"
    )
    return (note,)


def _integer(value: object) -> int:
    """Refuse what `int` would cut: 1.9 is no class."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} is no whole number")
    return value


_ID_COLUMNS = ("id", "imageid", "image_id", "img", "image", "filename", "record_id")
_BOTH_COLUMNS = ("image_label", "imageid_classid", "id_class", "image_class")
_RUN_COLUMNS = (
    "encodedpixels", "rle_mask", "rle", "segmentation", "encoded_pixels", "predicted",
)  # fmt: skip
_CLASS_COLUMNS = ("class", "classid", "class_id", "label", "category_id")
_NOTHING = frozenset({"", "nan", "-1", "1 0", "0 0", "-", "none", "null", "[]"})
"""How a table says that nothing was predicted."""

BINARY_VALUE = 255
"""A Kaggle table without a class column marks the one foreground class, as 0/255 masks do."""

_FIELD_SIZE = threading.Lock()


def _decoded(data: bytes) -> str:
    """The text of a table: UTF-8, or UTF-16 as spreadsheets write it."""
    wide = data[:2] in {b"\xff\xfe", b"\xfe\xff"}
    return data.decode("utf-16" if wide else "utf-8-sig")


def _rows(text: str) -> list[list[str]]:
    """The rows, header first, of a table that is separated by commas, semicolons or tabs.

    Raises:
        ValueError: It has more cells than `MAX_CELLS`.
    """
    header = text.partition("\n")[0]
    separator = next((s for s in ",;\t" if s in header), ",")
    if sum(map(text.count, (separator, "\n", "\r"))) > MAX_CELLS:
        raise ValueError(f"more than {MAX_CELLS:,} cells")
    with _FIELD_SIZE:  # the limit is one for the whole process
        before = csv.field_size_limit(MAX_CELL_CHARACTERS)
        try:
            lines = (f"{line}\n" for line in text.split("\n"))  # StringIO takes four bytes a letter
            return list(csv.reader(lines, delimiter=separator))
        finally:
            csv.field_size_limit(before)


def _cell(cells: Sequence[str], column: int | None) -> str:
    """A cell of a row that may be shorter than the header."""
    return "" if column is None or column >= len(cells) else cells[column]


def _kaggle(text: str, origin: str, options: TableOptions) -> RleTable:
    if options.min_score is not None:
        raise SegbenchError(f"{origin}: --min-score is of COCO results; a .csv has no scores")
    if options.rle_order not in get_args(RleOrder):
        raise SegbenchError(f"--rle-order {options.rle_order}: expected {get_args(RleOrder)}")
    rows = _rows(text)
    header = {name.strip().lower(): i for i, name in enumerate(rows[0] if rows else [])}

    def column(known: Sequence[str]) -> int | None:
        return next((header[name] for name in known if name in header), None)

    of_id, of_both = column(_ID_COLUMNS), column(_BOTH_COLUMNS)
    of_runs, of_class = column(_RUN_COLUMNS), column(_CLASS_COLUMNS)
    if (of_both if of_id is None else of_id) is None or of_runs is None:
        raise ValueError(f"its columns are {', '.join(header)[:200]}")
    regions: dict[str, list[Region]] = {}
    for cells in filter(None, rows[1:]):
        if of_id is None:
            identifier, _, value = _cell(cells, of_both).rpartition("_")
        else:
            identifier = _cell(cells, of_id)
            value = str(BINARY_VALUE) if of_class is None else _cell(cells, of_class)
        found = regions.setdefault(_without_ending(_short(identifier.strip())), [])
        runs = _cell(cells, of_runs).strip()
        if runs.lower() not in _NOTHING:
            number = value.strip()
            found.append((int(number) if number.isdigit() else number, None, runs))
    if not regions:
        raise ValueError("no rows in it")
    return RleTable(f"{origin} (Kaggle RLE)", regions, _united(regions), order=options.rle_order)


def _short(identifier: str) -> str:
    """An id, no longer than a file's name can be: a stranger's would fill every message.

    Raises:
        ValueError: It is.
    """
    if len(identifier) > MAX_PART_BYTES:
        raise ValueError(f"an id of {len(identifier):,} characters, {identifier[:40]!r}...")
    return identifier


def _without_ending(name: str) -> str:
    path = PurePosixPath(name)
    return path.name[: -len(path.suffix)] if path.suffix.lower() in MASK_ENDINGS else name
