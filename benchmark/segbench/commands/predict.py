"""`segbench predict WHAT`: masks from a recipe, a trained run or an ONNX model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Data, DeviceFlag, Fold, Jobs, Json, Split, n_jobs


class ValuesFlag(StrEnum):
    """What `--onnx-input` may say."""

    UNIT = "unit"
    BYTE = "byte"
    IMAGENET = "imagenet"


class OutputFlag(StrEnum):
    """What `--onnx-output` may say."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"


def predict(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A classical recipe (name or .toml), a folder that `segbench train` wrote, or an "
            ".onnx file.",
        ),
    ],
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="A prepared dataset.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write masks to.")],
    split: Split = "test",
    fold: Fold = None,
    tta: Annotated[
        bool | None,
        typer.Option("--tta/--no-tta", help="Average over mirror images (else as the recipe)."),
    ] = None,
    largest_component: Annotated[
        bool | None,
        typer.Option(
            "--largest-component/--no-largest-component",
            help="Keep the largest region of every object class (else as the recipe).",
        ),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write .npz probabilities, not masks.")
    ] = False,
    device: Annotated[
        DeviceFlag, typer.Option("--device", help="Where a run's network computes.")
    ] = DeviceFlag.AUTO,
    onnx_input: Annotated[
        ValuesFlag,
        typer.Option("--onnx-input", help="RGB as 0..1, 0..255, or less ImageNet's mean."),
    ] = ValuesFlag.UNIT,
    onnx_output: Annotated[
        OutputFlag, typer.Option("--onnx-output", help="What the ONNX model gives.")
    ] = OutputFlag.PROBABILITIES,
    long_side: Annotated[
        int, typer.Option("--long-side", help="Grid, where an ONNX model leaves it open.", min=16)
    ] = 256,
    data: Data = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Predict the masks of a split with a baseline, a trained network or an ONNX model."""
    from segbench.catalog.recipes import recipe_files  # noqa: PLC0415
    from segbench.commands.console import note, progress_bar, say, say_json  # noqa: PLC0415
    from segbench.errors import SegbenchError  # noqa: PLC0415
    from segbench.masks.prepared import open_prepared, selection_name  # noqa: PLC0415
    from segbench.training.run_folder import RUN  # noqa: PLC0415

    prepared = open_prepared(dataset, data=data)
    path = Path(what)
    with progress_bar() as update:
        folder = path.is_dir() and ((path / RUN).exists() or what not in recipe_files())
        if folder or path.suffix.lower() not in {"", ".toml"}:
            from segbench.commands.needs import needs_torch  # noqa: PLC0415
            from segbench.training.networks import OnnxOptions, RunNetwork, open_network  # noqa: PLC0415
            from segbench.training.predict import Options, predict_network  # noqa: PLC0415

            settings = OnnxOptions(
                values=onnx_input.value, output=onnx_output.value, long_side=long_side
            )
            with needs_torch():
                network = open_network(path, device=device.value, onnx=settings)
            if isinstance(network, RunNetwork) and network.run.result is None:
                note(f"{path}: the run is not finished; the best weights so far are used")
            title = name = path.name
            n = predict_network(
                network,
                prepared,
                out,
                split=split,
                fold=fold,
                options=Options(
                    tta=tta, largest_component=largest_component, probabilities=probabilities
                ),
                progress=lambda done, of: update(name, done, of),
            )
        else:
            from segbench.catalog.recipes import TrainedRecipe, find_recipe  # noqa: PLC0415
            from segbench.methods.predict import predict  # noqa: PLC0415

            followed = find_recipe(what)
            if isinstance(followed, TrainedRecipe):
                raise SegbenchError(
                    f"{followed.name} has to be trained first: `segbench train {what} --dataset "
                    f"{dataset} --out RUN`, then `segbench predict RUN`"
                )
            if tta or largest_component or probabilities:
                raise SegbenchError(
                    f"{followed.name} is a classical method: no --tta, --largest-component or "
                    f"--probabilities"
                )
            title, name = followed.title, followed.name
            n = predict(
                followed,
                prepared,
                out,
                split=split,
                fold=fold,
                jobs=n_jobs(jobs),
                progress=lambda done, of: update(name, done, of),
            )
    if json:
        say_json({"path": str(out), "recipe": name, "n_samples": n})
        return
    say(f"{title}: {n} masks of {dataset} {selection_name(split, fold)} in {out}")
    where = f" --data {data}" if data else ""
    chosen = f" --split {split}" if fold is None or split != "test" else ""
    chosen += "" if fold is None else f" --fold {fold}"
    say(f"next: segbench evaluate --predictions {out} --dataset {dataset}{chosen}{where}")
