"""Check an entry as a stranger would: from its files alone, or by scoring its masks again."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segbench._version import __version__
from segbench.board.differences import Compared, compare_rows, compare_scores
from segbench.board.entry import ENTRY, FILES, PREDICTIONS, Entry, find_twin, read_entry
from segbench.board.write import Mask, entry_json, masks_of
from segbench.catalog.cards import Dataset, card_folders, read_dataset
from segbench.catalog.pins import masks_digest, read_pins
from segbench.errors import Problems, SegbenchError
from segbench.masks.digests import content_line, digest
from segbench.masks.json_files import MAX_JSON_BYTES, read_json, read_regular
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.prepared import data_folder, open_prepared
from segbench.masks.submission import open_submission
from segbench.masks.tables import RleTable, read_table
from segbench.measures import Options
from segbench.scoring.evaluate import SIZE, Evaluation, score_target
from segbench.scoring.files import ROWS, SCORES, scores_json
from segbench.scoring.rescore import NOT_PROVEN, evaluate_rows
from segbench.scoring.stored import MAX_SCORES_BYTES, Stored, read_rows, read_scores
from segbench.scoring.tally import Policy, Progress
from segbench.scoring.target import Target, prepared_target

MAX_SUBGROUPS = 50
"""By one column: each is scored with a bootstrap of its own."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found of one entry.

    Attributes:
        folder: Of the entry.
        entry: What it says; None where that cannot be read.
        done: What was checked, in words.
        problems: Everything that is not as it is claimed.
        notes: What a person should know beside it.
        proven: Nothing is believed that only the entry itself says; without the data that may be.
    """

    folder: Path
    entry: Entry | None
    done: tuple[str, ...]
    problems: Problems
    notes: tuple[str, ...]
    proven: bool = True

    @property
    def ok(self) -> bool:
        """Whether the entry is what it claims."""
        return not self.problems


def verify_entry(
    folder: Path,
    *,
    data: Path | None = None,
    predictions: Path | None = None,
    with_data: bool = True,
    jobs: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> Verified:
    """Check everything that an entry claims.

    First what its files say of each other: the schema, that each score, interval and subgroup
    follows from the rows, that the masks are those of the digest and fit the rows, that samples
    and groups are the card's. Then, with the prepared dataset, the masks are scored again, and
    every row and every score is compared.

    Args:
        folder: `results/<dataset>/<entry>`.
        data: Where prepared datasets live.
        predictions: Masks that must be the entry's, pixel for pixel.
        with_data: Score again; without it no reference mask is needed.
        jobs: Threads.
        progress: Told of each sample scored, and of how many.
    """
    check = _Check(folder.absolute(), jobs, progress)
    try:
        check.files()
        entry = check.read()
        if entry.status == "published":
            check.done.append("schema (numbers of a paper; there is nothing to score)")
        else:
            check.alone(entry)
            if with_data and not check.problems:
                check.again(entry, data)
            if predictions is not None and not check.problems:
                check.is_of(entry, predictions, data if with_data else None, with_data=with_data)
    except SegbenchError as error:
        check.problems.add("refused", str(error))
    return Verified(
        folder=folder,
        entry=check.entry,
        done=tuple(check.done),
        problems=check.problems,
        notes=(*check.unproven, *check.notes),
        proven=not check.unproven,
    )


def check_masks(folder: Path, entry: Entry) -> None:
    """Refuse an entry whose masks, rows and digest are not of each other.

    Raises:
        SegbenchError: They are not; all that differs is listed.
    """
    check = _Check(folder, 1, lambda _done, _of: None)
    check.masks(entry, read_scores(folder, check=False))
    check.problems.raise_if_any(
        f"{folder}: its masks are not those that were scored; submit changed masks as a new entry"
    )


def mark_verified(folder: Path) -> Entry:
    """Set an entry's status to `verified`: for maintainers, after they scored it again.

    Raises:
        SegbenchError: The entry is a paper's number, or cannot be written.
    """
    entry = read_entry(folder)
    if entry.status == "published":
        raise SegbenchError(f"{folder}: numbers of a paper are not scored, so never verified")
    marked = entry.model_copy(update={"status": "verified"})
    write_entry_json(folder, marked)
    return marked


def write_entry_json(folder: Path, entry: Entry) -> None:
    """Write entry.json anew, whole or not at all.

    Raises:
        SegbenchError: It cannot be written.
    """
    made = folder / f".{ENTRY}.{os.getpid()}"
    try:
        made.write_text(entry_json(entry), encoding="utf-8")
        made.replace(folder / ENTRY)
    except OSError as error:
        raise SegbenchError(f"{folder / ENTRY}: cannot be written ({error.strerror})") from error
    finally:
        made.unlink(missing_ok=True)


class _Check:
    """One entry under check; what is wrong is collected."""

    def __init__(self, folder: Path, jobs: int, progress: Progress) -> None:
        self.folder, self.jobs, self.progress = folder, jobs, progress
        self.problems, self.done, self.notes = Problems(), list[str](), list[str]()
        self.unproven: list[str] = []  # until the masks are scored again
        self.entry: Entry | None = None

    def files(self) -> None:
        """The folder holds an entry's files and nothing else: no links, no folders."""
        if not self.folder.is_dir() or self.folder.is_symlink():
            raise SegbenchError("no such folder; expected an entry, as results/<dataset>/<entry>")
        for path in sorted(self.folder.iterdir()):
            if path.name not in FILES:
                self.problems.add("file that is no part of an entry", ascii(path.name))
            elif path.is_symlink() or not path.is_file():
                self.problems.add("link or folder in place of a file", path.name)

    def read(self) -> Entry:
        """The entry, in the folder of its dataset, of masks that no other entry has."""
        entry = self.entry = read_entry(self.folder)
        wanted = {ENTRY} if entry.status == "published" else FILES
        for name in sorted(wanted - {p.name for p in self.folder.iterdir()}):
            self.problems.add("file that is missing", name)
        if self.folder.parent.name != entry.dataset:
            self.problems.add(
                "wrong folder", f"an entry of {entry.dataset} in {self.folder.parent.name}/"
            )
        if entry.date > dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1):
            self.problems.add("impossible date", str(entry.date))
        if (twin := find_twin(self.folder.parents[1], entry)) is not None:
            self.problems.add("the masks of another entry", twin[0].name)
        return entry

    def alone(self, entry: Entry) -> None:
        """What the files say of each other; no reference mask is needed."""
        stored = read_scores(self.folder)
        claimed = self._scores()
        self._heads(entry, stored)
        columns = _columns(claimed)
        for column in columns:
            if len(set(stored.columns.get(column, ()))) > MAX_SUBGROUPS:
                raise SegbenchError(f"{SCORES}: more than {MAX_SUBGROUPS} subgroups by {column}")
        before = len(self.problems)
        again = evaluate_rows(self.folder, by=columns)
        self.unproven += [note for note in again.notes if note.startswith(NOT_PROVEN)]
        compared = compare_scores(claimed, scores_json(again), self.problems)
        self.masks(entry, stored)
        self._rounded(compared)
        if len(self.problems) == before:
            self.done.append(
                f"{compared.n:,} values of {SCORES} follow from the rows; "
                f"{len(stored.ids):,} masks are those of the digest and fit the rows"
            )
        elif entry.segbench_version != __version__:
            self.notes.append("`segbench rescore` brings an entry to this version")

    def _scores(self) -> dict[str, Any]:
        return read_json(self.folder / SCORES, max_bytes=MAX_SCORES_BYTES)

    def _heads(self, entry: Entry, stored: Stored) -> None:
        """entry.json and scores.json speak of the same thing, and the card knows it."""
        selection = ("split", entry.split) if entry.fold is None else ("fold", entry.fold)
        data = entry.digests.data if entry.digests else ""
        for what, found, said in (
            ("dataset", stored.dataset, entry.dataset),
            ("version of the dataset", stored.dataset_version, entry.dataset_version),
            ("split", stored.selection, selection),
            ("digest of the data", stored.digest, data),
            ("segbench", stored.version, entry.segbench_version),
        ):
            if found != said:
                self.problems.add("disagreement", f"{what}: {said} in {ENTRY}, {found} in {SCORES}")
        if stored.table.missing.any():
            self.problems.add(
                "incomplete", f"{int(stored.table.missing.sum())} predictions missing"
            )
        if entry.segbench_version != __version__:
            self.notes.append(f"made with segbench {entry.segbench_version}, this is {__version__}")
        card = self._card(entry)
        if card is not None:
            self._against_card(card, entry, stored)

    def _card(self, entry: Entry) -> Dataset | None:
        """The card of the entry's dataset and version, where there is one."""
        where = card_folders().get(entry.dataset)
        if where is None:
            self.problems.add("unknown dataset", f"{entry.dataset} has no card here")
            return None
        card = read_dataset(where)
        if card.card.version != entry.dataset_version:
            self.notes.append(
                f"made on version {entry.dataset_version} of {entry.dataset}, the card is of "
                f"{card.card.version}: samples are not compared with the card"
            )
            return None
        return card

    def _against_card(self, card: Dataset, entry: Entry, stored: Stored) -> None:
        """Samples, groups and classes are the card's."""
        chosen = {
            a.id: a.group
            for a in card.assignments.values()
            if (a.split == entry.split if entry.fold is None else a.fold == entry.fold)
        }
        for identifier in [i for i in chosen if i not in set(stored.ids)]:
            self.problems.add("sample of the split that has no rows", identifier)
        for identifier in [i for i in stored.ids if i not in chosen]:
            self.problems.add("sample that is not of the split", identifier[:100])
        groups = zip(stored.ids, stored.table.groups.tolist(), strict=True)
        for identifier, group in groups:
            if chosen.get(identifier, group) != group:
                self.problems.add("group that is not the card's", identifier)
        names = tuple(label.name for label in card.card.labels)
        if stored.table.class_names != names:
            self.problems.add(
                "classes that are not the card's", ", ".join(stored.table.class_names)
            )

    def masks(self, entry: Entry, stored: Stored) -> None:
        """The masks of predictions.json: complete, of the digest, and with the rows' pixels."""
        where = card_folders().get(entry.dataset)
        if where is None or entry.digests is None:
            return
        classes, runs = read_dataset(where).card.labels, self._runs()
        before = len(self.problems)
        for identifier in [i for i in stored.ids if i not in runs.ids]:
            self.problems.add("sample without a mask", identifier)
        for identifier in sorted(runs.ids - set(stored.ids)):
            self.problems.add("mask of no sample", identifier[:100])
        if len(classes) != len(stored.table.class_names) or len(self.problems) > before:
            return
        counts = stored.table.counts
        predicted, pixels = (counts.tp + counts.fp).tolist(), counts.total[:, 0].tolist()
        lines: list[str] = []
        for i, identifier in enumerate(stored.ids):
            mask = _mask_alone(runs, identifier, classes)
            lines.append(content_line(identifier, None, mask))
            if not _fits(mask, classes, predicted[i], pixels[i]):
                self.problems.add("mask that does not fit its rows", identifier)
        if (found := digest(lines)) != entry.digests.predictions:
            self.problems.add(
                "digest of the predictions", f"{found}, claimed {entry.digests.predictions}"
            )

    def _runs(self) -> RleTable:
        path = self.folder / PREDICTIONS
        data = read_regular(path, max_bytes=MAX_JSON_BYTES)
        return read_table(data, PREDICTIONS, origin=str(path))

    def again(self, entry: Entry, data: Path | None) -> None:
        """Score the masks against the prepared dataset; every row and score must come out."""
        target = _target(entry, data)
        if target.version != entry.dataset_version:
            raise SegbenchError(
                f"made on {entry.dataset} version {entry.dataset_version}, prepared is version "
                f"{target.version}: `segbench rescore` brings an entry to a new version"
            )
        self._against_pins(entry, target)
        if self.problems:
            return
        claimed = self._scores()
        result = score_target(
            target,
            self._runs(),
            policy=Policy(),
            options=Options(),
            by=_columns(claimed),
            jobs=self.jobs,
            progress=self.progress,
        )
        if entry.digests and result.digest != entry.digests.data:
            self.problems.add(
                "digest of the data", f"{result.digest}, claimed {entry.digests.data}"
            )
        scores = compare_scores(claimed, scores_json(result), self.problems)
        rows = compare_rows(read_rows(self.folder / ROWS), _table(result), self.problems)
        self.done.append(
            f"scored again: {rows.n:,} values of {result.table.counts.tp.size:,} rows and "
            f"{scores.n:,} of {SCORES}"
        )
        self.unproven.clear()
        self._rounded(scores)
        self._rounded(rows)

    def _against_pins(self, entry: Entry, target: Target) -> None:
        """The references are those of the dataset, whoever prepared the folder."""
        where = card_folders().get(entry.dataset)
        pinned = None if where is None else read_pins(where).of(entry.split, entry.fold)
        if pinned is None:
            self.notes.append(
                f"the references of {target.selection} are not pinned: they are believed"
            )
            return
        found = masks_digest((item.id, item.read()) for item in target.items)
        if found != pinned:
            self.problems.add(
                "reference masks that are not the pinned ones",
                f"{found[:12]}..., pinned {pinned[:12]}...",
                hint="the prepared folder is not of the dataset's source: prepare it again",
            )

    def is_of(self, entry: Entry, predictions: Path, data: Path | None, *, with_data: bool) -> None:
        """Masks from elsewhere are the entry's."""
        if not with_data:
            raise SegbenchError(
                "--predictions needs the prepared dataset: leave --without-data out"
            )
        submission = open_submission(predictions, links=False)
        target = _target(entry, data)
        result = score_target(
            target, submission, policy=Policy(), options=Options(surface=False), jobs=self.jobs
        )
        theirs, runs = masks_of(result, predictions), self._runs()
        for item in target.items:
            own = _mask_alone(runs, item.id, target.classes)
            if not np.array_equal(theirs(item.id), own):
                self.problems.add(f"mask in {predictions} that is not the entry's", item.id)
        self.done.append(f"the masks in {predictions} are the entry's")

    def _rounded(self, compared: Compared) -> None:
        if compared.n_rounded:
            self.notes.append(f"{compared.n_rounded:,} values differ in the last digits (1e-12)")


