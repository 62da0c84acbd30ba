"""Bring an entry to today's measures or to a new version of its dataset, and show what changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segbench._version import __version__
from segbench.board.differences import Compared, unversioned
from segbench.board.entry import ENTRY, PREDICTIONS, Digests, Entry, Past, read_entry
from segbench.board.verify import check_masks
from segbench.board.write import fill_entry, masks_of, predictions_digest, refuse_foreign
from segbench.errors import SegbenchError
from segbench.folders import place_folder
from segbench.masks.json_files import MAX_JSON_BYTES, read_json, read_regular
from segbench.masks.prepared import data_folder, open_prepared
from segbench.masks.tables import read_table
from segbench.measures import Options
from segbench.scoring.evaluate import SIZE, Evaluation, score_target
from segbench.scoring.files import SCORES, scores_json
from segbench.scoring.rescore import NOT_PROVEN, evaluate_rows
from segbench.scoring.stored import MAX_SCORES_BYTES, read_scores, unsaid
from segbench.scoring.tally import Policy, Progress
from segbench.scoring.target import prepared_target

Source = Literal["predictions", "rows"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One score before and after; None where it was not, or is no more, or is undefined."""

    measure: str
    label: str
    over: str
    old: float | None
    new: float | None
    old_signature: str
    new_signature: str
    old_ci95: tuple[float | None, ...] = ()
    new_ci95: tuple[float | None, ...] = ()

    @property
    def of_interval(self) -> bool:
        """Whether only the interval changes."""
        return self.old == self.new and unversioned(self.old_signature) == unversioned(
            self.new_signature
        )


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """An entry scored anew, not written yet.

    Attributes:
        folder: Of the entry.
        entry: What it will say, with the old numbers in its history.
        before: What it said.
        evaluation: The new scores.
        source: From what they come.
        changes: The scores (of all samples) that are not what they were.
        n_scores: How many there are.
        notes: What a person should know.
        says_options: The rows' columns say with which options they were measured; those of an
            earlier version do not.
    """

    folder: Path
    entry: Entry
    before: Entry
    evaluation: Evaluation
    source: Source
    changes: tuple[Change, ...]
    n_scores: int
    notes: tuple[str, ...]
    says_options: bool

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to apply: the same numbers of the same versions."""
        return not self.changes and self.entry == self.before and self.says_options


def rescore_entry(
    folder: Path,
    *,
    data: Path | None = None,
    source: Source | None = None,
    jobs: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> Rescored:
    """Score an entry anew; nothing is written.

    Args:
        folder: Of the entry.
        data: Where prepared datasets live.
        source: `predictions` needs the prepared dataset and may be of its new version; `rows` needs
            nothing else and holds for measures of the same counts. By default predictions, or the
            rows where the dataset is not prepared.
        jobs: Threads.
        progress: Told of each sample scored, and of how many.

    Raises:
        SegbenchError: The entry cannot be read, is a paper's number, holds other masks or rows than
            those that it was submitted with, or has no mask for a sample of the new version.
    """
    folder = folder.absolute()
    entry = read_entry(folder)
    if entry.digests is None:
        raise SegbenchError(f"{folder}: copied from a paper; there is nothing to score again")
    check_masks(folder, entry)
    claimed: dict[str, Any] = read_json(folder / SCORES, max_bytes=MAX_SCORES_BYTES)
    by = [column for column in claimed.get("subgroups", {}) if column != SIZE]
    if source is None:
        prepared = data_folder(data) / entry.dataset / "dataset.json"
        source = "predictions" if prepared.is_file() else "rows"
    if source == "rows":
        result = evaluate_rows(folder, by=by)
        if unproven := [note for note in result.notes if note.startswith(NOT_PROVEN)]:
            raise SegbenchError(
                f"{folder}: {unproven[0]}: prepare the dataset, and score the masks"
            )
        digest = entry.digests.predictions
    else:
        dataset = open_prepared(entry.dataset, data=data_folder(data))
        target = prepared_target(dataset, split=entry.split or "test", fold=entry.fold)
        path = folder / PREDICTIONS
        masks = read_table(
            read_regular(path, max_bytes=MAX_JSON_BYTES), path.name, origin=str(path)
        )
        result = score_target(
            target, masks, policy=Policy(), options=Options(), by=by, jobs=jobs, progress=progress
        )
        read = masks_of(result, path)
        digest = predictions_digest((item.id, read(item.id)) for item in target.items)
    changes = _changes(claimed, scores_json(result))
    made = entry.model_copy(
        update={
            "dataset_version": result.target.version,
            "segbench_version": __version__,
            "digests": Digests(
                data=result.digest, predictions=digest, weights=entry.digests.weights
            ),
        }
    )
    if of_values := tuple(change for change in changes if not change.of_interval):
        made = made.model_copy(update={"history": (*entry.history, _past(entry, of_values))})
    return Rescored(
        folder=folder,
        entry=made,
        before=entry,
        evaluation=result,
        source=source,
        changes=changes,
        n_scores=len(result.scores),
        notes=result.notes,
        says_options=not unsaid(read_scores(folder, check=False)),
    )


def apply_rescored(rescored: Rescored) -> None:
    """Write the new scores, rows and entry.json in place of the old; the masks stay.

    Raises:
        SegbenchError: The folder holds anything else, or cannot be written.
    """
    folder = rescored.folder
    refuse_foreign(folder)
    predictions = read_regular(folder / PREDICTIONS, max_bytes=MAX_JSON_BYTES).decode("utf-8")

    def fill(made: Path) -> None:
        fill_entry(made, rescored.entry, rescored.evaluation, predictions)

    def unchanged() -> None:
        if read_entry(folder) != rescored.before:
            raise SegbenchError(f"{folder / ENTRY}: was changed meanwhile; run it again")

    place_folder(folder, fill, check=unchanged, replace=True)


def _past(entry: Entry, changes: tuple[Change, ...]) -> Past:
    if entry.digests is None or entry.segbench_version is None:
        raise AssertionError("only scored entries have a past")
    return Past(
        until=dt.datetime.now(tz=dt.UTC).date(),
        segbench_version=entry.segbench_version,
        dataset_version=entry.dataset_version,
        data=entry.digests.data,
        scores={c.old_signature: c.old for c in changes if c.old_signature},
    )


def _changes(claimed: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Change, ...]:
    """Scores that differ, by what they measure; new ones and those that are no more."""
    old, new = _by_measure(claimed), _by_measure(found)
    changes: list[Change] = []
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None and _same(was, now):
            continue
        measure, label, over = key
        changes.append(
            Change(
                measure=measure,
                label=label,
                over=over,
                old=None if was is None else was["value"],
                new=None if now is None else now["value"],
                old_signature="" if was is None else was["signature"],
                new_signature="" if now is None else now["signature"],
                old_ci95=() if was is None else tuple(was["ci95"]),
                new_ci95=() if now is None else tuple(now["ci95"]),
            )
        )
    return tuple(changes)


def _same(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    ends = zip(was["ci95"], now["ci95"], strict=True)
    return (
        Compared().same(was["value"], now["value"])
        and all(Compared().same(a, b) for a, b in ends)
        and unversioned(was["signature"]) == unversioned(now["signature"])
    )


def _by_measure(head: Mapping[str, Any]) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    try:
        return {(s["measure"], s["class"], s["over"]): s for s in head["scores"]}
    except (KeyError, TypeError) as error:
        raise SegbenchError(f"{SCORES}: is not what segbench writes ({error!r})") from error
