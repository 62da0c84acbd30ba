"""Names in archives of strangers: which lead out of a folder, and how a name is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MAX_DEPTH: Final = 64
MAX_PART_BYTES: Final = 255
MAX_NAME: Final = 4096
_SHOWN: Final = 100

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def name_problem(path: str, parts: Sequence[str]) -> str:
    """What is wrong with a member's name by itself; empty where nothing is.

    Args:
        path: The name, with slashes.
        parts: Its folders and the file, without empty ones.
    """
    if path.startswith("/") or ".." in parts or _DRIVE.match(path):
        return "name that leads out of the folder"
    if _CONTROL.search(path):
        return "control character in a name"
    if (
        len(path) > MAX_NAME
        or len(parts) > MAX_DEPTH
        or any(len(part.encode("utf-8", "surrogatepass")) > MAX_PART_BYTES for part in parts)
    ):
        return "name that is too long or too deep"
    return ""


def shown(name: str) -> str:
    """A name for a message: quoted, its control characters escaped, cut when long."""
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
