"""A source's mask as class ids, by the rule of its card, which asks for every conversion."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from segbench.catalog.card import IdsRule, MaskRule, OneBitRule, PaletteRule, ThresholdRule
from segbench.errors import SegbenchError
from segbench.masks.content import IMAGE_FORMATS, LOSSY, MASK_FORMATS, format_of, what_else
from segbench.masks.decode import decode
from segbench.masks.decoded import Kind, Value
from segbench.masks.forms import Seen, contradiction, number_of
from segbench.masks.labels import IGNORE_ID, LabelClass
from segbench.masks.tiff import LOSSLESS, Tags

NEAR = 32
"""Grey levels of a lossy mask so close to the cut are counted: compression may have moved them."""

_WHITE = 255


@dataclass(frozen=True, slots=True)
class SourceMask:
    """A converted mask.

    Attributes:
        ids: HxW uint8 class ids; 255 is ignored.
        values: What the file stores, where its numbers are the ids: palettes must agree in all.
        n_near: Pixels of a lossy mask that lie within `NEAR` of the cut.
        lossy: It was compressed with loss.
    """

    ids: NDArray[np.uint8]
    values: tuple[Value, ...] = ()
    n_near: int = 0
    lossy: bool = False


def read_source_mask(
    path: Path, data: bytes, rule: MaskRule, classes: Sequence[LabelClass]
) -> SourceMask:
    """A source's mask as HxW uint8 class ids, by the card's rule.

    Raises:
        SegbenchError: The file is unreadable, compressed with loss where no threshold is asked
            for, or holds a value that the rule does not know.
    """
    try:
        match rule:
            case IdsRule():
                return _by_id(path, data, rule, classes)
            case ThresholdRule(above=above):
                return _above(path, data, above)
            case OneBitRule():
                return SourceMask(_one_bit(path, _shown(path, data)))
            case PaletteRule():
                return SourceMask(_by_colour(path, _shown(path, data), rule, classes))
    except SegbenchError:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        raise SegbenchError(f"{path}: not a readable mask ({error})") from error


def check_palettes(
    values: dict[str, tuple[Value, ...]], rule: MaskRule, classes: Sequence[LabelClass]
) -> None:
    """Refuse masks of which the palettes contradict the ids, or each other.

    Raises:
        SegbenchError: They do.
    """
    if not isinstance(rule, IdsRule):
        return
    seen = Seen()
    for identifier, own in values.items():
        seen.add(identifier, Kind.VALUES, valid=own)
    of_index = rule.map or {label.id: label.id for label in classes}
    if why := contradiction(seen, of_index, {label.color: label.id for label in classes}):
        raise SegbenchError(
            f"{why}; with mask.kind = 'ids' the number decides, and here numbers and colours say "
            f"different things: is it mask.kind = 'palette', where the colour is the class? else "
            f"save the masks as grey PNG"
        )


def _shown(path: Path, data: bytes, *, lossy: bool = False) -> Image.Image:
    """The loaded picture, of a format that keeps values (or JPEG, where that is accepted)."""
    accepted = IMAGE_FORMATS if lossy else MASK_FORMATS
    content = format_of(data)
    if content not in accepted:
        found, advice = what_else(data)
        if content in LOSSY:
            found = f"{LOSSY[content]}, which changes pixel values"
            advice = "JPEG masks are read with mask.kind = 'threshold' only"
        raise SegbenchError(f"{path}: it is {found}; expected {', '.join(accepted)} ({advice})")
    image = Image.open(io.BytesIO(data), formats=accepted)
    if getattr(image, "n_frames", 1) != 1:
        raise SegbenchError(f"{path}: several frames or pages; expected one mask")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = Tags(image)
        if tags.compression not in LOSSLESS:
            raise SegbenchError(
                f"{path}: a TIFF with lossy compression {tags.compression}; masks must be stored "
                f"without loss"
            )
        image.load()
        stored = tags.as_stored(image)
        if stored.mode in {"1", "L", "I", "I;16", "I;16B", "I;16L"}:
            numbers = tags.numbers(np.asarray(stored))
            return Image.fromarray(numbers * _WHITE if stored.mode == "1" else numbers)
        return stored
    image.load()
    return image


def _above(path: Path, data: bytes, above: int) -> SourceMask:
    """The object is what is brighter than the card says; alpha is dropped, not blended."""
    lossy = format_of(data) == "JPEG"
    image = _shown(path, data, lossy=True)
    if image.mode in {"P", "PA"}:
        return SourceMask((_levels_of_palette(path, image, above) > above).astype(np.uint8))
    if image.mode.startswith("I") or image.mode == "F":
        levels: NDArray[Any] = np.asarray(image)
    else:
        levels = np.asarray(image.convert("RGB").convert("L"), dtype=np.int64)
    near = int((np.abs(levels - above) <= NEAR).sum()) if lossy else 0
    return SourceMask((levels > above).astype(np.uint8), n_near=near, lossy=lossy)


def _levels_of_palette(path: Path, image: Image.Image, above: int) -> NDArray[np.int64]:
    """The stored numbers; of a palette of black and white alone the grey levels.

    Raises:
        SegbenchError: The palette is grey, and says something else than the numbers, or black
            would be the object.
    """
    indices = np.asarray(image.getchannel(0) if image.mode == "PA" else image, dtype=np.int64)
    flat = image.getpalette("RGB") or []
    colours = np.zeros((256, 3), dtype=np.int64)
    colours[: len(flat) // 3] = np.reshape(flat[: len(flat) // 3 * 3], (-1, 3))
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    own = colours[used]
    if np.isin(own, (0, _WHITE)).all() and (own == own[:, :1]).all() and len({*own[:, 0].tolist()}) == len(used):  # fmt: skip  # noqa: E501
        return colours[:, 0][indices]
    if (own == own[:, :1]).all() and ((own[:, 0] > above) != (used > above)).any():
        odd = int(used[(own[:, 0] > above) != (used > above)][0])
        raise SegbenchError(
            f"{path}: palette index {odd} is the grey {int(colours[odd, 0])}, so that number and "
            f"colour are on different sides of above = {above}; save the mask as grey PNG"
        )
    black = used[(own == 0).all(axis=1) & (used < len(flat) // 3)]
    if colours[0].any() and (black > above).any():
        raise SegbenchError(
            f"{path}: palette index {int(black.max())} is black and 0 is not, and above = {above} "
            f"would make black the object; save the mask as grey PNG"
        )
    return indices


def _one_bit(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    """White is the foreground, whichever bit the palette gives to white."""
    grey = np.asarray(image.convert("L") if image.mode in {"1", "P", "RGB"} else image)
    values = np.unique(grey)
    if not np.isin(values, (0, _WHITE)).all():
        raise SegbenchError(
            f"{path}: grey levels {', '.join(map(str, values[:5].tolist()))}; expected a 1-bit "
            f"mask (black and white)"
        )
    return (grey == _WHITE).astype(np.uint8)


def _by_colour(
    path: Path, image: Image.Image, rule: PaletteRule, classes: Sequence[LabelClass]
) -> NDArray[np.uint8]:
    if image.mode not in {"1", "L", "P", "RGB", "RGBA", "PA", "LA"}:
        raise SegbenchError(
            f"{path}: pixel format {image.mode} has no colours of 8 bits; is it mask.kind = 'ids'?"
        )
    rgb = np.asarray(image.convert("RGB")).astype(np.uint32)
    packed = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    known = {_packed(label.color): label.id for label in classes}
    if rule.ignore is not None:
        known[_packed(rule.ignore)] = IGNORE_ID
    return _mapped(path, packed, known, "colour")


def _by_id(path: Path, data: bytes, rule: IdsRule, classes: Sequence[LabelClass]) -> SourceMask:
    try:
        decoded = decode(data, path.suffix.lower())
    except SegbenchError as error:
        raise SegbenchError(f"{path}: {error}") from error
    if decoded.kind is not Kind.VALUES:
        what = {
            Kind.COLOURS: "a colour mask; expected class ids (mask.kind = 'palette'?)",
            Kind.PROBABILITIES: "floats; expected class ids (mask.kind = 'threshold'?)",
        }[decoded.kind]
        raise SegbenchError(f"{path}: {what}")
    used = np.flatnonzero(np.bincount(decoded.codes.ravel())).tolist()
    numbers = [number_of(value) for value in decoded.values]
    stored = np.asarray(numbers, dtype=np.int64)[decoded.codes]
    known = rule.map or {label.id: label.id for label in classes} | {IGNORE_ID: IGNORE_ID}
    ids = _mapped(path, stored, known, "value")
    return SourceMask(ids, tuple(decoded.values[code] for code in used))


def _mapped(
    path: Path, stored: NDArray[np.integer], known: dict[int, int], what: str
) -> NDArray[np.uint8]:
    values, inverse = np.unique(stored, return_inverse=True)
    unknown = [int(v) for v in values if int(v) not in known]
    if unknown:
        shown = ", ".join(f"#{v:06x}" if what == "colour" else str(v) for v in unknown[:5])
        remedy = (
            "give it a class with that color, or set mask.ignore"
            if what == "colour"
            else 'give it a class, or map it in the card: map = {"7" = 1, "9" = 255} (255: ignored)'
        )
        raise SegbenchError(f"{path}: {what} {shown} belongs to no class of the card; {remedy}")
    table = np.array([known[int(v)] for v in values], dtype=np.uint8)
    return table[inverse].reshape(stored.shape)


def _packed(color: tuple[int, int, int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
