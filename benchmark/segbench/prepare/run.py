"""`segbench prepare`: get the source, unpack it where needed, build the dataset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from segbench.catalog.card import DrawnSource, KaggleSource, ManualSource, UrlSource
from segbench.catalog.cards import Dataset
from segbench.catalog.pins import check_pins
from segbench.errors import SegbenchError
from segbench.masks.prepared import PreparedDataset
from segbench.prepare.build import (
    Origin,
    Progress,
    archive_sha256,
    build_drawn,
    build_from_source,
    preparing,
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `segbench prepare` was asked for."""

    dataset: Dataset
    data: Path
    source: str = ""
    partial: bool = False
    unpinned: bool = False
    force: bool = False
    jobs: int = os.cpu_count() or 1


def prepare(request: Request, *, progress: Progress) -> tuple[PreparedDataset, bool]:
    """Make a prepared dataset, or find it already made.

    Returns:
        The dataset, and whether it was made now.

    Raises:
        SegbenchError: The source cannot be had or read, or lacks samples; or another version of
            the dataset is prepared there already.
    """
    target = request.data / request.dataset.card.name
    if not request.force and (done := _already(request, target)) is not None:
        return done, False
    if target.exists() and not (target / "dataset.json").exists():
        raise SegbenchError(
            f"{target}: exists and is no prepared dataset; move it away or choose another --data"
        )
    drawn = next((s for s in request.dataset.card.sources if isinstance(s, DrawnSource)), None)
    if drawn is not None and not request.source:
        made = build_drawn(
            request.dataset, drawn, target=target, jobs=request.jobs, progress=progress
        )
    else:
        made = _from_source(request, target, progress)
    if not request.unpinned:
        _hold_to_pins(request, made)
    return made, True


def _already(request: Request, target: Path) -> PreparedDataset | None:
    if not (target / "dataset.json").exists():
        return None
    found = PreparedDataset.open(target)
    card = request.dataset.card
    if found.version != card.version:
        raise SegbenchError(
            f"{target}: holds version {found.version} of {card.name}, the card is version "
            f"{card.version}; replace it with --force"
        )
    expected = len(request.dataset.assignments)
    if len(found.rows) < expected and not request.partial:
        raise SegbenchError(
            f"{target}: holds {len(found.rows)} of {expected} samples, prepared with --partial; "
            f"go on with that by giving --partial again, or replace it with --force"
        )
    if not request.unpinned:
        _hold_to_pins(request, found)
    return found


def _hold_to_pins(request: Request, made: PreparedDataset) -> None:
    """Refuse masks that are not the pinned ones: of a folder found, or just converted.

    Raises:
        SegbenchError: A whole split has others.
    """
    rows = {row.id: row for row in made.rows}
    pins, assigned = request.dataset.pins, request.dataset.assignments.values()
    ids = {
        "splits": {name: [a.id for a in assigned if a.split == name] for name in pins.splits},
        "folds": {name: [a.id for a in assigned if str(a.fold) == name] for name in pins.folds},
    }
    check_pins(
        pins,
        {
            kind: {name: own for name, own in found.items() if rows.keys() >= set(own)}
            for kind, found in ids.items()
        },
        lambda identifier: made.read_mask(rows[identifier]),
        where=str(made.root),
    )


def _from_source(request: Request, target: Path, progress: Progress) -> PreparedDataset:
    """Unpack below the data folder (the system's temporary folder may be small) and build."""
    with preparing(request.data / f"{target.name}.source") as scratch:
        source, origin = _obtain(request, scratch, progress)
        try:
            return build_from_source(
                request.dataset,
                source,
                origin,
                target=target,
                partial=request.partial,
                unpinned=request.unpinned,
                jobs=request.jobs,
                progress=progress,
            )
        except SegbenchError as error:
            # name what the user gave, not the folder it was unpacked in
            raise SegbenchError(
                str(error).replace(str(source), request.source or origin.url)
            ) from error


def _obtain(request: Request, scratch: Path, progress: Progress) -> tuple[Path, Origin]:
    """A folder with the unpacked source, and what dataset.json says of it."""
    downloads = request.data / ".downloads" / request.dataset.card.name
    source = request.source
    if not source:
        return _from_card(request, downloads, scratch, progress)
    if source.startswith(("http://", "https://")):
        return _download(source, None, downloads, scratch, progress)
    path = Path(source).expanduser()
    if path.is_dir():
        return path, Origin(path.resolve().name, "")
    if not path.exists():
        raise SegbenchError(
            f"{path}: no such file or folder; expected the source of "
            f"{request.dataset.card.name}: an archive (.rar, .zip, .tar.*), an unpacked folder, or "
            f"a URL"
        )
    return _unpack(path, scratch, progress), Origin(path.name, archive_sha256(path))


def _from_card(
    request: Request, downloads: Path, scratch: Path, progress: Progress
) -> tuple[Path, Origin]:
    from segbench.prepare.download import fetch_kaggle  # noqa: PLC0415

    failures: list[str] = []
    for source in request.dataset.card.sources:
        try:
            if isinstance(source, UrlSource):
                return _download(source.url, source.sha256, downloads, scratch, progress)
            if isinstance(source, KaggleSource):
                folder = fetch_kaggle(source.reference, downloads)
                return folder, Origin(f"https://www.kaggle.com/datasets/{source.reference}", "")
        except SegbenchError as error:
            failures.append(str(error))
    failures += [
        s.instructions for s in request.dataset.card.sources if isinstance(s, ManualSource)
    ]
    told = "\n".join(text.strip() for text in failures)
    raise SegbenchError(f"{request.dataset.card.name} could not be had\n{told}")


def _download(
    url: str, sha256: str | None, downloads: Path, scratch: Path, progress: Progress
) -> tuple[Path, Origin]:
    from segbench.prepare.download import fetch  # noqa: PLC0415

    archive = fetch(url, downloads, sha256=sha256, progress=True)
    unpacked = _unpack(archive, scratch, progress)
    return unpacked, Origin(url, archive_sha256(archive))


def _unpack(archive: Path, scratch: Path, progress: Progress) -> Path:
    from segbench.prepare.archives import unpack  # noqa: PLC0415

    into = scratch / "source"
    unpack(archive, into, progress=lambda done, of: progress("unpacking", done, of))
    return into
