"""A folder of predictions as `segbench predict` writes it: a file a sample, and how it was made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from segbench._version import __version__
from segbench.errors import SegbenchError
from segbench.folders import building, put, refuse_current
from segbench.masks.prepared import PreparedDataset, selection_name
from segbench.masks.submission import OUR_MARKER

OUR_ENDINGS = (".png", ".npz")


@contextlib.contextmanager
def predictions_folder(
    out: Path,
    dataset: PreparedDataset,
    *,
    split: str,
    fold: int | None,
    about: Mapping[str, Any],
) -> Generator[Path]:
    """A temporary folder to write into, which becomes `out` at the end: whole or not at all.

    Args:
        out: The folder to make; one of ours is replaced.
        dataset: What is predicted.
        split: Its split.
        fold: The fold instead.
        about: What the marker file says besides: recipe, weights, options.

    Raises:
        SegbenchError: `out` holds something else, or cannot be written.
    """
    refuse_current(out)
    refuse_foreign(out)
    place = out.resolve()
    try:
        with building(place) as made:
            yield made
            selection = {"split": split} if fold is None else {"fold": fold}
            unpinned = fold is not None and split != "test"  # folds have a digest as tested ones
            marker = {
                "schema_version": 1,
                "segbench_version": __version__,
                **about,
                "dataset": dataset.name,
                "dataset_version": dataset.version,
                **selection,
                "split_digest": "" if unpinned else dataset.digest(split, fold=fold),
                "n_samples": len(dataset.select(split, fold=fold)),
            }
            (made / OUR_MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
            put(made, place, replace=True)
    except OSError as error:
        raise SegbenchError(
            f"{out}: predictions of {dataset.name} {selection_name(split, fold)} could not be "
            f"written ({error})"
        ) from error


def refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds anything but predictions of ours.

    Raises:
        SegbenchError: It does.
    """
    if not out.exists():
        return
    names = sorted(p.name for p in out.iterdir()) if out.is_dir() else [out.name]
    foreign = [n for n in names if n != OUR_MARKER and not n.endswith(OUR_ENDINGS)]
    if not out.is_dir() or foreign or (names and OUR_MARKER not in names):
        raise SegbenchError(
            f"{out}: holds {', '.join((foreign or names)[:3])}, which `segbench predict` did not "
            f"write; choose a new folder with --out"
        )
