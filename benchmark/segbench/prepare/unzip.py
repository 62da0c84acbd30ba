"""Read a zip: everything in its directory is checked before the first byte is written."""

from __future__ import annotations

import stat
import struct
import zipfile
from typing import TYPE_CHECKING, Final

from segbench.prepare.contents import Budget, Metered, Progress, damaged, reading, write_file
from segbench.prepare.members import Limits, Listing

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # the file, strongly, or the directory
_DOS_FOLDER: Final = 0x10
_IN_ZIP64: Final = 0xFFFF  # the count is elsewhere, and this one says so
_LONGEST_END: Final = 22 + 0xFFFF  # the record, and the longest comment
_COMPRESSIONS: Final = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
}


def extract(archive: Path, folder: Path, limits: Limits, progress: Progress) -> None:
    """Write the members of a zip below an empty folder.

    Raises:
        SegbenchError: anything in the archive is refused, damaged or too much.
        OSError: the disk does not take it.
    """
    with reading(archive):
        container = zipfile.ZipFile(archive)
        listed = _directory_count(archive)
    with container:
        infos = container.infolist()
        if listed not in {len(infos) % 2**16, _IN_ZIP64}:
            raise damaged(archive, f"its directory lists {len(infos)} members and says {listed}")
        members = _checked(infos, Listing(archive, limits))
        declared = sum(info.file_size for info, _ in members if not _is_folder(info))
        budget = Budget(archive, limits, tell=lambda spent: progress(spent, declared))
        budget.foresee(declared, folder)
        for info, path in members:
            if _is_folder(info):
                (folder / path).mkdir(parents=True, exist_ok=True)
                continue
            with reading(archive, info.orig_filename):
                source = container.open(info)
            with source:
                metered = Metered(source, budget, info.orig_filename)
                size = write_file(folder, path, metered, budget)
            if size != info.file_size:
                why = f"it has {size:,} bytes, and its header says {info.file_size:,}"
                raise damaged(archive, why, member=info.orig_filename)


def _directory_count(archive: Path) -> int:
    """How many members the record at the end says there are, which zipfile does not ask.

    APPNOTE 4.3.16: the count is at byte 10 of the record, which ends the file but for a comment.
    """
    with archive.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LONGEST_END))
        tail = file.read()
    return int(struct.unpack_from("<H", tail, tail.rfind(b"PK\x05\x06") + 10)[0])


def _checked(
    infos: list[zipfile.ZipInfo], listing: Listing
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The members to write and where; raises where any is refused."""
    members: list[tuple[zipfile.ZipInfo, PurePosixPath]] = []
    for info in infos:
        # `filename` ends at a NUL and has the system's separators; `orig_filename` is untouched
        path = listing.add(info.orig_filename, folder=_is_folder(info))
        problem = _problem_of(info)
        if problem:
            listing.refuse(problem, info.orig_filename)
        if path is not None:
            members.append((info, path))
    listing.settle()
    listing.require_files()
    return members


def _problem_of(info: zipfile.ZipInfo) -> str:
    """Why a member cannot be read, whatever its name; empty where it can."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "device or pipe"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted file"
    if info.volume != 0:
        return "part of an archive in several files"
    if info.compress_type not in _COMPRESSIONS and not _is_folder(info):
        return "unknown compression"
    return ""


def _is_folder(info: zipfile.ZipInfo) -> bool:
    """Whether a member is a folder: by its name, or by its attributes where it has no bytes."""
    by_name = info.orig_filename.endswith(("/", "\\"))
    return by_name or (info.file_size == 0 and bool(info.external_attr & _DOS_FOLDER))
