"""A journal of what is done, so that work that was stopped goes on where it was.

One file, beside what the work will write and gone with its end. Its first line names the work; each
other line is one item: its id, the digest of what was read for it, and its result. A line begins
with the CRC-32 of the rest. What follows a damaged line, as the last one may be when a process was
killed, is cut off and done again; so is an item of which the digest is another now, and everything
if the first line names other work. Nothing in it is ever executed: it is JSON.

Lines are gathered and written every half second; what took less leaves no file.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np

from segbench.errors import SegbenchError
from segbench.scoring.engine import Engine, Lasting, Work

JOURNAL = "unfinished.journal"
"""Its name in the folder that an evaluation writes to."""

WRITE_EVERY_S = 0.5

_HEADER = "segbench journal 1"
_MAX_LINE_BYTES = 1 << 24


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Journaled:
    """Another engine, with a journal of work that can be kept.

    Attributes:
        engine: Does what is not in the journal.
        path: Of the journal.
        going_on: Told of how many of the items were done before, if any were.
    """

    engine: Engine
    path: Path
    going_on: Callable[[int, int], None] = lambda _done, _of: None

    def run(
        self, work: Work[T, R], items: Sequence[T], *, expected: type[Exception]
    ) -> Iterator[tuple[T, R | Exception]]:
        """See `Engine`."""
        if not isinstance(work, Lasting):
            return self.engine.run(work, items, expected=expected)
        return self._lasting(work, items, expected)

    def _lasting(
        self, work: Lasting[T, R], items: Sequence[T], expected: type[Exception]
    ) -> Iterator[tuple[T, R | Exception]]:
        with _open(self.path, work.signature) as journal:
            wanted = {work.key(item) for item in items}
            known = {key: entry for key, entry in journal.known.items() if key in wanted}
            journal.known.clear()  # each is let go of when it has been used
            if known:
                self.going_on(len(known), len(items))
            changed = _IfChanged(work, {key: entry.stamp for key, entry in known.items()})
            for item, outcome in self.engine.run(changed, items, expected=expected):
                if isinstance(outcome, Exception):
                    yield item, outcome
                    continue
                stamp, result = outcome
                if isinstance(result, _Unchanged):
                    yield item, work.recall(known.pop(work.key(item)).record)
                else:
                    journal.add(work.key(item), _Entry(stamp, work.record(result)))
                    yield item, result


class _Unchanged:
    """In place of a result: the one in the journal is right."""


class _Entry(NamedTuple):
    """What a journal knows of one item."""

    stamp: str
    record: object


@dataclass(frozen=True)
class _IfChanged(Generic[T, R]):
    """The digest of an item, and its result if the digest is not the known one.

    The digest is taken first: if a file is changed before it is read for the result, the digest is
    one that it does not have again.
    """

    work: Lasting[T, R]
    stamps: dict[str, str]

    def __call__(self, item: T) -> tuple[str, R | _Unchanged]:
        stamp = self.work.stamp(item)
        if self.stamps.get(self.work.key(item)) == stamp:
            return stamp, _Unchanged()
        return stamp, self.work(item)

    def part(self, items: Sequence[T]) -> _IfChanged[T, R]:
        keys = {self.work.key(item) for item in items} & self.stamps.keys()
        return _IfChanged(self.work.part(items), {key: self.stamps[key] for key in keys})


@dataclass
class _Journal:
    """A journal that is written to.

    Attributes:
        known: By id the digest and the result of what was done before.
    """

    path: Path
    signature: str
    known: dict[str, _Entry]
    whole: int
    _waiting: list[bytes] = field(default_factory=list[bytes])
    _written: float = field(default_factory=time.monotonic)
    _stream: FileIO | None = None

    def add(self, key: str, entry: _Entry) -> None:
        self._waiting.append(_line([key, *entry]))
        if time.monotonic() - self._written > WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Append what waits; the file is made, and what is of no use in it cut, the first time.

        Raises:
            SegbenchError: It cannot be written; nor could the results be.
        """
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self.path.open("ab", buffering=0)
                self._stream.truncate(self.whole)
                if not self.whole:
                    self._stream.write(_line([_HEADER, self.signature]))
            self._stream.write(b"".join(self._waiting))
        except OSError as error:
            raise SegbenchError(
                f"{self.path}: cannot be written ({error.strerror}); choose another folder "
                f"with --out"
            ) from error
        self._waiting.clear()
        self._written = time.monotonic()

    def close(self) -> None:
        """Write the rest, where a file was begun."""
        if self._stream is not None:
            with self._stream:
                self.write()


@contextlib.contextmanager
def _open(path: Path, signature: str) -> Generator[_Journal]:
    known, whole = _read(path, signature)
    journal = _Journal(path, signature, known, whole)
    try:
        yield journal
    finally:
        journal.close()


def _read(path: Path, signature: str) -> tuple[dict[str, _Entry], int]:
    """What a journal of this work holds, and how many of its bytes are whole."""
    known: dict[str, _Entry] = {}
    whole = 0
    if not path.is_file():
        return known, whole
    with path.open("rb") as stream:
        while line := stream.readline(_MAX_LINE_BYTES):
            entry = _entry(line)
            if entry is None or (whole == 0 and entry != [_HEADER, signature]):
                break
            if whole:
                key, stamp, record = entry
                known[key] = _Entry(stamp, record)
            whole += len(line)
    return known, whole


def _line(entry: list[Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> list[Any] | None:
    """What a line holds; None if it is damaged."""
    check, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(text):
        return None
    return cast("list[Any]", json.loads(text))


def packed(value: object) -> object:
    """A value as JSON, exactly: numbers, strings, None, tuples and arrays of these.

    Raises:
        TypeError: It is none of them.
    """
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {"dtype": value.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, tuple):
        return [packed(item) for item in cast("tuple[object, ...]", value)]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    raise TypeError(f"a journal cannot hold {type(value).__name__}")


def unpacked(value: object) -> Any:  # noqa: ANN401  what was packed
    """What was packed.

    Raises:
        ValueError: It was never packed.
    """
    if isinstance(value, list):
        return tuple(unpacked(item) for item in cast("list[object]", value))
    if not isinstance(value, dict):
        return value
    found = cast("dict[str, Any]", value)
    if "float" in found:
        return float.fromhex(found["float"])
    data = base64.b64decode(found["data"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(found["dtype"])).reshape(found["shape"]).copy()
