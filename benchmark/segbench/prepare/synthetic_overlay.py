"""What lies over skin in a dermoscopy picture: hair, gel, ink, a ruler, the light and the lens.

A `Picture` is float64, 3 x height x width, 0 black to 1 white. Each function paints onto the
picture it is given, inside the window that the thing can reach, which is most of the speed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segbench.prepare.synthetic_noise import (
    Dice,
    Plane,
    Shape,
    cloud,
    ramp,
    transmittance,
)

Colour = tuple[float, float, float]
Picture = NDArray[np.float64]
Window = tuple[slice, slice]

_EVERYWHERE: Window = (slice(None), slice(None))
_HAIR = (0.15, 0.09, 0.06)
_VIOLET = (1.1, 1.3, 0.55)
_WHITE = (1.0, 1.0, 0.98)
_SHADE = (0.1, 0.07, 0.05)
_BLACK = (0.08, 0.08, 0.09)


def grid(shape: Shape, window: Window = _EVERYWHERE) -> tuple[Plane, Plane]:
    """The x and y of the pixels of a window: a row and a column, which broadcast to its shape."""
    x = np.arange(shape[1], dtype=np.float64)[None, window[1]]
    y = np.arange(shape[0], dtype=np.float64)[window[0], None]
    return x, y


def absorb(picture: Picture, density: Plane, layer: Colour) -> None:
    """Put a layer of pigment before the picture; `layer` is its pull on red, green and blue."""
    for channel, share in zip(picture, layer, strict=True):
        np.multiply(channel, transmittance(density * share), out=channel)


def cover(picture: Picture, alpha: Plane, colour: Colour, *, window: Window = _EVERYWHERE) -> None:
    """Put something on the picture that is opaque to the degree `alpha` (0 to 1)."""
    for channel, level in zip(picture, colour, strict=True):
        part = channel[window]
        part += (level - part) * alpha


def add_hairs(dice: Dice, picture: Picture, number: int) -> None:
    """Hairs that lie roughly one way, most of them thin, a few of them pale."""
    combed = dice.direction("hair.combed")
    for hair in range(number):
        _add_hair(dice, picture, f"hair.{hair}", combed)


def _add_hair(dice: Dice, picture: Picture, name: str, combed: tuple[float, float]) -> None:
    """One hair: a cubic in coordinates turned its way, thinner towards its tip."""
    height, width = picture.shape[1:]
    cos, sin = dice.direction(f"{name}.turn")
    cos, sin = 0.35 * cos + combed[0], 0.35 * sin + combed[1]
    norm = float(np.sqrt(cos * cos + sin * sin))
    cos, sin = cos / norm, sin / norm
    half = dice.between(f"{name}.half", 0.1, 0.5) * width
    bow = dice.between(f"{name}.bow", -0.3, 0.3) * half
    sway = dice.between(f"{name}.sway", -0.15, 0.15) * half
    middle_x = dice.between(f"{name}.x", -0.05, 1.05) * width
    middle_y = dice.between(f"{name}.y", -0.05, 1.05) * height

    # The cubic stays within 0.3 of its half length from the straight line.
    window = (
        _span(middle_y, half * (abs(sin) + 0.3 * abs(cos)) + 2.0),
        _span(middle_x, half * (abs(cos) + 0.3 * abs(sin)) + 2.0),
    )
    x, y = grid((height, width), window)
    x, y = x - middle_x, y - middle_y
    u, v = (x * cos + y * sin) / half, y * cos - x * sin
    square = u * u
    slope = (2.0 * bow * u + sway * (3.0 * square - 1.0)) / half
    away = np.abs(v - bow * (square - 0.33) - sway * (square - 1.0) * u)
    away = away / np.sqrt(1.0 + slope * slope)
    thin = dice.unit(f"{name}.thick")
    thick = (0.2 + 0.75 * thin * thin) * (1.0 - 0.4 * u)
    alpha = np.clip(thick + 0.5 - away, 0.0, 1.0) * (np.abs(u) < 1.0)
    shade = dice.between(f"{name}.shade", 0.8, 3.0)
    red, green, blue = _HAIR
    colour = (red * shade, green * shade, blue * shade)
    cover(picture, alpha * dice.between(f"{name}.dark", 0.55, 0.95), colour, window=window)


def _span(middle: float, reach: float) -> slice:
    """The rows or columns from `middle - reach` to `middle + reach`, none below 0."""
    low, high = int(np.floor(middle - reach)), int(np.floor(middle + reach)) + 1
    return slice(max(low, 0), max(high, 0))


def add_gel(dice: Dice, picture: Picture, number: int) -> None:
    """Bubbles in the gel, each a ring bright towards the light and with a glint in it."""
    height, width = picture.shape[1:]
    to_light = dice.direction("gel.light")
    for bubble in range(number):
        name = f"bubble.{bubble}"
        middle_x = dice.unit(f"{name}.x") * width
        middle_y = dice.unit(f"{name}.y") * height
        size = 1.5 + 13.0 * dice.unit(f"{name}.size") * dice.unit(f"{name}.small")
        window = (_span(middle_y, size + 3.0), _span(middle_x, size + 3.0))
        x, y = grid((height, width), window)
        x, y = x - middle_x, y - middle_y
        distance = np.sqrt(x * x + y * y)
        ring = np.clip(1.3 - np.abs(distance - size), 0.0, 1.0)
        facing = (x * to_light[0] + y * to_light[1]) / np.maximum(distance, 1.0)
        cover(picture, 0.5 * ring * ramp(-0.2, 1.0, facing), _WHITE, window=window)
        cover(picture, 0.22 * ring * ramp(0.2, -1.0, facing), _SHADE, window=window)
        x, y = x - 0.45 * size * to_light[0], y - 0.45 * size * to_light[1]
        glint = ramp(0.9 + 0.15 * size, 0.2, np.sqrt(x * x + y * y))
        cover(picture, 0.8 * glint, _WHITE, window=window)


def add_ink(dice: Dice, picture: Picture) -> None:
    """Strokes of a violet surgical marker around the middle."""
    height, width = picture.shape[1:]
    shape = (height, width)
    x, y = grid(shape)
    edge = 0.8 * cloud(dice.key("ink.edge"), shape, 9.0, 2)
    dry = np.clip(0.75 + 0.3 * cloud(dice.key("ink.dry"), shape, 14.0), 0.15, 1.2)
    for stroke in range(dice.count("ink.strokes", 2, 3)):
        name = f"ink.{stroke}"
        cos, sin = dice.direction(f"{name}.place")
        x0 = x - (0.5 + 0.44 * cos) * width
        y0 = y - (0.5 + 0.44 * sin) * height
        u, v = (x0 * sin - y0 * cos) / width, x0 * cos + y0 * sin
        reach = dice.between(f"{name}.reach", 0.08, 0.25)
        away = np.abs(v + dice.between(f"{name}.bow", 20.0, 120.0) * u * u) + edge
        past = (np.maximum(np.abs(u) - reach, 0.0)) * width
        thick = dice.between(f"{name}.thick", 3.5, 6.5)
        stroke_alpha = ramp(thick + 1.5, thick - 1.5, np.sqrt(away * away + past * past))
        absorb(picture, dice.between(f"{name}.dense", 0.7, 1.3) * dry * stroke_alpha, _VIOLET)


def add_ruler(dice: Dice, picture: Picture) -> None:
    """The scale of a dermatoscope: a row of ticks along one edge, every fifth longer."""
    height, width = picture.shape[1:]
    x, y = grid((height, width))
    if dice.chance("ruler.upright", 0.4):
        x, y, height = y, x, width
    tilt = dice.between("ruler.tilt", -0.03, 0.03)
    step = dice.between("ruler.step", 9.0, 13.0)
    u, v = (x - tilt * y) / step + 0.37, height - 5.0 - y - tilt * x
    tick = np.rint(u)
    reach = np.where(np.rint(tick / 5.0) * 5.0 == tick, 17.0, 9.0)
    line = np.clip(1.2 - np.abs(u - tick) * step, 0.0, 1.0)
    alpha = line * np.clip(reach - v, 0.0, 1.0) * np.clip(v + 1.0, 0.0, 1.0)
    cover(picture, 0.85 * alpha, _BLACK)


def add_light(dice: Dice, picture: Picture, darkness: float) -> None:
    """Uneven light, and the shadow of the lens's rim, dark to the given degree (0 to 1)."""
    height, width = picture.shape[1:]
    x, y = grid((height, width))
    longer = max(height, width) / 2.0
    x, y = (x + 0.5 - width / 2.0) / longer, (y + 0.5 - height / 2.0) / longer
    cos, sin = dice.direction("light.from")
    slope = dice.between("light.slope", 0.0, 0.1)
    fall = dice.between("light.fall", 0.02, 0.14)
    light = dice.between("light.gain", 0.95, 1.08) + slope * (x * cos + y * sin)
    light = light - fall * (x * x + y * y)
    x, y = x - dice.between("rim.x", -0.06, 0.06), y - dice.between("rim.y", -0.05, 0.05)
    reach = dice.between("rim.reach", 0.92, 1.08)
    soft = dice.between("rim.soft", 0.06, 0.35)
    shadow = ramp(reach - soft, reach + 0.06, np.sqrt(x * x + y * y))
    picture *= light * (1.0 - darkness * shadow)
