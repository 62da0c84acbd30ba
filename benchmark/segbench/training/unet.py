"""U-Net from scratch (Ronneberger, Fischer & Brox 2015, arXiv 1505.04597).

Against the paper: padded convolutions (the output has the input's size), batch normalisation.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

DEPTH = 5


class UNet(nn.Module):
    """Five stages of two convolutions; halved down, doubled up, joined with the stage across.

    Args:
        channels: Output channels.
        width: Channels of the first stage (64 in the paper); each stage down has twice as many.
    """

    def __init__(self, channels: int, *, width: int = 64) -> None:
        super().__init__()
        wides = [width * 2**i for i in range(DEPTH)]
        self.down = nn.ModuleList(_double(i, o) for i, o in itertools.pairwise([3, *wides]))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(i, o, kernel_size=2, stride=2)
            for i, o in itertools.pairwise(wides[::-1])
        )
        self.up = nn.ModuleList(_double(2 * wide, wide) for wide in wides[-2::-1])
        self.head = nn.Conv2d(width, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        across: list[Tensor] = []
        *stages, bottom = self.down
        for stage in stages:
            x = stage(x)
            across.append(x)
            x = functional.max_pool2d(x, 2)
        x = bottom(x)
        for enlarge, stage in zip(self.enlarge, self.up, strict=True):
            x = stage(torch.cat([across.pop(), enlarge(x)], dim=1))
        return self.head(x)


def _double(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
