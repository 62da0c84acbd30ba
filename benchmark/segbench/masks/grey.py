"""Grey pictures and integers read as probabilities: only where `--form probabilities` says so.

A grey level of 8 bits is k / 255, of 16 bits k / 65535: what `(255 * p).round()` saved. Without
being told, a grey level is never taken for a probability: 1 may be a class id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from segbench.masks.content import MASK_FORMATS, format_of, open_picture
from segbench.masks.decode import (
    ARRAY_ENDINGS,
    IMAGE_ENDINGS,
    array_of,
    check_size,
    decode,
    from_array,
)
from segbench.masks.decoded import Decoded, MaskFileError, Size
from segbench.masks.forms import Form
from segbench.masks.labels import LabelClass
from segbench.masks.submission import Arrays, Files, Submission
from segbench.masks.tables import RleTable
from segbench.masks.tiff import LOSSLESS, Tags
from segbench.masks.value_map import Mapped, ValueMap, as_map

_TOP: Mapping[str, int] = {"L": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535}


def read_as(
    submission: Submission,
    form: Form | None,
    classes: Sequence[LabelClass],
    values: ValueMap | str = "",
) -> Submission:
    """The submission, with what was asked for: grey levels as probabilities, or values mapped.

    Classes that a table names are those of the dataset.

    Raises:
        SegbenchError: A table names others.
    """
    if values:
        submission = Mapped(submission, as_map(values))
    elif isinstance(submission, RleTable):
        return submission.of_classes(classes)
    if form is not Form.PROBABILITIES:
        return submission
    if isinstance(submission, Files):
        return GreyMaps(submission)
    return GreyArrays(submission) if isinstance(submission, Arrays) else submission


@dataclass(frozen=True)
class GreyArrays:
    """Arrays of which the integers are grey probability maps; see `Submission`."""

    source: Arrays

    @property
    def origin(self) -> str:
        """Where they come from, for messages."""
        return self.source.origin

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is an array."""
        return self.source.ids

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how the arrays were read."""
        return self.source.notes

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Check and code one array; see `Submission.decode`."""
        array = np.asarray(self.source.arrays[identifier])
        return _of_array(array, None if any_size else size, threshold)

    def stamp(self, identifier: str) -> str:
        """See `Submission.stamp`."""
        return f"grey {self.source.stamp(identifier)}"

    def part(self, identifiers: Collection[str]) -> GreyArrays:
        """See `Submission.part`."""
        return GreyArrays(self.source.part(identifiers))


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
        data = self.files.read(name)
        expected = None if any_size else size
        if ending in ARRAY_ENDINGS:
            return _of_array(array_of(data, ending, expected), expected, threshold)
        if ending not in IMAGE_ENDINGS:
            return decode(data, ending, expected=expected, threshold=threshold)
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


def _of_array(array: NDArray[np.generic], expected: Size | None, threshold: float) -> Decoded:
    """Floats as they are, integers of 8 and 16 bits as fractions of the greatest."""
    if array.dtype.name in {"uint8", "uint16"}:
        array = _fractions(array, 256**array.dtype.itemsize - 1)
    elif array.dtype.kind != "f":
        raise MaskFileError(
            "not probabilities",
            f"{array.dtype}",
            hint="expected floats, or integers of 8 or 16 bits (uint8, uint16) as grey levels",
        )
    return from_array(array, expected=expected, threshold=threshold)


def _grey(data: bytes, expected: Size | None) -> NDArray[np.float64] | None:
    """The levels as fractions of white; None for `decode`, which reads it or says what is wrong.

    Raises:
        MaskFileError: It is no grey picture, has another size, or looks like class ids.
    """
    content = format_of(data)
    if content not in MASK_FORMATS:
        return None
    try:
        with open_picture(data, content) as image:
            found = _levels(image, expected)
    except MaskFileError:
        raise
    except Exception:  # noqa: BLE001  Pillow raises many types on damaged files and rare kinds
        return None
    return None if found is None else _fractions(*found)


def _levels(
    image: ImageFile.ImageFile, expected: Size | None
) -> tuple[NDArray[np.generic], int] | None:
    """The stored levels, HxW, and that of white; None where they are floats or for `decode`."""
    if getattr(image, "n_frames", 1) != 1:
        return None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = Tags(image)
        check_size(tags.size, expected)
        if image.mode == "F" or tags.compression not in LOSSLESS:
            return None
        if image.mode in _TOP and not tags.signed:
            image.load()
            return tags.numbers(np.asarray(tags.as_stored(image))), 2**tags.bits - 1
    else:
        check_size((image.height, image.width), expected)
        if image.mode in _TOP:  # grey of 2 and 4 bits is stretched to 8 bits: the same fractions
            return np.asarray(image), _TOP[image.mode]
    raise MaskFileError(
        "not probabilities",
        f"pixel format {image.mode}",
        hint="expected grey of 8 or 16 bits, a TIFF of floats, .npy or .npz",
    )


def _fractions(levels: NDArray[np.generic], top: int) -> NDArray[np.float64]:
    """Grey levels as fractions of white.

    Raises:
        MaskFileError: They are 0 and 1, which are class ids.
    """
    if levels.size and int(levels.max()) == 1:
        raise MaskFileError(
            "not probabilities",
            f"grey levels 0 and 1 of {top}",
            hint="class ids? then leave out --form probabilities",
        )
    return levels.astype(np.float64) / top
