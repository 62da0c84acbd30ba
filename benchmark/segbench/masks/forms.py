"""Which form a submission is in, decided once over all of it, never file by file.

A mask of 0 and 1 may hold class ids or a binary mask; the same number must not mean two things in
one submission. So the values of all files are gathered first and read by one rule:

| values over the whole submission | read as |
| --- | --- |
| only class ids of the card | class ids |
| {0, 255}, and the card has one foreground class | binary |
| {0, 1, 255}, or some files {0, 1} and others {0, 255} | refused: mixed |
| 255 at a valid pixel otherwise, or any other value | refused: unknown class |
| colours all in the card's palette | colour-coded |
| floats in [0, 1] | probabilities |

Pixels that the reference ignores may hold 255 too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from segbench.errors import Problems, SegbenchError
from segbench.masks.decode import Kind, Value
from segbench.masks.labels import IGNORE_ID, LabelClass, Rgb, foreground

BINARY_FOREGROUND = 255


class Form(StrEnum):
    """How the values of a submission are read."""

    CLASS_IDS = "class ids"
    BINARY = "binary"
    COLOURS = "colour-coded"
    PROBABILITIES = "probabilities"


FORM_FLAGS = {
    "ids": Form.CLASS_IDS,
    "binary": Form.BINARY,
    "colours": Form.COLOURS,
    "probabilities": Form.PROBABILITIES,
}
"""What `--form` may say."""


@dataclass(slots=True)
class Seen:
    """The values of a submission, with a few files in which each occurs at a valid pixel."""

    values: dict[Value, list[str]] = field(default_factory=dict[Value, list[str]])
    kinds: dict[Kind, list[str]] = field(default_factory=dict[Kind, list[str]])
    channels: dict[int, list[str]] = field(default_factory=dict[int, list[str]])

    def add(
        self,
        identifier: str,
        kind: Kind,
        *,
        valid: Iterable[Value],
        ignored: Iterable[Value] = (),
        n_channels: int = 0,
    ) -> None:
        """Note one file: the values it has at valid pixels and at ignored ones."""
        self.kinds.setdefault(kind, []).append(identifier)
        if kind is Kind.PROBABILITIES:
            self.channels.setdefault(n_channels, []).append(identifier)
        for value in {*valid} | ({*ignored} - {IGNORE_ID}):
            self.values.setdefault(value, []).append(identifier)


@dataclass(frozen=True, slots=True)
class Reading:
    """The form found, and the class id that each value stands for."""

    form: Form
    class_of: Mapping[Value, int]


def decide(seen: Seen, classes: Sequence[LabelClass], *, asked: Form | None = None) -> Reading:
    """Find the one form of a submission.

    Args:
        seen: The values of all files.
        classes: The classes of the dataset's card.
        asked: Read it in this form (`--form`) instead of finding it.

    Raises:
        SegbenchError: The values fit no form, or several with different meanings.
    """
    candidates = _candidates(seen, classes)
    if asked is not None:
        reading = candidates.get(asked)
        if reading is None:
            raise _refusal(seen, classes, asked)
        return reading
    if Form.BINARY in candidates and 1 in seen.values:
        if BINARY_FOREGROUND in seen.values:
            raise _mixed(seen)
        del candidates[Form.BINARY]  # {0, 1} are ids, or nothing we know
    if not candidates:
        raise _refusal(seen, classes, None)
    readings = list(candidates.values())
    if any(_differ(readings[0], other, seen) for other in readings[1:]):
        flags = [flag for flag, form in FORM_FLAGS.items() if form in candidates]
        raise SegbenchError(
            f"the predictions can be read as {' or as '.join(candidates)}, with different "
            f"results; say which with --form {' or --form '.join(flags)}"
        )
    return readings[0]


def _candidates(seen: Seen, classes: Sequence[LabelClass]) -> dict[Form, Reading]:
    """Every form that can hold these values."""
    found: dict[Form, Reading] = {}
    ids = {label.id for label in classes}
    objects = foreground(classes)
    if Kind.PROBABILITIES in seen.kinds:
        if len(seen.kinds) == 1 and set(seen.channels) == {len(classes)}:
            by_channel: dict[Value, int] = {i: c.id for i, c in enumerate(classes)}
            found[Form.PROBABILITIES] = Reading(Form.PROBABILITIES, by_channel)
        return found
    if Kind.COLOURS not in seen.kinds:
        if seen.values.keys() <= ids:
            found[Form.CLASS_IDS] = Reading(Form.CLASS_IDS, {i: i for i in ids})
        if len(objects) == 1 and 0 in ids and seen.values.keys() <= {0, 1, BINARY_FOREGROUND}:
            # 1 is foreground too, for those who say --form binary to settle a mixture.
            one = objects[0].id
            binary: dict[Value, int] = {0: 0, 1: one, BINARY_FOREGROUND: one}
            found[Form.BINARY] = Reading(Form.BINARY, binary)
    by_colour: dict[Value, int] = {label.color: label.id for label in classes}
    for red, green, blue in [label.color for label in classes]:
        if red == green == blue:
            by_colour[red] = by_colour[red, green, blue]
    if seen.values.keys() <= by_colour.keys():
        found[Form.COLOURS] = Reading(Form.COLOURS, by_colour)
    return found


def _differ(one: Reading, other: Reading, seen: Seen) -> bool:
    return any(one.class_of[value] != other.class_of[value] for value in seen.values)


def _mixed(seen: Seen) -> SegbenchError:
    return SegbenchError(
        f"mixed forms: value 1 in {_some(seen.values[1])} and value 255 in "
        f"{_some(seen.values[BINARY_FOREGROUND])}; expected class ids or 0/255 in all files; "
        f"if 1 and 255 both mean the object, say --form binary"
    )


def _refusal(seen: Seen, classes: Sequence[LabelClass], asked: Form | None) -> SegbenchError:
    if len(seen.kinds) > 1 and Kind.PROBABILITIES in seen.kinds:
        where = "; ".join(f"{kind} in {_some(ids)}" for kind, ids in seen.kinds.items())
        return SegbenchError(f"mixed forms: {where}; expected one form in all files")
    if Kind.PROBABILITIES in seen.kinds:
        found = "; ".join(f"{n} classes in {_some(ids)}" for n, ids in seen.channels.items())
        names = ", ".join(label.name for label in classes)
        return SegbenchError(
            f"probabilities of {found}; expected CxHxW with {len(classes)} channels ({names})"
            + (", or HxW for the one foreground class" if len(classes) == 2 else "")  # noqa: PLR2004
        )
    problems = Problems()
    expected = ", ".join(f"{label.id}={label.name}" for label in classes)
    palette = {label.color for label in classes}
    ids = {label.id for label in classes}
    coloured = Kind.COLOURS in seen.kinds
    for value, where in sorted(seen.values.items(), key=str):
        known = value in (palette if isinstance(value, tuple) else ids)
        if coloured and isinstance(value, int):
            known = _grey(value) in palette
        if not known:
            kind = "unknown colour" if coloured else "unknown class"
            problems.add(kind, f"{_shown(value)} in {_some(where)}", hint=_advice(seen, classes))
    form = f" as {asked}" if asked is not None else ""
    if not problems:
        values = ", ".join(_shown(value) for value in sorted(seen.values, key=str))
        return SegbenchError(
            f"the predictions cannot be read{form}: they hold {values}; the classes are "
            f"{expected}; leave --form out to have the form found"
        )
    return SegbenchError(
        f"the predictions cannot be read{form}; the classes are {expected}\n{problems.text()}"
    )


def _advice(seen: Seen, classes: Sequence[LabelClass]) -> str:
    if Kind.COLOURS in seen.kinds:
        colours = ", ".join(f"{c.name} {c.color}" for c in classes)
        return f"colours must be the card's: {colours}"
    if seen.values.keys() <= {0, BINARY_FOREGROUND}:
        return "0/255 masks are read where there is one foreground class; save class ids"
    if len(seen.values) > 2 * len(classes) + 2:
        return (
            "many values: probabilities saved as grey? say --form probabilities; soft edges? save "
            "class ids as PNG"
        )
    return "save class ids, one number a class, as 8-bit PNG"


def _grey(value: int) -> Rgb:
    return value, value, value


def _shown(value: Value) -> str:
    return f"value {value}" if isinstance(value, int) else f"colour {value}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
