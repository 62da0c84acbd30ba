"""The same thing in two pictures, found by local features and a geometric check.

SIFT features (Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94) of the object only, matched where
each is the other's nearest and, in one of the two pictures, clearly nearer than the second, then
counted where one similarity (shift, rotation, scale 0.5 to 2) explains them. All pairs of matches
are tried as that similarity rather than random ones, and descriptors are whole numbers small enough
to multiply exactly in float32, so the count is the same on every run.

Conventions: places are complex numbers x + iy in units of the picture's long side; a similarity is
`w = s * z + t` with complex s and t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LONG_SIDE_PX = 400  # of the object, after reduction
_SMALLEST_SIDE_PX = 16
_MARGIN = 0.05  # around the object, in units of the square root of its area
_MAX_KEYPOINTS = 600
_RATIO = 0.85
_MAX_MATCHES = 120
_MIN_DISTANCE = 0.03  # between two matches that define a similarity
_SCALES = (0.5, 2.0)
_TOLERANCE = 0.03  # in units of the square root of the smaller object's area
_MAX_TURN = np.deg2rad(30)  # a feature's own orientation against the similarity's
_MAX_ZOOM = np.log(1.6)  # ... and its size, as a logarithm
_SAME_PLACE = 0.008


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Local features of one object.

    Attributes:
        places: complex128 (n,), x + iy in units of the picture's long side.
        turns: float64 (n,), orientations in radians.
        sizes: float64 (n,), in units of the picture's long side.
        descriptors: float32 (n, 128), whole numbers 0 to 255.
        extent: The square root of the object's area, in units of the picture's long side.
    """

    places: NDArray[np.complex128]
    turns: NDArray[np.float64]
    sizes: NDArray[np.float64]
    descriptors: NDArray[np.float32]
    extent: float

    def __len__(self) -> int:
        return len(self.places)

    @property
    def squares(self) -> NDArray[np.float32]:
        """The squared length of every descriptor."""
        return np.einsum("nd,nd->n", self.descriptors, self.descriptors)


