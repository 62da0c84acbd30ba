"""Measures of probabilities, each a function of pixels by value (..., V) in ascending order.

The probability is that of one class against the rest, and pixels count alike. Tied values are one
threshold. Formulas as in scikit-learn: `average_precision_score`, `roc_auc_score`,
`brier_score_loss`, `log_loss`. What is 0/0 is NaN: average precision without a pixel of the class,
AUROC without a pixel on either side, everything without a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segbench.soft.histogram import Floats, Histogram

BINS = 15
CLIP = 1e-7
"""Of negative log-likelihoods: about the distance of 1 to the next smaller float32."""

_TINY = 1e-300


def average_precision(counts: Histogram) -> Floats:
    """Sum over thresholds of (R_n - R_(n-1)) P_n (...), thresholds at each value, highest first.

    No interpolation: Manning, Raghavan & Schuetze 2008, Introduction to Information Retrieval, 8.4.
    """
    positives = counts.positives[..., ::-1]
    precision = np.cumsum(positives, axis=-1, dtype=np.float64)
    chosen = np.cumsum(counts.pixels[..., ::-1], axis=-1, dtype=np.float64)
    precision /= np.maximum(chosen, _TINY, out=chosen)  # 0/0 is 0: nothing is chosen yet
    precision *= positives
    return _ratio(precision.sum(axis=-1), positives.sum(axis=-1))


def auroc(counts: Histogram) -> Floats:
    """Area under the ROC curve (...): the chance that a pixel of the class has the higher value.

    Ties count half (Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747).
    """
    pairs = counts.positives.sum(axis=-1, dtype=np.float64) * counts.negatives.sum(axis=-1)
    return _ratio((counts.positives * _below(counts)).sum(axis=-1), pairs)


def auroc_pairs(counts: Histogram) -> tuple[Floats, Floats]:
    """Of every pair of units (U, V): pairs of pixels that are in the right order, and all pairs.

    Both (U, U): the pixel of the class is of the first unit, the other of the second. Weighted by
    the units of both, the ratio of their sums is the area over the pixels of all units.
    """
    inside, outside = (part.sum(axis=-1) for part in (counts.positives, counts.negatives))
    return counts.positives @ _below(counts).T, np.outer(inside, outside)


def _below(counts: Histogram) -> Floats:
    """Pixels outside the class below each value, those that equal it by half."""
    negatives = counts.negatives.astype(np.float64)
    return np.cumsum(negatives, axis=-1) - negatives / 2


def brier(values: Floats, counts: Histogram) -> Floats:
    """Mean of (p - y)^2 (Brier 1950, one class): y is 1 for pixels of the class."""
    squares = counts.negatives * values**2 + counts.positives * (1 - values) ** 2
    return _ratio(squares.sum(axis=-1), counts.pixels.sum(axis=-1))


def negative_log_likelihood(values: Floats, counts: Histogram, *, clip: float) -> Floats:
    """Mean of -log(p) over pixels of the class and -log(1 - p) over the others, in nats.

    Args:
        values: Ascending.
        counts: Pixels by value.
        clip: Probabilities are taken for at least this and at most 1 less this.
    """
    kept = np.clip(values, clip, 1 - clip)
    log = -(counts.positives * np.log(kept) + counts.negatives * np.log1p(-kept))
    return _ratio(log.sum(axis=-1), counts.pixels.sum(axis=-1))


def calibration_error(bins: Histogram) -> Floats:
    """Expected calibration error (...) of bins (..., M): sum of n_m / n |mean y - mean p| of each.

    Naeini et al. 2015 (doi 10.1609/aaai.v29i1.9602), for the probability of the class.
    """
    gaps = np.abs(bins.positives - bins.mass).sum(axis=-1)
    return _ratio(gaps, bins.pixels.sum(axis=-1))


def equal_width(bin_: NDArray[np.integer], counts: Histogram, *, bins: int) -> Histogram:
    """Bins (M,) of values (V,) whose bin is known, (V,)."""
    parts = (counts.negatives, counts.positives, counts.mass)
    return Histogram(*(np.bincount(bin_, part, bins) for part in parts))


def equal_mass(counts: Histogram, *, bins: int) -> Histogram:
    """Bins (..., M) with as many pixels each as ties allow.

    A value lies, with all its pixels, in the bin floor(M x share of the pixels below it): the
    "adaptive" bins of Nixon et al. 2019 (arXiv 1904.01685), where tied pixels are not torn apart.
    """
    pixels = counts.pixels.astype(np.float64)
    upto = np.cumsum(pixels, axis=-1)
    below, total = upto - pixels, upto[..., -1:]
    # values are in order, so a bin begins where the values of all lower bins end
    if below.ndim == 1:
        edges = np.searchsorted(mass_bin_of(pixels, bins), np.arange(bins + 1), side="left")
    else:
        starts = [(bins * below < k * total).sum(axis=-1, keepdims=True) for k in range(bins + 1)]
        edges = np.concatenate(starts, axis=-1)
    parts = (counts.negatives, counts.positives, counts.mass)
    return Histogram(*(np.diff(_upto_each(part, edges), axis=-1) for part in parts))


def mass_bin_of(pixels: NDArray[np.number], bins: int) -> NDArray[np.int64]:
    """The bin of equal mass of each value (V,) with so many pixels, 0 to bins - 1."""
    below = np.cumsum(pixels, dtype=np.float64) - pixels
    total = max(1.0, float(pixels.sum()))
    # counted, not divided: bins * below and k * total are whole numbers
    return np.searchsorted(np.arange(1, bins) * total, bins * below, side="right")


def _upto_each(part: NDArray[np.number], edges: NDArray[np.intp]) -> Floats:
    sums = np.cumsum(part, axis=-1, dtype=np.float64)
    sums = np.concatenate((np.zeros((*sums.shape[:-1], 1)), sums), axis=-1)
    return np.take_along_axis(sums, edges, axis=-1)


def _ratio(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> Floats:
    numerator = np.asarray(numerator, dtype=np.float64)
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)
