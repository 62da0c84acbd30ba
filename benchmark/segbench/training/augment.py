"""Random changes of training images, on the device, from (seed, epoch, sample) alone.

The random numbers of a sample do not depend on the batch it is in, on the device, or on what was
drawn before: an interrupted run that is resumed sees the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from segbench.catalog.recipes import AugmentTable
from segbench.masks.labels import IGNORE_ID

N_DRAWS = 10
_GREY = (0.299, 0.587, 0.114)


def draws(seed: int, epoch: int, samples: Iterable[int]) -> Tensor:
    """Uniform numbers in [0, 1), (n, N_DRAWS) float32: one stream a sample and epoch."""
    rows = [np.random.default_rng((seed, epoch, int(i))).random(N_DRAWS) for i in samples]
    return torch.from_numpy(np.asarray(rows, np.float32).reshape(-1, N_DRAWS))


def augment(
    images: Tensor, masks: Tensor, uniform: Tensor, options: AugmentTable
) -> tuple[Tensor, Tensor]:
    """Flip, rotate, scale, shift and tint a batch.

    Args:
        images: (n, 3, H, W) float in [0, 1].
        masks: (n, H, W) uint8 class ids; what is turned in from outside becomes the ignore id.
        uniform: (n, N_DRAWS) from `draws`.
        options: What to do, and how far.

    Returns:
        Images and masks of the same shapes.
    """
    u = uniform.to(images.device).unbind(dim=1)
    images, masks = _move(
        images, masks, _matrices(u, options, (images.shape[2], images.shape[3])), options
    )
    return _tint(images, u[6:], options), masks


def _signed(u: Tensor, reach: float) -> Tensor:
    return (2 * u - 1) * reach


def _matrices(u: tuple[Tensor, ...], options: AugmentTable, size: tuple[int, int]) -> Tensor:
    """(n, 2, 3) maps from a pixel to where it is taken from, in [-1, 1] coordinates."""
    height, width = size
    angle = _signed(u[0], math.radians(options.rotation))
    factor = torch.exp(_signed(u[1], math.log1p(options.scale)))
    flip_x = torch.where((u[2] < 0.5) & options.horizontal_flip, -1.0, 1.0)  # noqa: PLR2004
    flip_y = torch.where((u[3] < 0.5) & options.vertical_flip, -1.0, 1.0)  # noqa: PLR2004
    cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
    # pixels are square, normalised coordinates are not: the ratio of the sides undoes that
    first = torch.stack(
        [flip_x * cos, -flip_x * sin * height / width, _signed(u[4], 2 * options.shift)], dim=1
    )
    second = torch.stack(
        [flip_y * sin * width / height, flip_y * cos, _signed(u[5], 2 * options.shift)], dim=1
    )
    return torch.stack([first, second], dim=1)


def _move(
    images: Tensor, masks: Tensor, matrices: Tensor, options: AugmentTable
) -> tuple[Tensor, Tensor]:
    if not (
        options.rotation
        or options.scale
        or options.shift
        or options.horizontal_flip
        or options.vertical_flip
    ):
        return images, masks
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    # outside the picture: its mirror image for the eye, "ignore" for the loss
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    labels = (masks.to(images.dtype) - IGNORE_ID).unsqueeze(1)  # zero, and so the padding, = ignore
    taken = functional.grid_sample(labels, grid, mode="nearest", align_corners=False)
    return moved, (taken.squeeze(1) + IGNORE_ID).round().to(masks.dtype)


def _tint(images: Tensor, u: tuple[Tensor, ...], options: AugmentTable) -> Tensor:
    def factor(draw: Tensor, reach: float) -> Tensor:
        return (1 + _signed(draw, reach)).view(-1, 1, 1, 1)

    if options.brightness:
        images = images * factor(u[0], options.brightness)
    if options.contrast:
        mean = _luma(images).mean(dim=(1, 2, 3), keepdim=True)
        images = mean + (images - mean) * factor(u[1], options.contrast)
    if options.saturation:
        grey = _luma(images)
        images = grey + (images - grey) * factor(u[2], options.saturation)
    if options.hue:
        images = _turn_hue(images, _signed(u[3], options.hue))
    return images.clamp(0, 1)


def _luma(images: Tensor) -> Tensor:
    weights = torch.tensor(_GREY, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def _turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate RGB about the grey axis (Rodrigues' formula)."""
    angle = 2 * math.pi * turns
    cos, sin = torch.cos(angle), torch.sin(angle) / math.sqrt(3)
    third = (1 - cos) / 3
    row = torch.stack([cos + third, third - sin, third + sin], dim=1)
    turn = torch.stack([row.roll(shift, dims=1) for shift in range(3)], dim=1)
    return torch.einsum("nij,njhw->nihw", turn, images)
