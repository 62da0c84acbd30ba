"""Distances between two boundaries, as one value, and the measures that reduce it.

Conventions. Masks are HxW, not 0 is foreground, and outside of the image is background. Distances
are Euclidean, between the centres of boundary elements, in pixels or (given `spacing_mm`) in
millimetres.

Two definitions of the boundary:

`inner`: foreground pixels of which one of the four neighbours is background, each of weight 1.
`length`: the corners at which pixels of both kinds meet, weighted by the length of the contour that
    passes there (marching squares), as in Google DeepMind's surface-distance (Nikolov et al. 2018,
    arXiv 1809.04430).

Empty rule. Both masks empty: undefined, NaN. One of them empty: overlaps (nsd, boundary_f1,
boundary_iou) are 0; distances are as the caller says: `diagonal` (of the image; no distance in it
is longer: the documented worst value), `nan` or `inf`. A missed object is dropped only where `nan`
asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segbench import kernels
from segbench.errors import SegbenchError

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8] | NDArray[np.bool_]
Boundary = Literal["inner", "length"]
Empty = Literal["diagonal", "nan", "inf"]
Rule = Literal["max", "pooled"]

DILATION_RATIO = 0.02
SPACINGS_MM = (1e-9, 1e9)
"""The least and the greatest distance of pixels, mm; beyond, squares of distances overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """Distances from each element of one boundary to the nearest element of the other.

    Attributes:
        to_reference: Of the predicted boundary's elements, (n,) float64; infinite where the
            reference is empty.
        to_prediction: Of the reference boundary's elements, (m,) float64; infinite where the
            prediction is empty.
        prediction_weights: (n,) float64.
        reference_weights: (m,) float64.
        boundary: Which definition of a boundary.
        unit: Of the distances and the diagonal, "px" or "mm".
        diagonal: Of the whole image.
    """

    to_reference: Floats
    to_prediction: Floats
    prediction_weights: Floats
    reference_weights: Floats
    boundary: Boundary
    unit: Literal["px", "mm"]
    diagonal: float

    @property
    def both_empty(self) -> bool:
        """Whether neither mask has a pixel."""
        return not len(self.to_reference) and not len(self.to_prediction)

    @property
    def one_empty(self) -> bool:
        """Whether just one of the masks has no pixel."""
        return (not len(self.to_reference)) != (not len(self.to_prediction))


def surface_distances(
    reference: Mask,
    prediction: Mask,
    *,
    spacing_mm: tuple[float, float] | None = None,
    boundary: Boundary = "inner",
) -> SurfaceDistances:
    """Measure the distances between the boundaries of two masks, both ways.

    Args:
        reference: HxW bool or uint8, not 0 is foreground.
        prediction: The same shape.
        spacing_mm: Distance between neighbouring rows, and between neighbouring columns; without it
            distances are in pixels.
        boundary: `inner` or `length`.

    Raises:
        SegbenchError: The spacing is not two of `SPACINGS_MM`, or there is no such boundary.
        ValueError: The masks differ from the above.
    """
    spacing = (1.0, 1.0) if spacing_mm is None else spacing_mm
    if len(spacing) != 2 or not all(SPACINGS_MM[0] <= s <= SPACINGS_MM[1] for s in spacing):  # noqa: PLR2004
        raise SegbenchError(
            f"spacing_mm {spacing}; expected two numbers of millimetres, of rows and of columns, "
            f"from {SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g}"
        )
    _check_option("boundary", boundary, get_args(Boundary))
    if boundary == "inner":
        to_prediction, to_reference = kernels.boundary_distances(
            reference, prediction, spacing=spacing
        )
        reference_weights, prediction_weights = (
            np.ones(len(distances)) for distances in (to_prediction, to_reference)
        )
    else:
        masks = [_foreground(mask) for mask in (reference, prediction)]
        box = _bounding_box(masks[0] | masks[1])
        codes = [_corner_codes(mask[box]) for mask in masks]
        elements = [(code > 0) & (code < ALL_FOUR) for code in codes]
        to_prediction, to_reference = kernels.point_distances(*elements, spacing=spacing)
        lengths = _contour_lengths(spacing)
        reference_weights, prediction_weights = (
            lengths[code[at]] for code, at in zip(codes, elements, strict=True)
        )
    height, width = reference.shape
    return SurfaceDistances(
        to_reference=to_reference,
        to_prediction=to_prediction,
        prediction_weights=prediction_weights,
        reference_weights=reference_weights,
        boundary=boundary,
        unit="px" if spacing_mm is None else "mm",
        diagonal=math.hypot(height * spacing[0], width * spacing[1]),
    )


