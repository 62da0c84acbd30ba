"""Reference masks as runs: what scoring reads instead of the PNGs of a prepared dataset.

A selection's masks are decoded once and kept in `<dataset>/.cache/masks-<key>.runs`; that can be
deleted at any time. It is written beside its name and renamed when whole, and where it cannot be
written (a folder that is read-only) or read by position (Windows) the PNGs are read as ever.

What keeps it from being wrong, checked whenever a selection is opened:

* the key is a sha256 over the format, the selection's content digest, and the id, size and mask
  file of each row, in order;
* for every mask, size and times of modification and change (both in ns) of the PNG are those that
  it had when it was decoded. Masks changed in the last two seconds are not cached, since a file
  system may give two changes so close to each other one time;
* the file ends with a sha256 of all that is before.

Whatever fails any of it is made anew. A mask that is edited while scoring runs is not noticed.

The file: for each mask the ends of its runs (uint32) and their values (uint8); then an `_ENTRY` for
each; then the sha256. All numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError
from segbench.masks.prepared import PreparedDataset, Row
from segbench.masks.runs import Runs, runs_of

CACHE = ".cache"
"""The folder below a prepared dataset's."""

SETTLED_NS = 2_000_000_000
"""How long a mask must not have changed."""

_FORMAT = "masks as runs 1"
_ENTRY = np.dtype([(k, "<i8") for k in ("offset", "runs", "size", "modified", "changed")])
_DIGEST_BYTES = hashlib.sha256().digest_size
_END_BYTES = 4
_BLOCK = 1 << 20
_BATCH = 256
_HANDED_OVER = 8

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class MaskReader:
    """Reads the mask of the i-th row, HxW uint8; threads may share it."""

    dataset: PreparedDataset
    rows: Sequence[Row]
    cached: _Cached | None

    def __call__(self, i: int) -> Mask:
        """The mask, from the cache where there is one."""
        runs = self.runs(i)
        return self.dataset.read_mask(self.rows[i]) if runs is None else runs.mask()

    def runs(self, i: int) -> Runs | None:
        """The mask as runs, where there is a cache."""
        return None if self.cached is None else self.cached.read(i)


def mask_reader(dataset: PreparedDataset, rows: Sequence[Row], digest: str) -> MaskReader:
    """What reads the masks of a selection, with a cache where one can be made.

    Args:
        dataset: Where the masks are.
        rows: A selection of its rows.
        digest: The content digest of the selection.
    """
    if not isinstance(dataset.root, Path):  # at a URL: nothing is written there
        return MaskReader(dataset, rows, None)
    path = dataset.root / CACHE / f"masks-{_key(rows, digest)}.runs"
    cached = None
    # OSError, SegbenchError: read-only, full, or a mask is missing or damaged; then as without
    with contextlib.suppress(OSError, SegbenchError):
        cached = _open_or_make(path, dataset, rows) if hasattr(os, "pread") else None
    return MaskReader(dataset, rows, cached)


def _open_or_make(path: Path, dataset: PreparedDataset, rows: Sequence[Row]) -> _Cached | None:
    stats = _stats(dataset, rows)
    cached = _open(path, rows, stats)
    if cached is None and _settled(stats):
        _write(path, dataset, rows, stats)
        cached = _open(path, rows, _stats(dataset, rows))
    return cached


@dataclass(frozen=True)
class _Cached:
    """An open cache that has been checked."""

    descriptor: int
    entries: NDArray[np.void]
    rows: Sequence[Row]

    def read(self, i: int) -> Runs:
        """The runs of the mask of the i-th row."""
        n = int(self.entries["runs"][i])
        data = os.pread(self.descriptor, n * (_END_BYTES + 1), int(self.entries["offset"][i]))
        ends = np.frombuffer(data, dtype="<u4", count=n).astype(np.uint32, copy=False)
        values = np.frombuffer(data, dtype=np.uint8, offset=n * _END_BYTES)
        return Runs(values, ends, self.rows[i].size)


def _key(rows: Sequence[Row], digest: str) -> str:
    key = hashlib.sha256(f"{_FORMAT}\n{digest}\n".encode())
    for row in rows:
        key.update(f"{row.id}\t{row.height}\t{row.width}\t{row.mask}\n".encode())
    return key.hexdigest()[:32]


def _stats(dataset: PreparedDataset, rows: Sequence[Row]) -> NDArray[np.int64]:
    """(n, 3): size, time of modification and of change of each mask file."""
    found = (os.stat(f"{dataset.root}/{row.mask}") for row in rows)  # noqa: PTH116  many files
    return np.array([(s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in found], dtype=np.int64)


def _settled(stats: NDArray[np.int64]) -> bool:
    return int(stats[:, 1:].max()) < time.time_ns() - SETTLED_NS


def _open(path: Path, rows: Sequence[Row], stats: NDArray[np.int64]) -> _Cached | None:
    """The cache, if there is one that is whole and of these very files."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    try:
        entries = _entries(descriptor, len(rows))
    except BaseException:
        os.close(descriptor)
        raise
    now = None if entries is None else [entries[k] for k in ("size", "modified", "changed")]
    if entries is None or not np.array_equal(np.stack(now or ()), stats.T):
        os.close(descriptor)
        return None
    cached = _Cached(descriptor, entries, rows)
    weakref.finalize(cached, os.close, descriptor)
    return cached


def _entries(descriptor: int, n: int) -> NDArray[np.void] | None:
    """The entries of a file that ends with its digest; None if it does not."""
    body = os.fstat(descriptor).st_size - _DIGEST_BYTES
    start = body - n * _ENTRY.itemsize
    if start < 0:
        return None
    digest = hashlib.sha256()
    for at in range(0, body, _BLOCK):
        digest.update(os.pread(descriptor, min(_BLOCK, body - at), at))
    if os.pread(descriptor, _DIGEST_BYTES, body) != digest.digest():
        return None
    return np.frombuffer(os.pread(descriptor, body - start, start), dtype=_ENTRY)


def _write(
    path: Path, dataset: PreparedDataset, rows: Sequence[Row], stats: NDArray[np.int64]
) -> None:
    """Decode all masks and put the file in its place when it is whole."""
    path.parent.mkdir(exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            _write_to(out, dataset, rows, stats)
        Path(unfinished).chmod(0o644)  # temporary files are their owner's alone
        Path(unfinished).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(unfinished).unlink()
        raise


def _write_to(
    out: BinaryIO, dataset: PreparedDataset, rows: Sequence[Row], stats: NDArray[np.int64]
) -> None:
    digest = hashlib.sha256()
    entries = np.zeros(len(rows), dtype=_ENTRY)
    at = 0
    for i, runs in enumerate(_runs_of_all(dataset, rows)):
        entries[i] = (at, len(runs.ends), *stats[i])
        for part in (runs.ends.astype("<u4").tobytes(), runs.values.tobytes()):
            digest.update(part)
            at += out.write(part)
    digest.update(entries.tobytes())
    out.write(entries.tobytes())
    out.write(digest.digest())


def _runs_of_all(dataset: PreparedDataset, rows: Sequence[Row]) -> Iterator[Runs]:
    def of_some(first: int) -> list[Runs]:
        return [runs_of(dataset.read_mask(row)) for row in rows[first : first + _HANDED_OVER]]

    with ThreadPoolExecutor() as pool:
        for first in range(0, len(rows), _BATCH):  # a few at a time: the runs of all may be much
            starts = range(first, min(first + _BATCH, len(rows)), _HANDED_OVER)
            for some in pool.map(of_some, starts):
                yield from some
