"""Overlap measures: formulas from counts of pixels.

Conventions. Counts are int64 with the class on the last axis (see `segbench.confusion`); a function
maps them to float64, per class (..., K) or, `map_...`, for the whole label map (...). 0/0 is NaN;
what an option makes of it is decided in `segbench.measures.measure`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts

Floats = NDArray[np.float64]


def divide(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> Floats:
    """Elementwise float64 ratio; 0/0 is NaN, never 0 or 1 by accident."""
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def iou(c: Counts) -> Floats:
    """Jaccard index."""
    return divide(c.tp, c.tp + c.fp + c.fn)


def dice(c: Counts) -> Floats:
    """Dice coefficient, the F1 score of pixels."""
    return divide(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def precision(c: Counts) -> Floats:
    """Positive predictive value; 0 where nothing was predicted but something was there."""
    return _zero_if_missed(divide(c.tp, c.predicted), c.reference)


def recall(c: Counts) -> Floats:
    """Sensitivity; 0 where something was predicted but nothing was there."""
    return _zero_if_missed(divide(c.tp, c.reference), c.predicted)


def specificity(c: Counts) -> Floats:
    """Recall of everything that is not the class."""
    return recall(Counts(c.tn, c.fn, c.fp, c.tp))


def balanced_accuracy(c: Counts) -> Floats:
    """Mean of recall and specificity, each with its own empty rule."""
    return (recall(c) + specificity(c)) / 2


def volume_similarity(c: Counts) -> Floats:
    """1 - |difference of the two areas| / their sum."""
    return 1 - divide(np.abs(c.fn - c.fp), 2 * c.tp + c.fp + c.fn)


def accuracy(c: Counts) -> Floats:
    """Share of valid pixels on which reference and prediction agree about the class."""
    return divide(c.tp + c.tn, c.total)


def mcc(c: Counts) -> Floats:
    """Matthews correlation coefficient of the class against the rest."""
    return map_mcc(_two_classes(c))


def kappa(c: Counts) -> Floats:
    """Cohen's kappa of the class against the rest."""
    return map_kappa(_two_classes(c))


def map_accuracy(c: Counts) -> Floats:
    """Share of valid pixels with the right class."""
    return divide(c.tp.sum(axis=-1), c.total[..., 0])


def map_fwiou(c: Counts) -> Floats:
    """IoU of each class weighted by its share of the reference."""
    weighted = np.nan_to_num(iou(c)) * c.reference
    return divide(weighted.sum(axis=-1), c.total[..., 0])


def map_kappa(c: Counts) -> Floats:
    """Cohen's kappa: agreement beyond what the marginals give by chance."""
    observed = map_accuracy(c)
    total = c.total[..., 0].astype(np.float64)
    chance = divide(_inner(c.reference, c.predicted), total * total)
    return divide(observed - chance, 1 - chance)


def map_mcc(c: Counts) -> Floats:
    """Gorodkin's R_K, the multi-class Matthews correlation; 0 where one map is constant."""
    total = c.total[..., 0].astype(np.float64)
    covariance = c.tp.sum(axis=-1) * total - _inner(c.reference, c.predicted)
    # s^2 - sum t^2 as sum t (s - t): the same, without cancellation
    spread_reference = _inner(c.reference, c.total - c.reference)
    spread_predicted = _inner(c.predicted, c.total - c.predicted)
    value = divide(covariance, np.sqrt(spread_reference * spread_predicted))
    one_constant = (spread_reference == 0) != (spread_predicted == 0)
    # Both constant but to different classes: every pixel is wrong, no better than chance.
    both_wrong = (spread_reference == 0) & (spread_predicted == 0) & (covariance < 0)
    return np.where(one_constant | both_wrong, 0.0, value)


def _inner(a: NDArray[np.int64], b: NDArray[np.int64]) -> Floats:
    return (a.astype(np.float64) * b.astype(np.float64)).sum(axis=-1)


def _two_classes(c: Counts) -> Counts:
    """Class against rest as a map of two classes on a new last axis."""
    rest = (c.tn, c.fn, c.fp, c.tp)
    return Counts(*(np.stack((a, b), axis=-1) for a, b in zip(c, rest, strict=True)))


def _zero_if_missed(value: Floats, present_in_other: NDArray[np.int64]) -> Floats:
    return np.where(np.isnan(value) & (present_in_other > 0), 0.0, value)
