"""Two colour models and a minimum cut, in turn: the engine of `grabcut`.

A pixel's cost on either side is how unlikely its colour is there (a mixture of Gaussians in CIE
Lab); neighbours of like colour pay for being parted. The cheapest labelling is a minimum cut
(Boykov & Jolly 2001, doi 10.1109/ICCV.2001.937505), found by SciPy on whole numbers, so that the
result is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_COST = 20.0
SCALE = 20
"""Costs are cut off (an odd colour decides nothing alone) and made whole numbers."""

MAX_TRAINING_PIXELS = 8000
MIN_VARIANCE = 9.0
"""Of a colour model, in squared Lab units: no component collapses on one colour."""

_NEIGHBOURS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.7071), (1, -1, 0.7071))


def refine(
    image: NDArray[np.uint8],
    start: Mask,
    *,
    components: int,
    iterations: int,
    smoothness: float,
    bias: float,
    sigma: float,
    clean: Callable[[Mask], Mask],
) -> Mask:
    """Refine a mask until it hardly changes.

    Args:
        image: HxWx3 uint8 RGB.
        start: HxW bool, neither empty nor full.
        components: Gaussians of each side's colour model.
        iterations: At most so many turns.
        smoothness: What parting two neighbours of the same colour costs.
        bias: Added to the object's log likelihood; positive grows the object.
        sigma: Gaussian blur of the colours, in pixels.
        clean: Applied to every new mask.

    Returns:
        HxW bool.
    """
    from scipy import ndimage  # noqa: PLC0415
    from skimage.color import rgb2lab  # noqa: PLC0415

    lab = rgb2lab(ndimage.gaussian_filter(image / 255.0, (sigma / 2, sigma / 2, 0)))
    pixels = lab.reshape(-1, 3)
    edges = _edges(lab, smoothness)
    mask = start
    for _ in range(iterations):
        inside, outside = pixels[mask.ravel()], pixels[~mask.ravel()]
        gain = _likelihood(pixels, inside, components) - _likelihood(pixels, outside, components)
        found = clean(_cut(np.clip(gain, -MAX_COST, MAX_COST) + bias, edges, mask.shape))
        if not 0 < found.sum() < found.size:
            return mask
        changed = (found != mask).mean()
        mask = found
        if changed < 0.001:  # noqa: PLR2004  a share of the pixels
            break
    return mask


def _likelihood(pixels: Floats, sample: Floats, components: int) -> Floats:
    """Log density (n,) of pixels (n, 3) in a mixture of Gaussians fitted to a sample by EM."""
    sample = sample[:: max(1, len(sample) // MAX_TRAINING_PIXELS)]
    components = min(components, max(1, len(sample) // 20))
    # Start from equal parts along the principal axis: no chance, and close to the modes.
    axis = np.linalg.eigh(np.cov(sample.T) + 1e-9 * np.eye(3))[1][:, -1] if len(sample) > 1 else 0
    order = np.argsort(sample @ axis if len(sample) > 1 else sample[:, 0], kind="stable")
    share = np.zeros((len(sample), components))
    share[order, np.arange(len(sample)) * components // len(sample)] = 1
    model = _fit(sample, share)
    for _ in range(10):
        logs = _log_densities(sample, model)
        share = np.exp(logs - logs.max(axis=1, keepdims=True))
        model = _fit(sample, share / share.sum(axis=1, keepdims=True))
    logs = _log_densities(pixels, model)
    highest = logs.max(axis=1)
    return highest + np.log(np.exp(logs - highest[:, np.newaxis]).sum(axis=1))


_Model = list[tuple[float, Floats, Floats]]
"""Weight, mean (3,) and covariance (3, 3) of each component."""


def _fit(sample: Floats, share: Floats) -> _Model:
    model: _Model = []
    for column in share.T:
        weight = column.sum() + 1e-9
        mean = column @ sample / weight
        centred = sample - mean
        covariance = (centred * column[:, np.newaxis]).T @ centred / weight
        model.append((weight / len(sample), mean, covariance + MIN_VARIANCE * np.eye(3)))
    return model


def _log_densities(pixels: Floats, model: _Model) -> Floats:
    columns: list[Floats] = []
    for weight, mean, covariance in model:
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        distance = (((pixels - mean) @ whiten.T) ** 2).sum(axis=1)
        columns.append(np.log(weight) - distance / 2 + np.log(np.diag(whiten)).sum())
    return np.stack(columns, axis=1)


def _edges(lab: Floats, smoothness: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Pairs of 8-neighbours and what parting them costs."""
    height, width, _ = lab.shape
    index = np.arange(height * width).reshape(height, width)
    pixels = lab.reshape(-1, 3)
    starts: list[NDArray[np.int64]] = []
    ends: list[NDArray[np.int64]] = []
    costs: list[Floats] = []
    for dy, dx, nearness in _NEIGHBOURS:
        left, right = max(0, -dx), width - max(0, dx)
        start = index[: height - dy, left:right].ravel()
        end = index[dy:, left + dx : right + dx].ravel()
        starts.append(start)
        ends.append(end)
        costs.append(np.full(len(start), smoothness * nearness))
    a, b, cost = np.concatenate(starts), np.concatenate(ends), np.concatenate(costs)
    distance = ((pixels[a] - pixels[b]) ** 2).sum(axis=1)
    return a, b, cost * np.exp(-distance / (2 * distance.mean() + 1e-9))


def _cut(
    gain: Floats,
    edges: tuple[NDArray[np.int64], NDArray[np.int64], Floats],
    shape: tuple[int, ...],
) -> Mask:
    """The labelling of least cost: True where the object gains more than its border costs."""
    from scipy.sparse import csr_array  # noqa: PLC0415
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow  # noqa: PLC0415

    n = gain.size
    source, sink = n, n + 1
    a, b, cost = edges
    unary = np.rint(gain * SCALE).astype(np.int32)
    pairwise = np.rint(cost * SCALE).astype(np.int32)
    for_object, against = np.flatnonzero(unary > 0), np.flatnonzero(unary < 0)
    rows = np.concatenate([a, b, np.full(len(for_object), source), against])
    columns = np.concatenate([b, a, for_object, np.full(len(against), sink)])
    capacity = np.concatenate([pairwise, pairwise, unary[for_object], -unary[against]])
    graph = csr_array((capacity, (rows, columns)), shape=(n + 2, n + 2), dtype=np.int32)
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = np.zeros(n + 2, dtype=bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[:n].reshape(shape)
