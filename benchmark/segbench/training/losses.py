"""Losses on logits, one literal table; ignored pixels (255, padding) take no part in any.

Logits are (n, C, H, W): C = 1 for background and one object (sigmoid), else one channel a class
(softmax). Targets are (n, H, W) channel indices with 255 = ignore; with one channel, 1 = object.
`N` is the number of valid pixels, p the probability of the target's truth, t in {0, 1}.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from segbench.catalog.recipes import LossTable
from segbench.masks.labels import IGNORE_ID

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(table: LossTable) -> Loss:
    """The loss of a recipe: (logits, targets) -> scalar; 0 where every pixel is ignored."""
    loss = LOSSES[table.name](table)

    def of_valid(logits: Tensor, targets: Tensor) -> Tensor:
        if (targets == IGNORE_ID).all():  # means over no pixel are undefined
            return (logits * 0).sum()
        return loss(logits, targets)

    return of_valid


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over pixels of -t log p - (1 - t) log(1 - p); with several classes, one-hot."""
    truth, valid = _one_hot(logits, targets)
    return _mean(
        functional.binary_cross_entropy_with_logits(logits, truth, reduction="none"), valid
    )


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over pixels of -log softmax(logits) at the target; needs a channel for each class."""
    return functional.cross_entropy(logits, targets.long(), ignore_index=IGNORE_ID)


def mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over pixels of (p - t)^2: for comparison; its gradient dies where p is surely wrong."""
    truth, valid = _one_hot(logits, targets)
    return _mean((probabilities(logits) - truth) ** 2, valid)


def double_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    """BCE with logits of what already went through a sigmoid: a common mistake, to show its price.

    The second sigmoid squeezes [0, 1] into [0.5, 0.731], so the loss never falls below 0.693 on a
    background and 0.313 on an object, and gradients shrink.
    """
    return bce(torch.sigmoid(logits), targets)


def probabilities(logits: Tensor) -> Tensor:
    """Sigmoid of one channel, softmax of several."""
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def _one_hot(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Targets as (n, C, H, W) of 0 and 1, and which pixels are valid (n, 1, H, W)."""
    valid = (targets != IGNORE_ID).unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    if logits.shape[1] == 1:
        classes = classes + 1
    return (targets.unsqueeze(1) == classes).to(logits.dtype), valid


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / (valid.sum().clamp(min=1) * values.shape[1])


def _of_smp(name: str, **options: object) -> Loss:
    """One of segmentation-models-pytorch, in the mode that the number of channels asks for."""
    from segmentation_models_pytorch import losses  # noqa: PLC0415  slow to import

    kind = getattr(losses, name)
    binary = kind(mode="binary", ignore_index=IGNORE_ID, **options)
    several = kind(mode="multiclass", ignore_index=IGNORE_ID, **options)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return (binary if logits.shape[1] == 1 else several)(logits, targets.long())

    return loss


def _bce_dice(_: LossTable) -> Loss:
    dice = _of_smp("DiceLoss")
    return lambda logits, targets: bce(logits, targets) + dice(logits, targets)


LOSSES: dict[str, Callable[[LossTable], Loss]] = {
    "bce": lambda _: bce,
    "cross-entropy": lambda _: cross_entropy,
    "dice": lambda _: _of_smp("DiceLoss"),
    "bce-dice": _bce_dice,
    "focal": lambda table: _of_smp("FocalLoss", gamma=table.gamma),
    "tversky": lambda table: _of_smp("TverskyLoss", alpha=table.alpha, beta=table.beta),
    "lovasz": lambda _: _of_smp("LovaszLoss"),
    "mse": lambda _: mse,
    "double-sigmoid": lambda _: double_sigmoid,
}
