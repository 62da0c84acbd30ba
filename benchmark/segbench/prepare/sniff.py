"""What a file is, by its first bytes: a name is a promise, and downloads break promises."""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: First bytes of the files people give or get where an archive was meant. `split zip` is the first
#: piece of a zip in several files.
_MAGIC: Final = (
    ("zip", b"PK\x03\x04"),
    ("zip", b"PK\x05\x06"),
    ("split zip", b"PK\x07\x08"),
    ("rar4", b"Rar!\x1a\x07\x00"),
    ("rar5", b"Rar!\x1a\x07\x01\x00"),
    ("gzip", b"\x1f\x8b"),
    ("bzip2", b"BZh"),
    ("xz", b"\xfd7zXZ\x00"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("7z", b"7z\xbc\xaf\x27\x1c"),
)
_WEB_PAGE: Final = re.compile(rb"<(!doctype\s+)?html")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
HEAD_BYTES: Final = 1024


def kind(path: Path) -> str:
    """The kind of file: a name in `_MAGIC`, `tar`, `web page`, `empty` or `unknown`.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return "empty"
    for name, magic in _MAGIC:
        if head.startswith(magic):
            return name
    if is_web_page(head):
        return "web page"
    return "tar" if _is_tar(head) else "unknown"


def is_web_page(head: bytes) -> bool:
    """Whether the bytes begin an HTML page, such as a sign-in page sent in place of an archive."""
    text = head[:HEAD_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip().lower()
    while text.startswith((b"<?xml", b"<!--")):
        text = text.partition(b"?>" if text.startswith(b"<?xml") else b"-->")[2].lstrip()
    return _WEB_PAGE.match(text) is not None


def _is_tar(head: bytes) -> bool:
    """Whether the bytes begin with the header of a tar's first member, its checksum right."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
