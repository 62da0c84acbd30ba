"""The loss and the validation Dice over the epochs, from a run's log.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from segbench.training.run_folder import CURVES, LOG, Run, write_atomically


def write_curves(folder: Path, run: Run) -> None:
    """Draw curves.png."""
    from matplotlib.figure import Figure  # noqa: PLC0415  no pyplot: no windows, no global state

    with (folder / LOG).open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    epochs = [int(line["epoch"]) + 1 for line in lines]
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    left.plot(epochs, [float(line["train_loss"]) for line in lines], color="0.5", label="loss")
    left.set(xlabel="epoch", ylabel=f"training loss ({run.recipe.loss.name})", ylim=(0, None))
    right = left.twinx()
    dice = [float(line["val_dice"]) for line in lines]
    right.plot(epochs, dice, color="tab:blue", label="validation Dice")
    right.set(ylabel="validation Dice (mean over images)", ylim=(0, 1))
    if run.result is not None:
        best = run.result.best_epoch + 1
        right.plot([best], [run.result.best_val_dice], "o", color="tab:blue", label="kept")
    right.legend(
        *(
            a + b
            for a, b in zip(
                left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True
            )
        ),
        loc="center right",
        frameon=False,
    )
    left.set_title(f"{run.recipe.title} on {run.data.dataset}")
    stream_out = io.BytesIO()
    figure.savefig(stream_out, format="png", dpi=120)
    write_atomically(folder / CURVES, stream_out.getvalue())
