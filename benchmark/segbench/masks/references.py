"""How bare reference masks are read, decided once over all of them; see `segbench.masks.forms`.

| numbers over all references | read as |
| --- | --- |
| {0}, {1}, {0, 1}, or ids from 0 to 254 | class ids |
| {0, 255} or {255} | binary: 255 is the object |
| {0, 1, 255}, with one object | refused: 255 may be the object or what is to be ignored |
| ids of 2 and more, or several objects named, and 255 | class ids; 255 is ignored |

255 never means two things in one set. Palettes' indices follow the rule of predictions; without a
card no colour has a meaning but black and white.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segbench.errors import Problems, SegbenchError
from segbench.masks.decoded import Kind, Value
from segbench.masks.forms import (
    BINARY_FOREGROUND,
    BLACK,
    WHITE,
    Form,
    Seen,
    color_of,
    colours_tell_apart,
    contradiction_without_card,
    number_of,
    shown,
    some,
)
from segbench.masks.labels import IGNORE_ID, Rgb

Means255 = Literal["object", "ignore"]

OPTION_255 = "--references-255"
OPTION_FORM = "--references-form"

_BLACK_AND_WHITE: Mapping[Rgb, int] = {BLACK: 0, WHITE: 1}


@dataclass(frozen=True)
class ReferenceReading:
    """The form of references.

    Attributes:
        form: Class ids, binary, or by the colours of palettes.
        class_of: The class id of each value; 255 is ignored.
        note: What a person should know of it; empty where all is as it seems.
    """

    form: Form
    class_of: Mapping[Value, int]
    note: str = ""

    @property
    def ids(self) -> frozenset[int]:
        """The class ids that occur."""
        return frozenset(self.class_of.values()) - {IGNORE_ID}


def decide_references(
    seen: Seen,
    *,
    several_objects: bool = False,
    means_255: Means255 | None = None,
    asked: Form | None = None,
) -> ReferenceReading:
    """Find the one form of references.

    Args:
        seen: The values of all files.
        several_objects: More than one object is known to be there: classes were named.
        means_255: What 255 stands for, where a person said it.
        asked: Read them in this form (`--references-form`) instead of finding it.

    Raises:
        SegbenchError: The values fit no form, or several with different meanings.
    """
    _refuse_other_kinds(seen)
    numbers = seen.numbers
    one_object = numbers.keys() <= {0, 1, BINARY_FOREGROUND} and not several_objects
    if asked is Form.COLOURS:
        return _by_black_and_white(seen)
    if asked is None and (
        by_color := _by_palette(seen, one_object=one_object, several_objects=several_objects)
    ):
        return by_color
    _refuse_unknown(seen)
    if asked is Form.BINARY:
        return _as_binary(seen, one_object=one_object)
    if BINARY_FOREGROUND not in numbers:
        return ReferenceReading(Form.CLASS_IDS, _by_number(seen, {}))
    return _with_255(
        seen,
        one_object=one_object,
        several_objects=several_objects,
        means_255=means_255 if asked is None else "ignore",
    )


def _with_255(
    seen: Seen, *, one_object: bool, several_objects: bool, means_255: Means255 | None
) -> ReferenceReading:
    """The reading of numbers among which is 255: the object, or ignored."""
    numbers = seen.numbers
    if numbers.keys() <= {0, BINARY_FOREGROUND} and (several_objects or means_255 == "ignore"):
        raise SegbenchError(
            f"the references hold only {_listed(numbers)}: with 255 as ignore no object would be "
            + (
                "left, and among several classes 255 stands for none; save class ids"
                if several_objects
                else f"left; leave out {OPTION_255} ignore, or check the files"
            )
        )
    if one_object and 1 not in numbers:
        return ReferenceReading(
            Form.BINARY, _by_number(seen, {BINARY_FOREGROUND: 1}), "0/255: 255 is the object"
        )
    if one_object and means_255 is None:
        raise SegbenchError(
            f"mixed forms: value 1 in {some(numbers[1])} and value 255 in "
            f"{some(numbers[BINARY_FOREGROUND])}; 255 may be the object or pixels that are not to "
            f"be scored: say {OPTION_255} object or {OPTION_255} ignore (in Python: "
            f"reference_policy=ReferencePolicy(means_255=...))"
        )
    if means_255 == "object":
        if not one_object:
            raise SegbenchError(
                f"{OPTION_255} object: the references hold {_listed(numbers)}, so that 255 cannot "
                f"stand for the one object; leave it out, and 255 is ignored"
            )
        by_number = _by_number(seen, {BINARY_FOREGROUND: 1})
        return ReferenceReading(Form.BINARY, by_number, "255 is the object, as 1 is")
    return ReferenceReading(Form.CLASS_IDS, _by_number(seen, {}))


def _as_binary(seen: Seen, *, one_object: bool) -> ReferenceReading:
    if not one_object:
        raise SegbenchError(
            f"{OPTION_FORM} binary: the references hold {_listed(seen.numbers)}; expected 0 and 1 "
            f"or 255, and one object"
        )
    by_number = _by_number(seen, {BINARY_FOREGROUND: 1})
    return ReferenceReading(Form.BINARY, by_number, "all but 0 is the object")


def _by_black_and_white(seen: Seen) -> ReferenceReading:
    if not colours_tell_apart(seen, _BLACK_AND_WHITE):
        raise SegbenchError(
            f"{OPTION_FORM} colours: without a card only black and white have a meaning; say what "
            f"others stand for with --references-map '#rrggbb=1'"
        )
    by_color: dict[Value, int] = {v: _BLACK_AND_WHITE[color_of(v)] for v in seen.values}
    return ReferenceReading(Form.PALETTE_COLOURS, by_color, "read by colour")


def _by_palette(seen: Seen, *, one_object: bool, several_objects: bool) -> ReferenceReading | None:
    """The reading by black and white where palettes' numbers mean nothing; None where they do."""
    known = _BLACK_AND_WHITE
    why = contradiction_without_card(seen, one_object=one_object, several_objects=several_objects)
    if not why:
        return None
    if several_objects or not colours_tell_apart(seen, known):
        raise SegbenchError(
            f"{why}, so that it is not known what the numbers mean; say {OPTION_FORM} ids (the "
            f"stored number is the class), or save grey PNG, where nothing is in doubt"
        )
    by_color: dict[Value, int] = {value: known[color_of(value)] for value in seen.values}
    return ReferenceReading(Form.PALETTE_COLOURS, by_color, f"read by colour: {why}")