# The four pixels around a corner: top left 8, top right 4, bottom left 2, bottom right 1.
ALL_FOUR = 15


def _foreground(mask: Mask) -> NDArray[np.bool_]:
    return mask.astype(np.bool_, copy=False)  # faster than != 0 where it is bool already


def _corner_codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which of the four pixels around each corner are foreground, (H+1)x(W+1) uint8."""
    pixels: NDArray[np.uint8] = np.pad(mask, 1).view(np.uint8)
    rows = 4 * pixels[:-1] + pixels[1:]  # of each pixel and the one below it
    return (2 * rows[:, :-1] + rows[:, 1:]).astype(np.uint8, copy=False)


def _contour_lengths(spacing: tuple[float, float]) -> Floats:
    """Length of the marching-squares contour at a corner, for each of the 16 codes."""
    rows, columns = spacing
    cut = math.hypot(rows, columns) / 2  # around one pixel of the four
    lengths = np.full(16, cut)
    lengths[[0, ALL_FOUR]] = 0
    lengths[[0b0011, 0b1100]] = columns  # between two rows
    lengths[[0b0101, 0b1010]] = rows
    lengths[[0b0110, 0b1001]] = 2 * cut  # two pixels that touch at the corner
    return lengths


def hausdorff(d: SurfaceDistances, *, empty: Empty = "diagonal") -> float:
    """Hausdorff distance: the largest distance of either boundary to the other."""
    return _distance(d, empty, lambda: float(max(d.to_reference.max(), d.to_prediction.max())))


def hausdorff_percentile(
    d: SurfaceDistances, q: float, *, rule: Rule = "max", empty: Empty = "diagonal"
) -> float:
    """A percentile instead of the largest distance; HD95 for q = 95.

    With the `inner` boundary, percentiles are interpolated linearly (NumPy's default). With
    `length`, it is the least distance within which lie q % of the boundary's length
    (surface-distance).

    Args:
        d: The distances.
        q: 0 to 100.
        rule: `max`: the larger of the two directions' percentiles (MetricsReloaded, MONAI,
            surface-distance). `pooled`: the percentile of both directions' distances together
            (medpy).
        empty: The value where one mask is empty.

    Raises:
        SegbenchError: q is not from 0 to 100, or there is no such rule.
    """
    _check_option("rule", rule, get_args(Rule))
    if not 0 <= q <= 100:  # noqa: PLR2004
        raise SegbenchError(f"percentile {q}; expected 0 to 100")

    def percentile(distances: Floats, weights: Floats) -> float:
        if d.boundary == "inner":
            return _percentile(distances, q)
        return _weighted_percentile(distances, weights, q)

    def value() -> float:
        if rule == "pooled":
            return percentile(*_pooled(d))
        return max(
            percentile(d.to_reference, d.prediction_weights),
            percentile(d.to_prediction, d.reference_weights),
        )

    return _distance(d, empty, value)


def assd(d: SurfaceDistances, *, empty: Empty = "diagonal") -> float:
    """Average symmetric surface distance: mean over the elements of both boundaries together."""
    return _distance(d, empty, lambda: average(*_pooled(d)))


def masd(d: SurfaceDistances, *, empty: Empty = "diagonal") -> float:
    """Mean average surface distance: mean of the two directions' means."""

    def value() -> float:
        one_way = average(d.to_reference, d.prediction_weights)
        return (one_way + average(d.to_prediction, d.reference_weights)) / 2

    return _distance(d, empty, value)


def nsd(
    d: SurfaceDistances, *, tolerance_px: float | None = None, tolerance_mm: float | None = None
) -> float:
    """Normalised surface Dice: share of both boundaries that lies within a tolerance of the other.

    Nikolov et al. 2018, arXiv 1809.04430. One tolerance is given, in the unit of the distances.

    Raises:
        SegbenchError: No tolerance, one in the other unit, or a negative one.
    """
    within_reference, within_prediction = _within(d, tolerance_px, tolerance_mm)
    if d.both_empty:
        return math.nan
    total = d.prediction_weights.sum() + d.reference_weights.sum()
    return float((within_reference + within_prediction) / total)


