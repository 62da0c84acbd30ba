"""A training run: begin or resume it, keep the best weights, leave everything in the run's folder.

The run is PyTorch Lightning's: processors, several GPUs, mixed precision, TensorBoard and the
progress bar are its business. What makes a resumed run equal to an uninterrupted one is ours: an
epoch depends only on the state at its start and on (seed, epoch), and the state is written whole
after each epoch.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from segbench.catalog.recipes import TrainedRecipe
from segbench.errors import SegbenchError
from segbench.masks.digests import sha256_hex
from segbench.masks.prepared import PreparedDataset
from segbench.training import run_folder as files
from segbench.training.arithmetic import denormals_as_zero
from segbench.training.cache import open_cache
from segbench.training.canvas import canvas_of
from segbench.training.export import export_onnx
from segbench.training.feed import (
    EpochOrder,
    Samples,
    steps_per_epoch,
    train_loader,
    val_loader,
)
from segbench.training.models import check_canvas, make_model
from segbench.training.module import LossNotFiniteError, Segmenter
from segbench.training.run_folder import Result, Run
from segbench.training.weights import count_flops, load_weights, save_weights

Report = Callable[[dict[str, Any]], None]
SETTINGS = (
    "change [optimiser] learning_rate or gradient_clip, or precision, and give a new --out folder"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """On what a run computes: `device` is auto, cpu, cuda or mps; `threads` 0 leaves torch's."""

    device: str = "auto"
    devices: int = 1
    threads: int = 0


def fit(
    recipe: TrainedRecipe,
    dataset: PreparedDataset,
    folder: Path,
    *,
    recipe_text: str,
    fold: int | None = None,
    place: Place = Place(),
    command: str = "",
    bar: bool = False,
    report: Report = lambda _: None,
) -> Run:
    """Train on the train split, keep the weights that are best on val; resume what was begun.

    Args:
        recipe: What to train and how.
        dataset: The prepared dataset.
        folder: The run's folder; a run that was begun there with the same settings is resumed, a
            finished one is returned as it is.
        recipe_text: recipe.toml as it will stand in the folder.
        fold: Train for the test on this fold (the next one validates) instead of on the split.
        place: On what to compute.
        command: What run.json says of how this was started.
        bar: Show Lightning's progress bar.
        report: Told of each epoch's line of log.csv.

    Raises:
        SegbenchError: The folder holds another run or cannot be written, the network does not fit
            the canvas, memory ran out, no Dice is defined, or the loss became NaN.
    """
    accelerator = _accelerator(place.device)
    if place.threads:
        torch.set_num_threads(place.threads)
    run = _begin(recipe, dataset, folder, accelerator, recipe_text, fold=fold, command=command)
    if run.result is not None:
        return run
    with _own_settings(), denormals_as_zero():
        return _run(
            run, dataset, folder, accelerator, devices=place.devices, bar=bar, report=report
        )


def _run(
    run: Run,
    dataset: PreparedDataset,
    folder: Path,
    accelerator: str,
    *,
    devices: int,
    bar: bool,
    report: Report,
) -> Run:
    """Train what run.json describes, from the checkpoint where there is one."""
    recipe, fold = run.recipe, run.data.fold
    torch.manual_seed(recipe.train.seed)
    model = make_model(recipe.model, channels=run.channels)
    check_canvas(model, run.canvas, channels=run.channels)
    cache = open_cache(dataset, run.canvas)
    train, val = (
        Samples(cache, cache.positions(dataset.select(role, fold=fold)))
        for role in ("train", "val")
    )
    order = EpochOrder(
        len(train),
        seed=recipe.train.seed,
        per_epoch=recipe.train.samples_per_epoch,
        processes=devices,
    )
    batch = recipe.train.batch
    steps = steps_per_epoch(order, batch=batch) * recipe.train.epochs
    module = Segmenter(model, recipe, dataset.classes, steps=steps)
    keeper = Keeper(folder, patience=recipe.train.patience, report=report)
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=devices,
        precision="bf16-mixed" if run.environment.precision == "bf16" else "32-true",
        max_epochs=recipe.train.epochs,
        gradient_clip_val=recipe.optimiser.gradient_clip or None,
        callbacks=[keeper],
        logger=TensorBoardLogger(folder, name="", version=files.TENSORBOARD),
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=max(1, steps // recipe.train.epochs),
        use_distributed_sampler=False,
        deterministic="warn",
    )
    checkpoint = folder / files.CHECKPOINT
    _check_readable(checkpoint)
    try:
        trainer.fit(
            module,
            train_loader(train, order, batch=batch),
            val_loader(val, batch=batch),
            ckpt_path=checkpoint if checkpoint.exists() else None,
            weights_only=True,  # tensors and numbers: a checkpoint runs no code
        )
    except LossNotFiniteError as error:
        kept = (
            f"the weights of epoch {keeper.best_epoch + 1} (validation Dice {keeper.best:.4f}) are "
            f"kept in {folder / files.WEIGHTS}"
            if keeper.history
            else "no epoch was finished"
        )
        raise SegbenchError(f"{folder}: {error}; stopped, {kept}; {SETTINGS}") from error
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error):
            raise SegbenchError(
                f"{folder}: out of memory with batch {batch} at {run.canvas[1]}x{run.canvas[0]}; "
                f'halve [train] batch or [input] long_side, or set precision = "bf16"'
            ) from error
        if _WRITER in str(error):
            raise _not_written(folder, error) from error
        raise
    except OSError as error:
        raise _not_written(folder, error) from error
    if trainer.interrupted:
        raise KeyboardInterrupt
    return _finish(folder, run, model, keeper) if trainer.is_global_zero else run


_WRITER = "PytorchStreamWriter"  # in torch's message when a checkpoint's disk is full


