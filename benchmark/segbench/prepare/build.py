"""Build a prepared dataset: atomic, repeatable, parallel.

Everything is made in a temporary sibling of the final folder and renamed when whole, so that what
carries the dataset's name is always a whole dataset. An interrupted run leaves only the sibling,
which the next run removes.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from segbench.catalog.card import DrawnSource, MaskRule
from segbench.catalog.cards import Assignment, Dataset
from segbench.errors import Problems, SegbenchError
from segbench.folders import building, put
from segbench.masks.digests import digest
from segbench.masks.labels import BACKGROUND, IGNORE_ID, LabelClass, foreground
from segbench.masks.prepared import FIXED_COLUMNS, SCHEMA_VERSION, SPLITS, PreparedDataset
from segbench.prepare.convert import Converted, DigestMismatchError, convert_pair, write_sample
from segbench.prepare.layout import find_pairs
from segbench.prepare.metadata import read_fields
from segbench.prepare.source_masks import NEAR, check_palettes

CONVERTER_VERSION = 1
"""Raised whenever the same source would convert to other pixels or another layout."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the source came from, as dataset.json records it."""

    url: str
    sha256: str


@dataclass(frozen=True)
class _Batch:
    """The converted samples of a build, with the source's own columns."""

    converted: Mapping[str, Converted]
    fields: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...] = ()


def build_from_source(
    dataset: Dataset,
    source: Path,
    origin: Origin,
    *,
    target: Path,
    partial: bool,
    unpinned: bool,
    jobs: int,
    progress: Progress,
) -> PreparedDataset:
    """Convert an unpacked source into `target`, which is replaced if it exists.

    Args:
        dataset: Card and splits.
        source: The unpacked source.
        origin: What dataset.json says of the source.
        target: The dataset's folder to make.
        partial: Accept a source that lacks samples.
        unpinned: Accept files whose sha256 is not the pinned one.
        jobs: Threads.
        progress: Told of each sample done.

    Raises:
        SegbenchError: Samples are missing, or files are faulty or not the pinned ones; everything
            wrong is listed.
    """
    card = dataset.card
    if card.layout is None or card.mask is None:
        raise SegbenchError(f"{card.name} is drawn, not converted; leave --source out")
    found = find_pairs(source, card.layout, dataset.assignments)
    _check_complete(dataset, len(found.pairs), found.missing, source, partial=partial)
    fields, unmatched = read_fields(source, card.metadata, found.pairs)
    rule = card.mask

    def convert(identifier: str, into: Path) -> Converted:
        pins = dataset.assignments[identifier]
        return convert_pair(
            identifier,
            found.pairs[identifier],
            rule=rule,
            classes=card.labels,
            into=into,
            pinned=(None, None) if unpinned else (pins.image_sha256, pins.mask_sha256),
        )

    with preparing(target) as folder:
        converted = _convert_all(sorted(found.pairs), convert, folder, jobs, progress)
        _check_together(converted, rule, card.labels)
        notes = (*unmatched, *_lossy_notes(converted))
        _write(dataset, _Batch(converted, fields, notes), origin, folder)
        put(folder, target, replace=True)
    return PreparedDataset.open(target)


def _check_together(
    converted: Mapping[str, Converted], rule: MaskRule, classes: Sequence[LabelClass]
) -> None:
    """What only all masks together show: palettes that disagree, 255 taken for two things."""
    check_palettes({i: made.values for i, made in converted.items()}, rule, classes)
    ids = set().union(*(made.ids for made in converted.values()))
    if IGNORE_ID in ids and not ids & {label.id for label in foreground(classes)}:
        where = next(i for i, made in converted.items() if IGNORE_ID in made.ids)
        raise SegbenchError(
            f"the masks hold only background and ignored pixels (255, as in {where}), and no "
            f"object; is 255 the object? then mask.kind = 'threshold' with above = 127"
        )


def _lossy_notes(converted: Mapping[str, Converted]) -> tuple[str, ...]:
    lossy = [made for made in converted.values() if made.n_near is not None]
    if not lossy:
        return ()
    near = [made.n_near or 0 for made in lossy]
    pixels = sum(made.width * made.height for made in lossy)
    note = (
        f"{len(near)} masks are JPEG, which changes values: {sum(near):,} of {pixels:,} pixels lie "
        f"within {NEAR} grey levels of the cut and may be on the wrong side"
    )
    return (note,)


def build_drawn(
    dataset: Dataset, source: DrawnSource, *, target: Path, jobs: int, progress: Progress
) -> PreparedDataset:
    """Draw a synthetic dataset into `target`."""
    from segbench.prepare.synthetic import draw  # noqa: PLC0415

    fields: dict[str, Mapping[str, str]] = {}

    def convert(identifier: str, into: Path) -> Converted:
        drawing = draw(identifier, seed=source.seed)
        fields[identifier] = drawing.fields
        labels = dataset.card.labels
        return write_sample(identifier, drawing.image, drawing.mask, classes=labels, into=into)

    origin = Origin(f"drawn:{source.drawer}?seed={source.seed}", "")
    with preparing(target) as folder:
        converted = _convert_all(sorted(dataset.assignments), convert, folder, jobs, progress)
        _write(dataset, _Batch(converted, fields), origin, folder)
        put(folder, target, replace=True)
    return PreparedDataset.open(target)


