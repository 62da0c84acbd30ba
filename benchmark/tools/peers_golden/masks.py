"""The masks that other tools and our dialects are given: drawn again wherever they are needed.

Needs NumPy alone. A set is a list of pairs (reference, prediction), HxW uint8 class ids, 255 in the
reference = ignored, with its number of classes; class 0 is the background.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

Mask = np.ndarray
IGNORE = 255
SEED = 20261123
N_RANDOM, SIZE, BLOCK = 8, (32, 40), 4


@dataclass(frozen=True)
class Set:
    """Pairs of masks that are scored together."""

    n_classes: int
    pairs: tuple[tuple[Mask, Mask], ...]

    @property
    def ignores(self) -> bool:
        """Whether any pixel of a reference is to be ignored."""
        return any((reference == IGNORE).any() for reference, _ in self.pairs)

    @property
    def digest(self) -> str:
        """Of all pixels, so that a value is never held to other masks than it was found on."""
        return digest(self.pairs)


def digest(pairs: tuple[tuple[Mask, Mask], ...]) -> str:
    """The first 16 digits of the SHA-256 of all pixels and sizes."""
    found = hashlib.sha256()
    for reference, prediction in pairs:
        found.update(f"{reference.shape}".encode() + reference.tobytes() + prediction.tobytes())
    return found.hexdigest()[:16]


def _blocks(rng: np.random.Generator) -> Mask:
    """Uniform noise in squares of BLOCK pixels, HxW."""
    coarse = rng.random((SIZE[0] // BLOCK, SIZE[1] // BLOCK))
    return np.kron(coarse, np.ones((BLOCK, BLOCK)))


def random_set(n_classes: int, *, ignore: bool = False) -> Set:
    """Blocks of classes; the prediction has some of them wrong, and some single pixels."""
    rng = np.random.Generator(np.random.PCG64([SEED, n_classes, ignore]))
    pairs = []
    for _ in range(N_RANDOM):
        reference = (_blocks(rng) * n_classes).astype(np.uint8)
        other = (_blocks(rng) * n_classes).astype(np.uint8)
        wrong = (_blocks(rng) < 0.15) | (rng.random(SIZE) < 0.01)  # noqa: PLR2004
        prediction = np.where(wrong, other, reference).astype(np.uint8)
        if ignore:
            reference = np.where(_blocks(rng) < 0.1, IGNORE, reference).astype(np.uint8)  # noqa: PLR2004
        pairs.append((reference, prediction))
    return Set(n_classes, tuple(pairs))


def _square(rows: slice, columns: slice) -> Mask:
    mask = np.zeros((8, 8), np.uint8)
    mask[rows, columns] = 1
    return mask


def sets() -> dict[str, Set]:
    """All sets but PH2, by name."""
    none, full = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    middle, shifted = _square(slice(2, 5), slice(2, 5)), _square(slice(3, 6), slice(3, 7))
    corner = _square(slice(3), slice(3))
    pixel, other_pixel = _square(slice(2, 3), slice(2, 3)), _square(slice(5, 6), slice(6, 7))
    stray = shifted.copy()
    stray[0, 7] = 1
    holed = _square(slice(1, 7), slice(1, 7))
    holed[3:5, 3:5] = 0
    reference = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    prediction = np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 2]], np.uint8)
    ignoring, other = reference.copy(), prediction.copy()
    ignoring[3] = IGNORE
    other[0, 0] = 3
    large, small = _square(slice(6), slice(6)), _square(slice(2), slice(2))
    left, wider = _square(slice(8), slice(3)), _square(slice(8), slice(4))
    tiny: dict[str, Set] = {
        "both empty": Set(2, ((none, none),)),
        "reference empty, prediction full": Set(2, ((none, full),)),
        "reference full, prediction empty": Set(2, ((full, none),)),
        "prediction empty, object in the corner": Set(2, ((corner, none),)),
        "reference empty, prediction in the corner": Set(2, ((none, corner),)),
        "one pixel each": Set(2, ((pixel, other_pixel),)),
        "the same pixel": Set(2, ((pixel, pixel),)),
        "shifted square": Set(2, ((shifted, middle),)),
        "a hole": Set(2, ((holed, _square(slice(1, 7), slice(1, 7))),)),
        "touching the border": Set(2, ((wider, left),)),
        "a stray pixel": Set(2, ((shifted, stray),)),
        "large found, small missed in part": Set(
            2, ((large, large), (small, _square(slice(1), slice(1))))
        ),
        "found, missed, invented, nothing": Set(
            2, ((middle, shifted), (middle, none), (none, middle), (none, none))
        ),
        "absent classes": Set(4, ((reference, prediction),)),
        "absent classes, ignored row": Set(4, ((ignoring, other),)),
    }
    return {
        "random, 2 classes": random_set(2),
        "random, 4 classes": random_set(4),
        "random, 4 classes, ignored pixels": random_set(4, ignore=True),
        **tiny,
    }