def _not_written(folder: Path, error: Exception) -> SegbenchError:
    told = str(error).strip().partition("\n")[0]
    return SegbenchError(
        f"{folder}: could not be written ({told}); make room and run the same command again: it "
        f"goes on after the last whole epoch"
    )


def _check_readable(checkpoint: Path) -> None:
    """Refuse a damaged checkpoint before the trainer does in its own words.

    Raises:
        SegbenchError: It is.
    """
    if not checkpoint.exists():
        return
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zipfile raise many types on damaged files
        raise SegbenchError(
            f"{checkpoint}: damaged; delete {checkpoint.parent} to train anew, or put a copy in "
            f"its place"
        ) from error


class Keeper(Checkpoint):
    """After each epoch: the best weights, the log and a checkpoint, each whole or not at all.

    A kill between two of these writes repeats the epoch, with the same result.
    """

    def __init__(self, folder: Path, *, patience: int, report: Report) -> None:
        self.folder, self.patience, self.report = folder, patience, report
        self.history: list[dict[str, Any]] = []
        self.best, self.best_epoch = -1.0, -1
        self._began = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that was killed after its early stop stays stopped."""
        del pl_module
        trainer.should_stop = self._waited_enough()

    def _waited_enough(self) -> bool:
        waited = len(self.history) - 1 - self.best_epoch
        return bool(self.patience and self.history and waited >= self.patience)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write everything; Lightning calls this after the validation."""
        if not isinstance(pl_module, Segmenter):
            raise TypeError(f"{type(pl_module).__name__}: expected Segmenter")
        line = {
            "epoch": trainer.current_epoch,
            "train_loss": pl_module.train_loss,
            "val_dice": pl_module.val_dice,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._began, 2),
        }
        self.history.append(line)
        better = pl_module.val_dice > self.best
        if better:
            self.best, self.best_epoch = pl_module.val_dice, trainer.current_epoch
        if trainer.is_global_zero:
            if better or not (self.folder / files.WEIGHTS).exists():
                save_weights(pl_module.model, self.folder / files.WEIGHTS)
            files.write_log(self.folder, self.history)
        trainer.should_stop = trainer.should_stop or self._waited_enough()
        part = self.folder / files.part_of(files.CHECKPOINT)
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            part.replace(self.folder / files.CHECKPOINT)
            self.report(line)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint remembers."""
        return {"history": self.history, "best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What a resumed run knows of its past."""
        self.history = list(state_dict["history"])
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]


def _begin(
    recipe: TrainedRecipe,
    dataset: PreparedDataset,
    folder: Path,
    accelerator: str,
    recipe_text: str,
    *,
    fold: int | None,
    command: str,
) -> Run:
    """The run as run.json tells it: the one that was begun there, else a new one, written."""
    data = files.data_info(dataset, fold=fold)
    rows = [*dataset.select("train", fold=fold), *dataset.select("val", fold=fold)]
    precision = recipe.train.precision
    if precision == "auto":
        precision = "bf16" if accelerator == "cuda" else "32"
    now = Run(
        recipe=recipe,
        canvas=canvas_of(
            {row.size for row in rows},
            long_side=recipe.input.long_side,
            multiple=recipe.input.multiple,
        ),
        channels=files.n_channels(recipe, dataset.classes),
        data=data,
        environment=files.environment(
            device=_device_name(accelerator), precision=precision, threads=torch.get_num_threads()
        ),
        command=command,
    )
    if folder.exists() and not folder.is_dir():
        raise SegbenchError(f"{folder}: is a file; expected a folder for the run")
    if (folder / files.RUN).exists():
        before = files.read_run(folder)
        if other := files.differences(before, now):
            raise SegbenchError(
                f"{folder}: holds a run with other settings; give a new --out folder\n    "
                + "\n    ".join(other)
            )
        return before
    # a run that was killed before its run.json was written has left its recipe, or part of either
    begun = {files.RECIPE, files.part_of(files.RECIPE), files.part_of(files.RUN)}
    if folder.exists() and (foreign := sorted({p.name for p in folder.iterdir()} - begun)):
        raise SegbenchError(
            f"{folder}: holds {', '.join(foreign[:3])} and no run; give a new --out folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_atomically(folder / files.RECIPE, recipe_text.encode())
        files.write_run(folder, now)
    except OSError as error:
        raise SegbenchError(f"{folder}: cannot be written ({error.strerror})") from error
    return now


def _finish(folder: Path, run: Run, model: nn.Module, keeper: Keeper) -> Run:
    """Export the best weights and say in run.json what came out."""
    load_weights(model, folder / files.WEIGHTS)
    model.cpu().eval()
    export_onnx(model, folder / files.ONNX, run)
    result = Result(
        best_epoch=keeper.best_epoch,
        best_val_dice=max(keeper.best, 0.0),
        epochs=len(keeper.history),
        seconds=round(sum(float(line["seconds"]) for line in keeper.history), 1),
        parameters=sum(p.numel() for p in model.parameters()),
        flops=count_flops(model, run.canvas),
        weights_sha256=sha256_hex((folder / files.WEIGHTS).read_bytes()),
    )
    done = run.model_copy(update={"result": result})
    files.write_run(folder, done)
    return done


def _accelerator(device: str) -> str:
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device):
        usable = ", ".join(name for name, usable in there.items() if usable)
        raise SegbenchError(f"--device {device}: not on this machine; there is {usable}")
    return device


def _device_name(accelerator: str) -> str:
    if accelerator == "cuda":
        return torch.cuda.get_device_name()
    return files.processor_name() if accelerator == "cpu" else accelerator


@contextlib.contextmanager
def _own_settings() -> Generator[None]:
    """Quiet Lightning's greetings and advice (not its errors); leave torch as it was found."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*num_workers.*")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
