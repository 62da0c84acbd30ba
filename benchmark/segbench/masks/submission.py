"""Where predictions come from: one mask per sample, in a folder, an archive, a table or memory."""

from __future__ import annotations

import hashlib
import os
import posixpath
import weakref
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segbench.errors import Problems, SegbenchError
from segbench.masks.archives import (
    ARCHIVE_ENDINGS,
    Archive,
    limit_bytes,
    limit_members,
    open_tar,
    open_zip,
)
from segbench.masks.array_shapes import as_array
from segbench.masks.decode import ARRAY_ENDINGS, IMAGE_ENDINGS, MASK_ENDINGS, decode, from_array
from segbench.masks.decoded import Decoded, MaskFileError, Size
from segbench.masks.json_files import MAX_JSON_BYTES, irregular
from segbench.masks.naming import Naming, members_of
from segbench.masks.places import Remote
from segbench.masks.tables import RleTable, TableOptions, read_table

NOT_PREDICTIONS = frozenset(
    {".json", ".pkl", ".txt", ".md", ".log", ".yaml", ".yml", ".toml", ".csv", ".html", ".parquet"}
)
"""Endings that lie beside predictions (nnU-Net's settings and softmax pickles, notes, logs)."""

READ_ENDINGS = IMAGE_ENDINGS | ARRAY_ENDINGS
"""What a mask may be stored in; the others of `MASK_ENDINGS` are refused one by one: lossy."""

OUR_MARKER = "segbench.json"
"""Lies in folders that `segbench predict` wrote; says how the predictions were made."""

