"""Published numbers as they are written: read from CSV, each an interval of what it may have been.

A number that is written .89 is anything from .885 to .895: it was rounded.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from segbench.errors import Problems, SegbenchError

Quantity = Literal["dice", "iou", "accuracy", "sensitivity", "specificity", "precision"]
Averaging = Literal["images", "dataset", ""]

QUANTITIES: dict[Quantity, tuple[str, ...]] = {
    "dice": ("dice", "dsc", "dicecoefficient", "dicescore", "f1", "f1score", "fscore"),
    "iou": ("iou", "jaccard", "jac", "ji", "jaccardindex", "intersectionoverunion"),
    "accuracy": ("accuracy", "acc", "pixelaccuracy"),
    "sensitivity": ("sensitivity", "recall", "sens", "sen", "tpr"),
    "specificity": ("specificity", "spec", "spe", "tnr"),
    "precision": ("precision", "prec", "ppv"),
}
"""The measures of one object that claims are about, and what their columns may be called."""

OTHERS: dict[str, tuple[str, ...]] = {
    "data": ("data", "dataset"),
    "method": ("method", "model", "name"),
    "n": ("n", "images", "nimages", "testimages"),
    "averaging": ("averaging", "average", "averaged", "over"),
    "share": ("share", "foreground", "foregroundshare", "classshare"),
    "spread": ("sd", "std", "spread", "stddev", "standarddeviation"),
}
AVERAGINGS: dict[Averaging, tuple[str, ...]] = {
    "images": ("images", "image", "perimage", "meanoverimages", "samples", "samplewise"),
    "dataset": ("dataset", "pooled", "global", "micro", "pixels", "allpixels"),
    "": ("", "unknown", "mixed", "notstated"),
}
_EMPTY = {"", "-", "--", "–", "—", "na", "n/a", "nan", "none"}  # noqa: RUF001  dashes of tables
_NUMBER = re.compile(
    r"(?P<value>\d*[.,]?\d+)\s*(?P<percent>%?)"
    r"(?:\s*(?:±|\+/-|\+-|\()\s*(?P<spread>\d*[.,]?\d+)\s*(?P<spread_percent>%?)\s*\)?)?"
)
_SPREAD_ALONE = re.compile(r"(?P<value>\d*[.,]?\d+)\s*(?P<percent>%?)")
_BEHIND = re.compile(r"±|\+/-|\+-|[(\[]")  # in a header, what follows the measure's name
SURELY_PERCENT = 2
"""A number over this is no fraction that was slightly miscounted."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What a rounded number may have been, both ends included.

    >>> Interval.of(".89")
    Interval(low=0.885, high=0.895, text='.89')
    """

    low: float
    high: float
    text: str = ""

    @classmethod
    def of(cls, text: str, *, percent: bool = False) -> Interval:
        """From a number as written; `percent` divides by a hundred."""
        plain = text.replace(",", ".")
        digits = len(plain.partition(".")[2])
        scale = 100 if percent else 1
        value, half = float(plain), 0.5 * 10**-digits
        low, high = (round((value + sign * half) / scale, digits + 4) for sign in (-1, 1))
        return cls(low, high, text)

    @property
    def middle(self) -> float:
        """The number itself."""
        return (self.low + self.high) / 2

    def clipped(self) -> Interval:
        """Its part within 0 and 1."""
        low, high = (min(max(end, 0.0), 1.0) for end in (self.low, self.high))
        return Interval(low, high, self.text)


@dataclass(frozen=True)
class Claim:
    """One row: what is said of one method on one dataset.

    Attributes:
        line: Of the file, the first line being 1.
        data: The dataset.
        method: The method.
        values: The measures, as fractions.
        spreads: Their standard deviations, as fractions.
        columns: What the columns of the measures are called.
        averaging: Mean over images, pooled dataset, or "" where it is not said.
        n: Images.
        share: Of the foreground in all pixels.
        percent: Whether its numbers without a sign were read as per cent.
    """

    line: int
    data: str
    method: str
    values: Mapping[Quantity, Interval]
    spreads: Mapping[Quantity, Interval]
    columns: Mapping[Quantity, str]
    averaging: Averaging = ""
    n: int | None = None
    share: Interval | None = None
    percent: bool = False


@dataclass(frozen=True)
class Claims:
    """A file of claims.

    Attributes:
        rows: The claims.
        unread: Columns that say nothing to the rules.
    """

    rows: tuple[Claim, ...]
    unread: tuple[str, ...] = field(default=())


def read_claims(path: Path) -> Claims:
    """Read a table of published numbers, separated by commas, semicolons or tabs.

    A number with a per cent sign, or under a header with one, is per cent. The others of a row are
    per cent where all are over 2, fractions where none is over 1, and in between what most other
    rows of the file are.

    Raises:
        SegbenchError: The file is unreadable, has no column of a measure, a row has more cells than
            the header, or a cell is no number; the message lists all of them.
    """
    try:
        lines = list(_lines(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SegbenchError(f"{path}: unreadable ({error})") from error
    if not lines:
        raise SegbenchError(f"{path}: empty; expected a header and a row for each method")
    header = _Header.of(lines[0][1], path)
    problems = Problems()
    numbers = [header.numbers(line, cells, problems) for line, cells in lines[1:]]
    units = [header.unit(found) for found in numbers]
    mostly_percent = sum(+1 if u == "percent" else -1 for u in units if u) > 0
    rows = [
        header.claim(
            line, cells, found, problems, percent=unit == "percent" or (not unit and mostly_percent)
        )
        for (line, cells), found, unit in zip(lines[1:], numbers, units, strict=True)
    ]
    problems.raise_if_any(f"{path}: not read")
    return Claims(tuple(rows), header.unread)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of its first line in the file."""
    head = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    first = 1
    for row in reader:
        if any(cell.strip() for cell in row):
            yield first, row
        first = reader.line_num + 1


