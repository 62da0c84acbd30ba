"""How the masks of a folder code their classes, for the card that `new-dataset` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

import numpy as np

from segbench.errors import SegbenchError
from segbench.masks.content import format_of
from segbench.masks.decode import decode
from segbench.masks.decoded import Kind, MaskFileError, Value
from segbench.masks.forms import (
    BLACK,
    WHITE,
    Seen,
    color_of,
    colours_tell_apart,
    contradiction_without_card,
    number_of,
)
from segbench.masks.labels import IGNORE_ID, Rgb

N_MASKS_LOOKED_AT = 100
MAX_CLASSES = 64

_COLOURS = ((0, 0, 0), (255, 255, 255), (230, 159, 0), (86, 180, 233), (0, 158, 115),
            (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))  # fmt: skip
_NEAR_AN_END, _SHARE_AT_ENDS = 32, 0.9
_TOP = 255


class Hold(StrEnum):
    """What the numbers in the masks are, where a person says it: `--values`."""

    CLASSES = "classes"
    INSTANCES = "instances"
    GREY = "grey"


@dataclass(frozen=True)
class Coding:
    """How the masks code classes: the card's [mask] table and [[classes]]."""

    rule: str
    classes: tuple[tuple[int, str, Rgb], ...]
    comment: str


@dataclass
class _Found:
    """The values of the masks that were looked at, with their pixels."""

    seen: Seen = field(default_factory=Seen)
    pixels: Counter[Value] = field(default_factory=Counter[Value])
    of_files: list[set[int]] = field(default_factory=list[set[int]])
    soft: bool = False
    lossy: bool = False


def looks_like_a_mask(path: Path) -> bool:
    """Whether a picture has few values, as no photo has."""
    try:
        decoded = decode(path.read_bytes(), path.suffix.lower())
    except MaskFileError:
        return False
    return len(np.unique(decoded.codes)) <= MAX_CLASSES


def find_coding(folder: Path, masks: Sequence[str], hold: Hold | None) -> Coding:
    """How masks code classes.

    Args:
        folder: Where they are.
        masks: Their names.
        hold: What their numbers are, where a person said it.

    Raises:
        SegbenchError: A mask is unreadable, or what they hold can be read in several ways.
    """
    found = _look(folder, masks)
    if hold is Hold.GREY or (hold is None and (found.soft or found.lossy)):
        kind = "JPEG: " if found.lossy else ""
        return _object(127, f"{kind}soft grey edges: above is the object")
    if found.seen.kinds.keys() == {Kind.COLOURS}:
        return _by_colour(found)
    numbers = found.seen.numbers
    one_object = numbers.keys() <= {0, 1, IGNORE_ID}
    if why := contradiction_without_card(found.seen, one_object=one_object):
        if {color_of(v) for v in found.seen.values} <= {BLACK, WHITE} and colours_tell_apart(
            found.seen, {BLACK: 0, WHITE: 1}
        ):
            return Coding(
                'kind = "one-bit"', _two_classes(), "white on black, whatever number white has"
            )
        raise SegbenchError(
            f"{folder}: {why}; numbers and colours say different things. Write the card by hand, "
            f"with mask.kind = 'palette' (the colour is the class) or 'ids' (the number is)"
        )
    if hold is Hold.INSTANCES:
        return _object(0, "instance numbers: whatever is above 0 is the object")
    if numbers.keys() <= {0, IGNORE_ID}:
        return _object(127, "white on black")
    if hold is None:
        _refuse_doubt(folder, found)
    return _ids(numbers)


def _look(folder: Path, masks: Sequence[str]) -> _Found:
    found = _Found()
    for name in masks[:: max(1, len(masks) // N_MASKS_LOOKED_AT)]:
        data = (folder / name).read_bytes()
        try:
            decoded = decode(data, PurePosixPath(name).suffix.lower())
        except MaskFileError as error:
            lossy = error.kind == "lossy file"
            soft = lossy and format_of(data) == "JPEG"  # others are not read by any rule
            if not soft and error.kind not in {"not a mask", "transparent pixels"}:
                raise SegbenchError(f"{folder / name}: {error}") from error
            found.soft = True  # soft edges: a grey level decides
            found.lossy |= lossy
            continue
        pixels = np.bincount(decoded.codes.ravel()).tolist()
        there = {v: n for v, n in zip(decoded.values, pixels, strict=False) if n}
        found.seen.add(name, decoded.kind, valid=there)
        found.pixels.update(there)
        found.of_files.append({n for v in there if (n := number_of(v)) is not None})
    numbers = found.seen.numbers
    if len(numbers) > MAX_CLASSES and max(numbers) <= _TOP:
        ends = sum(n for v, n in found.pixels.items() if _is_near_an_end(number_of(v)))
        found.soft |= ends >= _SHARE_AT_ENDS * sum(found.pixels.values())
    return found


def _is_near_an_end(number: int | None) -> bool:
    return number is not None and not _NEAR_AN_END < number < _TOP - _NEAR_AN_END


def _refuse_doubt(folder: Path, found: _Found) -> None:
    """Refuse numbers that are perhaps no classes, with what they may be."""
    numbers = sorted(found.seen.numbers)
    choices = (
        "say what they are with --values classes (each number is a class), --values instances "
        "(each number is one object, and all of them one class) or --values grey (above 127 is "
        "the object)"
    )
    if len(numbers) > MAX_CLASSES:
        raise SegbenchError(
            f"{folder}: {len(numbers)} different values in the masks, {numbers[0]} to "
            f"{numbers[-1]}; {choices}"
        )
    counts = [own - {0, IGNORE_ID} for own in found.of_files]
    consecutive = all(own == set(range(1, len(own) + 1)) for own in counts)
    if consecutive and len({len(own) for own in counts} - {0}) > 1:
        raise SegbenchError(
            f"{folder}: every mask holds 1, 2, ... up to a number of its own (up to "
            f"{max(map(len, counts))}), as instance numbers do; {choices}"
        )


def _two_classes() -> tuple[tuple[int, str, Rgb], ...]:
    return (0, "background", _COLOURS[0]), (1, "object", _COLOURS[1])


def _object(above: int, comment: str) -> Coding:
    return Coding(f'kind = "threshold"\nabove = {above}', _two_classes(), comment)


def _ids(numbers: Mapping[int, object]) -> Coding:
    ids = sorted({0, *numbers} - {IGNORE_ID})
    if not 0 <= min(ids) <= max(ids) < IGNORE_ID:
        raise SegbenchError(
            f"mask values from {min(ids)} to {max(ids)}; class ids go from 0 to 254: map them in a "
            f'card written by hand (map = {{"{max(ids) if max(ids) > 0 else min(ids)}" = 1}}; 255 '
            f"is ignored)"
        )
    classes = tuple(
        (i, "background" if i == 0 else f"class {i}", _COLOURS[n % len(_COLOURS)])
        for n, i in enumerate(ids)
    )
    comment = f"the values {', '.join(map(str, ids))} occur" + (
        "; 255 is read as ignore" if IGNORE_ID in numbers else ""
    )
    return Coding('kind = "ids"', classes, comment)


def _by_colour(found: _Found) -> Coding:
    colours = {color_of(value) for value, _ in found.pixels.most_common()}
    ordered = sorted(colours, key=lambda c: (c != BLACK, c))
    if len(ordered) > MAX_CLASSES:
        raise SegbenchError(f"{len(ordered)} colours in the masks: pictures, or soft edges?")
    classes = tuple(
        (i, "background" if color == BLACK else f"class {i}", color)
        for i, color in enumerate(ordered)
    )
    return Coding('kind = "palette"', classes, "each colour is a class")
