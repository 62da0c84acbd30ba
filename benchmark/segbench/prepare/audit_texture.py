"""The same thing in two pictures, found by laying one object over the other.

Smooth objects have too few local features to be recognised by. They are compared whole: the
object's outline gives its place and size, all rotations are tried on a small scale, and the best is
refined with an affine transform that maximises the correlation, as in the enhanced correlation
coefficient method (Evangelidis & Psarakis 2008, doi:10.1109/TPAMI.2008.113). What is correlated is
the logarithm of grey, band-passed and with its contrast made even inside the object, so that light,
colour and shading play no part. How much a correlation says depends on how much detail there is:
`significance` gives it in standard errors.

It needs the object's outline twice at about the same place: overlapping frames that cut an object
in two are found by local features instead (`audit_keypoints`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SMALLEST_PX = 16  # diameter of a disc as large as the object
_FLATTEST = 0.1  # spread of the fine texture; it is 0.4 to 1 in PH2
_COARSE_PX = 40
_FINE_PX = 64
_CANVAS_PX = 56  # of the coarse scale
_SHIFTS_PX = range(-4, 5, 2)
_N_SHIFTS = len(_SHIFTS_PX) ** 2
_ROTATIONS = np.deg2rad(np.arange(0, 360, 6))
_BLOCK = 1024  # pictures at a time, for the sake of memory
_STAGES = ((2.0, 8, 2), (0.0, 5, 1))  # fine scale: blur in pixels, steps, every how many pixels
_LONGEST_STEP = np.array([[-0.05] * 4 + [-2.0] * 2, [0.05] * 4 + [2.0] * 2])
_HOPELESS = 0.25  # correlation after the first stage
_STRETCH = (0.7, 1.43)  # of the affine transform
_MAX_SHIFT = 0.25  # in diameters
_MIN_OVERLAP = 0.4
_LONGEST_PX = 20  # at which neighbouring pixels are still alike


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """An object's texture at one scale.

    Attributes:
        values: float32 HxW, about -2.5 to 2.5, 0 outside the object.
        inside: float32 HxW, 1 inside the object.
        centre: The object's centre of mass, (row, column).
    """

    values: NDArray[np.float32]
    inside: NDArray[np.float32]
    centre: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Appearance:
    """An object's texture at a coarse and a fine scale."""

    coarse: Texture
    fine: Texture