_JUNK = (OUR_MARKER, "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


class Submission(Protocol):
    """Predictions for some samples; `decode` may be called from several threads."""

    @property
    def origin(self) -> str:
        """Where they come from, for messages."""
        ...

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is a prediction."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how the files were read (files ignored, ...)."""
        ...

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """The prediction for one sample as stored.

        Raises:
            MaskFileError: It cannot be read, or has another size and `any_size` is not set.
        """
        ...

    def stamp(self, identifier: str) -> str:
        """A digest of what is stored for one sample: another one when that was changed.

        Raises:
            MaskFileError: It cannot be read.
        """
        ...

    def part(self, identifiers: Collection[str]) -> Submission:
        """The same for these samples alone, fit to be pickled."""
        ...


@dataclass(frozen=True)
class Files:
    """One mask file a sample, from a folder or an archive.

    Attributes:
        versions: Of files, by name, where the storage tells it without reading them.
        naming: What was said of their names.
    """

    origin: str
    members: Mapping[str, str]
    notes: tuple[str, ...]
    read: Callable[[str], bytes] = field(repr=False)
    versions: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    naming: Naming = field(default_factory=Naming)

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is a file."""
        return frozenset(self.members)

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Read and decode one file; see `Submission.decode`."""
        name = self.members[identifier]
        ending = "." + name.rpartition(".")[2].lower()
        data = self.read(name)
        return decode(data, ending, expected=None if any_size else size, threshold=threshold)

    def stamp(self, identifier: str) -> str:
        """The digest of one file's bytes, or its version; see `Submission.stamp`."""
        name = self.members[identifier]
        return self.versions.get(name) or hashlib.sha256(self.read(name)).hexdigest()

    def part(self, identifiers: Collection[str]) -> Files:
        """The files of some samples; see `Submission.part`."""
        members = {key: self.members[key] for key in identifiers}
        versions = {n: self.versions[n] for n in members.values() if n in self.versions}
        return Files(self.origin, members, (), self.read, versions)


@dataclass(frozen=True)
class Arrays:
    """Predictions in memory: arrays of ids, 0/255, or probabilities, by sample id."""

    arrays: Mapping[str, NDArray[np.generic]]
    origin: str = "arrays in memory"
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is an array."""
        return frozenset(self.arrays)

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Check and code one array; see `Submission.decode`."""
        array = as_array(self.arrays[identifier])
        return from_array(array, expected=None if any_size else size, threshold=threshold)

    def stamp(self, identifier: str) -> str:
        """The digest of one array; see `Submission.stamp`."""
        array = as_array(self.arrays[identifier])
        return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()

    def part(self, identifiers: Collection[str]) -> Arrays:
        """Some of the arrays; see `Submission.part`."""
        return Arrays({key: self.arrays[key] for key in identifiers}, self.origin)


@dataclass(frozen=True)
class _InFolder:
    """Reads files below a folder."""

    folder: str

    def __call__(self, name: str) -> bytes:
        with open(f"{self.folder}/{name}", "rb", buffering=0) as stream:  # noqa: PTH123  many files
            limit_bytes(name, os.fstat(stream.fileno()).st_size)
            return stream.read()


@dataclass(frozen=True)
class _AtPlace:
    """Reads files below a URL."""

    place: Remote

    def __call__(self, name: str) -> bytes:
        try:
            return (self.place / name).read_bytes()
        except FileNotFoundError as error:
            raise MaskFileError("file that is gone", f"{self.place / name}") from error


@dataclass(frozen=True)
class _InArchive:
    """Reads files in an archive that is open here; pickled, it opens the archive there."""

    archive: Archive
    elsewhere: Remote

    def __call__(self, name: str) -> bytes:
        return self.archive.read(name)

    def __reduce__(self) -> tuple[type[_AtPlace], tuple[Remote]]:
        return _AtPlace, (self.elsewhere,)


@dataclass(frozen=True)
class _Asked:
    """What a person said of the files."""

    naming: Naming
    table: TableOptions


def open_submission(
    path: Path | Remote,
    *,
    suffix: str = "",
    ending: str = "",
    ids: str = "",
    of: str = "",
    links: bool = True,
    table: TableOptions | None = None,
) -> Submission:
    """Find the predictions in a folder, a .zip or .tar, or an RLE table (.json, .csv).

    Args:
        path: The folder or file; for a URL see `segbench.masks.places.place_of`.
        suffix: What file names carry behind the sample's id (`_pred` in `IMD003_pred.png`).
        ending: Use only files with this ending (`.png`), where a sample has several.
        ids: A regular expression that finds the id in a file's path; see `Naming`.
        of: Before the names of options in messages: `"references-"` for references.
        links: Follow symbolic links in a folder; a stranger's may lead to the references.
        table: What an RLE table does not say of itself.

    Raises:
        SegbenchError: There is nothing to read there, or a sample has several files, or a file is
            refused.
    """
    asked = _Asked(Naming(suffix=suffix, ending=ending, ids=ids, of=of), table or TableOptions())
    found = _open(path, asked, links=links)
    if not isinstance(found, RleTable) and asked.table != TableOptions():
        raise SegbenchError(
            f"{path}: masks, one file a sample; --min-score and --rle-order are of run lengths in "
            f"one .json or .csv"
        )
    return found


def _open(path: Path | Remote, asked: _Asked, *, links: bool) -> Submission:
    if isinstance(path, Remote):
        return _from_url(path, asked)
    if path.is_dir():
        if not links:
            refuse_links(path)
        read = _InFolder(os.path.abspath(path))  # noqa: PTH100  a string, as below
        return _files(str(path), _names_in(path), read, asked)
    if (kind := irregular(path)) and path.exists():
        raise SegbenchError(f"{path}: it is {kind}; expected a folder, or a file of predictions")
    if not path.exists():
        raise SegbenchError(
            f"{path}: no such folder or file; expected predictions (a folder, .zip or .tar with "
            f"one mask per sample, or an RLE .json or .csv)"
        )
    name = path.name.lower()
    if name.endswith((".json", ".csv")):
        limit_bytes(str(path), path.stat().st_size, MAX_JSON_BYTES)
        return read_table(path.read_bytes(), path.name, origin=str(path), options=asked.table)
    if zipfile.is_zipfile(path):
        return _from_archive(path, "zip", open_zip(path), asked)
    if name.endswith(ARCHIVE_ENDINGS):
        return _from_archive(path, "tar", open_tar(path), asked)
    raise SegbenchError(
        f"{path}: not predictions; expected a folder, {', '.join(ARCHIVE_ENDINGS)}, or an RLE "
        f"table (.json, .csv)"
    )


def refuse_links(folder: Path) -> None:
    """Refuse a folder in which there is a symbolic link.

    Raises:
        SegbenchError: There is one; the message lists the first few.
    """
    problems = Problems()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            problems.add(
                "link",
                path.relative_to(folder).as_posix(),
                hint="expected the files themselves (`cp -rL` copies what links lead to)",
            )
    problems.raise_if_any(f"{folder}: refused, and nothing was read:")


def _from_url(place: Remote, asked: _Asked) -> Submission:
    name = place.name.lower()
    try:
        if name.endswith((".json", ".csv")):
            data = place.read_bytes(MAX_JSON_BYTES)
            return read_table(data, place.name, origin=str(place), options=asked.table)
        within = place
        if name.endswith(ARCHIVE_ENDINGS) and not place.packed:
            kind = "zip" if name.endswith(".zip") else "tar"
            within = Remote(f"{kind}://::{place}")
        versions = within.files()
    except FileNotFoundError as error:
        raise _nothing_at(place) from error
    if not versions:
        raise _nothing_at(place)
    files = _files(str(place), list(versions), _AtPlace(within), asked)
    return replace(files, versions=versions) if isinstance(files, Files) else files


def _nothing_at(place: Remote) -> SegbenchError:
    return SegbenchError(
        f"{place}: no files there; expected predictions (the URL of a folder with one mask per "
        f"sample, or of a .zip, a .tar or an RLE .json or .csv); a web server must list its folders"
    )


def _from_archive(path: Path, kind: str, archive: Archive, asked: _Asked) -> Submission:
    read = _InArchive(archive, Remote(f"{kind}://::{path.absolute()}"))
    try:
        submission = _files(str(path), archive.names, read, asked)
    except SegbenchError:
        archive.close()
        raise
    weakref.finalize(submission, archive.close)
    return submission


def _names_in(folder: Path) -> list[str]:
    """The path from a folder of every file below it; links to folders are not followed.

    Raises:
        SegbenchError: Something that has the name of a mask is no file.
    """
    found: list[str] = []
    others: list[tuple[str, str]] = []
    for place, _, names in os.walk(folder):  # strings all the way: there may be a million
        inside = os.path.relpath(place, folder).replace(os.sep, "/")
        start = "" if inside == "." else f"{inside}/"
        for name in names:
            if os.path.isfile(f"{place}/{name}"):  # noqa: PTH113
                found.append(start + name)
            elif _ending(name) in MASK_ENDINGS and not _is_junk(start + name):
                others.append((start + name, irregular(Path(place, name))))
    problems = Problems()
    for name, kind in sorted(others):
        problems.add("no file", f"{name} ({kind})", hint="put the mask itself there")
    problems.raise_if_any(f"{folder}: refused, and nothing was read:")
    return found


def _files(
    origin: str,
    names: Sequence[str],
    read: Callable[[str], bytes],
    asked: _Asked,
) -> Submission:
    naming = asked.naming
    limit_members(origin, len(names))
    names = sorted(n for n in names if not _is_junk(n))
    masks = [n for n in names if _ending(n) in MASK_ENDINGS]
    if naming.ending:
        wanted = "." + naming.ending.lower().lstrip(".")
        masks = [n for n in masks if _ending(n) == wanted]
    tables = [n for n in names if n.lower().endswith((".json", ".csv"))]
    if not masks and len(tables) == 1:
        data = read(tables[0])
        limit_bytes(tables[0], len(data), MAX_JSON_BYTES)
        return read_table(data, tables[0], origin=origin, options=asked.table)
    if not masks:
        seen = ", ".join(names[:3]) or "nothing"
        raise SegbenchError(
            f"{origin}: no predictions; found {seen}; expected one mask per sample, named "
            f"<id>{naming.suffix}.png (or {', '.join(sorted(READ_ENDINGS))})"
        )
    members = members_of(origin, masks, naming)
    ignored = sorted(set(names) - set(members.of_id.values()) - members.left_out)
    notes = (*members.notes, *_about_ignored(origin, ignored, naming))
    return Files(origin, members.of_id, notes, read, naming=naming)


def _ending(name: str) -> str:
    """The ending of a file's name, lower case with the dot."""
    return posixpath.splitext(name)[1].lower()


def _is_junk(name: str) -> bool:
    parts = name.split("/")
    return any(p in _JUNK or p.startswith("._") for p in parts) or parts[-1].startswith(".")


def _about_ignored(origin: str, ignored: Sequence[str], naming: Naming) -> tuple[str, ...]:
    """Say which files were left out; refuse those that might be predictions after all."""
    odd = [
        n
        for n in ignored
        if _ending(n) not in NOT_PREDICTIONS
        and not (naming.ending and _ending(n) in MASK_ENDINGS)
        and not naming.ids
    ]
    if odd:
        raise SegbenchError(
            f"{origin}: {len(odd)} files are not masks that can be read: {', '.join(odd[:5])}; "
            f"expected {', '.join(sorted(READ_ENDINGS))}"
        )
    if not ignored:
        return ()
    shown = ", ".join(ignored[:3]) + (", ..." if len(ignored) > 3 else "")  # noqa: PLR2004
    return (f"ignored {len(ignored)} files that are not predictions: {shown}",)
