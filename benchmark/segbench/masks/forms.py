"""Which form a submission is in, decided once over all of it, never file by file.

A mask of 0 and 1 may hold class ids or a binary mask; the same number must not mean two things in
one submission. So the values of all files are gathered first and read by one rule:

| values over the whole submission | read as |
| --- | --- |
| only class ids of the card | class ids |
| palette indices whose colours contradict that | by colour, or refused |
| {0, 255}, and the card has one foreground class | binary |
| {0, 1, 255}, or some files {0, 1} and others {0, 255} | refused: mixed |
| 255 at a valid pixel otherwise, or any other value | refused: unknown class |
| colours all in the card's palette | colour-coded |
| floats in [0, 1] | probabilities |

Pixels that the reference ignores may hold 255 too.

A palette's index means something only with its palette (`contradiction`): Pillow's adaptive
palettes and GIF writers number the colours as they like, so that white may be index 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from segbench.errors import Problems, SegbenchError
from segbench.masks.decoded import Kind, Swatch, Value
from segbench.masks.labels import IGNORE_ID, LabelClass, Rgb, foreground

BINARY_FOREGROUND = 255
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
VIRIDIS = ((68, 1, 84), (253, 231, 36), (253, 231, 37))
"""The first and last colour of matplotlib's default colour map, the last cut or rounded."""


class Form(StrEnum):
    """How the values of a submission are read."""

    CLASS_IDS = "class ids"
    BINARY = "binary"
    COLOURS = "colour-coded"
    PALETTE_COLOURS = "by colour: indices contradict"
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
        for value in {*valid} | {v for v in ignored if number_of(v) != IGNORE_ID}:
            self.values.setdefault(value, []).append(identifier)

    @property
    def swatches(self) -> dict[Swatch, list[str]]:
        """The palettes' indices with their colours."""
        return {v: where for v, where in self.values.items() if isinstance(v, Swatch)}

    @property
    def numbers(self) -> dict[int, list[str]]:
        """The stored numbers, whatever colours palettes give them."""
        found: dict[int, list[str]] = {}
        for value, where in self.values.items():
            if (number := number_of(value)) is not None:
                found.setdefault(number, []).extend(where)
        return found


def number_of(value: Value) -> int | None:
    """The number that is stored for a value; None for a colour."""
    if isinstance(value, Swatch):
        return value.number
    return value if isinstance(value, int) else None


def color_of(value: Value) -> Rgb:
    """The colour in which a value is shown: a number's is grey."""
    if isinstance(value, Swatch):
        return value.color
    return (value, value, value) if isinstance(value, int) else value


def contradiction(
    seen: Seen, class_of_index: Mapping[int, int], class_of_color: Mapping[Rgb, int]
) -> str:
    """Why palette indices cannot be taken for numbers; empty where they can.

    They can where an index has one colour in all files, and none has the colour of another class,
    or, all being grey, another class's number as its grey.

    Args:
        seen: The values of all files.
        class_of_index: The class that a number stands for.
        class_of_color: The class that a colour stands for, of the colours that are known.
    """
    first: dict[int, tuple[Rgb, list[str]]] = {}
    ramp = all(len({*swatch.color}) == 1 for swatch in seen.swatches)
    for swatch, where in seen.swatches.items():
        color, there = first.setdefault(swatch.number, (swatch.color, where))
        if color != swatch.color:
            return (
                f"palette index {swatch.number} is the colour {color} in {some(there)} and "
                f"{swatch.color} in {some(where)}"
            )
        own, shown = class_of_index.get(swatch.number), class_of_color.get(color)
        if shown is None and ramp:  # of grey, but numbered anew
            shown = class_of_index.get(color[0])
        if own is not None and shown is not None and own != shown:
            return (
                f"palette index {swatch.number} in {some(where)} has the colour {swatch.color}, "
                f"which stands for class {shown}"
            )
    return ""


def contradiction_without_card(
    seen: Seen, *, one_object: bool, several_objects: bool = False
) -> str:
    """Why palette indices cannot be taken for numbers where no card says what colours mean.

    Of one object white is the object and black is not. Among several, black is 0 if anything, and
    palettes of nothing but black and white show one object, whatever their numbers are, unless
    several are known to be there.
    """
    if one_object:
        return contradiction(seen, {0: 0, 1: 1, BINARY_FOREGROUND: 1}, {BLACK: 0, WHITE: 1})
    colours = {swatch.color for swatch in seen.swatches}
    all_indices = len(seen.swatches) == len(seen.values)
    if colours and colours <= {BLACK, WHITE} and all_indices and not several_objects:
        return "the palettes are black and white"
    own = {number: number for number in seen.numbers if number != IGNORE_ID}
    return contradiction(seen, own, {} if Swatch(0, BLACK) in seen.values else {BLACK: 0})


