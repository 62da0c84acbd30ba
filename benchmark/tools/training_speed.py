"""Seconds per epoch of `segbench train` against a plain segmentation-models-pytorch loop.

    python benchmark/tools/training_speed.py [--data DATA] [--epochs 3] [--workers 2]

The same work: U-Net on EfficientNet-Lite0, the train split of PH2 on a 256x192 grid, batch 8,
flips, turns and colour, BCE + Dice, AdamW, no validation. The plain loop does what tutorials do: a
Dataset that decodes, scales and augments each picture with torchvision in worker processes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional

from segbench.catalog.recipes import trained_recipe
from segbench.masks.prepared import PreparedDataset, Row, open_prepared
from segbench.training.cache import open_cache
from segbench.training.feed import EpochOrder, Samples, train_loader
from segbench.training.models import make_model, normalise
from segbench.training.module import Segmenter

CANVAS = (192, 256)


class Tutorial(Dataset):
    """One picture and mask: decoded, scaled and augmented when asked for."""

    def __init__(self, dataset: PreparedDataset, rows: tuple[Row, ...]) -> None:
        self.dataset, self.rows = dataset, rows
        self.colour = transforms.ColorJitter(0.15, 0.15, 0.15, 0.02)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = self.rows[index]
        image = torch.from_numpy(self.dataset.read_image(row).copy()).permute(2, 0, 1)
        mask = torch.from_numpy(self.dataset.read_mask(row).copy())[None]
        image = functional.resize(image, list(CANVAS), antialias=True)
        mask = functional.resize(mask, list(CANVAS), interpolation=InterpolationMode.NEAREST)
        angle, scale = (
            float(torch.empty(1).uniform_(-45, 45)),
            float(torch.empty(1).uniform_(0.85, 1.15)),
        )
        move = {"angle": angle, "translate": [0, 0], "scale": scale, "shear": [0.0]}
        image = functional.affine(image, **move, interpolation=InterpolationMode.BILINEAR)
        mask = functional.affine(mask, **move)
        if torch.rand(1) < 0.5:  # noqa: PLR2004
            image, mask = functional.hflip(image), functional.hflip(mask)
        return self.colour(image).float() / 255, mask[0]


def plain(dataset: PreparedDataset, *, epochs: int, workers: int) -> list[float]:
    """The tutorial's loop; seconds of each epoch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = smp.Unet("tu-tf_efficientnet_lite0", encoder_weights=None)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    bce, dice = torch.nn.BCEWithLogitsLoss(), smp.losses.DiceLoss("binary")
    loader = DataLoader(
        Tutorial(dataset, dataset.select("train")), batch_size=8, shuffle=True, num_workers=workers
    )
    return [
        _timed(lambda: _plain_epoch(model, loader, optimiser, bce, dice)) for _ in range(epochs)
    ]


def _plain_epoch(
    model: torch.nn.Module,
    loader: DataLoader,
    optimiser: torch.optim.Optimizer,
    bce: torch.nn.Module,
    dice: torch.nn.Module,
) -> None:
    for images, masks in loader:
        logits = model(normalise(images))
        target = (masks == 1).float()[:, None]
        loss = bce(logits, target) + dice(logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def ours(dataset: PreparedDataset, *, epochs: int) -> list[float]:
    """What `segbench train` computes in an epoch, without validation and files."""
    recipe = trained_recipe("unet-lite0")
    cache = open_cache(dataset, CANVAS)
    samples = Samples(cache, cache.positions(dataset.select("train")))
    order = EpochOrder(len(samples), seed=0)
    loader = train_loader(samples, order, batch=8)
    model = make_model(recipe.model, channels=1, pretrained=False)
    module = Segmenter(model, recipe, dataset.classes, steps=epochs * len(loader))
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  there is no trainer here
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)

    def epoch() -> None:
        for i, batch in enumerate(loader):
            loss = module.training_step(batch, i)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return [_timed(epoch) for _ in range(epochs)]


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Both in turn, twice, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    dataset = open_prepared("ph2", data=arguments.data)
    n = len(dataset.select("train"))
    seconds: dict[str, list[float]] = {"plain loop": [], "segbench": []}
    for _ in range(2):
        seconds["plain loop"] += plain(dataset, epochs=arguments.epochs, workers=arguments.workers)
        seconds["segbench"] += ours(dataset, epochs=arguments.epochs)
    for name, times in seconds.items():
        median = float(np.median(times))
        print(f"{name:11} {median:6.1f} s/epoch  {n / median:6.1f} images/s")


if __name__ == "__main__":
    main()
