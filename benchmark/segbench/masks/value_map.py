"""Values of masks mapped to class ids before they are read: `--map 7=0,254=ignore,#ff0000=1`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from segbench.errors import Problems
from segbench.masks.decoded import Decoded, Kind, MaskFileError, Size, Swatch, Value
from segbench.masks.labels import IGNORE_ID, Rgb

ValueMap = Mapping[int | Rgb, int]
"""The class id (255: ignored) of a stored number or colour; others stay what they are."""

_COLOUR = re.compile(r"#([0-9a-fA-F]{6})")
_IGNORE = "ignore"


def parse_map(text: str, *, option: str = "--map") -> dict[int | Rgb, int]:
    """Read what `--map` says: `VALUE=ID`, with commas between; a value is a number or `#rrggbb`.

    Raises:
        SegbenchError: A part is not of that form, or a value stands twice; all are listed.
    """
    found: dict[int | Rgb, int] = {}
    problems = Problems()
    for part in (part.strip() for part in text.split(",") if part.strip()):
        value, _, target = (side.strip() for side in part.partition("="))
        key, number = _value(value), IGNORE_ID if target == _IGNORE else _number(target)
        if key is None or number is None or not 0 <= number <= IGNORE_ID:
            problems.add("not VALUE=ID", part, hint="as in 7=0,254=ignore,#ff0000=1")
        elif key in found:
            problems.add("value given twice", value)
        else:
            found[key] = number
    problems.raise_if_any(f"{option} {text}: not understood")
    return found


def _value(text: str) -> int | Rgb | None:
    if match := _COLOUR.fullmatch(text):
        red, green, blue = bytes.fromhex(match[1])
        return red, green, blue
    return _number(text)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def as_map(values: ValueMap | str) -> ValueMap:
    """A map that was given as such, or as `--map` says it."""
    return parse_map(values) if isinstance(values, str) else values


def map_text(values: ValueMap | str) -> str:
    """A map as `--map` says it, the inverse of `parse_map`."""
    return ",".join(
        f"{'#' + bytes(value).hex() if isinstance(value, tuple) else value}="
        f"{_IGNORE if number == IGNORE_ID else number}"
        for value, number in as_map(values).items()
    )


class _Source(Protocol):
    """What a submission is; see `segbench.masks.submission.Submission`."""

    @property
    def origin(self) -> str: ...

    @property
    def ids(self) -> frozenset[str]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def decode(
        self, identifier: str, size: Size, *, any_size: bool, threshold: float
    ) -> Decoded: ...

    def stamp(self, identifier: str) -> str: ...

    def part(self, identifiers: Collection[str]) -> _Source: ...


@dataclass(frozen=True)
class Mapped:
    """A submission of which some values stand for others; see `Submission`."""

    source: _Source
    values: ValueMap

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        return self.source.origin

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is a mask."""
        return self.source.ids

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how it was read."""
        return (*self.source.notes, f"values mapped: {map_text(self.values)}")

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Read one mask and map its values; see `Submission.decode`.

        Raises:
            MaskFileError: It holds probabilities, which are no values.
        """
        decoded = self.source.decode(identifier, size, any_size=any_size, threshold=threshold)
        if decoded.kind is Kind.PROBABILITIES:
            raise MaskFileError("not mapped", "probabilities", hint="they are cut, not mapped")
        values = tuple(self._of(value) for value in decoded.values)
        there = {values[code] for code in np.unique(decoded.codes)}
        colours = any(isinstance(value, tuple) for value in there)
        return replace(decoded, values=values, kind=Kind.COLOURS if colours else Kind.VALUES)

    def _of(self, value: Value) -> Value:
        if isinstance(value, Swatch):  # said by a person: the palette has no say any more
            return self.values.get(value.number, self.values.get(value.color, value.number))
        return self.values.get(value, value)

    def stamp(self, identifier: str) -> str:
        """See `Submission.stamp`."""
        return f"{map_text(self.values)} {self.source.stamp(identifier)}"

    def part(self, identifiers: Collection[str]) -> Mapped:
        """See `Submission.part`."""
        return Mapped(self.source.part(identifiers), self.values)
