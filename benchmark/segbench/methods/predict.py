"""Follow a recipe over a dataset's split and write one mask a sample."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.catalog.recipes import ClassicalRecipe
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.predictions import predictions_folder
from segbench.masks.prepared import PreparedDataset, read_rgb
from segbench.methods.classical import segment

Progress = Callable[[int, int], None]


def predict(
    recipe: ClassicalRecipe,
    dataset: PreparedDataset,
    out: Path,
    *,
    split: str = "test",
    fold: int | None = None,
    jobs: int = os.cpu_count() or 1,
    progress: Progress = lambda _done, _of: None,
) -> int:
    """Write `<id>.png` (8-bit palette, pixel value = class id) for every sample of a split.

    Args:
        recipe: The method and its options.
        dataset: The prepared dataset.
        out: The folder to make; one of ours is replaced.
        split: The split to predict.
        fold: The fold to predict instead.
        jobs: Processes.
        progress: Told of each sample done, and of how many.

    Returns:
        How many masks were written.

    Raises:
        SegbenchError: The dataset has not exactly one foreground class, `out` holds something
            else, or an image cannot be read.
    """
    objects = foreground(dataset.classes)
    if len(objects) != 1:
        raise SegbenchError(
            f"{recipe.name} finds one kind of object; {dataset.name} has {len(objects)} "
            f"({', '.join(label.name for label in objects)})"
        )
    rows = dataset.select(split, fold=fold)
    about = {"recipe": recipe.model_dump()}
    with (
        predictions_folder(out, dataset, split=split, fold=fold, about=about) as made,
        # spawn: the workers' libraries have threads of their own, which a fork would not carry
        ProcessPoolExecutor(min(jobs, len(rows)), mp_context=get_context("spawn")) as pool,
    ):
        futures = [
            pool.submit(
                _predict_one,
                recipe,
                dataset.folder / row.image,
                made / f"{row.id}.png",
                dataset.classes,
            )
            for row in rows
        ]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                progress(done, len(rows))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return len(rows)


def _predict_one(
    recipe: ClassicalRecipe, image: Path, mask: Path, classes: tuple[LabelClass, ...]
) -> None:
    found: NDArray[np.bool_] = segment(read_rgb(image), recipe.method, recipe.options)
    ids = np.where(found, foreground(classes)[0].id, 0).astype(np.uint8)
    mask.write_bytes(encode_mask(ids, classes))
