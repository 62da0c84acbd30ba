"""Download one file: resumed where it broke off, checked, and under its name only when whole.

pooch decides whether the file is needed, verifies its hash and moves it into place. The bytes
come through `Download`, because pooch starts every attempt anew and keeps nothing of a broken one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit

from segbench.errors import SegbenchError
from segbench.prepare.kaggle import fetch_kaggle
from segbench.prepare.transfer import AT_HAND, Transfer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fetch", "fetch_kaggle"]

_UNSAFE: Final = re.compile(r"[^\w .()+-]")


def fetch(url: str, into: Path, *, sha256: str | None = None, progress: bool = False) -> Path:
    """Download a file into a folder, or find it there.

    A file that is there already is used without asking the server where its hash is the one given
    or none is; with another hash it is downloaded again, and replaced when the new one is whole.
    What arrived before a connection broke is kept as `NAME.part` (with `NAME.part.json`, which
    says of what it is a part) and completed by the next call.

    Args:
        url: http or https; the last part of its path names the file.
        into: the folder; made where it is missing.
        sha256: in hex, where one is known.
        progress: show a bar on standard error.

    Returns:
        The path of the whole file.

    Raises:
        SegbenchError: no network, no such file, a web page in its place, a wrong hash, no room.
    """
    import pooch  # noqa: PLC0415

    path = into / file_name(url)
    transfer = Transfer(progress=progress, part=into / f"{path.name}.part")
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # it would print the file's name, and advice about hashes
    try:
        into.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256.lower()}" if sha256 else None,
            fname=path.name,
            path=into.absolute(),
            downloader=cast("Any", transfer),  # pooch's own type names the arguments wrongly
        )
    except ValueError as error:  # how pooch says that the hash is wrong
        raise SegbenchError(_wrong_hash(url, str(error))) from error
    except OSError as error:
        raise SegbenchError(
            f"{url}: could not be written to {into}: {error}. Expected a folder that can be "
            f"written to, with room for the file; choose another, or make room and run again to "
            f"continue. {AT_HAND}"
        ) from error
    finally:
        logger.setLevel(level)
    return path


def file_name(url: str) -> str:
    """The name of the file on disk: the last part of the address, fit for any file system.

    >>> file_name("https://www.dropbox.com/s/k88q/PH2%20Dataset.rar?dl=1")
    'PH2 Dataset.rar'
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:  # brackets that hold no IPv6 address
        raise SegbenchError(f"{url}: not an address ({error}). {AT_HAND}") from error
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SegbenchError(
            f"{url}: not an address that can be downloaded. Expected https://... or http://... "
            f"{AT_HAND}"
        )
    last = unquote(parts.path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("_", last).strip(" .") or "download"


def _wrong_hash(url: str, said: str) -> str:
    found = re.search(r"expected (\w+:)?(?P<expected>\w+) but got (\w+:)?(?P<got>\w+)", said)
    hashes = f"expected {found['expected']}, got {found['got']}" if found else said
    return (
        f"{url}: the sha256 of what was downloaded is not the one given: {hashes}. The download "
        "was deleted. Most likely the file at that address was changed or replaced, or a proxy "
        "sent something else; if it keeps happening, ask whoever published the dataset. "
        f"{AT_HAND}"
    )