def archive_sha256(path: Path) -> str:
    """The sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_complete(
    dataset: Dataset, n_found: int, missing: Sequence[str], source: Path, *, partial: bool
) -> None:
    expected = len(dataset.assignments)
    if n_found == 0:
        layout = dataset.card.layout
        pattern = layout.image if layout else ""
        raise SegbenchError(
            f"{source}: none of the {expected} samples of {dataset.card.name} found; expected "
            f"files like {pattern} at any depth"
        )
    if missing and not partial:
        raise SegbenchError(
            f"{source}: {n_found} of {expected} samples of {dataset.card.name} found; missing "
            f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; "  # noqa: PLR2004
            f"give the whole source, or accept this with --partial"
        )


def _convert_all(
    ids: Sequence[str],
    convert: Callable[[str, Path], Converted],
    folder: Path,
    jobs: int,
    progress: Progress,
) -> dict[str, Converted]:
    """Convert in threads (decoding, hashing and compressing release the interpreter lock)."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    problems = Problems()
    done: dict[str, Converted] = {}
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(convert, identifier, folder): identifier for identifier in ids}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                try:
                    done[futures[future]] = future.result()
                except DigestMismatchError as error:
                    problems.add(
                        "not the pinned file",
                        str(error),
                        hint="another version, a re-encoded copy, or a damaged download? get the "
                        "original, or accept these files with --unpinned (scores then carry "
                        "another digest)",
                    )
                except SegbenchError as error:
                    problems.add("faulty sample", str(error))
                progress("converting", count, len(ids))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    problems.raise_if_any("the source was not converted")
    return done


def _write(dataset: Dataset, batch: _Batch, origin: Origin, folder: Path) -> None:
    """samples.csv and dataset.json of a build."""
    rows = [dataset.assignments[i] for i in dataset.assignments if i in batch.converted]
    columns = list(next(iter(batch.fields.values()), {}))
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*FIXED_COLUMNS, *columns])
        for row in rows:
            made = batch.converted[row.id]
            fold = "" if row.fold is None else row.fold
            fixed = (row.id, row.split, fold, row.group, made.width, made.height)
            own = [batch.fields[row.id].get(column, "") for column in columns]
            writer.writerow([*fixed, made.image, made.mask, *own])
    info = dataset_info(dataset, rows, {i: c.line for i, c in batch.converted.items()}, origin)
    if batch.notes:
        info["notes"] = list(batch.notes)
    text = json.dumps(info, indent=2, ensure_ascii=False)
    (folder / "dataset.json").write_text(text + "\n", encoding="utf-8")


def dataset_info(
    dataset: Dataset, rows: Sequence[Assignment], lines: Mapping[str, str], origin: Origin
) -> dict[str, object]:
    """What dataset.json says, from the card and each sample's content line."""
    card = dataset.card
    splits = [split for split in SPLITS if any(row.split == split for row in rows)]
    folds = sorted({row.fold for row in rows if row.fold is not None})
    counts = {split: sum(row.split == split for row in rows) for split in splits}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": card.name,
        "version": card.version,
        "title": card.title,
        "task": card.task,
        "classes": [_class_info(c) for c in card.labels],
        "ignore_id": card.ignore_id,
        "licence": card.licence.name,
        "citation": card.citation,
        "source": {"url": origin.url, "sha256": origin.sha256},
        "converter_version": CONVERTER_VERSION,
        "counts": {"samples": len(rows), "expected": len(dataset.assignments), **counts},
        "content_digest": digest(lines.values()),
        "split_digests": {
            split: digest(lines[r.id] for r in rows if r.split == split) for split in splits
        },
        "fold_digests": {
            str(fold): digest(lines[r.id] for r in rows if r.fold == fold) for fold in folds
        },
    }


def _class_info(label: LabelClass) -> dict[str, object]:
    """A class as dataset.json says it; a background that is called so needs no more words."""
    own = {"background": True} if label.background and label.name != BACKGROUND else {}
    return {"id": label.id, "name": label.name, "color": list(label.color), **own}


@contextlib.contextmanager
def preparing(target: Path) -> Generator[Path]:
    """A hidden folder beside `target` to build in; see `segbench.folders.building`.

    Raises:
        SegbenchError: It cannot be made, or written to.
    """
    with contextlib.ExitStack() as own:
        try:
            folder = own.enter_context(building(target))
        except OSError as error:
            raise SegbenchError(
                f"{target.parent}: cannot write there ({error.strerror}); choose another folder "
                f"with --data or SEGBENCH_DATA"
            ) from error
        try:
            yield folder
        except OSError as error:
            raise SegbenchError(f"{target}: could not be written ({error})") from error
