"""Convert one sample of a source: the image kept or re-encoded, the mask to class ids."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.catalog.card import IdsRule, MaskRule, OneBitRule, PaletteRule, ThresholdRule
from segbench.errors import SegbenchError
from segbench.masks.digests import content_line
from segbench.masks.encode import encode_mask, encode_rgb
from segbench.masks.labels import IGNORE_ID, LabelClass
from segbench.prepare.layout import Pair

BROWSER_FORMATS = {"PNG": ".png", "JPEG": ".jpg"}
"""Formats whose bytes are kept as they are."""


class DigestMismatchError(SegbenchError):
    """A source file is not the one that the split was pinned on."""


@dataclass(frozen=True, slots=True)
class Converted:
    """One converted sample: its size, the image's path in the dataset and its content line."""

    width: int
    height: int
    image: str
    mask: str
    line: str


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
    rgb, ending = _decode_image(pair.image, image_bytes)
    mask = read_source_mask(pair.mask, mask_bytes, rule, classes)
    if mask.shape != rgb.shape[:2]:
        (mask_h, mask_w), (height, width) = mask.shape, rgb.shape[:2]
        raise SegbenchError(
            f"{pair.mask}: mask is {mask_w}x{mask_h}, its image {width}x{height}; expected the "
            f"same size (nothing is ever resized)"
        )
    return write_sample(
        identifier, rgb, mask, classes=classes, into=into, kept=(ending, image_bytes)
    )


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
    return Converted(width, height, image_name, mask_name, content_line(identifier, rgb, mask))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SegbenchError(f"{path}: not readable ({error.strerror})") from error


def _check_digest(path: Path, data: bytes, pinned: str | None) -> None:
    if pinned is not None and (found := hashlib.sha256(data).hexdigest()) != pinned:
        raise DigestMismatchError(f"{path}: sha256 {found}, pinned {pinned}")


def _decode_image(path: Path, data: bytes) -> tuple[NDArray[np.uint8], str | None]:
    """RGB pixels, and the ending under which the bytes can be kept (None: re-encode)."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            kept = image.format in BROWSER_FORMATS and getattr(image, "n_frames", 1) == 1
            ending = BROWSER_FORMATS[image.format or ""] if kept else None
            return np.asarray(image.convert("RGB")), ending
    except Exception as error:  # Pillow raises many types on damaged files
        raise SegbenchError(f"{path}: not a readable image ({error})") from error


def read_source_mask(
    path: Path, data: bytes, rule: MaskRule, classes: Sequence[LabelClass]
) -> NDArray[np.uint8]:
    """A source's mask as HxW uint8 class ids, by the card's rule.

    Raises:
        SegbenchError: The file is unreadable or holds a value that the rule does not know.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            match rule:
                case OneBitRule():
                    return _one_bit(path, image)
                case ThresholdRule(above=above):
                    return (_grey(image) > above).astype(np.uint8)
                case PaletteRule():
                    return _by_colour(path, image, rule, classes)
                case IdsRule():
                    return _by_id(path, image, rule, classes)
    except SegbenchError:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        raise SegbenchError(f"{path}: not a readable mask ({error})") from error


def _grey(image: Image.Image) -> NDArray[np.int64]:
    """Grey levels; alpha is dropped, not blended; 16-bit grey keeps its range."""
    if image.mode.startswith("I"):
        return np.asarray(image, dtype=np.int64)
    return np.asarray(image.convert("RGB").convert("L"), dtype=np.int64)


def _one_bit(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    """White is the foreground, whichever bit the palette gives to white."""
    grey = np.asarray(image.convert("L"))
    values = np.unique(grey)
    if not np.isin(values, (0, 255)).all():
        raise SegbenchError(
            f"{path}: grey levels {', '.join(map(str, values[:5]))}; expected a 1-bit mask "
            f"(black and white)"
        )
    return (grey == 255).astype(np.uint8)  # noqa: PLR2004


def _by_colour(
    path: Path, image: Image.Image, rule: PaletteRule, classes: Sequence[LabelClass]
) -> NDArray[np.uint8]:
    rgb = np.asarray(image.convert("RGB")).astype(np.uint32)
    packed = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    known = {_packed(label.color): label.id for label in classes}
    if rule.ignore is not None:
        known[_packed(rule.ignore)] = IGNORE_ID
    return _mapped(path, packed, known, "colour")


def _by_id(
    path: Path, image: Image.Image, rule: IdsRule, classes: Sequence[LabelClass]
) -> NDArray[np.uint8]:
    from segbench.masks.decode import Kind, decode  # noqa: PLC0415

    del image  # Pillow stretches 2- and 4-bit grey: the mask decoder undoes that
    decoded = decode(path.read_bytes(), path.suffix.lower())
    if decoded.kind is not Kind.VALUES:
        raise SegbenchError(f"{path}: a colour mask; expected class ids (mask.kind = 'palette'?)")
    stored = np.asarray(decoded.values, dtype=np.int64)[decoded.codes]
    known = rule.map or {label.id: label.id for label in classes} | {IGNORE_ID: IGNORE_ID}
    return _mapped(path, stored, known, "value")


def _mapped(
    path: Path, stored: NDArray[np.integer], known: dict[int, int], what: str
) -> NDArray[np.uint8]:
    values, inverse = np.unique(stored, return_inverse=True)
    unknown = [int(v) for v in values if int(v) not in known]
    if unknown:
        shown = ", ".join(f"#{v:06x}" if what == "colour" else str(v) for v in unknown[:5])
        raise SegbenchError(f"{path}: {what} {shown} belongs to no class of the card")
    table = np.array([known[int(v)] for v in values], dtype=np.uint8)
    return table[inverse].reshape(stored.shape)


def _packed(color: tuple[int, int, int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
