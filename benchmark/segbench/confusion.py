"""Counts of agreement between two label maps, as values that add.

An image's joint histogram (`segbench.kernels.joint_histogram`) holds everything that overlap
measures need; per class it reduces to true and false positives and negatives (one against the
rest). Counts are int64 and add exactly; ratios
are formed last, in `segbench.measures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""Numbers of pixels: int64, or float64 where units are weighted (bootstrap)."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """One-against-rest counts of pixels, int64, of any leading shape; the last axis is the class.

    Attributes:
        tp: Pixels of the class in reference and prediction.
        fp: In the prediction only.
        fn: In the reference only.
        tn: In neither; tp + fp + fn + tn are the valid (not ignored) pixels.
    """

    tp: Pixels
    fp: Pixels
    fn: Pixels
    tn: Pixels

    @classmethod
    def of(cls, matrix: Pixels) -> Counts:
        """From confusion matrices (..., K, K), row = reference class, column = predicted class."""
        tp = np.diagonal(matrix, axis1=-2, axis2=-1)
        fn = matrix.sum(axis=-1) - tp
        fp = matrix.sum(axis=-2) - tp
        total = matrix.sum(axis=(-2, -1))[..., np.newaxis]
        return cls(tp, fp, fn, total - tp - fp - fn)

    @property
    def total(self) -> Pixels:
        """Valid pixels, the same for every class."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def reference(self) -> Pixels:
        """Pixels of the class in the reference."""
        return self.tp + self.fn

    @property
    def predicted(self) -> Pixels:
        """Pixels of the class in the prediction."""
        return self.tp + self.fp

    def __iter__(self) -> Iterator[Pixels]:
        return (getattr(self, field.name) for field in fields(self))

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    def __getitem__(self, index: Any) -> Counts:  # noqa: ANN401  whatever indexes an array
        return Counts(*(a[index] for a in self))

    def sum(self) -> Counts:
        """Pooled over the first axis (images)."""
        return Counts(*(a.sum(axis=0) for a in self))

    @classmethod
    def concatenate(cls, parts: list[Counts]) -> Counts:
        """Along the first axis."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def worst_counts(reference_pixels: Pixels) -> Counts:
    """What a missing prediction scores: for every class, no pixel right.

    Each class alone gets the worst prediction there could be for it (every pixel of the class
    missed, every other pixel taken for it), so that leaving an image out can help no class.

    Args:
        reference_pixels: (..., K) int64, pixels of each class in the reference.
    """
    total = reference_pixels.sum(axis=-1, keepdims=True)
    zero = np.zeros_like(reference_pixels)
    return Counts(zero, total - reference_pixels, reference_pixels, zero)


def worst_map(reference_pixels: Pixels) -> Counts:
    """As `worst_counts`, but of one label map: each pixel gets the next class in cyclic order.

    Measures of the whole map (kappa, MCC) need the classes' counts to belong to one map. With two
    classes this is the complement, as is `worst_counts`.
    """
    predicted = np.roll(reference_pixels, 1, axis=-1)
    total = reference_pixels.sum(axis=-1, keepdims=True)
    zero = np.zeros_like(reference_pixels)
    return Counts(zero, predicted, reference_pixels, total - predicted - reference_pixels)