_Written = dict[Quantity, re.Match[str]]


@dataclass(frozen=True)
class _Numbers:
    """The numbers of a row as they are written."""

    values: _Written
    spreads: _Written


@dataclass(frozen=True)
class _Header:
    """Which column holds what.

    A column of spreads belongs to the measure in its own name (`dice sd`), or else to the measure
    in the column on its left.
    """

    values: Mapping[Quantity, int]
    spreads: Mapping[Quantity, int]
    others: Mapping[str, int]
    names: Sequence[str]
    unread: tuple[str, ...]

    @classmethod
    def of(cls, cells: Sequence[str], path: Path) -> _Header:
        values: dict[Quantity, int] = {}
        spreads: dict[Quantity, int] = {}
        others: dict[str, int] = {}
        unread: list[str] = []
        left: Quantity | None = None
        for i, cell in enumerate(cells):
            quantity, spread = _quantity(cell)
            other = next((k for k, names in OTHERS.items() if _plain(cell) in names), None)
            if other == "spread":
                quantity, spread = left, True
            if quantity is not None:
                into = spreads if spread else values
                if quantity in into:
                    raise SegbenchError(f"{path}: two columns for {quantity}: {cell!r} is another")
                into[quantity] = i
                left = quantity
            elif other is not None and other not in others:
                others[other] = i
            else:
                unread.append(cell.strip())
        if not values:
            raise SegbenchError(
                f"{path}: no column of a measure; found {', '.join(cells)}; expected some of "
                f"{', '.join(QUANTITIES)}"
            )
        return cls(values, spreads, others, cells, tuple(unread))

    def numbers(self, line: int, cells: Sequence[str], problems: Problems) -> _Numbers:
        """The numbers of a row as they are written, with what is wrong with it."""
        if more := [cell for cell in cells[len(self.names) :] if cell.strip()]:
            problems.add(
                "rows with more cells than the header",
                f"line {line}: {len(self.names) + len(more)} cells under {len(self.names)} columns",
                hint="a decimal comma? write a point, or separate the columns by semicolons",
            )
            return _Numbers({}, {})

        def read(columns: Mapping[Quantity, int], form: re.Pattern[str]) -> _Written:
            found: _Written = {}
            for quantity, i in columns.items():
                text = _cell(cells, i)
                if text.lower() in _EMPTY:
                    continue
                match = form.fullmatch(text)
                if match is None:
                    where = f"line {line}, {self.names[i].strip()}"
                    problems.add("cells that are no number", f"{where}: {text!r}")
                else:
                    found[quantity] = match
            return found

        return _Numbers(read(self.values, _NUMBER), read(self.spreads, _SPREAD_ALONE))

    def unit(self, row: _Numbers) -> Literal["percent", "fraction", ""]:
        """What the numbers of a row without a sign are; empty where they leave it open."""
        bare = [_number(m) for q, m in row.values.items() if not self.signed(q, m)]
        if not bare or 1 < max(bare) <= SURELY_PERCENT or min(bare) <= 1 < max(bare):
            return ""
        return "percent" if max(bare) > 1 else "fraction"

    def signed(self, quantity: Quantity, match: re.Match[str]) -> bool:
        """Whether a value is per cent by its own sign, one behind its spread, or its header's."""
        behind = match["spread_percent"] and _number(match) > 1
        return bool(match["percent"] or behind or "%" in self.names[self.values[quantity]])

    def claim(
        self,
        line: int,
        cells: Sequence[str],
        row: _Numbers,
        problems: Problems,
        *,
        percent: bool,
    ) -> Claim:
        def cell(column: str) -> str:
            return _cell(cells, self.others.get(column))

        values: dict[Quantity, Interval] = {}
        spreads: dict[Quantity, Interval] = {}
        units = dict.fromkeys(self.values, percent)
        for quantity, match in row.values.items():
            units[quantity] = own = percent or self.signed(quantity, match)
            values[quantity] = Interval.of(match["value"], percent=own)
            if match["spread"]:
                signed = bool(match["spread_percent"])
                spreads[quantity] = Interval.of(match["spread"], percent=own or signed)
        for quantity, match in row.spreads.items():
            signed = bool(match["percent"]) or "%" in self.names[self.spreads[quantity]]
            own = units.get(quantity, percent) or signed
            spreads[quantity] = Interval.of(match["value"], percent=own)
        return Claim(
            line=line,
            data=cell("data"),
            method=cell("method"),
            values=values,
            spreads=spreads,
            columns={q: self.names[i].strip() for q, i in self.values.items()},
            averaging=_averaging(cell("averaging"), line, problems),
            n=_count(cell("n"), line, problems),
            share=_share(cell("share"), line, problems),
            percent=percent,
        )


