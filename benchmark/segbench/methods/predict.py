"""Follow a recipe over a dataset's split and write one mask a sample."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench._version import __version__
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.prepared import PreparedDataset, read_rgb, selection_name
from segbench.masks.submission import OUR_MARKER
from segbench.methods.classical import segment
from segbench.methods.recipes import ClassicalRecipe

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
    refuse_foreign(out)
    rows = dataset.select(split, fold=fold)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.absolute().parent))
    try:
        made.chmod(0o755)  # mkdtemp makes it private
        # spawn: the workers' libraries have threads of their own, which a fork would not carry
        with ProcessPoolExecutor(min(jobs, len(rows)), mp_context=get_context("spawn")) as pool:
            futures = [
                pool.submit(
                    _predict_one,
                    recipe,
                    dataset.root / row.image,
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
        selection = {"split": split} if fold is None else {"fold": fold}
        about = {
            "schema_version": 1,
            "segbench_version": __version__,
            "recipe": recipe.model_dump(),
            "dataset": dataset.name,
            "dataset_version": dataset.version,
            **selection,
            "split_digest": dataset.digest(split, fold=fold),
            "n_samples": len(rows),
        }
        (made / OUR_MARKER).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    except OSError as error:
        raise SegbenchError(
            f"{out}: predictions of {dataset.name} {selection_name(split, fold)} could not be "
            f"written ({error})"
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return len(rows)


def refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds anything but predictions of ours.

    Raises:
        SegbenchError: It does.
    """
    if not out.exists():
        return
    names = sorted(p.name for p in out.iterdir()) if out.is_dir() else [out.name]
    foreign = [n for n in names if n != OUR_MARKER and not n.endswith(".png")]
    if not out.is_dir() or foreign or (names and OUR_MARKER not in names):
        raise SegbenchError(
            f"{out}: holds {', '.join((foreign or names)[:3])}, which `segbench predict` did not "
            f"write; choose a new folder with --out"
        )


def _predict_one(
    recipe: ClassicalRecipe, image: Path, mask: Path, classes: tuple[LabelClass, ...]
) -> None:
    found: NDArray[np.bool_] = segment(read_rgb(image), recipe.method, recipe.options)
    ids = np.where(found, foreground(classes)[0].id, 0).astype(np.uint8)
    mask.write_bytes(encode_mask(ids, classes))
