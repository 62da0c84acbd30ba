"""Convert one sample of a source: the image kept or re-encoded, the mask to class ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.catalog.card import MaskRule
from segbench.errors import SegbenchError
from segbench.masks.decoded import Value
from segbench.masks.digests import content_line
from segbench.masks.encode import encode_mask, encode_rgb
from segbench.masks.json_files import irregular
from segbench.masks.labels import LabelClass
from segbench.prepare.layout import Pair
from segbench.prepare.source_images import read_source_image
from segbench.prepare.source_masks import read_source_mask


class DigestMismatchError(SegbenchError):
    """A source file is not the one that the split was pinned on."""


@dataclass(frozen=True, slots=True)
class Converted:
    """One converted sample: its size, its files in the dataset and its content line.

    Attributes:
        values: What the source's mask stores; see `segbench.prepare.source_masks.SourceMask`.
        n_near: Pixels of a lossy mask that are close to the cut; None where it is not lossy.
        ids: The class ids that occur.
    """

    width: int
    height: int
    image: str
    mask: str
    line: str
    ids: tuple[int, ...]
    values: tuple[Value, ...] = ()
    n_near: int | None = None


def convert_pair(
    identifier: str,
    pair: Pair,
    *,
    rule: MaskRule,
    classes: Sequence[LabelClass],
    into: Path,
    pinned: tuple[str | None, str | None],
) -> Converted:
    """Write one sample's image and mask below `into`.

    Args:
        identifier: The sample's id.
        pair: Its files in the source.
        rule: How the source's mask codes classes.
        classes: The card's classes.
        into: The dataset being built; has `images/` and `masks/`.
        pinned: The sha256 of the image and mask file in splits.csv, None where not measured.

    Raises:
        DigestMismatchError: A file's sha256 is not the pinned one.
        SegbenchError: A file is unreadable, mask and image differ in size, or the mask has a
            value that the rule does not know.
    """
    image_bytes, mask_bytes = _read(pair.image), _read(pair.mask)
    _check_digest(pair.image, image_bytes, pinned[0])
    _check_digest(pair.mask, mask_bytes, pinned[1])
    rgb, ending = read_source_image(pair.image, image_bytes)
    read = read_source_mask(pair.mask, mask_bytes, rule, classes)
    mask = read.ids
    if mask.shape != rgb.shape[:2]:
        (mask_h, mask_w), (height, width) = mask.shape, rgb.shape[:2]
        raise SegbenchError(
            f"{pair.mask}: mask is {mask_w}x{mask_h}, its image {width}x{height}; expected the "
            f"same size (nothing is ever resized)"
        )
    made = write_sample(
        identifier, rgb, mask, classes=classes, into=into, kept=(ending, image_bytes)
    )
    return replace(made, values=read.values, n_near=read.n_near if read.lossy else None)


def write_sample(
    identifier: str,
    rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    *,
    classes: Sequence[LabelClass],
    into: Path,
    kept: tuple[str | None, bytes] = (None, b""),
) -> Converted:
    """Write one sample: image HxWx3 uint8 (or the bytes kept with their ending), mask HxW uint8."""
    ending, image_bytes = kept
    if ending is None:
        ending, image_bytes = ".png", encode_rgb(rgb)
    image_name, mask_name = f"images/{identifier}{ending}", f"masks/{identifier}.png"
    (into / image_name).write_bytes(image_bytes)
    (into / mask_name).write_bytes(encode_mask(mask, classes))
    height, width = mask.shape
    line = content_line(identifier, rgb, mask)
    ids = tuple(np.flatnonzero(np.bincount(mask.ravel())).tolist())
    return Converted(width, height, image_name, mask_name, line, ids)


def _read(path: Path) -> bytes:
    if kind := irregular(path):
        raise SegbenchError(f"{path}: not readable ({kind})")
    try:
        return path.read_bytes()
    except OSError as error:
        raise SegbenchError(f"{path}: not readable ({error.strerror})") from error


def _check_digest(path: Path, data: bytes, pinned: str | None) -> None:
    if pinned is not None and (found := hashlib.sha256(data).hexdigest()) != pinned:
        raise DigestMismatchError(f"{path}: sha256 {found}, pinned {pinned}")
