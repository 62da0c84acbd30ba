"""A label map as runs: the form in which reference masks are cached and counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.kernels import fill_runs

Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of equal values in row-major order.

    Attributes:
        values: (n,) uint8, of each run.
        ends: (n,) uint32, where each run ends; rising to the number of pixels.
        size: Height and width in pixels.
    """

    values: Mask
    ends: NDArray[np.uint32]
    size: tuple[int, int]

    def mask(self) -> Mask:
        """The label map, HxW uint8.

        Raises:
            ValueError: The ends do not rise to the number of pixels.
        """
        height, width = self.size
        return fill_runs(self.values, self.ends, size=height * width).reshape(height, width)


def runs_of(mask: Mask) -> Runs:
    """The runs of a label map, HxW uint8 of at least one pixel."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.append(changes, flat.size).astype(np.uint32)
    return Runs(flat[ends - 1], ends, (mask.shape[0], mask.shape[1]))


def as_mask(reference: Mask | Runs) -> Mask:
    """The label map, whichever it is."""
    return reference.mask() if isinstance(reference, Runs) else reference