def boundary_f1(
    d: SurfaceDistances, *, tolerance_px: float | None = None, tolerance_mm: float | None = None
) -> float:
    """Boundary F1: harmonic mean of the shares of either boundary within a tolerance of the other.

    Csurka et al. 2013, doi 10.5244/C.27.32. One tolerance is given, in the unit of the distances.

    Raises:
        SegbenchError: No tolerance, one in the other unit, or a negative one.
    """
    within_reference, within_prediction = _within(d, tolerance_px, tolerance_mm)
    if d.both_empty:
        return math.nan
    if not within_reference or not within_prediction:
        return 0.0
    precision = within_reference / d.prediction_weights.sum()
    recall = within_prediction / d.reference_weights.sum()
    return float(2 * precision * recall / (precision + recall))


def boundary_iou(
    reference: Mask, prediction: Mask, *, dilation_ratio: float = DILATION_RATIO
) -> float:
    """Intersection over union of the two masks' inner bands.

    A mask's band are its pixels that d erosions by a 3x3 square remove, where the image's border
    erodes as background does; d = dilation_ratio x image diagonal, at least 1. Cheng et al. 2021,
    arXiv 2103.16562.

    Args:
        reference: HxW, not 0 is foreground.
        prediction: The same shape.
        dilation_ratio: Width of the band as a fraction of the image's diagonal.

    Raises:
        SegbenchError: The ratio is not positive.
        ValueError: The shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"shapes {reference.shape} and {prediction.shape} differ")
    if not 0 < dilation_ratio <= 1:
        raise SegbenchError(f"dilation ratio {dilation_ratio}; expected more than 0, at most 1")
    width = max(1, round(dilation_ratio * math.hypot(*reference.shape)))
    a, b = (_inner_band(_foreground(mask), width) for mask in (reference, prediction))
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else math.nan


def _inner_band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    box = _bounding_box(mask)  # what lies outside of it erodes as background does
    band = mask.copy()
    band[box] &= ~_eroded(mask[box], width)
    return band


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns that the foreground spans."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _eroded(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Erosion by a square of side 2 radius + 1; windows double until they have that side."""
    out = np.pad(mask, radius)
    for _ in range(2):
        side = 1
        while side < 2 * radius + 1:
            step = min(side, 2 * radius + 1 - side)
            out = out[:-step] & out[step:]
            side += step
        out = out.T
    return out


def average(distances: Floats, weights: Floats) -> float:
    """Weighted mean; NaN of no distances."""
    total = weights.sum()
    return float((distances * weights).sum() / total) if total else math.nan


def _pooled(d: SurfaceDistances) -> tuple[Floats, Floats]:
    return (
        np.concatenate((d.to_reference, d.to_prediction)),
        np.concatenate((d.prediction_weights, d.reference_weights)),
    )


def _check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SegbenchError(f"{name}:{value}; expected {' or '.join(known)}")


def _distance(d: SurfaceDistances, empty: Empty, value: Callable[[], float]) -> float:
    _check_option("empty", empty, get_args(Empty))
    if d.both_empty:
        return math.nan
    if d.one_empty:
        return {"diagonal": d.diagonal, "nan": math.nan, "inf": math.inf}[empty]
    return value()


def _within(
    d: SurfaceDistances, tolerance_px: float | None, tolerance_mm: float | None
) -> tuple[float, float]:
    """Weight of the predicted boundary near the reference's, and of the reference's near it."""
    given = {"px": tolerance_px, "mm": tolerance_mm}
    tolerance = given.pop(d.unit)
    if tolerance is None or any(other is not None for other in given.values()):
        raise SegbenchError(f"distances in {d.unit} take a tolerance_{d.unit}, and no other")
    if not 0 <= tolerance < math.inf:
        raise SegbenchError(f"tolerance_{d.unit} {tolerance}; expected 0 or more")
    return (
        float(d.prediction_weights[d.to_reference <= tolerance].sum()),
        float(d.reference_weights[d.to_prediction <= tolerance].sum()),
    )


def _percentile(distances: Floats, q: float) -> float:
    """`numpy.percentile` to the last bit, without its overhead."""
    position = q / 100 * (len(distances) - 1)
    index = min(int(position), len(distances) - 1)
    after = min(index + 1, len(distances) - 1)
    parted = np.partition(distances, (index, after))
    low, high = float(parted[index]), float(parted[after])
    fraction = position - index
    if fraction >= 0.5:  # noqa: PLR2004  as NumPy, for symmetry
        return high - (high - low) * (1 - fraction)
    return low + (high - low) * fraction


def _weighted_percentile(distances: Floats, weights: Floats, q: float) -> float:
    order = distances.argsort()
    share = np.cumsum(weights[order]) / weights.sum()
    index = int(np.searchsorted(share, q / 100))
    return float(distances[order[min(index, len(order) - 1)]])
