"""`segbench predict RECIPE`: masks from a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Data, Fold, Jobs, Json, Split, n_jobs


def predict(
    recipe: Annotated[str, typer.Argument(help="A recipe in baselines/, or a .toml of your own.")],
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="A prepared dataset.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write masks to.")],
    split: Split = "test",
    fold: Fold = None,
    data: Data = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Predict the masks of a split with a baseline."""
    from segbench.commands.console import progress_bar, say, say_json  # noqa: PLC0415
    from segbench.masks.prepared import open_prepared, selection_name  # noqa: PLC0415
    from segbench.methods.predict import predict  # noqa: PLC0415
    from segbench.methods.recipes import find_recipe  # noqa: PLC0415

    followed = find_recipe(recipe)
    prepared = open_prepared(dataset, data=data)
    with progress_bar() as update:
        n = predict(
            followed,
            prepared,
            out,
            split=split,
            fold=fold,
            jobs=n_jobs(jobs),
            progress=lambda done, of: update(f"{followed.name}", done, of),
        )
    if json:
        say_json({"path": str(out), "recipe": followed.name, "n_samples": n})
        return
    say(f"{followed.title}: {n} masks of {dataset} {selection_name(split, fold)} in {out}")
    where = f" --data {data}" if data else ""
    chosen = f" --split {split}" if fold is None else f" --fold {fold}"
    say(f"next: segbench evaluate --predictions {out} --dataset {dataset}{chosen}{where}")
