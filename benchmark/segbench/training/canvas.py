"""The grid that a network sees: images are scaled to fit and padded; aspect ratio is kept.

Conventions: sizes are (height, width) in pixels; images HxWx3 uint8 RGB; masks HxW uint8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.masks.labels import IGNORE_ID

Size = tuple[int, int]

PAD_COLOR = (124, 116, 104)
"""ImageNet's mean colour: zero after normalisation, and so silent in a network."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image of `source` size lies on a canvas: scaled to `size`, at `top`, `left`."""

    source: Size
    size: Size
    top: int
    left: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The part of the canvas that the image covers."""
        height, width = self.size
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def canvas_of(sizes: Iterable[Size], *, long_side: int, multiple: int) -> Size:
    """The canvas for images of some sizes: the box around all of them, scaled to the long side.

    Both sides are rounded to the nearest multiple (at least one), so 765x574 pictures at 256 get
    256x192 and not 256x224.
    """
    scaled = [(h * long_side / max(h, w), w * long_side / max(h, w)) for h, w in sizes]
    box = np.max(scaled, axis=0) / multiple
    height, width = (max(1, int(side)) * multiple for side in np.floor(box + 0.5))
    return height, width


def place(source: Size, canvas: Size) -> Placement:
    """Scale an image to fit into the canvas, centred."""
    factor = min(canvas[0] / source[0], canvas[1] / source[1])
    height, width = (
        min(side, max(1, round(length * factor)))
        for side, length in zip(canvas, source, strict=True)
    )
    return Placement(source, (height, width), (canvas[0] - height) // 2, (canvas[1] - width) // 2)


def put_image(image: NDArray[np.uint8], canvas: Size) -> NDArray[np.uint8]:
    """The image on the canvas (antialiased), padded with `PAD_COLOR`."""
    at = place((image.shape[0], image.shape[1]), canvas)
    out = np.empty((*canvas, 3), np.uint8)
    out[:] = PAD_COLOR
    small = Image.fromarray(image).resize((at.size[1], at.size[0]), Image.Resampling.BILINEAR)
    out[at.window] = np.asarray(small)
    return out


def put_mask(mask: NDArray[np.uint8], canvas: Size) -> NDArray[np.uint8]:
    """The label map on the canvas, padded with the ignore id.

    A small pixel takes the class that covers most of it (antialiased one-hot maps, the largest).
    """
    at = place((mask.shape[0], mask.shape[1]), canvas)
    values = np.unique(mask)
    shares = np.stack([_resize((mask == v).astype(np.float32), at.size) for v in values])
    out = np.full(canvas, IGNORE_ID, np.uint8)
    out[at.window] = values[shares.argmax(axis=0)]
    return out


def take_back(channels: NDArray[np.float32], source: Size, canvas: Size) -> NDArray[np.float32]:
    """Maps CxHxW on a canvas, cut to the image and resized bilinearly to its own size.

    The maps may be coarser or finer than the canvas (a network with a stride).
    """
    at = place(source, canvas)
    scale = channels.shape[1] / canvas[0], channels.shape[2] / canvas[1]
    (top, bottom), (left, right) = (
        (window.start * s, window.stop * s) for window, s in zip(at.window, scale, strict=True)
    )
    box = (left, top, right, bottom)
    return np.stack([_resize(channel, source, box=box) for channel in channels])


def _resize(
    plane: NDArray[np.float32], size: Size, *, box: tuple[float, float, float, float] | None = None
) -> NDArray[np.float32]:
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, np.float32)
