"""Topology of a mask: its connected components, its holes, and its centreline (clDice).

Conventions. Masks are HxW, not 0 is foreground, and outside of the image is background. Two
foreground pixels are neighbours where they touch by a side or a corner (`connectivity` 8) or by a
side only (4); the background has the other of the two, so that a closed curve separates its inside
from its outside (Rosenfeld 1970, doi 10.1145/321607.321611). A hole is a component of the
background that does not reach the image's border; components and holes are the Betti numbers 0 and
1 of the mask.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError

Mask = NDArray[np.uint8] | NDArray[np.bool_]
Bools = NDArray[np.bool_]
Connectivity = Literal[4, 8]
Skeleton = Literal["zhang", "lee"]


def components(mask: Mask, *, connectivity: Connectivity = 8) -> int:
    """The number of connected components of the foreground.

    Args:
        mask: HxW bool or uint8, not 0 is foreground.
        connectivity: Neighbours of a foreground pixel: 8, or 4.

    Raises:
        SegbenchError: The connectivity is neither.
    """
    return _count(_cropped(mask), _checked(connectivity))


def holes(mask: Mask, *, connectivity: Connectivity = 8) -> int:
    """The number of holes: components of the background that do not reach the image's border.

    Args:
        mask: HxW bool or uint8, not 0 is foreground.
        connectivity: Of the foreground; the background has the other.

    Raises:
        SegbenchError: The connectivity is neither 4 nor 8.
    """
    around = np.pad(_cropped(mask), 1)  # one component of background is the outside
    return _count(~around, 4 if _checked(connectivity) == 8 else 8) - 1  # noqa: PLR2004


def most_components(size: tuple[int, int], *, connectivity: Connectivity = 8) -> int:
    """The most components that an image of this height and width can have: single pixels."""
    height, width = size
    if _checked(connectivity) == 4:  # noqa: PLR2004
        return math.ceil(height * width / 2)  # a chequerboard
    return math.ceil(height / 2) * math.ceil(width / 2)


def most_holes(size: tuple[int, int], *, connectivity: Connectivity = 8) -> int:
    """The most holes that an image of this height and width can have: single pixels, inside."""
    inside = (max(0, size[0] - 2), max(0, size[1] - 2))
    return most_components(inside, connectivity=4 if _checked(connectivity) == 8 else 8)  # noqa: PLR2004


def skeleton(mask: Mask, *, method: Skeleton = "zhang") -> Bools:
    """The centreline of a mask, one pixel wide, by scikit-image.

    Args:
        mask: HxW bool or uint8, not 0 is foreground.
        method: `zhang` (Zhang & Suen 1984, doi 10.1145/357994.358023) or `lee` (Lee et al. 1994,
            doi 10.1006/cgip.1994.1042).

    Returns:
        HxW bool.

    Raises:
        SegbenchError: There is no such method.
    """
    from skimage.morphology import skeletonize  # noqa: PLC0415

    if method not in get_args(Skeleton):
        raise SegbenchError(f"skeleton:{method}; expected zhang or lee")
    found = np.zeros(mask.shape, dtype=np.bool_)
    box = _box(mask)
    found[box] = skeletonize(mask[box] != 0, method=method) != 0
    return found


def cl_dice(reference: Mask, prediction: Mask, *, method: Skeleton = "zhang") -> float:
    """Centreline Dice (Shit et al. 2021, doi 10.1109/CVPR46437.2021.01629).

    The harmonic mean of the share of the prediction's centreline that lies in the reference, and
    of the share of the reference's centreline that lies in the prediction.

    Args:
        reference: HxW bool or uint8, not 0 is foreground.
        prediction: The same shape.
        method: Of the centreline.

    Returns:
        0 to 1; NaN where both masks are empty, 0 where just one is.

    Raises:
        SegbenchError: There is no such method.
    """
    true, guess = reference != 0, prediction != 0
    if not (true.any() or guess.any()):
        return math.nan
    precision = _share(skeleton(guess, method=method), true)
    recall = _share(skeleton(true, method=method), guess)
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def _share(line: Bools, mask: Bools) -> float:
    length = int(np.count_nonzero(line))
    return int(np.count_nonzero(line & mask)) / length if length else 0.0


def _count(mask: Bools, connectivity: int) -> int:
    from scipy import ndimage  # noqa: PLC0415

    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)  # noqa: PLR2004
    labels = np.empty(mask.shape, dtype=np.int32)
    return int(ndimage.label(mask, structure, output=labels))  # type: ignore[arg-type]  scipy's stubs say a pair, which it is not where output is given


def _checked(connectivity: Connectivity) -> Connectivity:
    if connectivity not in get_args(Connectivity):
        raise SegbenchError(f"connectivity:{connectivity}; expected 4 or 8")
    return connectivity


def _cropped(mask: Mask) -> Bools:
    return mask[_box(mask)] != 0


def _box(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns between the first and the last foreground pixel."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
