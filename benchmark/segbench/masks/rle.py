"""Run-length encodings of masks: COCO's compressed and plain counts, and Kaggle's pairs.

Both number pixels down the columns. COCO counts alternate background and foreground runs, starting
with background, and its compressed string is LEB128-like: 5 bits a character (offset 48), bit 5
"more follows", from the third count on the difference to the count two before
(pycocotools `maskApi.c`, `rleToString`). Kaggle writes `start length` pairs, 1-based.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segbench.masks.decoded import MaskFileError, Size

MAX_RUN_CHARACTERS = 20
"""For each pixel of a mask: a run has one at least, and a number up to 19 digits and a space."""

_CHUNK, _MORE, _SIGN, _OFFSET = 0x1F, 0x20, 0x10, 48


def runs_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """COCO counts of an HxW boolean mask: alternating runs down the columns, background first."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(np.concatenate(([0], edges, [flat.size]))).astype(np.int64)


def mask_of(counts: Sequence[int] | NDArray[np.int64], size: Size) -> NDArray[np.bool_]:
    """The HxW mask of alternating runs, background first.

    Raises:
        MaskFileError: A run is negative, or the runs do not cover the size exactly.
    """
    height, width = size
    try:
        runs = np.asarray(counts, dtype=np.int64)
    except OverflowError as error:
        raise MaskFileError("damaged RLE", "a run is longer than any picture") from error
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise MaskFileError(
            "damaged RLE",
            f"runs cover {int(runs.sum())} pixels, {width}x{height} has {height * width}",
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def compress(counts: Sequence[int] | NDArray[np.int64]) -> str:
    """COCO's compressed string of counts."""
    characters: list[int] = []
    runs = [int(c) for c in counts]
    for i, run in enumerate(runs):
        rest = run - runs[i - 2] if i > 2 else run  # noqa: PLR2004  as maskApi.c: from the fourth
        more = True
        while more:
            chunk = rest & _CHUNK
            rest >>= 5
            more = rest != -1 if chunk & _SIGN else rest != 0
            characters.append((chunk | _MORE if more else chunk) + _OFFSET)
    return bytes(characters).decode("ascii")


def decompress(text: str, size: Size) -> list[int]:
    """The counts in a COCO compressed string of a mask of a size.

    Raises:
        MaskFileError: A character is outside the alphabet, the string ends inside a count, or it is
            longer than any mask of the size needs.
    """
    _check_length(text, size)
    runs: list[int] = []
    rest, shift = 0, 0
    for character in text.encode("ascii", errors="replace"):
        chunk = character - _OFFSET
        if not 0 <= chunk < 64 or shift > 60:  # noqa: PLR2004
            raise MaskFileError("damaged RLE", f"character {chr(character)!r}")
        rest |= (chunk & _CHUNK) << shift
        shift += 5
        if chunk & _MORE:
            continue
        if chunk & _SIGN:
            rest -= 1 << shift
        runs.append(rest + runs[-2] if len(runs) > 2 else rest)  # noqa: PLR2004
        rest, shift = 0, 0
    if shift:
        raise MaskFileError("damaged RLE", "the string ends inside a count")
    return runs


def _check_length(text: str, size: Size) -> None:
    """Refuse what has more runs than pixels before a list of them is made.

    Raises:
        MaskFileError: It does.
    """
    most = MAX_RUN_CHARACTERS * (size[0] * size[1] + 1)
    if len(text) > most:
        raise MaskFileError(
            "damaged RLE",
            f"{len(text):,} characters, {size[1]}x{size[0]} has runs of at most {most:,}",
        )


def kaggle_mask(text: str, size: Size, *, order: str = "columns") -> NDArray[np.bool_]:
    """The HxW mask of Kaggle's `start length start length ...`, 1-based down the columns.

    Args:
        text: The pairs.
        size: Of the mask.
        order: `columns`, or `rows` where they go along the rows; with `-from-0` they count from 0.

    Raises:
        MaskFileError: The numbers are not pairs, or a run leaves the picture or meets another.
    """
    height, width = size
    _check_length(text, size)
    try:
        numbers = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise MaskFileError("damaged RLE", f"not whole numbers: {text[:40]!r}") from error
    if numbers.size % 2:
        raise MaskFileError("damaged RLE", f"{numbers.size} numbers; expected start-length pairs")
    first = 0 if order.endswith("-from-0") else 1
    starts, lengths = numbers[::2], numbers[1::2]
    if (starts < first).any() or (starts > height * width).any():
        raise MaskFileError(
            "damaged RLE",
            f"a run starts at {int(starts.min())} or {int(starts.max())}, {width}x{height} has "
            f"pixels {first} to {height * width - 1 + first}",
            hint="do they count from 0? --rle-order columns-from-0" if first else "",
        )
    starts = starts - first
    ends = starts + np.minimum(lengths, height * width + 1)  # longer ones would overflow
    if (lengths < 1).any() or (ends > height * width).any():
        raise MaskFileError(
            "damaged RLE", f"a run leaves the {width}x{height} picture (pixels count from {first})"
        )
    rising = np.argsort(starts)
    if (starts[rising][1:] < ends[rising][:-1]).any():
        raise MaskFileError("damaged RLE", "two runs overlap")
    edges = np.zeros(height * width + 1, dtype=np.int8)
    np.add.at(edges, starts, 1)
    np.add.at(edges, ends, -1)
    flat = np.cumsum(edges[:-1]) > 0
    if order.startswith("rows"):
        return flat.reshape(height, width)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def kaggle_runs(mask: NDArray[np.bool_]) -> str:
    """Kaggle's `start length ...` of an HxW boolean mask."""
    runs = runs_of(mask)
    ends = np.cumsum(runs)
    starts, lengths = ends[:-1:2] + 1, runs[1::2]
    return " ".join(f"{s} {n}" for s, n in zip(starts, lengths, strict=False))