def find_keypoints(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Keypoints:
    """The local features of an object; none where it has no texture or is very small.

    Args:
        grey: HxW uint8.
        inside: HxW bool, the object; all False means the whole picture.
    """
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415
    from skimage.feature import SIFT  # noqa: PLC0415

    if not inside.any():
        inside = np.ones_like(inside)
    long_side = max(grey.shape)
    extent = float(np.sqrt(inside.sum()))
    near = np.asarray(distance_transform_edt(~inside)) <= _MARGIN * extent
    window = _bounding_box(near)
    scale = min(1.0, _LONG_SIDE_PX / max(near[window].shape))
    small = _resized(grey[window], scale)
    object_px = _resized(near[window].astype(np.uint8) * 255, scale) > 127  # noqa: PLR2004
    none = Keypoints(
        places=np.empty(0, np.complex128),
        turns=np.empty(0),
        sizes=np.empty(0),
        descriptors=np.empty((0, 128), np.float32),
        extent=extent / long_side,
    )
    if min(small.shape) < _SMALLEST_SIDE_PX:
        return none
    sift = SIFT(upsampling=1, c_dog=0.005, n_octaves=6)
    try:
        sift.detect_and_extract(_stretched(small, object_px))
    except RuntimeError:  # how scikit-image says that there are no features
        return none
    places, sigmas = np.asarray(sift.positions), np.asarray(sift.sigmas)
    rows, columns = np.clip(np.rint(places).T, 0, np.array(small.shape)[:, None] - 1).astype(int)
    kept = np.flatnonzero(object_px[rows, columns])
    kept = kept[np.argsort(-sigmas[kept], kind="stable")][:_MAX_KEYPOINTS]
    y, x = (places[kept] / scale + [side.start for side in window]).T
    return Keypoints(
        places=(x + 1j * y) / long_side,
        turns=np.asarray(sift.orientations)[kept].astype(np.float64),
        sizes=sigmas[kept].astype(np.float64) / (scale * long_side),
        descriptors=np.asarray(sift.descriptors)[kept].astype(np.float32),
        extent=extent / long_side,
    )


def count_inliers(one: Keypoints, others: Sequence[Keypoints]) -> list[int]:
    """How many distinct matching features one similarity explains, for one object and each other.

    All others are multiplied at once: small products waste most of their time in the library.
    """
    if not others:
        return []
    alike = one.descriptors @ np.concatenate([other.descriptors for other in others]).T
    ends = np.cumsum([len(other) for other in others])
    return [
        _inliers_of_pair(one, other, alike[:, end - len(other) : end])
        for other, end in zip(others, ends, strict=True)
    ]


def _inliers_of_pair(one: Keypoints, other: Keypoints, alike: NDArray[np.float32]) -> int:
    if min(alike.shape) < 2:  # noqa: PLR2004
        return 0
    i, j = _matches(one.squares[:, None] + other.squares - 2 * alike)
    z, w = one.places[i], other.places[j]
    s, t = _similarities(z, w)
    if not len(s):
        return 0
    miss = np.abs(s[:, None] * z + t[:, None] - w)
    near = miss < _TOLERANCE * min(one.extent, other.extent) * np.maximum(1, np.abs(s))[:, None]
    turn = np.exp(1j * (one.turns[i] - other.turns[j]))  # scikit-image's run against x + iy
    turned = np.abs(np.angle(turn * np.exp(-1j * np.angle(s))[:, None])) < _MAX_TURN
    zoom = np.log(other.sizes[j] / one.sizes[i])
    zoomed = np.abs(zoom - np.log(np.abs(s))[:, None]) < _MAX_ZOOM
    inliers = near & turned & zoomed
    best = inliers[inliers.sum(axis=1).argmax()]
    return min(_distinct(z[best]), _distinct(w[best]))


def _matches(distance: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of mutual nearest neighbours that pass the ratio test, the clearest ones.

    Args:
        distance: Squared distances of descriptors; overwritten where neighbours are mutual.
    """
    i = np.arange(len(distance))
    j = distance.argmin(axis=1)
    mutual = distance[:, j].argmin(axis=0) == i
    i, j = i[mutual], j[mutual]
    nearest = distance[i, j]
    distance[i, j] = np.inf
    second = np.maximum(distance[i].min(axis=1), distance[:, j].min(axis=0))
    ratio = np.sqrt(nearest / np.maximum(second, 1))
    clear = np.flatnonzero(ratio < _RATIO)
    clear = clear[np.argsort(ratio[clear], kind="stable")][:_MAX_MATCHES]
    return i[clear], j[clear]


def _similarities(
    z: NDArray[np.complex128], w: NDArray[np.complex128]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """The plausible similarities that pairs of matches define."""
    a, b = np.triu_indices(len(z), 1)
    apart = (np.abs(z[a] - z[b]) > _MIN_DISTANCE) & (np.abs(w[a] - w[b]) > _MIN_DISTANCE)
    a, b = a[apart], b[apart]
    s = (w[a] - w[b]) / (z[a] - z[b])
    plausible = (np.abs(s) > _SCALES[0]) & (np.abs(s) < _SCALES[1])
    s, a = s[plausible], a[plausible]
    return s, w[a] - s * z[a]


def _distinct(places: NDArray[np.complex128]) -> int:
    """How many places are not the same: a place can have features of several orientations."""
    return len(np.unique(np.rint(places / _SAME_PLACE)))


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _resized(array: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    height, width = (max(1, round(side * scale)) for side in array.shape)
    resized = Image.fromarray(array).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized, np.float32)


def _stretched(grey: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The object's own contrast stretched to 0.25 .. 0.75, so that pale objects have features."""
    low, high = np.percentile(grey[inside], (1, 99)) if inside.any() else (0, 255)
    return (np.clip((grey - low) / max(high - low, 16), -0.5, 1.5) / 2 + 0.25).astype(np.float32)