def find_texture(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Appearance | None:
    """The texture of an object; None where it is too small or too flat to have one.

    Args:
        grey: HxW uint8.
        inside: HxW bool, the object; all False means the whole picture.
    """
    if not inside.any():
        inside = np.ones_like(inside)
    diameter = float(np.sqrt(inside.sum() * 4 / np.pi))
    if diameter < _SMALLEST_PX:
        return None
    coarse = _texture(grey, inside, _COARSE_PX / diameter, band=(1.0, 5.0))
    fine = _texture(grey, inside, _FINE_PX / diameter, band=(1.0, 4.0))
    if fine.values[fine.inside > 0].std() < _FLATTEST:
        return None
    return Appearance(coarse, _without_rim(fine))


def likely_pairs(
    textures: Sequence[Texture], groups: Sequence[str], *, most: int
) -> Iterator[tuple[int, int, float]]:
    """The pairs of objects that look most alike on the coarse scale, at any rotation.

    Args:
        textures: Coarse textures.
        groups: The group of each; pairs of one group are left out.
        most: How many pairs are wanted.

    Yields:
        The two indices, and by how much the second must be turned, in radians.
    """
    n = len(textures)
    group = np.unique(np.asarray(groups), return_inverse=True)[1]
    score = np.full((n, n), -np.inf, np.float32)
    turn = np.zeros((n, n), np.intp)
    for start in range(0, n, _BLOCK):
        still = np.concatenate([_shifted(texture) for texture in textures[start : start + _BLOCK]])
        for j in range(start + 1, n):
            before = slice(start, min(start + _BLOCK, j))
            rows = still[: (before.stop - start) * _N_SHIFTS]
            alike = (_turned(textures[j]) @ rows.T).reshape(len(_ROTATIONS), -1, _N_SHIFTS)
            best = alike.max(axis=2)
            score[before, j], turn[before, j] = best.max(axis=0), best.argmax(axis=0)
    score[group[:, None] == group] = -np.inf
    order = np.argsort(-score, axis=None, kind="stable")[:most]
    for i, j in zip(*np.unravel_index(order, score.shape), strict=True):
        if np.isfinite(score[i, j]):
            yield int(i), int(j), float(_ROTATIONS[turn[i, j]])


def correlation(still: Texture, moving: Texture, turn: float) -> float:
    """The correlation, -1 to 1, of two fine textures once one is laid over the other.

    The search starts with centre on centre and `moving` turned. 0 where it leaves what is plausible
    for two pictures of one thing.
    """
    linear, shift = _rotation(turn), np.zeros(2)
    value = 0.0
    for blur, steps, stride in _STAGES:
        rows, columns = (side[::stride] for side in np.nonzero(still.inside))
        points = (np.stack([rows, columns]) - still.centre[:, None]).astype(np.float32)
        target = _blurred(still, blur)[rows, columns]
        field = _Field.of(moving, blur)
        for _ in range(steps):
            places = linear.astype(np.float32) @ points
            sample = field.at(places + (moving.centre + shift).astype(np.float32)[:, None])
            covered = sample[:, 3] > 0.5  # noqa: PLR2004
            overlap = covered.mean()
            if overlap < _MIN_OVERLAP:
                return 0.0
            here, goal = sample[covered, 0], target[covered]
            here, goal = here - here.mean(), goal - goal.mean()
            energy = np.sqrt(max((here @ here) * (goal @ goal), 1e-6))
            value = float(here @ goal / energy * np.sqrt(overlap))
            step = _step(here, goal, sample[covered, 1:3].T, points[:, covered])
            linear = linear + step[:4].reshape(2, 2)
            shift = shift + step[4:]
        if value < _HOPELESS:
            return 0.0
    stretch = np.linalg.svd(linear, compute_uv=False)
    plausible = stretch.min() > _STRETCH[0] and stretch.max() < _STRETCH[1]
    return value if plausible and np.abs(shift).max() < _MAX_SHIFT * _FINE_PX else 0.0


def significance(correlated: float, still: Texture, moving: Texture) -> float:
    """A correlation in units of its standard error were the two fine textures unrelated.

    Neighbouring pixels are alike, so the error is not that of so many pixels: its square is
    `sum(r1 * r2) / n` over all distances, with the textures' autocorrelations r1 and r2 (Clifford,
    Richardson & Hemon 1989, doi:10.2307/2532039). They are averaged over directions here, for the
    two may be turned. The search for the best fit adds to what chance alone would give.
    """
    (one, how_many), (other, _) = _autocorrelation(still), _autocorrelation(moving)
    n_pixels = min(float(still.inside.sum()), float(moving.inside.sum()))
    return correlated * float(np.sqrt(n_pixels / max((one * other * how_many).sum(), 1.0)))


def _autocorrelation(texture: Texture) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """By distance in pixels, 0 to 19: the mean autocorrelation, and the number of shifts."""
    height, width = texture.values.shape
    size = (2 * height, 2 * width)
    mean = texture.values.sum() / texture.inside.sum()
    products, pairs = (
        np.fft.irfft2(np.abs(np.fft.rfft2(layer, size)) ** 2, size)
        for layer in ((texture.values - mean) * texture.inside, texture.inside)
    )
    likeness = products / np.maximum(pairs, 0.05 * pairs[0, 0])
    rows, columns = (np.minimum(np.arange(side), side - np.arange(side)) for side in size)
    distance = np.rint(np.hypot(rows[:, None], columns)).astype(np.intp).ravel()
    how_many = np.bincount(distance)
    mean_likeness = np.bincount(distance, likeness.ravel()) / how_many
    return mean_likeness[:_LONGEST_PX] / likeness[0, 0], how_many[:_LONGEST_PX]


def _step(
    here: NDArray[np.float32],
    goal: NDArray[np.float32],
    slope: NDArray[np.float32],
    points: NDArray[np.float32],
) -> NDArray[np.float64]:
    """One damped Gauss-Newton step of the affine transform: four linear terms and the shift."""
    jacobian = np.stack([*(slope[0] * points), *(slope[1] * points), *slope])
    gain = max(float(here @ goal) / max(float(goal @ goal), 1e-6), 0.1)
    normal = jacobian @ jacobian.T
    normal[np.diag_indices(6)] = normal.diagonal() * 1.02 + 1e-6
    step = np.linalg.solve(normal, jacobian @ (gain * goal - here))
    return np.clip(step, *_LONGEST_STEP).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """A texture, its two slopes and its inside, to be sampled between pixels."""

    layers: NDArray[np.float32]  # ((H + 2) * (W + 2), 4), a pixel of zeros around
    shape: tuple[int, int]

    @classmethod
    def of(cls, texture: Texture, blur: float) -> _Field:
        values = _blurred(texture, blur)
        layers = np.stack([values, *np.gradient(values), texture.inside], axis=2)
        padded = np.pad(layers, ((1, 1), (1, 1), (0, 0)))
        return cls(padded.reshape(-1, 4), values.shape)

    def at(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear samples (n, 4) at (row, column) places; 0 outside the picture."""
        height, width = self.shape
        row = np.clip(places[0] + 1, 0, height + 0.99)
        column = np.clip(places[1] + 1, 0, width + 0.99)
        top, left = row.astype(np.intp), column.astype(np.intp)
        down, right = (row - top)[:, None], (column - left)[:, None]
        corner = top * (width + 2) + left
        above = self.layers[corner] * (1 - right) + self.layers[corner + 1] * right
        corner += width + 2
        below = self.layers[corner] * (1 - right) + self.layers[corner + 1] * right
        return above * (1 - down) + below * down


def _texture(
    grey: NDArray[np.uint8], inside: NDArray[np.bool_], scale: float, *, band: tuple[float, float]
) -> Texture:
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    height, width = grey.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR)
    share = Image.fromarray(inside.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    weight = (np.asarray(share) > 127).astype(np.float32)  # noqa: PLR2004
    log_grey = np.log(np.asarray(small, np.float32) + 10)

    def blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        total = gaussian_filter(weight, sigma)
        smooth = np.asarray(gaussian_filter(values * weight, sigma)) / np.maximum(total, 1e-3)
        return smooth.astype(np.float32)

    detail = blurred(log_grey, band[0]) - blurred(log_grey, band[1])
    contrast = np.sqrt(blurred(detail**2, 2 * band[1]))
    values = np.clip(detail / np.maximum(contrast, 0.02), -2.5, 2.5) * weight
    centre = np.array([rows.mean() for rows in np.nonzero(weight)])
    return Texture(values.astype(np.float32), weight, centre)


def _without_rim(texture: Texture) -> Texture:
    """Less the mean of each distance to the edge: all lesions have much the same rim."""
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415

    depth = np.asarray(distance_transform_edt(np.pad(texture.inside, 1)))
    ring = np.rint(depth[1:-1, 1:-1]).astype(np.intp)
    total = np.bincount(ring.ravel(), texture.values.ravel())
    mean = total / np.maximum(np.bincount(ring.ravel()), 1)
    values = ((texture.values - mean[ring]) * texture.inside).astype(np.float32)
    return Texture(values, texture.inside, texture.centre)


def _blurred(texture: Texture, sigma: float) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    if sigma == 0:
        return texture.values
    return (gaussian_filter(texture.values, sigma) * texture.inside).astype(np.float32)


def _turned(texture: Texture) -> NDArray[np.float32]:
    """The texture at every rotation about its centre, one a row, each of length 1."""
    return _unit(np.stack([_on_canvas(texture, turn).ravel() for turn in _ROTATIONS]))


def _shifted(texture: Texture) -> NDArray[np.float32]:
    """The texture at every small shift, one a row, each of length 1."""
    canvas = _on_canvas(texture, 0.0)
    shifts = [(down, right) for down in _SHIFTS_PX for right in _SHIFTS_PX]
    return _unit(np.stack([np.roll(canvas, shift, (0, 1)).ravel() for shift in shifts]))


def _on_canvas(texture: Texture, turn: float) -> NDArray[np.float32]:
    from scipy.ndimage import affine_transform  # noqa: PLC0415

    linear = _rotation(turn)
    middle = np.full(2, (_CANVAS_PX - 1) / 2)
    offset: Any = texture.centre - linear @ middle  # scipy's own stub knows only a single number
    size = (_CANVAS_PX, _CANVAS_PX)
    canvas = np.asarray(affine_transform(texture.values, linear, offset, size, order=1))
    return canvas.astype(np.float32)


def _rotation(turn: float) -> NDArray[np.float64]:
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin], [sin, cos]])


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, 1e-6)
