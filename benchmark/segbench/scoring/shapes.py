"""Measures of shapes for one image, boundaries and topology: a value for each measure and class.

Pixels that the reference ignores are background in both masks. The values here are raw: NaN where
a class is in neither mask, infinite distances where it is in only one; `settled` applies the empty
rules to the values of all images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segbench import surface, topology
from segbench.masks.labels import IGNORE_ID
from segbench.measures import Measure
from segbench.measures.table import surface_function

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ShapeMeasures:
    """The measures of shapes of an evaluation, one of each key.

    Attributes:
        measures: M measures; their class does not matter here.
        class_ids: Of the K columns.
        skipped: Columns that have no shape of their own (the background).
    """

    measures: tuple[Measure, ...]
    class_ids: tuple[int, ...]
    skipped: frozenset[int]

    @classmethod
    def of(
        cls, measures: Sequence[Measure], class_ids: Sequence[int], *, background: int | None
    ) -> ShapeMeasures:
        """Those among the measures of a grid."""
        by_key = {m.key: m for m in measures if m.definition.of_shape}
        skipped = frozenset(() if background is None else (background,))
        return cls(tuple(by_key.values()), tuple(class_ids), skipped)

    def values(
        self, reference: Mask, codes: Mask, codes_of: Mapping[int, Collection[int]]
    ) -> Floats:
        """Raw values (M, K) of one image, NaN for the columns that are skipped.

        Args:
            reference: HxW uint8 class ids, 255 = ignore.
            codes: HxW uint8, the prediction.
            codes_of: The codes that stand for each class id; others are of no class.
        """
        out = np.full((len(self.measures), len(self.class_ids)), np.nan)
        valid = reference != IGNORE_ID
        everywhere = bool(valid.all())
        for column, class_id in enumerate(self.class_ids):
            if column in self.skipped:
                continue
            true = reference == class_id
            guess = _any_of(codes, codes_of.get(class_id, ()))
            if not everywhere:
                guess &= valid
            if true.any() or guess.any():
                out[:, column] = self._of_masks(true, guess)
        return out

    def _of_masks(self, true: Bools, guess: Bools) -> list[float]:
        distances: surface.SurfaceDistances | None = None
        found: list[float] = []
        for measure in self.measures:
            if measure.key in OF_MASKS:
                found.append(OF_MASKS[measure.key](measure, true, guess))
                continue
            if distances is None:  # one computation serves all of them
                distances = surface.surface_distances(
                    true,
                    guess,
                    spacing_mm=measure.spacing_mm,
                    boundary=measure.boundary or "inner",
                )
            reduce = surface_function(measure.key)
            found.append(
                reduce(
                    distances,
                    rule=measure.rule,
                    tolerance_px=measure.tolerance_px,
                    tolerance_mm=measure.tolerance_mm,
                )
            )
        return found

    def settled(
        self,
        raw: Floats,
        sizes: Sequence[tuple[int, int]],
        *,
        missing: NDArray[np.bool_],
        has_pixels: NDArray[np.bool_],
    ) -> dict[str, Floats]:
        """The values (n, K) of each key: the empty rule applied, missing predictions the worst.

        Args:
            raw: (n, M, K) raw values.
            sizes: Height and width of each image.
            missing: (n,) bool, no prediction.
            has_pixels: (n,) bool, any pixel is valid; the others are undefined.
        """
        found: dict[str, Floats] = {}
        for i, measure in enumerate(self.measures):
            value = raw[:, i].copy()
            worst = np.broadcast_to(_worst(measure, sizes)[:, np.newaxis], value.shape).copy()
            if measure.definition.family == "distance":
                if measure.empty == "inf":
                    worst[:] = np.inf
                one_empty = np.isinf(value)
                value[one_empty] = np.nan if measure.empty == "nan" else worst[one_empty]
            elif measure.empty != "nan":
                value[np.isnan(value)] = float(measure.empty or "nan")
            value[missing] = worst[missing]
            value[:, sorted(self.skipped)] = np.nan
            value[~has_pixels] = np.nan
            found[measure.key] = value
        return found


def _any_of(codes: Mask, wanted: Collection[int]) -> NDArray[np.bool_]:
    masks = [codes == code for code in wanted]
    if not masks:
        return np.zeros(codes.shape, dtype=np.bool_)
    first, *others = masks
    for mask in others:
        first |= mask
    return first


def _boundary_iou(measure: Measure, true: Bools, guess: Bools) -> float:
    ratio = measure.dilation_ratio or surface.DILATION_RATIO
    return surface.boundary_iou(true, guess, dilation_ratio=ratio)


def _cl_dice(measure: Measure, true: Bools, guess: Bools) -> float:
    return topology.cl_dice(true, guess, method=measure.skeleton or "zhang")


def _components_error(measure: Measure, true: Bools, guess: Bools) -> float:
    return _difference(partial(topology.components, connectivity=_neighbours(measure)), true, guess)


def _holes_error(measure: Measure, true: Bools, guess: Bools) -> float:
    return _difference(partial(topology.holes, connectivity=_neighbours(measure)), true, guess)


def _difference(number: Callable[[Bools], int], true: Bools, guess: Bools) -> float:
    return float(abs(number(guess) - number(true)))


def _neighbours(measure: Measure) -> topology.Connectivity:
    return measure.connectivity or 8


OF_MASKS: dict[str, Callable[[Measure, Bools, Bools], float]] = {
    "boundary_iou": _boundary_iou,
    "cldice": _cl_dice,
    "components_error": _components_error,
    "holes_error": _holes_error,
}
"""The measures of shapes that do not come from distances between boundaries."""


def _worst(measure: Measure, sizes: Sequence[tuple[int, int]]) -> Floats:
    """(n,): what a missing prediction scores in an image of each size."""
    match measure.key:
        case "components_error":
            most = partial(topology.most_components, connectivity=_neighbours(measure))
        case "holes_error":
            most = partial(topology.most_holes, connectivity=_neighbours(measure))
        case _ if measure.definition.family == "distance":
            return _diagonals(sizes, measure)
        case _:
            return np.zeros(len(sizes))
    return np.array([most(size) for size in sizes], dtype=np.float64)


def _diagonals(sizes: Sequence[tuple[int, int]], measure: Measure) -> Floats:
    rows, columns = measure.spacing_mm or (1.0, 1.0)
    return np.array([math.hypot(height * rows, width * columns) for height, width in sizes])
