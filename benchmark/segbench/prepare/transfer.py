"""The bytes of one download: streamed to a `.part` file, and continued by range requests.

A part is continued only where the server vouches that it is a part of the same file: the range is
asked for on the condition (If-Range, RFC 9110 13.1.5) that the strong ETag, or else the date, is
still the one under which the part began. A server that knows no ranges, or has another file by
now, answers with the whole file, and the part is begun again.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from segbench.errors import SegbenchError
from segbench.prepare import sniff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests
    from rich.progress import Progress

AT_HAND: Final = "A file that is already on disk can be given instead: --source PATH."

_CHUNK: Final = 1 << 14  # what a broken connection loses at most
_TIMEOUT_S: Final = (15, 60)  # to connect; between two reads
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 1.0  # before the second attempt in a row; doubled before each further one

_OK: Final = 200
_PARTIAL: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416
_TRY_LATER: Final = {429, 500, 502, 503, 504}
_IN_A_BROWSER: Final = "open it in a browser, sign in or accept its terms, and download it there."
_ADVICE: Final = {
    401: f"It asks for a sign-in: {_IN_A_BROWSER}",
    403: f"Access is refused: {_IN_A_BROWSER}",
    404: "There is no such file (any more): look for it at the dataset's home page.",
    410: "The file was removed: look for it at the dataset's home page.",
}
_REASONS: Final = (
    (
        r"resolve|name or service|getaddrinfo",
        "the server's name was not found (is there a network?)",
    ),
    (r"certificate|ssl", "no secure connection could be made (a wrong clock, or a proxy between?)"),
    (r"refused", "the server refused the connection"),
    (r"timed? ?out", "the server did not answer in time"),
    (r"unreachable", "the network cannot be reached"),
    (r"incomplete ?read|reset by peer|broken", "the connection broke off"),
)


class _BrokenOffError(Exception):
    """An attempt ended before the file did; another may get further."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """Of what a part is a part; kept beside it so that a later run can continue.

    Attributes:
        url: the address asked for, before any redirect.
        validator: the strong ETag or the date of the file; empty where the server gave neither.
        total: bytes of the whole file; None where the server did not say.
    """

    url: str
    validator: str
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A downloader as pooch wants one: `transfer(url, output_file, pooch)`.

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
        with _bar(self.part.stem, shown=self.progress) as bar:
            self._download(url, bar)
        self.part.replace(output_file)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        """The file that says of what the part is a part."""
        return self.part.with_name(f"{self.part.name}.json")

    @property
    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _download(self, url: str, bar: Progress) -> None:
        """Attempt until the file is whole, or several attempts in a row got no further."""
        start = most = self._size
        in_vain = 0
        while True:
            try:
                self._attempt(url, bar)
            except _BrokenOffError as error:
                in_vain = 1 if self._size > most else in_vain + 1
                most = max(most, self._size)
                if most == start or in_vain == _ATTEMPTS:
                    raise self._gave_up(url, str(error)) from error
                time.sleep(_PAUSE_S * 2 ** (in_vain - 1))
            else:
                return

    def _attempt(self, url: str, bar: Progress) -> None:
        """One request, for the rest of the file where a part can be continued."""
        import requests  # noqa: PLC0415

        origin = self._continued(url)
        offset = self._size if origin else 0
        headers = {"Accept-Encoding": "identity"}  # ranges and lengths are of the file's own bytes
        if origin:
            if offset == origin.total:
                return
            headers |= {"Range": f"bytes={offset}-", "If-Range": origin.validator}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
                if not (origin and _does_not_continue(response, offset)):
                    self._receive(response, url, offset, bar)
                    return
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise _BrokenOffError(_reason(error)) from error
        except requests.RequestException as error:
            raise SegbenchError(f"{url}: cannot be downloaded ({error}). {AT_HAND}") from error
        self._discard()
        self._attempt(url, bar)  # from the beginning, so this happens once

    def _continued(self, url: str) -> _Origin | None:
        """The note beside the part, where the part can be continued."""
        try:
            origin = _Origin(**json.loads(self._note.read_text("utf-8")))
            fits = origin.total is None or self._size <= origin.total
        except (OSError, ValueError, TypeError):
            return None
        return origin if origin.url == url and origin.validator and self._size and fits else None

    def _receive(self, response: requests.Response, url: str, offset: int, bar: Progress) -> None:
        """Write the body of an answer to the part."""
        _check_status(response, url, ranged=offset > 0)
        if response.status_code == _OK:
            offset = 0
        total = _total(response, offset)
        chunks = response.iter_content(_CHUNK)
        first = next(chunks, b"")
        if offset == 0 and sniff.is_web_page(first):
            raise SegbenchError(_web_page(url))
        self._check_room(url, total, offset)
        task = bar.task_ids[0]
        bar.update(task, completed=offset, total=total)
        with self.part.open("ab" if offset else "wb") as file:
            if offset == 0:  # only now is the part of an older file gone
                origin = _Origin(url=url, validator=_validator(response), total=total)
                self._note.write_text(json.dumps(asdict(origin)), "utf-8")
            for chunk in _and_then(first, chunks):
                file.write(chunk)
                bar.advance(task, len(chunk))
        if total is not None and self._size < total:
            raise _BrokenOffError(f"the connection ended after {self._size:,} of {total:,} bytes")

    def _check_room(self, url: str, total: int | None, offset: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - offset > free:
            raise SegbenchError(
                f"{url}: {total - offset:,} bytes are still to come, and the disk of "
                f"{self.part.parent} has {free:,} bytes free. Make room, or choose another folder. "
                f"{AT_HAND}"
            )

    def _gave_up(self, url: str, why: str) -> SegbenchError:
        origin = self._continued(url)
        if origin is None:
            self._discard()
            kept = "Nothing was kept; check the network and run again."
        else:
            whole = "unknown" if origin.total is None else f"{origin.total:,}"
            kept = (
                f"{self._size:,} bytes (the whole: {whole}) are kept in {self.part}; run again to "
                "continue."
            )
        return SegbenchError(f"{url}: could not be downloaded: {why}. {kept} {AT_HAND}")

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _check_status(response: requests.Response, url: str, *, ranged: bool) -> None:
    """Raise unless the answer brings the bytes that were asked for."""
    status = response.status_code
    if status in _TRY_LATER:
        raise _BrokenOffError(f"the server answered HTTP {status} {response.reason}")
    if status == _OK or (ranged and status == _PARTIAL):
        return
    advice = _ADVICE.get(status, "Expected the file: look for it at the dataset's home page.")
    raise SegbenchError(
        f"{url}: the server answered HTTP {status} {response.reason}. {advice} {AT_HAND}"
    )


def _does_not_continue(response: requests.Response, offset: int) -> bool:
    """Whether an answer to a range request is neither the rest of the file nor the whole."""
    if response.status_code == _RANGE_NOT_SATISFIABLE:
        return True
    answered = response.headers.get("Content-Range", "")
    return response.status_code == _PARTIAL and not answered.startswith(f"bytes {offset}-")


def _total(response: requests.Response, offset: int) -> int | None:
    """Bytes of the whole file, as far as the server says."""
    ranged = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if offset and ranged:
        return int(ranged[1])
    length = response.headers.get("Content-Length", "")
    if "Content-Encoding" in response.headers or not length.isdecimal():
        return None
    return offset + int(length)


def _validator(response: requests.Response) -> str:
    """What proves later that the file is still the same; empty where nothing does."""
    if "Content-Encoding" in response.headers:
        return ""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _reason(error: Exception) -> str:
    """What happened, in words; the client's own where there are none better."""
    said = str(error)
    for pattern, words in _REASONS:
        if re.search(pattern, said, re.IGNORECASE):
            return words
    return f"the connection failed ({said})"


def _web_page(url: str) -> str:
    return (
        f"{url}: a web page came in place of the file, most likely to sign in, to confirm the "
        "download, or to say that it is gone. It was not kept. Open the address in a browser and "
        f"download the file there. {AT_HAND}"
    )


def _and_then(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _bar(name: str, *, shown: bool) -> Progress:
    """A progress bar with one task, on standard error."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )
    bar.add_task(name, total=None)
    return bar
