"""The network as Lightning trains it: loss on augmented batches, Dice on the validation split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from segbench.catalog.recipes import TrainedRecipe
from segbench.errors import SegbenchError
from segbench.masks.labels import IGNORE_ID, LabelClass, is_background
from segbench.training.augment import augment, draws
from segbench.training.feed import Batch
from segbench.training.losses import make_loss, probabilities
from segbench.training.models import encoder_parameters, normalise

CUT = 0.5


class LossNotFiniteError(SegbenchError):
    """The loss became NaN or infinite."""


class Segmenter(pl.LightningModule):
    """A network, its loss and its optimiser.

    Args:
        model: Normalised images (n, 3, H, W) to logits (n, C, H, W).
        recipe: What to do.
        classes: The dataset's classes; channel i is the i-th of them, but a single channel is the
            only foreground class.
        steps: Optimiser steps in the whole run.
    """

    lookup: Tensor

    def __init__(
        self, model: nn.Module, recipe: TrainedRecipe, classes: Sequence[LabelClass], *, steps: int
    ) -> None:
        super().__init__()
        # channels last: a quarter to a third faster on processors with AVX, more on tensor cores
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe, self.steps = recipe, steps
        self.loss = make_loss(recipe.loss)
        lookup = torch.full((256,), IGNORE_ID, dtype=torch.uint8)
        for i, label in enumerate(classes):
            lookup[label.id] = i
        self.register_buffer("lookup", lookup, persistent=False)
        self.objects = [i for i, label in enumerate(classes) if not is_background(label)]
        self.val_dice = float("nan")
        self.train_loss = float("nan")
        self._dice: list[Tensor] = []
        self._losses: list[Tensor] = []

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's union of eight types
        """AdamW, with a smaller rate for a pretrained encoder where the recipe says so."""
        options = self.recipe.optimiser
        encoder = encoder_parameters(self.model) if options.encoder_factor != 1 else []
        known = {id(p) for p in encoder}
        rest = [p for p in self.model.parameters() if id(p) not in known]
        rates = [options.learning_rate, options.learning_rate * options.encoder_factor]
        groups = [
            {"params": parameters, "lr": rate}
            for parameters, rate in zip((rest, encoder), rates, strict=True)
            if parameters
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
        if options.schedule == "constant":
            return optimiser
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=rates[: len(groups)],
            total_steps=self.steps,
            # of just one step torch would divide by the nought steps up to it
            pct_start=options.warm_up * (1 + 1e-9 * (options.warm_up * self.steps == 1)),
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """What a network itself draws (dropout) follows from seed and epoch too."""
        place = (self.recipe.train.seed, self.current_epoch, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
        self._losses.clear()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of an augmented batch.

        Raises:
            LossNotFiniteError: The loss is NaN or infinite.
        """
        images, masks, samples = batch
        uniform = draws(self.recipe.train.seed, self.current_epoch, samples.tolist())
        with torch.autocast(images.device.type, enabled=False):
            images, masks = augment(images.float() / 255, masks, uniform, self.recipe.augment)
        loss = self.loss(self(images).float(), self.lookup[masks.long()])
        if not torch.isfinite(loss):
            raise LossNotFiniteError(f"loss {loss.item()} in epoch {self.current_epoch + 1}")
        self._losses.append(loss.detach())
        self.log("train_loss", loss.detach(), prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """The epoch's mean loss over its batches."""
        self.train_loss = float(torch.stack(self._losses).mean())

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's."""
        self._dice.clear()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Dice of each image and foreground class on the network's grid."""
        images, masks = batch[:2]
        found = probabilities(self(images.float() / 255).float())
        self._dice.append(dice(found, self.lookup[masks.long()], self.objects))

    def on_validation_epoch_end(self) -> None:
        """The mean over images and classes; undefined ones (both empty) are left out.

        Raises:
            SegbenchError: All are undefined.
        """
        values = torch.cat(self._dice)
        self.val_dice = float(values.nanmean())
        if math.isnan(self.val_dice):
            raise SegbenchError(
                "no mask of the validation split holds an object, nor was one found: there is no "
                "Dice to choose an epoch by; check the dataset with `segbench check`"
            )
        self.log("val_dice", self.val_dice, prog_bar=True)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        return self.model(normalise(images).to(memory_format=torch.channels_last))


def dice(found: Tensor, targets: Tensor, objects: Sequence[int]) -> Tensor:
    """Dice 2 |P and T| / (|P| + |T|) of probabilities (n, C, H, W), (n, objects); NaN where empty.

    Targets are (n, H, W) class indices with 255 = ignore.
    """
    valid = targets != IGNORE_ID
    labels = (found[:, 0] > CUT).long() if found.shape[1] == 1 else found.argmax(dim=1)
    columns: list[Tensor] = []
    for i in objects:
        own = i if found.shape[1] > 1 else 1
        predicted, truth = (labels == own) & valid, (targets == i) & valid
        both = (predicted & truth).sum(dim=(1, 2)).double()
        columns.append(2 * both / (predicted.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))))
    return torch.stack(columns, dim=1)