def _cell(cells: Sequence[str], i: int | None) -> str:
    return cells[i].strip() if i is not None and i < len(cells) else ""


def _number(match: re.Match[str]) -> float:
    return float(match["value"].replace(",", "."))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _quantity(cell: str) -> tuple[Quantity | None, bool]:
    """The measure that a column's name says, and whether it is its spread.

    `Dice ± SD` and `Dice (SD)` are columns of the measure, whose cells hold both.
    """
    head = _plain(_BEHIND.split(cell)[0])
    for quantity, names in QUANTITIES.items():
        if head in names:
            return quantity, False
    name = _plain(cell)
    for quantity, names in QUANTITIES.items():
        for spread in OTHERS["spread"]:
            if name in {f"{n}{spread}" for n in names} | {f"{spread}{n}" for n in names}:
                return quantity, True
    return None, False


def _averaging(text: str, line: int, problems: Problems) -> Averaging:
    for averaging, names in AVERAGINGS.items():
        if _plain(text) in names:
            return averaging
    problems.add(
        "averaging that is not known",
        f"line {line}: {text!r}",
        hint="expected images, dataset (pooled), or nothing where it is not said",
    )
    return ""


def _count(text: str, line: int, problems: Problems) -> int | None:
    if text.lower() in _EMPTY:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        problems.add("numbers of images that are none", f"line {line}: {text!r}")
        return None
    return int(text)


def _share(text: str, line: int, problems: Problems) -> Interval | None:
    if text.lower() in _EMPTY:
        return None
    try:
        return share_of(text)
    except SegbenchError as error:
        problems.add("shares that are none", f"line {line}: {error}")
        return None


def share_of(text: str) -> Interval:
    """A share of pixels as written, a fraction or with a per cent sign.

    Raises:
        SegbenchError: It is not from 0 to 1.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is not None and not match["spread"]:
        share = Interval.of(match["value"], percent=bool(match["percent"]))
        if share.middle <= 1:
            return share.clipped()
    raise SegbenchError(f"{text!r}; expected a share such as 0.32 or 32%")
