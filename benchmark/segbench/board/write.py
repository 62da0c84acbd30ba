"""Write an entry's folder from an evaluation; score the folder again to check it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.board.entry import ENTRY, PREDICTIONS, Entry, read_entry
from segbench.errors import Problems, SegbenchError
from segbench.masks import rle
from segbench.masks.digests import content_line, digest
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.submission import open_submission
from segbench.scoring.evaluate import Evaluation, evaluate
from segbench.scoring.files import ROWS, SCORES, replace_folder, scores_json
from segbench.scoring.tally import Policy, label_maps

Mask = NDArray[np.uint8]
OURS = frozenset({ENTRY, PREDICTIONS, SCORES, ROWS})


def masks_of(evaluation: Evaluation, predictions: Path) -> Callable[[str], Mask]:
    """A function that gives an evaluated sample's prediction, HxW class ids.

    Raises (when called):
        SegbenchError: There is no prediction for the sample.
    """
    submission = open_submission(predictions)
    read = label_maps(evaluation.target, submission, evaluation.reading, policy=Policy())

    def mask(identifier: str) -> Mask:
        found = read(identifier)
        if found is None:
            raise SegbenchError(f"{predictions}: no prediction for {identifier}; an entry has all")
        return found

    return mask


def predictions_digest(masks: Iterable[tuple[str, Mask]]) -> str:
    """The digest of predicted masks, whatever files they are in (see `segbench.masks.digests`)."""
    return digest(content_line(identifier, None, mask) for identifier, mask in masks)


def coco_json(masks: Iterable[tuple[str, Mask]], classes: Sequence[LabelClass]) -> str:
    """Masks as COCO results, a line for each sample and foreground class, empty ones too."""
    lines = [
        json.dumps(
            {
                "image_id": identifier,
                "category_id": label.id,
                "segmentation": {
                    "size": list(mask.shape),
                    "counts": rle.compress(rle.runs_of(mask == label.id)),
                },
            },
            separators=(",", ":"),
        )
        for identifier, mask in masks
        for label in foreground(classes)
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def write_entry(
    entry: Entry, evaluation: Evaluation, masks: Callable[[str], Mask], folder: Path
) -> None:
    """Write an entry's folder, whole or not at all; an entry that was there is replaced.

    Raises:
        SegbenchError: The folder holds anything else, or cannot be written.
    """
    if folder.exists() and (foreign := sorted({p.name for p in folder.iterdir()} - OURS)):
        raise SegbenchError(
            f"{folder}: holds {', '.join(foreign[:3])}, which is no part of an entry"
        )

    def fill(made: Path) -> None:
        all_masks = ((item.id, masks(item.id)) for item in evaluation.target.items)
        (made / PREDICTIONS).write_text(
            coco_json(all_masks, evaluation.target.classes), encoding="utf-8"
        )
        (made / ENTRY).write_text(_text(entry.model_dump(mode="json")), encoding="utf-8")
        (made / SCORES).write_text(_text(scores_json(evaluation)), encoding="utf-8")
        evaluation.rows().to_parquet(made / ROWS, index=False)

    replace_folder(folder, fill)


def check_entry(folder: Path, *, data: Path | None = None) -> Entry:
    """Score an entry's predictions again and compare with what it claims.

    Raises:
        SegbenchError: The predictions, the scores or a digest are not those that it claims.
    """
    entry = read_entry(folder)
    if entry.digests is None:
        raise SegbenchError(f"{folder}: copied from a paper; there is nothing to score again")
    path = folder / PREDICTIONS
    result = evaluate(
        path, dataset=entry.dataset, split=entry.split or "test", fold=entry.fold, data=data
    )
    problems = Problems()
    masks = masks_of(result, path)
    found = predictions_digest((item.id, masks(item.id)) for item in result.target.items)
    if found != entry.digests.predictions:
        problems.add("digest of the predictions", f"{found}, claimed {entry.digests.predictions}")
    if result.digest != entry.digests.data:
        problems.add("digest of the data", f"{result.digest}, claimed {entry.digests.data}")
    claimed = json.loads((folder / SCORES).read_text(encoding="utf-8"))["scores"]
    again = scores_json(result)["scores"]
    names = ("measure", "class", "over", "value")
    key = [tuple(score[n] for n in names) for score in claimed]
    ours = [tuple(score[n] for n in names) for score in again]  # type: ignore[attr-defined]
    for was, now in zip(key, ours, strict=False):
        if was != now:
            problems.add("score", f"{now}, claimed {was}")
    if len(key) != len(ours):
        problems.add("number of scores", f"{len(ours)}, claimed {len(key)}")
    problems.raise_if_any(f"{folder}: does not hold what it claims")
    return entry


def _text(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
