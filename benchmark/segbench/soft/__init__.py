"""How good probabilities are: pixels by value, and the measures that are formed of them."""

from segbench.soft.histogram import (
    LEVELS,
    Binning,
    Cells,
    Histogram,
    bin_of,
    cells,
    distinct,
    level_of,
)
from segbench.soft.measures import (
    BINS,
    CLIP,
    auroc,
    auroc_pairs,
    average_precision,
    brier,
    calibration_error,
    equal_mass,
    equal_width,
    mass_bin_of,
    negative_log_likelihood,
)

__all__ = [
    "BINS",
    "CLIP",
    "LEVELS",
    "Binning",
    "Cells",
    "Histogram",
    "auroc",
    "auroc_pairs",
    "average_precision",
    "bin_of",
    "brier",
    "calibration_error",
    "cells",
    "distinct",
    "equal_mass",
    "equal_width",
    "level_of",
    "mass_bin_of",
    "negative_log_likelihood",
]
