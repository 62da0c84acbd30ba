"""Grey pictures read as probabilities: only where `--form probabilities` says so.

A grey level of 8 bits is k / 255, of 16 bits k / 65535: what `(255 * p).round()` saved. Without
being told, a grey level is never taken for a probability: 1 may be a class id.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.masks.decode import (
    IMAGE_ENDINGS,
    Decoded,
    MaskFileError,
    Size,
    check_size,
    decode,
    from_array,
)
from segbench.masks.forms import Form
from segbench.masks.submission import Files, Submission

_TOP: Mapping[str, int] = {"L": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535}


def read_as(submission: Submission, form: Form | None) -> Submission:
    """The submission, with its grey pictures as probabilities where that form was asked for."""
    if form is Form.PROBABILITIES and isinstance(submission, Files):
        return GreyMaps(submission)
    return submission


@dataclass(frozen=True)
class GreyMaps:
    """Files of which the pictures are grey probability maps; see `Submission`."""

    files: Files

    @property
    def origin(self) -> str:
        """Where they come from, for messages."""
        return self.files.origin

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is a file."""
        return self.files.ids

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how the files were read."""
        return self.files.notes

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Read and decode one file; see `Submission.decode`."""
        name = self.files.members[identifier]
        ending = "." + name.rpartition(".")[2].lower()
        if ending not in IMAGE_ENDINGS:
            return self.files.decode(identifier, size, any_size=any_size, threshold=threshold)
        data = self.files.read(name)
        expected = None if any_size else size
        levels = _grey(data, expected)
        if levels is None:
            return decode(data, ending, expected=expected, threshold=threshold)
        return from_array(levels, threshold=threshold)

    def stamp(self, identifier: str) -> str:
        """See `Submission.stamp`."""
        return f"grey {self.files.stamp(identifier)}"

    def part(self, identifiers: Collection[str]) -> GreyMaps:
        """See `Submission.part`."""
        return GreyMaps(self.files.part(identifiers))


def _grey(data: bytes, expected: Size | None) -> NDArray[np.float64] | None:
    """The levels as fractions of white; None where it is a TIFF of floats.

    Raises:
        MaskFileError: It is no grey picture, has another size, or looks like class ids.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            check_size((image.height, image.width), expected)
            mode, kind = image.mode, image.format
            array = np.asarray(image)
    except MaskFileError:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        raise MaskFileError("unreadable file", type(error).__name__) from error
    if mode == "F":
        return None
    top = 65535 if (mode, kind) == ("I", "PNG") else _TOP.get(mode)  # Pillow before 10.3: "I"
    if top is None:
        raise MaskFileError(
            "not probabilities",
            f"pixel format {mode}",
            hint="expected grey of 8 or 16 bits, a TIFF of floats, .npy or .npz",
        )
    if array.size and array.max() == 1:
        raise MaskFileError(
            "not probabilities",
            f"grey levels 0 and 1 of {top}",
            hint="class ids? then leave out --form probabilities",
        )
    return array / top