def colours_tell_apart(seen: Seen, class_of_color: Mapping[Rgb, int]) -> bool:
    """Whether every value has a known colour, and no file two indices of one."""
    by_color: dict[Rgb, list[list[str]]] = {}
    for swatch, where in seen.swatches.items():
        by_color.setdefault(swatch.color, []).append(where)
    return all(color_of(value) in class_of_color for value in seen.values) and all(
        sum(map(len, lists)) == len(set().union(*lists)) for lists in by_color.values()
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """The form found, and the class id that each value stands for."""

    form: Form
    class_of: Mapping[Value, int]


def decide(
    seen: Seen,
    classes: Sequence[LabelClass],
    *,
    asked: Form | None = None,
    own_colours: bool = True,
) -> Reading:
    """Find the one form of a submission.

    Args:
        seen: The values of all files.
        classes: The classes of the dataset's card.
        asked: Read it in this form (`--form`) instead of finding it.
        own_colours: The classes' colours are a card's; otherwise nobody chose them, and they
            decide nothing.

    Raises:
        SegbenchError: The values fit no form, or several with different meanings.
    """
    known = known_colours(classes, own_colours=own_colours)
    candidates = _candidates(seen, classes, known)
    if asked is not None:
        reading = candidates.get(asked)
        if reading is None:
            raise _refusal(seen, classes, asked, own_colours=own_colours)
        return reading
    ids = {label.id: label.id for label in classes}
    objects = foreground(classes)
    if len(objects) == 1 and 0 in ids:
        ids.setdefault(BINARY_FOREGROUND, objects[0].id)
    if why := contradiction(seen, ids, known):
        if not colours_tell_apart(seen, known):
            raise SegbenchError(
                f"{why}, so that it is not known what the numbers mean; say which with --form ids "
                f"(the stored number is the class) or --form colours (the colour says it), or save "
                f"grey PNG, where nothing is in doubt"
            )
        return Reading(Form.PALETTE_COLOURS, {v: known[color_of(v)] for v in seen.values})
    if Form.BINARY in candidates and 1 in seen.numbers:
        if BINARY_FOREGROUND in seen.numbers:
            raise _mixed(seen)
        del candidates[Form.BINARY]  # {0, 1} are ids, or nothing we know
    if not candidates:
        raise _refusal(seen, classes, None, own_colours=own_colours)
    readings = list(candidates.values())
    if any(_differ(readings[0], other, seen) for other in readings[1:]):
        flags = [flag for flag, form in FORM_FLAGS.items() if form in candidates]
        raise SegbenchError(
            f"the predictions can be read as {' or as '.join(candidates)}, with different "
            f"results; say which with --form {' or --form '.join(flags)}"
        )
    return readings[0]


def known_colours(classes: Sequence[LabelClass], *, own_colours: bool) -> dict[Rgb, int]:
    """The class of each colour that means one: a card's, and black and white."""
    known: dict[Rgb, int] = {label.color: label.id for label in classes} if own_colours else {}
    objects = foreground(classes)
    if len(objects) < len(classes):
        known.setdefault(BLACK, 0)
        if len(objects) == 1:
            known.setdefault(WHITE, objects[0].id)
    return known


def _candidates(
    seen: Seen, classes: Sequence[LabelClass], known: Mapping[Rgb, int]
) -> dict[Form, Reading]:
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
        if seen.numbers.keys() <= ids:
            found[Form.CLASS_IDS] = Reading(Form.CLASS_IDS, _by_number(seen, {i: i for i in ids}))
        if len(objects) == 1 and 0 in ids and seen.numbers.keys() <= {0, 1, BINARY_FOREGROUND}:
            # 1 is foreground too, for those who say --form binary to settle a mixture.
            one = objects[0].id
            binary = _by_number(seen, {0: 0, 1: one, BINARY_FOREGROUND: one})
            found[Form.BINARY] = Reading(Form.BINARY, binary)
    if all(color_of(value) in known for value in seen.values):
        by_colour: dict[Value, int] = {**known, **{v: known[color_of(v)] for v in seen.values}}
        found[Form.COLOURS] = Reading(Form.COLOURS, by_colour)
    return found


def _by_number(seen: Seen, class_of: Mapping[int, int]) -> dict[Value, int]:
    """The class of each number, and of each of the palettes' indices."""
    return {**class_of, **{swatch: class_of[swatch.number] for swatch in seen.swatches}}


def _differ(one: Reading, other: Reading, seen: Seen) -> bool:
    return any(one.class_of[value] != other.class_of[value] for value in seen.values)


def _mixed(seen: Seen) -> SegbenchError:
    return SegbenchError(
        f"mixed forms: value 1 in {some(seen.numbers[1])} and value 255 in "
        f"{some(seen.numbers[BINARY_FOREGROUND])}; expected class ids or 0/255 in all files; "
        f"if 1 and 255 both mean the object, say --form binary"
    )


def _refusal(
    seen: Seen, classes: Sequence[LabelClass], asked: Form | None, *, own_colours: bool
) -> SegbenchError:
    if len(seen.kinds) > 1 and Kind.PROBABILITIES in seen.kinds:
        where = "; ".join(f"{kind} in {some(ids)}" for kind, ids in seen.kinds.items())
        return SegbenchError(f"mixed forms: {where}; expected one form in all files")
    if Kind.PROBABILITIES in seen.kinds:
        found = "; ".join(f"{n} classes in {some(ids)}" for n, ids in seen.channels.items())
        names = ", ".join(label.name for label in classes)
        return SegbenchError(
            f"probabilities of {found}; expected CxHxW with {len(classes)} channels ({names})"
            + (", or HxW for the one foreground class" if len(classes) == 2 else "")  # noqa: PLR2004
        )
    problems = Problems()
    expected = ", ".join(f"{label.id}={label.name}" for label in classes)
    known = known_colours(classes, own_colours=own_colours)
    ids = {label.id for label in classes}
    coloured = Kind.COLOURS in seen.kinds or asked is Form.COLOURS
    advice = _advice(seen, known, own_colours=own_colours)
    for value, where in sorted(seen.values.items(), key=str):
        if not (color_of(value) in known if coloured else number_of(value) in ids):
            kind = "unknown colour" if coloured else "unknown class"
            problems.add(kind, f"{shown(value)} in {some(where)}", hint=advice)
    form = f" as {asked}" if asked is not None else ""
    if not problems:
        values = ", ".join(shown(value) for value in sorted(seen.values, key=str))
        return SegbenchError(
            f"the predictions cannot be read{form}: they hold {values}; the classes are "
            f"{expected}; leave --form out to have the form found"
        )
    return SegbenchError(
        f"the predictions cannot be read{form}; the classes are {expected}\n{problems.text()}"
    )


def _advice(seen: Seen, known: Mapping[Rgb, int], *, own_colours: bool) -> str:
    if VIRIDIS[0] in seen.values and not seen.values.keys().isdisjoint(VIRIDIS[1:]):
        return (
            "these are the ends of viridis, in which plt.imsave(path, mask) draws: save the "
            "numbers themselves, PIL.Image.fromarray(mask.astype('uint8')).save(path)"
        )
    if Kind.COLOURS in seen.kinds:
        if not own_colours:
            return (
                "without a dataset's card no colour has a meaning: say what each stands for with "
                "--map '#rrggbb=1', or save class ids, as 8-bit PNG"
            )
        colours = ", ".join(f"class {number} {color}" for color, number in known.items())
        return f"colours must be the card's: {colours}"
    if seen.numbers.keys() <= {0, BINARY_FOREGROUND}:
        return "0/255 masks are read where there is one foreground class; save class ids"
    many = len(seen.values) > 2 * len(known) + 2
    if many or any(number > 1 and number != BINARY_FOREGROUND for number in seen.numbers):
        return (
            "probabilities saved as grey levels? say --form probabilities; soft edges or other "
            "numbers? save class ids, one number a class, as 8-bit PNG"
        )
    return "save class ids, one number a class, as 8-bit PNG"


def shown(value: Value) -> str:
    """A value as messages write it."""
    if isinstance(value, Swatch):
        return f"value {value.number} (palette colour {value.color})"
    return f"value {value}" if isinstance(value, int) else f"colour {value}"


def some(names: Sequence[str]) -> str:
    """A few of the samples' ids, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
