"""JSON of strangers: bounded in bytes, numbers and depth, and with one meaning only.

Python's parser takes `NaN`, keys that stand twice (the last wins) and 1e999 (infinity), and breaks
off with RecursionError where lists are nested deeply. All of it is refused here.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from segbench.errors import SegbenchError

MAX_JSON_BYTES: Final = 2**28
MAX_JSON_NODES: Final = 2**22
"""Values and keys of one text: each takes some ten times the memory of its characters."""
_MAX_INTEGER: Final = 2**63
_IRREGULAR: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a file that is neither a link nor a device nor too large.

    Raises:
        SegbenchError: It is one of these, missing or unreadable.
    """
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            kind = "a link" if stat.S_ISLNK(about.st_mode) else irregular(path) or "not a file"
            raise SegbenchError(f"{path}: is {kind}; expected a file")
        if about.st_size > max_bytes:
            raise SegbenchError(f"{path}: {about.st_size:,} bytes, expected at most {max_bytes:,}")
        return path.read_bytes()
    except OSError as error:
        raise SegbenchError(f"{path}: unreadable ({error.strerror})") from error


def irregular(path: Path) -> str:
    """What a name leads to that is neither a file nor a folder; empty where it is one."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not path.is_symlink():
            return error.strerror or type(error).__name__
        return f"a link to {path.readlink()}, which leads nowhere"
    kind = next((words for is_kind, words in _IRREGULAR if is_kind(mode)), "")
    return f"a link to {path.readlink()}, {kind}" if kind and path.is_symlink() else kind


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:  # noqa: ANN401  any JSON
    """What a JSON file holds.

    Raises:
        SegbenchError: It is missing, too large, a link, or not strict JSON.
    """
    try:
        return parse_json(read_regular(path, max_bytes=max_bytes).decode("utf-8"))
    except ValueError as error:
        raise SegbenchError(f"{path}: not readable as JSON ({error})") from error


def parse_json(text: str) -> Any:  # noqa: ANN401  any JSON
    """What a JSON text holds.

    Raises:
        ValueError: It is not JSON, too much of it, nested too deeply, has a key twice or an
            impossible number.
    """
    if sum(map(text.count, ",:[{")) > MAX_JSON_NODES:
        raise ValueError(f"more than {MAX_JSON_NODES:,} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice[:40]!r} is there twice")
    return found


def _no_constant(name: str) -> Any:  # noqa: ANN401  never returns
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _integer(text: str) -> int:
    value = int(text) if len(text) < 21 else _MAX_INTEGER  # noqa: PLR2004  digits of 2**63
    if abs(value) >= _MAX_INTEGER:
        raise ValueError(f"the number {text[:40]} is too large")
    return value
