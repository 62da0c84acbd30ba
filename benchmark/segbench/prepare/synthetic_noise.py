"""Random numbers and textures that come out the same, to the bit, on every machine.

Pictures drawn with them are pinned by digests of their pixels, so nothing here may depend on the
version of numpy, the processor or the order of drawing:

* numpy does not promise that a `Generator` keeps its stream between versions (NEP 19). A random
  number is therefore a pure function of *what it is for*: the sha256 of a name for single numbers,
  and splitmix64 (Steele, Lea and Flood, 2014, doi 10.1145/2660193.2660195) of a counter for arrays.
* Only integer arithmetic and the operations that IEEE 754 rounds exactly are used (+ - * / sqrt,
  floor, rint, comparisons), each over whole arrays and in a fixed order. `exp`, `sin`, `pow`,
  `hypot`, `interp`, sums and matrix products may differ in the last bit between builds.

A `Plane` is a float64 array, one value per pixel or per point; lengths are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Plane = NDArray[np.float64]
Bits = NDArray[np.uint64]
Shape = tuple[int, int]

_UNIT = 1.0 / (1 << 53)


@dataclass(frozen=True)
class Dice:
    """Named random numbers: each name has one value for a seed and a subject, whatever the order.

    >>> Dice(1, "SYN001").unit("tone") == Dice(1, "SYN001").unit("tone")
    True
    """

    seed: int
    subject: str

    def key(self, name: str) -> int:
        """64 random bits, to start a texture with."""
        digest = sha256(f"{self.seed}/{self.subject}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big")

    def unit(self, name: str) -> float:
        """A number in [0, 1)."""
        return (self.key(name) >> 11) * _UNIT

    def between(self, name: str, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit(name)

    def count(self, name: str, low: int, high: int) -> int:
        """A whole number in low..high, both included."""
        return low + self.key(name) % (high - low + 1)

    def chance(self, name: str, probability: float) -> bool:
        """True with the given probability."""
        return self.unit(name) < probability

    def pick(self, name: str, options: tuple[T, ...]) -> T:
        """One of the options, all equally likely."""
        return options[self.key(name) % len(options)]

    def direction(self, name: str) -> tuple[float, float]:
        """A unit vector in any direction (a point of a diamond, drawn out to the circle)."""
        u = self.between(f"{name}.u", -1.0, 1.0)
        v = (1.0 - abs(u)) * (1.0 if self.chance(f"{name}.side", 0.5) else -1.0)
        length = float(np.sqrt(u * u + v * v))
        return u / length, v / length


def scatter(key: int, counters: NDArray[np.int64]) -> Bits:
    """64 random bits for each counter: the splitmix64 generator entered at `key + counter`."""
    z = counters.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.array([key], np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def units(bits: Bits) -> Plane:
    """The upper 53 of each 64 bits as a number in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * _UNIT


def grain(key: int, shape: Shape) -> Plane:
    """White noise per pixel, bell-shaped, mean 0 and deviation 1 (a sum of four 16-bit draws)."""
    bits = scatter(key, np.arange(shape[0] * shape[1], dtype=np.int64))
    total = np.zeros(bits.shape, np.int64)
    for shift in (0, 16, 32, 48):
        total += ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
    deviation = 65536.0 / float(np.sqrt(3.0))
    return ((total - 2 * 65535).astype(np.float64) / deviation).reshape(shape)


def smooth_noise(key: int, shape: Shape, cell: float) -> Plane:
    """Smooth noise about 0, deviation about 0.6: a quadratic B-spline over a random lattice.

    Args:
        key: Which noise.
        shape: Height and width in pixels.
        cell: The distance between lattice points in pixels, at least 1.
    """
    height, width = shape
    rows, row_weights = _spline(height, cell)
    columns, column_weights = _spline(width, cell)
    lattice_shape = (int(rows[-1]) + 3, int(columns[-1]) + 3)
    counters = np.arange(lattice_shape[0] * lattice_shape[1], dtype=np.int64)
    lattice = (units(scatter(key, counters)) * 4.0 - 2.0).reshape(lattice_shape)
    # One axis after the other; three terms each, always added in the same order.
    across = np.zeros((lattice_shape[0], width))
    for tap, weight in enumerate(column_weights):
        across += lattice[:, columns + tap] * weight
    noise = across.take(rows, axis=0)
    noise *= row_weights[0][:, None]
    term = np.empty(shape)
    for tap in (1, 2):
        np.multiply(across.take(rows + tap, axis=0), row_weights[tap][:, None], out=term)
        noise += term
    return noise


