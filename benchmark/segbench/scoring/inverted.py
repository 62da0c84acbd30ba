"""Whether the object and its background may be swapped in predictions: asked, never mended."""

from __future__ import annotations

import numpy as np

from segbench.confusion import Counts
from segbench.scoring.scores import Table

_CLEARLY = 0.5
"""Inverted predictions that are asked about reach this Dice, and are better than as they are."""


def inverted_note(table: Table) -> str:
    """Ask, where inverted predictions would score clearly better; empty where they would not.

    The Dice coefficients are means over the images that have one, of one object against its
    background; of several classes nothing is asked.
    """
    if table.background is None or len(table.class_names) != 2:  # noqa: PLR2004
        return ""
    counts = Counts(*(array[~table.missing, 1 - table.background] for array in table.counts))
    if not len(counts.tp) or not (counts.tp + counts.fp).any():
        return ""
    swapped = Counts(tp=counts.fn, fp=counts.tn, fn=counts.tp, tn=counts.fp)
    own, inverted = _dice(counts), _dice(swapped)
    if not inverted > max(own, _CLEARLY):
        return ""
    return (
        f"Dice is {own:.3f}; inverted it would be {inverted:.3f}: are object and background "
        f"swapped?"
    )


def _dice(counts: Counts) -> float:
    whole = 2 * counts.tp + counts.fp + counts.fn
    defined = whole > 0
    return float(np.mean(2 * counts.tp[defined] / whole[defined])) if defined.any() else 0.0