def _by_number(seen: Seen, changed: Mapping[int, int]) -> dict[Value, int]:
    numbers = {value: number_of(value) for value in seen.values}
    return {v: changed.get(number, number) for v, number in numbers.items() if number is not None}


def _refuse_other_kinds(seen: Seen) -> None:
    advice = {
        Kind.PROBABILITIES: "save class ids, as (mask > 0.5).astype('uint8')",
        Kind.COLOURS: "save grey PNG, one number a class; or say what each colour stands for with "
        "--references-map '#rrggbb=1'",
    }
    problems = Problems()
    for kind, where in seen.kinds.items():
        if kind is not Kind.VALUES:
            for identifier in where:
                problems.add(f"{kind} where class ids are expected", identifier, hint=advice[kind])
    problems.raise_if_any("the references cannot be read")


def _refuse_unknown(seen: Seen) -> None:
    problems = Problems()
    for value, where in sorted(seen.values.items(), key=str):
        number = number_of(value)
        if number is not None and not 0 <= number <= IGNORE_ID:
            problems.add(
                "value that is no class id",
                f"{shown(value)} in {some(where)}",
                hint="class ids go from 0 to 254, and 255 is ignored"
                + ("; save ignored pixels as 255" if number < 0 else "")
                + f", or say --references-map {number}=ignore",
            )
    problems.raise_if_any("the references cannot be read")


def _listed(numbers: Mapping[int, object]) -> str:
    return "{" + ", ".join(map(str, sorted(numbers))) + "}"