def _spline(length: int, cell: float) -> tuple[NDArray[np.int64], tuple[Plane, Plane, Plane]]:
    """The first of three lattice points for each pixel, and the uniform B-spline's weights."""
    position = np.arange(length, dtype=np.float64) / cell
    first = np.floor(position)
    t = position - first
    s = 1.0 - t
    return first.astype(np.int64), (0.5 * s * s, 0.5 + t * s, 0.5 * t * t)


def cloud(key: int, shape: Shape, cell: float, octaves: int = 3) -> Plane:
    """Noise with detail at several scales: each octave half as wide and half as strong."""
    total = np.zeros(shape)
    strength = 1.0
    for octave in range(octaves):
        total += strength * smooth_noise(key ^ (octave + 1), shape, max(cell, 1.0))
        cell, strength = cell / 2.0, strength / 2.0
    return total


@dataclass(frozen=True)
class Cells:
    """The cell pattern of scattered points (Worley, 1996, doi 10.1145/237170.237267).

    Attributes:
        nearest: Distance to the nearest point, in cells.
        second: Distance to the second nearest; equal to `nearest` on the walls between cells.
        bits: 64 random bits of the nearest point, the same all over its cell.
    """

    nearest: Plane
    second: Plane
    bits: Bits


def cells(key: int, x: Plane, y: Plane) -> Cells:
    """The cell pattern at the points x, y, given in cells: one scattered point in each unit square.

    Points keep to the middle 70 % of their square, so that the nearest one lies, but for rare
    cases that do not show, in the 3 x 3 squares around.
    """
    column, row = np.floor(x), np.floor(y)
    # A table of the squares' points is far smaller than the picture.
    left, top = int(column.min()) - 1, int(row.min()) - 1
    stride, rows = int(column.max()) - left + 2, int(row.max()) - top + 2
    counters = np.arange(stride * rows, dtype=np.int64)
    bits = scatter(key, counters)
    point_x = units(bits) * 0.7 + 0.15
    point_y = units(scatter(key ^ 1, counters)) * 0.7 + 0.15
    inner_x, inner_y = x - column, y - row
    square = (row.astype(np.int64) - top) * stride + (column.astype(np.int64) - left)

    nearest = np.full(x.shape, 9.0)
    second = np.full(x.shape, 9.0)
    owner = square.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            here = square + (dy * stride + dx)
            away_x = point_x.take(here)
            away_x += dx - inner_x
            away_x *= away_x
            away_y = point_y.take(here)
            away_y += dy - inner_y
            away_y *= away_y
            away_x += away_y
            np.copyto(owner, here, where=away_x < nearest)
            np.minimum(second, np.maximum(nearest, away_x), out=second)
            np.minimum(nearest, away_x, out=nearest)
    return Cells(np.sqrt(nearest), np.sqrt(second), bits.take(owner))


def ramp(low: float, high: float, values: Plane) -> Plane:
    """0 below `low`, 1 above `high`, a smooth cubic between; falling where `low` > `high`."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    rest = 3.0 - 2.0 * t
    t *= t
    t *= rest
    return t


def transmittance(density: Plane) -> Plane:
    """The share of light left after an optical density >= 0: `exp(-density)` to a few per cent.

    The rational `(1 + d / 8) ** -8` is used since `exp` is not rounded the same way everywhere.
    """
    base = 1.0 + density / 8.0
    for _ in range(3):
        base *= base
    return np.divide(1.0, base, out=base)
