"""Write an entry's folder from an evaluation: its masks, their digest, its four files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.board.entry import ENTRY, FILES, PREDICTIONS, Entry
from segbench.errors import SegbenchError
from segbench.folders import place_folder
from segbench.masks import rle
from segbench.masks.digests import content_line, digest
from segbench.masks.forms import Reading
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.submission import Submission, open_submission
from segbench.scoring.evaluate import Evaluation
from segbench.scoring.files import ROWS, SCORES, scores_json, write_rows
from segbench.scoring.tally import Policy, label_maps
from segbench.scoring.target import Target

Mask = NDArray[np.uint8]
POLICY = Policy()


def masks_of(evaluation: Evaluation, predictions: Path) -> Callable[[str], Mask]:
    """A function that gives an evaluated sample's prediction, HxW class ids.

    Raises (when called):
        SegbenchError: There is no prediction for the sample.
    """
    return every_mask(evaluation.target, open_submission(predictions), evaluation.reading)


def every_mask(
    target: Target, submission: Submission, reading: Reading, *, policy: Policy = POLICY
) -> Callable[[str], Mask]:
    """As `masks_of`, of a submission that is read in a known way; none may be missing."""
    read = label_maps(target, submission, reading, policy=policy)

    def mask(identifier: str) -> Mask:
        found = read(identifier)
        if found is None:
            raise SegbenchError(
                f"{submission.origin}: no prediction for {identifier}; an entry has all"
            )
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
    entry: Entry,
    evaluation: Evaluation,
    masks: Callable[[str], Mask],
    folder: Path,
) -> None:
    """Write an entry's folder, whole or not at all; an entry that was there is replaced.

    Raises:
        SegbenchError: The folder holds anything else, or cannot be written.
    """
    refuse_foreign(folder)

    def fill(made: Path) -> None:
        all_masks = ((item.id, masks(item.id)) for item in evaluation.target.items)
        fill_entry(made, entry, evaluation, coco_json(all_masks, evaluation.target.classes))

    place_folder(folder, fill, replace=True)


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything but an entry.

    Raises:
        SegbenchError: It does.
    """
    if folder.exists() and (foreign := sorted({p.name for p in folder.iterdir()} - FILES)):
        raise SegbenchError(
            f"{folder}: holds {', '.join(foreign[:3])}, which is no part of an entry"
        )


def fill_entry(made: Path, entry: Entry, evaluation: Evaluation, predictions: str) -> None:
    """Write an entry's four files into a folder.

    Args:
        made: The folder.
        entry: What entry.json says.
        evaluation: Of its masks.
        predictions: The masks, as `coco_json` writes them.
    """
    (made / PREDICTIONS).write_text(predictions, encoding="utf-8")
    (made / ENTRY).write_text(entry_json(entry), encoding="utf-8")
    (made / SCORES).write_text(_text(scores_json(evaluation)), encoding="utf-8")
    write_rows(evaluation, made / ROWS)


def entry_json(entry: Entry) -> str:
    """What entry.json holds."""
    return _text(entry.model_dump(mode="json"))


def _text(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
