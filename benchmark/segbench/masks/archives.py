"""Archives of predictions, read in place: nothing is unpacked, and little of them is believed.

A stranger made them. Names are checked though nothing is written under them; links, devices and
sparse files are refused; what comes out is bounded in members, bytes and bytes for each byte of
the archive.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import stat
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from segbench.errors import Problems, SegbenchError
from segbench.masks.decoded import MaskFileError
from segbench.masks.names import name_problem, shown

ARCHIVE_ENDINGS: Final = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")

MAX_MEMBERS: Final = 2_000_000
MAX_MEMBER_BYTES: Final = 2**31
MAX_BYTES: Final = 2**36
MAX_RATIO: Final = 200
"""Bytes that come out for each byte of the archive; masks as PNG give 1, as arrays under 100."""
RATIO_FLOOR: Final = 2**30
"""The ratio does not apply below this: small archives of blank arrays are no bombs."""
MEMBER_RATIO_FLOOR: Final = 2**26
"""The same for a single member, of which the whole is held in memory."""

_MAX_HEADER_BYTES: Final = 1 << 20
_HEADER_TYPES: Final = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
_HINTS: Final = {
    "link": "expected files only: pack the masks themselves (tar: --dereference)",
    "device or pipe": "expected files only",
    "sparse file": "expected files that are stored whole (tar: without --sparse)",
    "encrypted file": "expected an archive without a password",
    "name that leads out of the folder": "expected names without `..`, a leading slash or a drive",
    "name that is there twice": "expected each file once; which of them is meant?",
    "file that is packed too well": f"over {MAX_RATIO} bytes come out for each one of the archive; "
    f"save masks as PNG",
}


@dataclass(frozen=True)
class Archive:
    """The files of an archive.

    Attributes:
        names: Of the files, as the archive has them.
        read: Gives one file's bytes; may be called from several threads.
        close: To call when done.
    """

    names: tuple[str, ...]
    read: Callable[[str], bytes]
    close: Callable[[], None]


class StrictHeader(tarfile.TarInfo):
    """A tar header that is whole, or an error; tarfile takes a damaged one for the archive's end.

    Long names and attributes are stored as members of their own, which tarfile reads whole: their
    size is bounded.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictHeader:
        """A header from its block of 512 bytes."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the block of zeros that ends an archive
            raise tarfile.ReadError(f"a member's header was expected: {error}") from error
        if header.type in _HEADER_TYPES and header.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


def limit_bytes(name: str, size: int, limit: int = MAX_MEMBER_BYTES) -> None:
    """Refuse a file that is too large to be a mask.

    Raises:
        MaskFileError: It is.
    """
    if size > limit:
        raise MaskFileError("file too large", f"{name}: over {limit >> 20:,} MiB")


def limit_members(origin: str, count: int) -> None:
    """Refuse more files than any split has samples.

    Raises:
        SegbenchError: There are more.
    """
    if count > MAX_MEMBERS:
        raise SegbenchError(f"{origin}: over {MAX_MEMBERS:,} files; expected one per sample")


def open_zip(path: Path, *, origin: str = "") -> Archive:
    """The files of a zip, which messages call by its origin.

    Raises:
        SegbenchError: It is damaged or refused; the message lists every member that is.
    """
    origin = origin or str(path)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile raises many types on damaged archives
        raise SegbenchError(f"{origin}: damaged archive ({error}); pack it again") from error
    infos = {i.filename: i for i in archive.infolist() if not i.is_dir()}
    try:
        limit_members(origin, len(archive.infolist()))
        _check_zip(origin, path.stat().st_size, [i for i in archive.infolist() if not i.is_dir()])
    except SegbenchError:
        archive.close()
        raise

    def read(name: str) -> bytes:
        size = infos[name].file_size
        limit_bytes(name, size)
        try:
            with archive.open(infos[name]) as member:
                data = member.read(size)
        except Exception as error:  # zipfile and zlib raise many types on damaged members
            raise MaskFileError("unreadable file", str(error)) from error
        return _whole(data, size)

    return Archive(tuple(infos), read, archive.close)


def _check_zip(origin: str, packed: int, infos: list[zipfile.ZipInfo]) -> None:
    listing = _Listing()
    for info in infos:
        problem = ""
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            problem = "link"
        elif kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            problem = "device or pipe"
        elif info.flag_bits & 1:
            problem = "encrypted file"
        elif info.file_size > max(MEMBER_RATIO_FLOOR, MAX_RATIO * info.compress_size):
            problem = "file that is packed too well"
        listing.add(info.orig_filename, problem)
    listing.settle(origin)
    _limit_total(origin, sum(i.file_size for i in infos), packed)


def open_tar(path: Path, *, origin: str = "") -> Archive:
    """The files of a tar; inflated once into an unnamed temporary file, as it has no index.

    Raises:
        SegbenchError: It is damaged or refused; the message lists every member that is.
    """
    origin = origin or str(path)
    plain = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the archive is read
    try:
        packed = path.stat().st_size
        with _inflated(path) as stream:
            while block := stream.read(1 << 20):
                plain.write(block)
                _limit_total(origin, plain.tell(), packed)
        plain.seek(0)
        archive = tarfile.open(fileobj=plain, tarinfo=StrictHeader)  # noqa: SIM115  as above
        members = _tar_members(origin, archive)
        _require_end(origin, plain, archive.offset)
    except SegbenchError:
        plain.close()
        raise
    except Exception as error:  # tarfile, zlib and lzma raise many types on damaged archives
        plain.close()
        raise SegbenchError(f"{origin}: damaged archive ({error}); pack it again") from error
    lock = threading.Lock()

    def read(name: str) -> bytes:
        limit_bytes(name, members[name].size)
        with lock:
            stream = archive.extractfile(members[name])
            data = stream.read() if stream else b""
        return _whole(data, members[name].size)

    return Archive(tuple(members), read, plain.close)


def _tar_members(origin: str, archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    listing = _Listing()
    members: dict[str, tarfile.TarInfo] = {}
    for count, info in enumerate(archive, 1):
        limit_members(origin, count)
        if info.isdir():
            continue
        problem = ""
        if info.issym() or info.islnk():
            problem = "link"
        elif info.issparse():
            problem = "sparse file"
        elif not info.isfile():
            problem = "device or pipe"
        listing.add(info.name, problem)
        members[info.name] = info
    listing.settle(origin)
    return members


def _require_end(origin: str, plain: IO[bytes], offset: int) -> None:
    """A tar ends with a block of zeros; one that was cut between members has none."""
    plain.seek(offset)
    if plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise SegbenchError(f"{origin}: damaged archive (cut short); pack it again")


class _Listing:
    """The names of an archive's files, and what is wrong with them."""

    def __init__(self) -> None:
        self._problems = Problems()
        self._seen: set[str] = set()

    def add(self, name: str, problem: str) -> None:
        path = name.replace("\\", "/")
        parts = [part for part in path.split("/") if part not in {"", "."}]
        problem = name_problem(path, parts) or problem
        if not problem and "/".join(parts) in self._seen:
            problem = "name that is there twice"
        self._seen.add("/".join(parts))
        if problem:
            self._problems.add(problem, shown(name), hint=_HINTS.get(problem, ""))

    def settle(self, origin: str) -> None:
        self._problems.raise_if_any(f"{origin}: refused, and nothing was read:")


def _limit_total(origin: str, size: int, packed: int) -> None:
    if size > MAX_BYTES:
        raise SegbenchError(f"{origin}: over {MAX_BYTES >> 30} GiB come out of it; give a folder")
    if size > max(RATIO_FLOOR, MAX_RATIO * packed):
        raise SegbenchError(
            f"{origin}: over {MAX_RATIO} bytes come out for each of its {packed:,} bytes; save "
            f"masks as PNG, or give a folder"
        )


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise MaskFileError("unreadable file", f"{len(data)} of {size} bytes")
    return data


def _inflated(path: Path) -> contextlib.AbstractContextManager[io.BufferedIOBase]:
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    return path.open("rb")
