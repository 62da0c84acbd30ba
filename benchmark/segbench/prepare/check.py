"""`segbench check` on a prepared dataset: everything wrong with it, not only the first thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from segbench.errors import Problems, SegbenchError
from segbench.masks.cache import CACHE
from segbench.masks.decode import decode
from segbench.masks.decoded import Kind, Value
from segbench.masks.digests import content_line, digest
from segbench.masks.forms import Seen, contradiction
from segbench.masks.labels import IGNORE_ID, id_problems
from segbench.masks.prepared import SPLITS, PreparedDataset, Row

_ADVICE_ON_PALETTES = (
    "in a prepared mask the number is the class; which is meant? prepare again with --force"
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Checked:
    """What was looked at, and everything found wrong."""

    n_samples: int
    problems: Problems


def check_prepared(root: Path, *, jobs: int, progress: Progress) -> Checked:
    """Check a prepared dataset: files, sizes, class ids, identifiers, groups and digests.

    Raises:
        SegbenchError: dataset.json or samples.csv cannot be read at all.
    """
    dataset = PreparedDataset.open(root)
    problems = Problems()
    for kind, identifier in id_problems(row.id for row in dataset.rows):
        problems.add(kind, identifier)
    _check_groups(dataset, problems)
    _check_files(dataset, problems)
    lines = _check_pixels(dataset, jobs, progress, problems)
    if len(lines) == len(dataset.rows):
        _check_digests(dataset, lines, problems)
    else:
        problems.add(
            "digests not checked", "samples are unreadable", hint="prepare the dataset again"
        )
    return Checked(len(dataset.rows), problems)


def _check_groups(dataset: PreparedDataset, problems: Problems) -> None:
    first: dict[str, Row] = {}
    for row in dataset.rows:
        other = first.setdefault(row.group, row)
        if row.split != other.split:
            problems.add("group in two splits", f"{row.group} ({other.id}, {row.id})")
        if row.fold != other.fold:
            problems.add("group in two folds", f"{row.group} ({other.id}, {row.id})")
        if row.split and row.split not in SPLITS:
            problems.add(f"split other than {', '.join(SPLITS)}", f"{row.id}: {row.split}")


def _check_files(dataset: PreparedDataset, problems: Problems) -> None:
    named: dict[str, str] = {"dataset.json": "", "samples.csv": ""}
    for row in dataset.rows:
        for path in (row.image, row.mask):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                problems.add("path outside the dataset", f"{row.id}: {path}")
            if path in named:
                problems.add("file of two samples", f"{path}: {named[path]} and {row.id}")
            named[path] = row.id
    folder = dataset.folder
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    there = {path for path in there if not path.startswith(f"{CACHE}/")}
    for path in sorted(there - named.keys()):
        problems.add("file that no sample names", path, hint="remove it, or prepare again")
    for path in sorted(named.keys() - there):
        problems.add("missing file", path, hint="prepare the dataset again with --force")


def _check_pixels(
    dataset: PreparedDataset, jobs: int, progress: Progress, problems: Problems
) -> Mapping[str, str]:
    """The content line of every sample that can be read."""
    known = np.array([label.id for label in dataset.classes] + [IGNORE_ID], dtype=np.uint8)
    lines: dict[str, str] = {}
    seen = Seen()

    def one(row: Row) -> tuple[str, list[int], list[Value]]:
        sample = dataset.read(row)
        there = np.unique(sample.mask)
        unknown = np.setdiff1d(there, known).tolist()
        stored = decode((dataset.folder / row.mask).read_bytes(), ".png").values
        line = content_line(row.id, sample.image, sample.mask)
        return line, unknown, [stored[i] for i in there.tolist()]

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, row) for row in dataset.rows]
        for done, (row, future) in enumerate(zip(dataset.rows, futures, strict=True), 1):
            try:
                lines[row.id], unknown, values = future.result()
            except SegbenchError as error:
                if (dataset.root / row.image).exists() and (dataset.root / row.mask).exists():
                    problems.add("faulty file", str(error))
            else:
                seen.add(row.id, Kind.VALUES, valid=values)
                if unknown:
                    problems.add("unknown class id in a mask", f"{row.id}: {unknown[:5]}")
            progress(done, len(dataset.rows))
    colours = {label.color: label.id for label in dataset.classes}
    if why := contradiction(seen, {label.id: label.id for label in dataset.classes}, colours):
        problems.add("palettes that contradict the class ids", why, hint=_ADVICE_ON_PALETTES)
    return lines


def _check_digests(dataset: PreparedDataset, lines: Mapping[str, str], problems: Problems) -> None:
    advice = "pixels, ids or splits are not those that were prepared: prepare again with --force"
    found: dict[str, tuple[object, str]] = {
        "content_digest": (dataset.info.get("content_digest"), digest(lines.values()))
    }
    for key, of in (("split_digests", "split"), ("fold_digests", "fold")):
        for name, said in dataset.info.get(key, {}).items():
            rows = [r for r in dataset.rows if str(getattr(r, of)) == name]
            found[f"{key}.{name}"] = (said, digest(lines[r.id] for r in rows))
    for key, (said, is_) in found.items():
        if said != is_:
            problems.add("digest", f"{key} says {str(said)[:12]}..., is {is_[:12]}...", hint=advice)
