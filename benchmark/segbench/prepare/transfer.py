"""The bytes of one download: streamed to a `.part` file, and continued by range requests.

A part is continued only where the server vouches that it is a part of the same file: the range is
asked for on the condition (If-Range) that the strong ETag, or else the date, is still the one
under which the part began. A server that knows no ranges, or has another file by now, answers
with the whole file, and the part is begun again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from segbench.errors import SegbenchError
from segbench.prepare import sniff

if TYPE_CHECKING:
    import requests
    from rich.progress import Progress

AT_HAND: Final = "A file that is already on disk can be given instead: --source PATH."

_CHUNK: Final = 1 << 18
_TIMEOUT_S: Final = (15, 60)  # to connect; between two reads
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 1.0
"""Before the second attempt; doubled before each further one."""

_TRY_LATER: Final = {429, 500, 502, 503, 504}
_ADVICE: Final = {
    401: "It asks for a sign-in: open it in a browser and download it there.",
    403: "Access is refused: open it in a browser, sign in or accept its terms, and download it "
    "there.",
    404: "There is no such file (any more): look for its new place at the dataset's home page.",
    410: "The file was removed: look for its new place at the dataset's home page.",
}


class _BrokenOffError(Exception):
    """The connection ended before the file did; another attempt may get further."""


@dataclass(frozen=True, slots=True)
class _State:
    """Of what a part is a part; kept beside it so that a later run can continue.

    Attributes:
        url: the address asked for, before any redirect.
        validator: the strong ETag or the Last-Modified date; empty where there is neither.
        total: bytes of the whole file; None where the server did not say.
    """

    url: str
    validator: str
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A downloader for pooch: `transfer(url, output_file, pooch)`.

    Attributes:
        part: where the bytes are kept until all are there.
        progress: show a bar on standard error.
    """

    part: Path
    progress: bool

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download `url` whole, then move it to `output_file`.

        Raises:
            SegbenchError: it cannot be had; the message says why, and what is kept.
            OSError: the disk does not take it.
        """
        with _bar(shown=self.progress) as bar:
            bar.add_task(Path(output_file).name if False else self.part.stem, total=None)
            self._persist(url, bar)
        os.replace(self.part, output_file)
        self._state_file.unlink(missing_ok=True)
