"""The pictures of `synthetic-lesions`: dermoscopy-like images with exact masks, drawn from a seed.

Nothing here is a photograph of anybody. A picture is made the way light makes one: skin of some
tone, in which layers of pigment absorb (each its own colours, so that thin melanin is tan, dense
melanin brown and deep melanin blue-grey), and over it hair, ink, a ruler, gel bubbles, uneven
light and grain. The mask is exactly the set of pixels that hold the lesion's pigment; what lies
over the lesion (hair, ink, bubbles) does not cut holes into it, and redness around it is skin.

`draw("SYN001", seed=1)` depends on its two arguments alone and gives the same bytes on every
machine (`synthetic_noise` says how). What kind of picture an identifier is does not depend on the
seed, so that a split balanced over kinds is balanced for every seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError
from segbench.prepare.synthetic_noise import (
    Dice,
    Plane,
    Shape,
    cells,
    cloud,
    grain,
    ramp,
    smooth_noise,
    units,
)
from segbench.prepare.synthetic_overlay import (
    Colour,
    Picture,
    absorb,
    add_gel,
    add_hairs,
    add_ink,
    add_light,
    add_ruler,
    cover,
    grid,
)

Levels = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Range = tuple[float, float]
Texture = Callable[[Dice, Plane, Plane], Plane]

SIZES: tuple[Shape, ...] = ((240, 320), (216, 288), (240, 360), (264, 352), (320, 240))
"""Height and width of the pictures; the last one is upright."""


@dataclass(frozen=True)
class Drawing:
    """One drawn sample.

    Attributes:
        image: RGB, height x width x 3, uint8.
        mask: Class ids, height x width, uint8: 0 background, 1 lesion.
        fields: What was drawn: `kind` (a key of `KINDS`), `pattern` of the pigment (network,
            globules, cobblestone, plain, or none where there is no lesion), `skin` (fair, medium,
            dark) and `origin`, which says that this is no photograph: synthetic.
    """

    image: Levels
    mask: Levels
    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What sets one kind of picture apart; a range is a low and a high end.

    Attributes:
        numbers: The pictures of this kind (7 is `SYN007`).
        coverage: Share of the picture that is lesion.
        offset: Distance of the lesion from the middle; 1 reaches the edge.
        pigment: Optical density of the lesion.
        rim: Share of that density at the outline.
        hairs: How many hairs.
        corners: Darkness of the corners, 0 none to 1 black.
        ink: Whether a surgeon's marker was used.
    """

    numbers: tuple[int, ...]
    coverage: Range = (0.08, 0.30)
    offset: Range = (0.0, 0.25)
    pigment: Range = (0.7, 1.4)
    rim: Range = (0.15, 0.55)
    hairs: tuple[int, int] = (0, 3)
    corners: Range = (0.0, 0.35)
    ink: bool = False


# Neighbouring numbers are of different kinds, so that any few in a row show several.
KINDS: dict[str, Kind] = {
    "typical": Kind(numbers=(1, 5, 8, 12, 16, 20, 23, 27, 31, 35, 38, 42, 46, 50, 53, 57)),
    "small": Kind(
        numbers=(3, 13, 24, 33, 43, 54),
        coverage=(0.007, 0.025),
        offset=(0.1, 0.45),
        corners=(0.0, 0.12),
    ),
    "large": Kind(numbers=(6, 17, 25, 36, 47, 58), coverage=(0.62, 0.86), corners=(0.0, 0.5)),
    "border": Kind(numbers=(9, 19, 29, 39, 49, 59), coverage=(0.15, 0.42), offset=(0.85, 1.0)),
    "hair": Kind(numbers=(2, 10, 18, 26, 34, 41, 48, 56), coverage=(0.1, 0.32), hairs=(24, 70)),
    "low-contrast": Kind(
        numbers=(4, 11, 21, 28, 37, 44, 51, 60), pigment=(0.16, 0.32), rim=(0.6, 0.9)
    ),
    "dark-corners": Kind(numbers=(7, 22, 32, 45, 55), corners=(0.8, 0.97), pigment=(0.5, 1.1)),
    "ink": Kind(numbers=(14, 40, 52), ink=True, coverage=(0.06, 0.2)),
    "empty": Kind(numbers=(15, 30), coverage=(0.0, 0.0), hairs=(2, 14)),
}
_KIND_OF = {f"SYN{number:03}": name for name, kind in KINDS.items() for number in kind.numbers}

