"""What one file of a mask stores: numbers, colours or probabilities; or why none was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError
from segbench.masks.labels import Rgb

Size = tuple[int, int]
"""Height and width in pixels."""


class Swatch(NamedTuple):
    """A palette's index with its colour: what the index means is decided over all files."""

    number: int
    color: Rgb


Value = int | Rgb | Swatch
"""What a file stores at a pixel: a number (grey level, id), an index of a palette, or a colour."""

IDENTITY: tuple[Value, ...] = tuple(range(256))
"""The values of a file of 8 bits: each code is its own."""


class Kind(StrEnum):
    """How one file codes its labels."""

    VALUES = "values"
    COLOURS = "colours"
    PROBABILITIES = "probabilities"


class MaskFileError(SegbenchError):
    """One file that cannot be read as a mask: `kind` names the fault, `hint` what to do."""

    def __init__(self, kind: str, detail: str, *, hint: str = "") -> None:
        super().__init__(f"{kind}: {detail}" + (f" ({hint})" if hint else ""))
        self.kind = kind
        self.detail = detail
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return partial(MaskFileError, hint=self.hint), (self.kind, self.detail)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A mask as it was stored.

    Attributes:
        codes: HxW uint8, an index into `values`.
        values: What each code stands for. For probabilities the index of the class in the order
            of the card's classes (after threshold or argmax).
        kind: How the file codes its labels.
        probabilities: HxW of the foreground, or CxHxW, as they were before they were cut; None
            where the file holds none.
        note: What a person should know of how the file was read.
    """

    codes: NDArray[np.uint8]
    values: tuple[Value, ...]
    kind: Kind
    probabilities: NDArray[np.floating] | None = None
    note: str = ""

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        height, width = self.codes.shape
        return height, width
