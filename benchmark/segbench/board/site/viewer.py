"""What the viewer shows: reduced pictures, and contours of references and of entries' masks."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.board.entry import PREDICTIONS
from segbench.board.site.boards import Board
from segbench.board.site.contours import path_data
from segbench.board.site.scripts import script
from segbench.board.write import masks_of
from segbench.catalog.cards import card_folders, read_dataset
from segbench.errors import SegbenchError
from segbench.masks.decoded import MaskFileError
from segbench.masks.labels import IGNORE_ID, foreground
from segbench.masks.prepared import PreparedDataset, Row, prepared_datasets
from segbench.masks.submission import Submission, open_submission
from segbench.scoring.evaluate import evaluate
from segbench.scoring.scores import Table

Mask = NDArray[np.uint8]
ReadMask = Callable[[Row], Mask]

OPEN_LICENCES = frozenset(
    {
        "Apache-2.0",
        "BSD-3-Clause",
        "CC BY 4.0",
        "CC BY-SA 4.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "CC0 1.0",
        "CC0-1.0",
        "MIT",
    }
)
"""Licences (of a card) under which reduced pictures may be passed on; no others are written."""

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9.-]*")

LONG_SIDE = 640
_QUALITY = 85


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """The pictures and masks behind a board.

    Attributes:
        board: The board.
        dataset: The user's own copy, of the same content.
        rows: The board's samples, by id.
        masks: By entry its masks, HxW class ids.
        others: Masks that are no entry: by name their rows; `masks` has them too.
    """

    board: Board
    dataset: PreparedDataset
    rows: Mapping[str, Row] = field(repr=False)
    masks: Mapping[str, ReadMask] = field(repr=False)
    others: Mapping[str, Table] = field(default_factory=dict[str, Table], repr=False)

    def picture(self, identifier: str, *, long_side: int = LONG_SIDE) -> bytes:
        """A sample's image as JPEG, reduced where it is larger."""
        photo = Image.fromarray(self.dataset.read_image(self.rows[identifier]))
        photo.thumbnail((long_side, long_side), Image.Resampling.LANCZOS, reducing_gap=None)
        stream = io.BytesIO()
        photo.save(stream, "JPEG", quality=_QUALITY, optimize=True)
        return stream.getvalue()

    def reference(self, identifier: str) -> bytes:
        """A script with the size of a sample and the outlines of its reference."""
        row = self.rows[identifier]
        return self._script(f"reference/{identifier}", row, self.dataset.read_mask(row))

    def contours(self, entry: str, identifier: str) -> bytes:
        """A script with the outlines of an entry's mask."""
        row = self.rows[identifier]
        return self._script(f"contours/{entry}/{identifier}", row, self.masks[entry](row))

    def _script(self, key: str, row: Row, mask: Mask) -> bytes:
        paths = [[c.name, path_data(mask == c.id)] for c in foreground(self.dataset.classes)]
        if (ignored := mask == IGNORE_ID).any():
            paths.append(["ignored", path_data(ignored)])
        content = {"width": row.width, "height": row.height, "paths": [p for p in paths if p[1]]}
        return script(key, content).encode()


def viewers(found: Sequence[Board], *, data: Path, redistributable_only: bool) -> dict[str, Viewer]:
    """A viewer of each board whose dataset is prepared here with the same content.

    Args:
        found: The boards.
        data: Where prepared datasets live.
        redistributable_only: Only of datasets whose card has a licence in `OPEN_LICENCES`.
    """
    prepared = {dataset.name: dataset for dataset in prepared_datasets(data)}
    out: dict[str, Viewer] = {}
    for board in found:
        dataset = prepared.get(board.dataset)
        if dataset is None or not board.standings:
            continue
        if redistributable_only and not redistributable(board.dataset):
            continue
        rows = _rows(board, dataset)
        if rows is not None:
            out[board.key] = Viewer(
                board=board, dataset=dataset, rows=rows, masks=_entry_masks(board)
            )
    return out