IDS: tuple[str, ...] = tuple(sorted(_KIND_OF))
"""`SYN001` to `SYN060`."""

# As in life, a network is seen more often than anything else, and more skins are fair than dark.
_PATTERN_SHARES = ("network", "network", "globules", "cobblestone", "plain")
_SKIN_SHARES = ("fair", "fair", "fair", "medium", "medium", "dark")
_SKINS: dict[str, tuple[Colour, ...]] = {
    "fair": ((0.95, 0.83, 0.78), (0.95, 0.84, 0.71), (0.91, 0.80, 0.80), (0.96, 0.80, 0.68)),
    "medium": ((0.90, 0.70, 0.50), (0.85, 0.66, 0.53), (0.80, 0.65, 0.58), (0.86, 0.65, 0.46)),
    "dark": ((0.64, 0.46, 0.36), (0.56, 0.40, 0.30)),
}

# How strongly each layer absorbs red, green and blue.
_MELANIN = (0.62, 1.00, 1.30)
_DEEP = (1.25, 1.05, 0.80)
_BLOOD = (0.12, 0.95, 0.75)
_VEIL = (0.50, 0.53, 0.62)
_SCAR = (0.88, 0.74, 0.70)


def draw(identifier: str, *, seed: int) -> Drawing:
    """Draw one sample.

    Args:
        identifier: One of `IDS`.
        seed: Which series of pictures.

    Raises:
        SegbenchError: There is no such identifier.
    """
    if identifier not in _KIND_OF:
        raise SegbenchError(
            f"no synthetic picture is called {identifier!r}: expected {IDS[0]} to {IDS[-1]}"
        )
    name = _KIND_OF[identifier]
    kind = KINDS[name]
    dice = Dice(seed, identifier)
    shape = dice.pick("size", SIZES)
    skin = dice.pick("skin", _SKIN_SHARES)
    mask = np.zeros(shape, np.uint8)
    pattern = "none"

    picture = _skin(dice, shape, skin)
    if kind.coverage[1] > 0.0:
        pattern = dice.pick("pattern", _PATTERN_SHARES)
        lesion = _outline(dice, shape, kind)
        mask[lesion.inside] = 1
        _add_pigment(dice, picture, lesion, pattern=pattern, kind=kind)
    if kind.ink:
        add_ink(dice, picture)
    add_hairs(dice, picture, dice.count("hairs", *kind.hairs))
    if dice.chance("gel", 0.55):
        add_gel(dice, picture, dice.count("bubbles", 1, 8))
    if dice.chance("ruler", 0.7 if kind.ink else 0.08):
        add_ruler(dice, picture)
    add_light(dice, picture, dice.between("corners", *kind.corners))
    picture += 0.01 * grain(dice.key("grain"), shape)
    levels = np.floor(np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    image = np.ascontiguousarray(levels.transpose(1, 2, 0))
    fields = {"kind": name, "pattern": pattern, "skin": skin, "origin": "synthetic"}
    return Drawing(image, mask, fields)


def _skin(dice: Dice, shape: Shape, skin: str) -> Picture:
    """Bare skin: a tone, paler and redder places, and its fine relief."""
    base = dice.pick("tone", _SKINS[skin])
    blotches = 1.0 + 0.03 * cloud(dice.key("blotches"), shape, 110.0, 2)
    relief = _furrows(dice, shape) * dice.between("furrows", 0.004, 0.03)
    relief += 0.01 * cloud(dice.key("fine"), shape, 7.3, 2)
    picture = np.empty((3, *shape))
    for channel, level in enumerate(base):
        tone = level * dice.between(f"tone.{channel}", 0.97, 1.03)
        picture[channel] = tone * blotches * (1.0 + relief)
    flush = np.maximum(cloud(dice.key("flush"), shape, 70.0, 2) + 0.5, 0.0)
    absorb(picture, dice.between("flush.much", 0.01, 0.08) * flush, _BLOOD)
    return picture


def _furrows(dice: Dice, shape: Shape) -> Plane:
    """The fine lines of skin, about 0: the walls of long cells."""
    x, y = grid(shape)
    x = x + 6.0 * smooth_noise(dice.key("furrow.x"), shape, 22.0)
    y = y + 6.0 * smooth_noise(dice.key("furrow.y"), shape, 22.0)
    cos, sin = dice.direction("furrow")
    size = dice.between("furrow.size", 7.0, 12.0)
    long = dice.between("furrow.long", 1.5, 3.5) * size
    walls = cells(dice.key("furrow"), (x * cos + y * sin) / long, (y * cos - x * sin) / size)
    return ramp(0.0, 0.4, walls.second - walls.nearest) - 0.8


@dataclass(frozen=True)
class _Outline:
    """Where the lesion is.

    `depth` is 1 in its middle, 0 on its outline and below 0 outside; `pixels` is the distance to
    the outline along the ray from the middle, in pixels.
    """

    inside: Flags
    depth: Plane
    pixels: Plane


def _outline(dice: Dice, shape: Shape, kind: Kind) -> _Outline:
    """A star-shaped outline of random harmonics, bent by noise, of exactly the wished area."""
    height, width = shape
    coverage = dice.between("coverage", *kind.coverage)
    cos, sin = dice.direction("place")
    offset = dice.between("offset", *kind.offset)
    x, y = grid(shape)
    x = x - (width / 2.0) * (1.0 + offset * cos)
    y = y - (height / 2.0) * (1.0 + offset * sin)

    # The noise is gentle for its width, so that bending does not tear the outline apart.
    across = float(np.sqrt(coverage * height * width))
    ragged = dice.between("ragged", 0.4, 1.0)
    for name, cell, reach in (
        ("wide", 0.4 * across, 0.06 * across),
        ("fine", 14.0, 4.2 * ragged),
        ("frayed", 5.0, 1.6 * ragged),
    ):
        scale = max(cell, 4.0)
        bend = min(reach, 0.3 * scale)
        x = x + bend * smooth_noise(dice.key(f"bend.{name}.x"), shape, scale)
        y = y + bend * smooth_noise(dice.key(f"bend.{name}.y"), shape, scale)

    cos, sin = dice.direction("turn")
    stretch = dice.between("stretch", 1.0, 1.5)
    x, y = (x * cos + y * sin) / stretch, y * cos - x * sin
    distance = np.maximum(np.sqrt(x * x + y * y), 1e-6)
    radius = _harmonics(dice, x / distance, y / distance)
    ratio = distance / radius
    wished = int(coverage * ratio.size)
    reach = float(np.partition(ratio, wished, axis=None)[wished])
    depth = 1.0 - ratio / reach
    return _Outline(ratio < reach, depth, depth * reach * radius)


def _harmonics(dice: Dice, cos: Plane, sin: Plane) -> Plane:
    """A closed curve's radius by direction; cos kt and sin kt by the Chebyshev recurrence."""
    radius = np.ones(cos.shape)
    irregular = dice.between("irregular", 0.12, 0.6)
    before, now = (np.ones(cos.shape), np.zeros(cos.shape)), (cos, sin)
    twice = 2.0 * cos
    for k in range(2, 8):
        before, now = now, (twice * now[0] - before[0], twice * now[1] - before[1])
        most = irregular / (k * float(np.sqrt(k)))
        for part, wave in zip(("cos", "sin"), now, strict=True):
            radius += dice.between(f"wave.{part}.{k}", -most, most) * wave
    return np.maximum(radius, 0.4)


def _add_pigment(
    dice: Dice, picture: Picture, lesion: _Outline, *, pattern: str, kind: Kind
) -> None:
    """Lay the lesion's pigment into the skin; no pixel of the support is left without."""
    shape = lesion.inside.shape
    patch = 0.3 * min(shape)
    strength = dice.between("pigment", *kind.pigment)
    rim = dice.between("rim", *kind.rim)
    soft = dice.between("soft", 0.1, 0.6)
    uneven = lesion.depth + 0.06 * cloud(dice.key("uneven"), shape, 14.0, 2)
    body = rim + (1.0 - rim) * ramp(0.0, soft, uneven)
    body *= 0.4 + 0.6 * ramp(0.0, 3.0, lesion.pixels)
    body *= 1.0 + 0.4 * cloud(dice.key("patches"), shape, patch)
    density = np.maximum(body * _texture(dice, lesion, pattern), 0.15)

    halo = dice.between("halo", -0.06, 0.1) * strength
    absorb(picture, max(halo, 0.0) * ramp(-0.45, 0.0, lesion.depth), _BLOOD)
    absorb(picture, np.where(lesion.inside, strength * density, 0.0), _MELANIN)
    inner = ramp(0.05, 0.5, lesion.depth) * strength
    deep = ramp(0.0, 1.3, cloud(dice.key("deep"), shape, patch))
    absorb(picture, dice.between("deep.much", 0.0, 1.1) * inner * deep, _DEEP)
    red = ramp(-0.1, 1.1, cloud(dice.key("red"), shape, patch))
    absorb(picture, dice.between("red.much", 0.0, 0.4) * inner * red, _BLOOD)
    inner = np.minimum(inner, 1.0)
    if dice.chance("veil", 0.25):
        veil = ramp(0.2, 1.2, cloud(dice.key("veil.where"), shape, patch))
        cover(picture, dice.between("veil.much", 0.25, 0.5) * veil * inner, _VEIL)
    if dice.chance("scar", 0.25):
        scar = ramp(0.3, 1.2, cloud(dice.key("scar.where"), shape, patch))
        cover(picture, dice.between("scar.much", 0.2, 0.45) * scar * inner, _SCAR)


def _texture(dice: Dice, lesion: _Outline, pattern: str) -> Plane:
    """The fine pattern of the pigment: a factor about 1 for its density, 1 outside the lesion."""
    shape = lesion.inside.shape
    x, y = grid(shape)
    x = (x + 2.5 * smooth_noise(dice.key("texture.x"), shape, 11.0))[lesion.inside]
    y = (y + 2.5 * smooth_noise(dice.key("texture.y"), shape, 11.0))[lesion.inside]
    factor = np.ones(shape)
    factor[lesion.inside] = _PATTERNS[pattern](dice, x, y)
    if dice.chance("dots", 0.4):
        dot = cells(dice.key("dot"), x / 10.0, y / 10.0)
        some = ramp(0.75, 0.8, units(dot.bits))
        factor[lesion.inside] += 0.8 * some * ramp(0.17, 0.07, dot.nearest)
    much = dice.between("pattern.much", 0.6, 1.0)
    much = much * np.clip(0.85 + 0.4 * cloud(dice.key("pattern.where"), shape, 45.0), 0.3, 1.0)
    speckle = 0.16 * cloud(dice.key("speckle"), shape, 7.0, 3)
    return 1.0 + much * (factor - 1.0) + speckle


def _network(dice: Dice, x: Plane, y: Plane) -> Plane:
    """Brown lines around pale holes."""
    size = dice.between("network.size", 4.5, 7.0)
    mesh = cells(dice.key("network"), x / size, y / size)
    return 0.72 + 0.75 * ramp(0.5, 0.0, mesh.second - mesh.nearest)


def _cobblestone(dice: Dice, x: Plane, y: Plane) -> Plane:
    """Large stones, each its own brown, with pale joints."""
    size = dice.between("stone.size", 8.0, 13.0)
    stone = cells(dice.key("stone"), x / size, y / size)
    joint = ramp(0.0, 0.35, stone.second - stone.nearest)
    return 0.65 + joint * (0.15 + 0.5 * units(stone.bits))


def _globules(dice: Dice, x: Plane, y: Plane) -> Plane:
    """Dark round clumps of different sizes."""
    size = dice.between("globule.size", 6.0, 11.0)
    ball = cells(dice.key("globule"), x / size, y / size)
    radius = 0.1 + 0.3 * units(ball.bits)
    return 0.82 + 0.75 * ramp(0.14, -0.1, ball.nearest - radius)


def _plain(_dice: Dice, x: Plane, _y: Plane) -> Plane:
    """No pattern."""
    return np.ones(x.shape)


_PATTERNS: dict[str, Texture] = {
    "network": _network,
    "globules": _globules,
    "cobblestone": _cobblestone,
    "plain": _plain,
}
