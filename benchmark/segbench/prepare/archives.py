"""Unpack an archive that came from somewhere else, or refuse it and leave nothing behind.

The kind is found by the first bytes. Every name is checked before it is written (in a zip and a
RAR, all of them before the first), bytes are counted as they come out, and the folder appears
under its name only when it is whole.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, cast

from segbench.errors import SegbenchError
from segbench.prepare import sniff, unrar, untar, unzip
from segbench.prepare.contents import Progress, Readable
from segbench.prepare.members import Limits

__all__ = ["Limits", "unpack"]

_READABLE: Final = ".zip, .rar, .tar, .tar.gz, .tar.bz2, .tar.xz (and .tar.zst on Python 3.14)"
_DEFAULT_LIMITS: Final = Limits()
_ZSTD_SINCE: Final = (3, 14)

_Extract = Callable[[Path, Path, Limits, Progress], None]


def unpack(
    archive: Path,
    into: Path,
    *,
    limits: Limits = _DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> None:
    """Unpack an archive into a folder of its own, whole or not at all.

    File times, modes and owners are not taken over; `__MACOSX`, `.DS_Store`, `Thumbs.db` and the
    like are left out.

    Args:
        archive: a .zip, .rar (4 and 5), .tar, or a tar in gzip, bzip2, xz or zstd.
        into: the folder to make; it must not exist. It is filled beside its place, under a hidden
            name that ends in `.partial`, and renamed when whole.
        limits: how much may come out of it.
        progress: called with (bytes done, bytes there are), of the archive or of its contents.

    Raises:
        SegbenchError: the archive is of another kind, damaged, too much, encrypted, in several
            parts, or holds a member that is refused (see `members.Listing`); or the folder exists
            or cannot be written. Nothing is left then.
    """
    if os.path.lexists(into):
        raise SegbenchError(
            f"{into}: exists, and an archive is unpacked only into a new folder. Expected a path "
            "that does not exist yet; remove or rename it, or choose another."
        )
    extract = _extractor(archive)
    partial_folder = into.with_name(f".{into.name}.{secrets.token_hex(4)}.partial")
    try:
        partial_folder.mkdir(parents=True)
        extract(archive, partial_folder, limits, progress or _silent)
        partial_folder.rename(into)
    except (OSError, UnicodeError) as error:
        raise SegbenchError(
            f"{archive}: could not be unpacked into {into}: {error}. Nothing was kept. Expected a "
            "place that can be written to and has room; free some, or choose another."
        ) from error
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _silent(_done: int, _total: int) -> None:
    """Report to nobody."""


def _extractor(archive: Path) -> _Extract:
    """The function that reads this kind of archive."""
    try:
        found = sniff.kind(archive)
    except FileNotFoundError as error:
        raise SegbenchError(
            f"{archive}: no such file. Expected an archive ({_READABLE}); check the path."
        ) from error
    except IsADirectoryError as error:
        raise SegbenchError(
            f"{archive}: is a folder, not an archive. If it is the unpacked dataset, give it as it "
            "is: --source FOLDER."
        ) from error
    except OSError as error:
        raise SegbenchError(
            f"{archive}: cannot be read ({error}). Check its permissions."
        ) from error
    if found in _EXTRACTORS:
        return _EXTRACTORS[found]
    if found == "zstd" and sys.version_info >= _ZSTD_SINCE:
        return partial(untar.extract, decompress=_open_zstd)
    raise SegbenchError(f"{archive}: {_REFUSED[found]} Archives that are read: {_READABLE}.")


def _as_it_is(raw: IO[bytes]) -> AbstractContextManager[Readable]:
    """No compression."""
    return nullcontext(raw)


def _open_zstd(raw: IO[bytes]) -> AbstractContextManager[Readable]:
    """Zstandard, which the standard library reads from Python 3.14 on."""
    module: Any = importlib.import_module("compression.zstd")
    return cast("AbstractContextManager[Readable]", module.open(raw))


_EXTRACTORS: Final[Mapping[str, _Extract]] = {
    "zip": unzip.extract,
    "rar4": partial(unrar.extract, version=4),
    "rar5": partial(unrar.extract, version=5),
    "tar": partial(untar.extract, decompress=_as_it_is),
    "gzip": partial(untar.extract, decompress=gzip.open),
    "bzip2": partial(untar.extract, decompress=bz2.open),
    "xz": partial(untar.extract, decompress=lzma.open),
}
_REFUSED: Final[Mapping[str, str]] = {
    "zstd": "a Zstandard file, which Python reads only from 3.14 on; unpack it with another "
    "program (`tar --zstd -xf FILE`) and give the folder: --source FOLDER.",
    "7z": "a .7z, which is not read; unpack it with another program and give the folder: "
    "--source FOLDER.",
    "split zip": "the first part of a zip in several files; unpack it with another program and "
    "give the folder: --source FOLDER.",
    "web page": "a web page, not an archive: most likely a sign-in or `not found` page that was "
    "saved in its place. Download the archive again, in a browser where you are signed in.",
    "empty": "an empty file. Download it again.",
    "unknown": "not an archive, by its first bytes (a self-extracting .exe is not read either). "
    "If the dataset is already unpacked, give its folder: --source FOLDER.",
}
