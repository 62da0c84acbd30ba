"""Segmentation without training, for pictures of one salient object: the floor for every network.

Each method maps an HxWx3 uint8 RGB image to an HxW boolean mask, deterministically. The work is
done on a reduced copy (`size`, long side in pixels); the mask comes back at the image's own size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError

from segbench.catalog.faults import all_words
from segbench.catalog.strict import Strict
from segbench.errors import SegbenchError

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_SIDE = 3
"""An image with a shorter side holds no object that could be told from its surroundings."""


class OtsuOptions(Strict):
    """Options of `otsu`."""

    channel: Literal["red", "green", "blue", "grey", "saturation"] = "blue"
    object: Literal["dark", "bright"] = "dark"
    size: int = Field(default=256, ge=32)
    sigma: float = Field(default=2.0, ge=0)
    hair_radius: int = Field(default=0, ge=0)
    opening_radius: int = Field(default=2, ge=0)
    central: bool = False


class GrabCutOptions(OtsuOptions):
    """Options of `grabcut`: those of the Otsu mask it starts from, and its own."""

    components: int = Field(default=3, ge=1, le=10)
    iterations: int = Field(default=4, ge=1)
    smoothness: float = Field(default=20.0, ge=0)
    bias: float = 0.0


def otsu(image: Rgb, options: OtsuOptions) -> Mask:
    """Otsu's threshold on one smoothed channel, holes filled, one component kept.

    Otsu 1979, doi 10.1109/TSMC.1979.4310076.
    """
    channel = _prepared(image, options)
    return _enlarged(_otsu_mask(channel, options), image.shape[:2])


def grabcut(image: Rgb, options: GrabCutOptions) -> Mask:
    """GrabCut from the Otsu mask on: colour models of the two sides and a graph cut, in turn.

    Rother, Kolmogorov & Blake 2004, doi 10.1145/1015706.1015720, without a person's strokes.
    """
    from segbench.methods.graphcut import refine  # noqa: PLC0415

    mask = _otsu_mask(_prepared(image, options), options)
    if 0 < mask.sum() < mask.size:
        mask = refine(
            _reduced(image, options.size),
            mask,
            components=options.components,
            iterations=options.iterations,
            smoothness=options.smoothness,
            bias=options.bias,
            sigma=options.sigma,
            clean=lambda found: _cleaned(found, options),
        )
    return _enlarged(mask, image.shape[:2])


@dataclass(frozen=True, slots=True)
class Method:
    """A method and the strict model of its options."""

    function: Callable[[Rgb, Any], Mask]
    options: type[Strict]


METHODS: dict[str, Method] = {
    "otsu": Method(otsu, OtsuOptions),
    "grabcut": Method(grabcut, GrabCutOptions),
}


def segment(image: Rgb, method: str, options: dict[str, Any]) -> Mask:
    """Segment one image.

    Args:
        image: HxWx3 uint8 RGB.
        method: A key of `METHODS`.
        options: The method's options; those left out have their defaults.

    Returns:
        HxW bool; all False where nothing was found.

    Raises:
        SegbenchError: There is no such method or option.
    """
    if method not in METHODS:
        raise SegbenchError(f"no method {method!r}; there are {', '.join(METHODS)}")
    model = METHODS[method].options
    try:
        checked = model.model_validate(options)
    except ValidationError as error:
        raise SegbenchError(
            f"options of {method}: {all_words(error)}; there are {', '.join(model.model_fields)}"
        ) from error
    if min(image.shape[:2]) < MIN_SIDE:
        return np.zeros(image.shape[:2], dtype=bool)
    return METHODS[method].function(image, checked)


def _prepared(image: Rgb, options: OtsuOptions) -> Floats:
    """The reduced, dehaired and smoothed channel in which the object is dark, 0..255."""
    from scipy import ndimage  # noqa: PLC0415

    reduced = _reduced(image, options.size)
    channel = _channel(reduced, options.channel)
    if options.object == "bright":
        channel = 255 - channel
    if options.hair_radius:  # thin dark lines vanish under a closing
        disk = _disk(options.hair_radius)
        closed = ndimage.grey_closing(channel, footprint=disk)
        channel = np.where(closed - channel > 12, closed, channel)  # noqa: PLR2004  grey levels
    return ndimage.gaussian_filter(channel, options.sigma)


def _otsu_mask(channel: Floats, options: OtsuOptions) -> Mask:
    from skimage.filters import threshold_otsu  # noqa: PLC0415

    if np.ptp(channel) < 1:
        return np.zeros(channel.shape, dtype=bool)
    return _cleaned(channel < threshold_otsu(channel), options)


def _cleaned(mask: Mask, options: OtsuOptions) -> Mask:
    """Holes filled, specks opened away, and one component kept: the largest, or largest central."""
    from scipy import ndimage  # noqa: PLC0415

    if options.opening_radius:
        mask = np.asarray(
            ndimage.binary_opening(mask, _disk(options.opening_radius)), dtype=np.bool_
        )
    labels = _components(mask)
    if labels.max() == 0:
        return mask
    weight = np.ones(mask.shape)
    if options.central:  # dark corners are large but far out
        height, width = mask.shape
        y, x = np.mgrid[:height, :width]
        y, x = (y - height / 2 + 0.5) / height * 2, (x - width / 2 + 0.5) / width * 2
        weight = np.exp(-(x * x + y * y) / (2 * 0.4**2))
    areas = np.bincount(labels.ravel(), weight.ravel())
    areas[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == areas.argmax()))


def _components(mask: Mask) -> NDArray[np.int32]:
    """4-connected components, numbered from 1."""
    from skimage.measure import label  # noqa: PLC0415

    return np.asarray(label(mask, connectivity=1), dtype=np.int32)


def _channel(image: Rgb, name: str) -> Floats:
    rgb = image.astype(np.float64)
    if name == "grey":
        return rgb @ np.array([0.299, 0.587, 0.114])
    if name == "saturation":  # objects are more coloured than what is around them
        high, low = rgb.max(axis=-1), rgb.min(axis=-1)
        return 255 * (1 - np.divide(high - low, high, out=np.zeros_like(high), where=high > 0))
    return rgb[..., ("red", "green", "blue").index(name)]


def _reduced(image: Rgb, size: int) -> Rgb:
    height, width = image.shape[:2]
    factor = size / max(height, width)
    if factor >= 1:
        return image
    new = (max(MIN_SIDE, round(width * factor)), max(MIN_SIDE, round(height * factor)))
    return np.asarray(Image.fromarray(image).resize(new, Image.Resampling.BOX))


def _enlarged(mask: Mask, shape: tuple[int, ...]) -> Mask:
    if mask.shape == shape:
        return mask
    picture = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    enlarged = picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(enlarged) > 127  # noqa: PLR2004  half way


def _disk(radius: int) -> Mask:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius
