"""Read a tar, plain or compressed, in one pass: each member is checked, then written."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, cast

from segbench.masks.archives import StrictHeader
from segbench.prepare.contents import (
    CHUNK,
    Budget,
    Metered,
    Progress,
    Readable,
    reading,
    write_file,
)
from segbench.prepare.members import Limits, Listing

if TYPE_CHECKING:
    from pathlib import Path

Decompress = Callable[[IO[bytes]], AbstractContextManager[Readable]]


def extract(
    archive: Path, folder: Path, limits: Limits, progress: Progress, *, decompress: Decompress
) -> None:
    """Write the members of a tar below an empty folder.

    Raises:
        SegbenchError: anything in the archive is refused, damaged or too much.
        OSError: the disk does not take it.
    """
    listing = Listing(archive, limits)
    with archive.open("rb") as raw, decompress(raw) as plain:
        size = archive.stat().st_size
        budget = Budget(archive, limits, tell=lambda _: progress(min(raw.tell(), size), size))
        stream = Metered(plain, budget)
        with _opened(stream, archive) as tar:
            while info := _next(tar, archive):
                stream.member = info.name
                _write(tar, info, folder, listing, budget)
        _read_to_end(stream, archive)
        budget.tell(budget.spent)
    listing.require_files()


def _opened(stream: Readable, archive: Path) -> tarfile.TarFile:
    """The tar, its first header read."""
    with reading(archive):
        try:
            return tarfile.open(
                fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=CHUNK, tarinfo=StrictHeader
            )
        except tarfile.ReadError as error:
            raise tarfile.ReadError(f"it does not begin as a tar does: {error}") from error


def _next(tar: tarfile.TarFile, archive: Path) -> tarfile.TarInfo | None:
    with reading(archive):
        return tar.next()


def _write(
    tar: tarfile.TarFile, info: tarfile.TarInfo, folder: Path, listing: Listing, budget: Budget
) -> None:
    """Check one member against those before it, and write it."""
    path = listing.add(info.name, folder=info.isdir())
    problem = _problem_of(info)
    if problem:
        listing.refuse(problem, info.name)
    listing.settle()
    if path is None:
        return
    if info.isdir():
        (folder / path).mkdir(parents=True, exist_ok=True)
        return
    with reading(budget.archive, info.name):
        source = tar.extractfile(info)
    if source is not None:
        with source:
            write_file(folder, path, source, budget)


def _problem_of(info: tarfile.TarInfo) -> str:
    """Why a member cannot be written, whatever its name; empty where it can."""
    if info.issym() or info.islnk():
        return "link"
    if info.issparse():
        return "sparse file"
    if not (info.isfile() or info.isdir()):
        return "device or pipe"
    return ""


def _read_to_end(stream: Readable, archive: Path) -> None:
    """Read the padding, so that the compression's own checksum is met."""
    with reading(archive):
        while stream.read(CHUNK):
            pass
