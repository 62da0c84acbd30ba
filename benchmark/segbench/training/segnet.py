"""SegNet, and the small variant of the course lesson.

Badrinarayanan, Kendall & Cipolla 2017, doi 10.1109/TPAMI.2016.2644615.
The paper's decoder puts each value back where max-pooling took it from and learns the rest; the
lesson's enlarges bilinearly.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Width and number of convolutions of the five stages, as in VGG16."""


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max-pooling: values (n, c, H/2, W/2) and where they lay, an index into H*W each."""
    return functional.max_pool2d_with_indices(x, (2, 2))


def max_unpool(x: Tensor, index: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of `max_pool`: values back at their places in (n, c, *size), zeros elsewhere."""
    n, channels = x.shape[:2]
    empty = x.new_zeros((n, channels, size[0] * size[1]))
    return empty.scatter(2, index.flatten(2), x.flatten(2)).view(n, channels, *size)


class SegNet(nn.Module):
    """Five VGG16 stages down, their mirror image up, by max-pooling indices; 29.4 M parameters.

    Args:
        channels: Output channels.
        width: Channels of the first stage (64 in the paper); the others scale with it.
    """

    def __init__(self, channels: int, *, width: int = 64) -> None:
        super().__init__()
        stages = [(wide * width // 64, depth) for wide, depth in VGG16]
        wides = [3, *(wide for wide, _ in stages)]
        self.down = nn.ModuleList(
            _stage(before, wide, depth)
            for before, (wide, depth) in zip(wides, stages, strict=False)
        )
        self.up = nn.ModuleList(
            _stage(wide, max(before, wides[1]), depth, narrow_last=True)
            for before, (wide, depth) in reversed(list(zip(wides, stages, strict=False)))
        )
        self.head = nn.Conv2d(wides[1], channels, kernel_size=1)
        _he(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        places: list[tuple[Tensor, tuple[int, int]]] = []
        for stage in self.down:
            full = stage(x)
            x, index = max_pool(full)
            places.append((index, (full.shape[2], full.shape[3])))
        for stage, (index, size) in zip(self.up, reversed(places), strict=True):
            x = stage(max_unpool(x, index, size))
        return self.head(x)


class SegNetLesson(nn.Module):
    """The lesson's SegNet: one convolution a stage (16 to 256), bilinear enlargement."""

    def __init__(self, channels: int, *, width: int = 16) -> None:
        super().__init__()
        wides = [3, *(width * 2**i for i in range(5))]
        self.down = nn.ModuleList(_lesson(i, o) for i, o in itertools.pairwise(wides))
        self.up = nn.ModuleList(_lesson(i, o) for i, o in itertools.pairwise(wides[:1:-1]))
        self.head = nn.Conv2d(2 * width, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        *stages, bottom = self.down
        for stage in stages:
            x = functional.max_pool2d(stage(x), 2)
        x = bottom(x)
        for stage in self.up:
            x = stage(_enlarge(x))
        return self.head(_enlarge(x))


def _enlarge(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _lesson(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(after))


def _stage(before: int, after: int, depth: int, *, narrow_last: bool = False) -> nn.Module:
    """Convolutions; an encoder changes the width at the first, a decoder at the last."""
    between = before if narrow_last else after
    wides = [before, *[between] * (depth - 1), after]
    return nn.Sequential(*(_unit(i, o) for i, o in itertools.pairwise(wides)))


def _unit(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


def _he(model: nn.Module) -> None:
    """He's initialisation, as the paper's."""
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)
