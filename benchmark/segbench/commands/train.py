"""`segbench train RECIPE`: a network from a recipe, resumed where it was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.commands.options import Data, DeviceFlag, Fold, Json

if TYPE_CHECKING:
    from segbench.masks.prepared import PreparedDataset
    from segbench.training.run_folder import Run


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe in baselines/, or a .toml of your own.")],
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="A prepared dataset.")],
    fold: Fold = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The run's folder (default: runs/...).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="In place of the recipe's.", min=0)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="In place of the recipe's.", min=1)
    ] = None,
    device: Annotated[
        DeviceFlag, typer.Option("--device", help="Where to compute.")
    ] = DeviceFlag.AUTO,
    devices: Annotated[int, typer.Option("--devices", help="How many GPUs.", min=1)] = 1,
    threads: Annotated[
        int, typer.Option("--threads", help="Threads on the CPU (default: all cores).", min=0)
    ] = 0,
    data: Data = None,
    json: Json = False,
) -> None:
    """Train a network; run again with the same words, it resumes after the last whole epoch."""
    import sys  # noqa: PLC0415

    from segbench.catalog.recipes import recipe_text, trained_recipe, with_changes  # noqa: PLC0415
    from segbench.commands.console import note, say, say_json  # noqa: PLC0415
    from segbench.commands.needs import needs_torch  # noqa: PLC0415
    from segbench.masks.prepared import open_prepared  # noqa: PLC0415

    followed = with_changes(trained_recipe(recipe), seed=seed, epochs=epochs)
    prepared = open_prepared(dataset, data=data)
    with needs_torch():
        from segbench.training.curves import write_curves  # noqa: PLC0415
        from segbench.training.fit import Place, fit  # noqa: PLC0415
        from segbench.training.run_folder import SCORES  # noqa: PLC0415
    folder = out or Path("runs") / _name(followed.name, dataset, fold, followed.train.seed)

    def report(line: dict[str, Any]) -> None:
        note(
            f"epoch {line['epoch'] + 1}/{followed.train.epochs}  loss {line['train_loss']:.4f}  "
            f"validation Dice {line['val_dice']:.4f}  {line['seconds']:.1f} s"
        )

    shown = sys.stderr.isatty() and not json
    run = fit(
        followed,
        prepared,
        folder,
        recipe_text=recipe_text(recipe),
        fold=fold,
        place=Place(device=device.value, devices=devices, threads=threads),
        command=_command(recipe, dataset, fold=fold, seed=seed, epochs=epochs),
        bar=shown,
        report=(lambda _: None) if shown else report,
    )
    if run.result is None:  # one of several processes, not the first
        return
    write_curves(folder, run)
    dice = _validate(folder, run, prepared, device=device.value)
    if json:
        say_json({"path": str(folder), "val_dice": dice, **run.result.model_dump()})
        return
    say(
        f"{followed.title}: epoch {run.result.best_epoch + 1} of {run.result.epochs} kept; "
        f"validation Dice {dice:.4f} at the images' own size"
    )
    say(f"run: {folder}; scores of the validation split: {folder / SCORES}")
    where = f" --data {data}" if data else ""
    chosen = "" if fold is None else f" --fold {fold}"
    say(f"next: segbench predict {folder} --dataset {dataset}{chosen} --out DIR{where}")


def _validate(folder: Path, run: Run, dataset: PreparedDataset, *, device: str) -> float:
    """Score the validation split with the weights that were kept, into the run's folder."""
    from segbench.folders import building  # noqa: PLC0415
    from segbench.masks.submission import open_submission  # noqa: PLC0415
    from segbench.report.page import write_report  # noqa: PLC0415
    from segbench.scoring.evaluate import evaluate  # noqa: PLC0415
    from segbench.scoring.files import REPORT, write_evaluation  # noqa: PLC0415
    from segbench.scoring.tally import Policy, label_maps  # noqa: PLC0415
    from segbench.training.networks import RunNetwork  # noqa: PLC0415
    from segbench.training.predict import predict_network  # noqa: PLC0415
    from segbench.training.run_folder import SCORES  # noqa: PLC0415

    with building(folder / "predictions") as scratch:  # what a kill leaves, the next run removes
        masks = scratch / "masks"
        network = RunNetwork(folder, device=device)
        predict_network(network, dataset, masks, split="val", fold=run.data.fold)
        submission = open_submission(masks)
        result = evaluate(
            submission,
            dataset=dataset.name,
            data=dataset.folder.parent,
            split="val",
            fold=run.data.fold,
        )
        maps = label_maps(result.target, submission, result.reading, policy=Policy())
        write_evaluation(
            result, folder / SCORES, extra=lambda made: write_report(result, maps, made / REPORT)
        )
    return result.score("dice").value


def _name(recipe: str, dataset: str, fold: int | None, seed: int) -> str:
    parts = [recipe, dataset, "" if fold is None else f"fold{fold}", f"seed{seed}" if seed else ""]
    return "-".join(filter(None, parts))


def _command(recipe: str, dataset: str, **options: int | None) -> str:
    """The command that repeats this run, without what belongs to one machine."""
    words = ["segbench", "train", recipe, "--dataset", dataset]
    for key, value in options.items():
        words += [] if value is None else [f"--{key}", str(value)]
    return " ".join(words)