def _target(entry: Entry, data: Path | None) -> Target:
    prepared = open_prepared(entry.dataset, data=data_folder(data))
    return prepared_target(prepared, split=entry.split or "test", fold=entry.fold)


def _columns(claimed: Mapping[str, Any]) -> list[str]:
    """The columns of an entry's subgroups."""
    subgroups = claimed.get("subgroups")
    return [c for c in subgroups if c != SIZE] if isinstance(subgroups, dict) else []


def _table(result: Evaluation) -> Any:  # noqa: ANN401  a pyarrow table
    import pyarrow as pa  # noqa: PLC0415

    return pa.Table.from_pandas(result.rows(), preserve_index=False)


def _mask_alone(runs: RleTable, identifier: str, classes: tuple[LabelClass, ...]) -> Mask:
    """One sample's mask of run lengths, HxW class ids, one region for each foreground class.

    Raises:
        SegbenchError: Regions are missing, too many, damaged or of several sizes.
    """
    regions = runs.regions[identifier]
    wanted = [label.id for label in foreground(classes)]
    if sorted(value for value, _, _ in regions) != sorted(wanted):
        raise SegbenchError(
            f"{runs.origin}: {identifier} has {len(regions)} regions, expected one for each class "
            f"of the foreground"
        )
    decoded = runs.decode(identifier, (0, 0), any_size=True, threshold=0.5)
    return np.array(decoded.values, dtype=np.uint8)[decoded.codes]


def _fits(mask: Mask, classes: tuple[LabelClass, ...], predicted: list[int], pixels: int) -> bool:
    """Whether a mask has the pixels that its rows count; those ignored are in no row."""
    area = np.bincount(mask.ravel(), minlength=256)
    ignored = mask.size - pixels
    own = [int(area[label.id]) - n for label, n in zip(classes, predicted, strict=True)]
    return ignored >= 0 and min(own) >= 0 and sum(own) == ignored


def verification_json(found: Verified) -> dict[str, Any]:
    """What `segbench verify --json` prints of one entry."""
    return {
        "folder": str(found.folder),
        "name": found.entry.name if found.entry else None,
        "status": found.entry.status if found.entry else None,
        "ok": found.ok,
        "proven": found.proven,
        "checked": list(found.done),
        "problems": {kind: list(where) for kind, where in found.problems.kinds.items()},
        "notes": list(found.notes),
    }
