"""Masks -> what dialects are computed from: areas of pixels, and reduced distances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench import surface
from segbench.confusion import Counts
from segbench.dialects.rules import Areas, Floats, Observed, Reduction
from segbench.kernels import joint_pairs
from segbench.masks.labels import IGNORE_ID
from segbench.surface import Boundary, SurfaceDistances

Mask = NDArray[np.uint8]
Key = tuple[Reduction, Boundary]


@dataclass(frozen=True, slots=True)
class Ruler:
    """What distances are measured with.

    Attributes:
        spacing_mm: Of rows and of columns; None: pixels.
        tolerance: Of the normalised surface Dice, in that unit.
    """

    spacing_mm: tuple[float, float] | None = None
    tolerance: float = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One image's joint counts and reduced distances.

    Attributes:
        joint: (K + 1, K + 1) int64: pixels by class in the reference (the last row: ignored) and in
            the prediction (the last column: a predicted 255, of no class).
        total: Valid pixels, and all.
        surfaces: (reductions, K).
    """

    joint: NDArray[np.int64]
    total: tuple[int, int]
    surfaces: Floats


@dataclass(frozen=True, slots=True)
class Observer:
    """Looks at pairs of masks, one at a time.

    Attributes:
        class_ids: Of the K columns.
        background: The column that has no boundary.
        keys: The reductions that are needed.
        ruler: Of distances.
    """

    class_ids: tuple[int, ...]
    background: int | None
    keys: tuple[Key, ...]
    ruler: Ruler

    def sample(self, reference: Mask, prediction: Mask) -> Sample:
        """One image.

        Args:
            reference: HxW uint8 class ids, 255 = ignored.
            prediction: HxW uint8 class ids; 255: no class.
        """
        k = len(self.class_ids)
        joint = np.zeros((k + 1, k + 1), dtype=np.int64)
        index = {class_id: i for i, class_id in enumerate((*self.class_ids, IGNORE_ID))}
        valid = 0
        for pair, pixels in joint_pairs(reference, prediction).T.tolist():
            true, guess = divmod(pair, IGNORE_ID + 1)
            valid += pixels * (true != IGNORE_ID)
            joint[index[true], index[guess]] += pixels
        surfaces = np.full((len(self.keys), k), np.nan)
        for column, class_id in enumerate(self.class_ids if self.keys else ()):
            if column != self.background:
                surfaces[:, column] = self._distances(reference == class_id, prediction == class_id)
        return Sample(joint, (valid, reference.size), surfaces)

    def _distances(self, true: NDArray[np.bool_], guess: NDArray[np.bool_]) -> list[float]:
        if not true.any() and not guess.any():
            return [np.nan] * len(self.keys)
        boundaries: set[Boundary] = {boundary for _, boundary in self.keys}
        measured = {
            boundary: surface.surface_distances(
                true, guess, spacing_mm=self.ruler.spacing_mm, boundary=boundary
            )
            for boundary in boundaries
        }
        found: list[float] = []
        for reduction, boundary in self.keys:
            d = measured[boundary]
            if reduction == "nsd from the corner" and d.one_empty:
                d = self._from_the_corner(true if true.any() else guess)
                found.append(self._share_of_prediction(d))
            else:
                found.append(_REDUCTIONS[reduction](d, self.ruler))
        return found

    def _from_the_corner(self, mask: NDArray[np.bool_]) -> SurfaceDistances:
        """Distances of a boundary to the point one row above the image's first pixel.

        There scipy's distance transform puts the nearest element of a boundary that has none.
        """
        mask = np.pad(mask, ((1, 0), (0, 0)))
        corner = np.zeros_like(mask)
        corner[0, 0] = True
        return surface.surface_distances(corner, mask, spacing_mm=self.ruler.spacing_mm)

    def _share_of_prediction(self, d: SurfaceDistances) -> float:
        return float(np.mean(d.to_reference <= self.ruler.tolerance))

    def observed(self, samples: Sequence[Sample], class_names: Collection[str]) -> Observed:
        """All images together."""
        n, k = len(samples), len(self.class_ids)
        joint = np.array([s.joint for s in samples], dtype=np.int64).reshape(n, k + 1, k + 1)
        total = np.array([s.total for s in samples], dtype=np.int64).reshape(n, 2)
        surfaces = np.array([s.surfaces for s in samples]).reshape(n, len(self.keys), k)
        return Observed(
            tuple(class_names),
            self.background,
            {"valid": _areas(joint[:, :k], total[:, :1]), "every": _areas(joint, total[:, 1:])},
            ignores=bool((total[:, 0] < total[:, 1]).any()),
            surfaces={key: surfaces[:, i] for i, key in enumerate(self.keys)},
        )


def _areas(joint: NDArray[np.int64], total: NDArray[np.int64]) -> Areas:
    k = joint.shape[2] - 1
    tp = np.diagonal(joint[:, :k, :k], axis1=1, axis2=2)
    fp, fn = joint[:, :, :k].sum(axis=1) - tp, joint[:, :k].sum(axis=2) - tp
    return Areas.of(Counts(tp, fp, fn, total - tp - fp - fn))


def _nsd(d: SurfaceDistances, ruler: Ruler) -> float:
    if d.unit == "px":
        return surface.nsd(d, tolerance_px=ruler.tolerance)
    return surface.nsd(d, tolerance_mm=ruler.tolerance)


def _percentile(rule: surface.Rule) -> Callable[[SurfaceDistances, Ruler], float]:
    return lambda d, _: surface.hausdorff_percentile(d, 95, rule=rule, empty="inf")


_REDUCTIONS: dict[Reduction, Callable[[SurfaceDistances, Ruler], float]] = {
    "hd": lambda d, _: surface.hausdorff(d, empty="inf"),
    "hd95 max": _percentile("max"),
    "hd95 pooled": _percentile("pooled"),
    "assd": lambda d, _: surface.assd(d, empty="inf"),
    "masd": lambda d, _: surface.masd(d, empty="inf"),
    "asd of prediction": lambda d, _: surface.average(d.to_reference, d.prediction_weights),
    "asd of reference": lambda d, _: surface.average(d.to_prediction, d.reference_weights),
    "nsd": _nsd,
    "nsd from the corner": _nsd,
}