def with_predictions(
    looked_at: Mapping[str, Viewer], predictions: Mapping[str, Path]
) -> dict[str, Viewer]:
    """Viewers that also show masks which are no entry, scored here for the order of the images.

    Raises:
        SegbenchError: A name is no entry's name or is taken, or the masks fit no board.
    """
    out = dict(looked_at)
    for name, path in predictions.items():
        if not NAME_PATTERN.fullmatch(name):
            raise SegbenchError(
                f"--predictions {name}={path}: a name has the form {NAME_PATTERN.pattern}"
            )
        ids = open_submission(path).ids
        fitting = [key for key, viewer in out.items() if viewer.rows.keys() <= ids]
        if not fitting:
            known = ", ".join(f"{v.board.title} ({next(iter(v.rows))}, ...)" for v in out.values())
            raise SegbenchError(
                f"{path}: holds no mask for every image of a board that can be looked at here; "
                f"these can: {known or 'none'}"
            )
        for key in fitting:
            out[key] = _with_other(out[key], name, path)
    return out


def _with_other(viewer: Viewer, name: str, path: Path) -> Viewer:
    if name in viewer.masks:
        raise SegbenchError(
            f"--predictions {name}={path}: {viewer.board.title} has an entry {name}"
        )
    split, fold = selection_of(viewer.board)
    dataset = viewer.dataset
    data = dataset.folder.parent
    result = evaluate(path, dataset=dataset.name, split=split, fold=fold, data=data)
    read = masks_of(result, path)
    return replace(
        viewer,
        masks={**viewer.masks, name: lambda row: read(row.id)},
        others={**viewer.others, name: result.table},
    )


def redistributable(dataset: str) -> bool:
    """Whether the card of the catalogue lets anyone pass pictures on."""
    folder = card_folders().get(dataset)
    return folder is not None and read_dataset(folder).card.licence.name in OPEN_LICENCES


def pages_of(viewer: Viewer) -> Iterator[tuple[str, bytes]]:
    """Every picture and contour of a viewer, by path within its board's folder."""
    for identifier in viewer.rows:
        yield f"pictures/{identifier}.jpg", viewer.picture(identifier)
        yield f"data/reference/{identifier}.js", viewer.reference(identifier)
        for entry in viewer.masks:
            path = f"data/contours/{entry}/{identifier}.js"
            yield path, viewer.contours(entry, identifier)


def _rows(board: Board, dataset: PreparedDataset) -> dict[str, Row] | None:
    """The board's samples in a prepared dataset; None where its content is another."""
    split, fold = selection_of(board)
    try:
        rows = {row.id: row for row in dataset.select(split, fold=fold)}
        same = dataset.digest(split, fold=fold) == board.first.digest
    except SegbenchError:  # it has no such split
        return None
    return rows if same and rows.keys() == set(board.first.ids) else None


def selection_of(board: Board) -> tuple[str, int | None]:
    """The split, and the fold that is tested."""
    kind, which = board.first.selection
    return ("test", int(which)) if kind == "fold" else (str(which), None)


def _entry_masks(board: Board) -> dict[str, ReadMask]:
    opened = cache(open_submission)  # once each, and only those that are looked at
    return {
        name: partial(_read_entry_mask, opened, stored.folder / PREDICTIONS)
        for standing in board.standings
        for name, stored in sorted(standing.scores.items())
    }


def _read_entry_mask(opened: Callable[[Path], Submission], path: Path, row: Row) -> Mask:
    """An entry's mask of one sample: its COCO categories are class ids."""
    submission = opened(path)
    if row.id not in submission.ids:
        return np.zeros(row.size, dtype=np.uint8)
    try:
        decoded = submission.decode(row.id, row.size, any_size=False, threshold=0.5)
    except MaskFileError as error:
        raise SegbenchError(f"{path}: {row.id}: {error.kind} ({error.detail})") from error
    ids = [value for value in decoded.values if isinstance(value, int) and 0 <= value < IGNORE_ID]
    if len(ids) != len(decoded.values):
        raise SegbenchError(f"{path}: {row.id}: categories {decoded.values} are no class ids")
    return np.array(ids, dtype=np.uint8)[decoded.codes]
