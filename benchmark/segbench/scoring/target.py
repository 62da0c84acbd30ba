"""What predictions are scored against: a prepared dataset's split, a folder, or arrays."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError
from segbench.masks.cache import MaskReader, mask_reader
from segbench.masks.labels import LabelClass
from segbench.masks.places import Place, absolute
from segbench.masks.prepared import (
    PreparedDataset,
    Row,
    prepared_datasets,
    read_info,
    selection_name,
)
from segbench.masks.runs import Runs
from segbench.masks.submission import Submission

Mask = NDArray[np.uint8]


class Item(Protocol):
    """One sample to score."""

    @property
    def id(self) -> str:
        """Of the sample."""
        ...

    @property
    def group(self) -> str:
        """What it is resampled with."""
        ...

    @property
    def columns(self) -> Mapping[str, object]:
        """What the dataset says of it."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def read(self) -> Mask:
        """Its reference, HxW uint8 class ids (255 = ignore)."""
        ...

    def runs(self) -> Runs | None:
        """Its reference as runs, where they are at hand: they are faster to count."""
        ...

    def stamp(self) -> str:
        """A digest of its reference."""
        ...

    @property
    def read_image(self) -> Callable[[], Mask] | None:
        """Gives its image, HxWx3 uint8 RGB; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class BareItem:
    """A sample of bare references."""

    id: str
    group: str
    columns: Mapping[str, object]
    size: tuple[int, int]
    read: Callable[[], Mask]
    read_image: Callable[[], Mask] | None = None

    def runs(self) -> None:
        """There are none."""

    def stamp(self) -> str:
        """The digest of its reference's pixels."""
        mask = self.read()
        return hashlib.sha256(f"{mask.shape}".encode() + mask.tobytes()).hexdigest()


class PreparedItem:
    """A row of a prepared dataset; a view, because a million of them should fit in memory."""

    __slots__ = ("_i", "_read_image", "_read_mask", "_row")

    def __init__(
        self,
        row: Row,
        i: int,
        read_mask: MaskReader,
        read_image: Callable[[Row], Mask],
    ) -> None:
        self._row, self._i, self._read_mask, self._read_image = row, i, read_mask, read_image

    @property
    def id(self) -> str:
        """Of the sample."""
        return self._row.id

    @property
    def group(self) -> str:
        """What it is resampled with."""
        return self._row.group

    @property
    def columns(self) -> Mapping[str, object]:
        """Its line of samples.csv."""
        return _Columns(self._row)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._row.size

    def read(self) -> Mask:
        """Its reference mask."""
        return self._read_mask(self._i)

    def runs(self) -> Runs | None:
        """Its reference mask as runs."""
        return self._read_mask.runs(self._i)

    def stamp(self) -> str:
        """The digest of its mask's file."""
        return self._read_mask.dataset.stamp(self._row)

    def read_image(self) -> Mask:
        """Its image."""
        return self._read_image(self._row)

    def __reduce__(self) -> tuple[type[BareItem], tuple[object, ...]]:
        """Elsewhere it is a bare item, which reads its mask from the dataset's folder."""
        dataset, row = self._read_mask.dataset, replace(self._row, fields={})
        content = str(dataset.info.get("content_digest", ""))
        there = _MaskElsewhere(absolute(dataset.root), content, row)
        return BareItem, (row.id, row.group, {}, row.size, there)


@dataclass(frozen=True, slots=True)
class _MaskElsewhere:
    """Reads a mask where a dataset is only a folder's name, and makes sure that it is the same."""

    root: Place
    content: str
    row: Row

    def __call__(self) -> Mask:
        return _same_dataset(self.root, self.content).read_mask(self.row)


@lru_cache(maxsize=8)
def _same_dataset(root: Place, content: str) -> PreparedDataset:
    """A dataset without its rows.

    Raises:
        SegbenchError: It is not the one that the digest is of.
    """
    info = read_info(root)
    if info.get("content_digest", "") != content:
        raise SegbenchError(
            f"{root}: on {platform.node()} another dataset lies there, or another version of it "
            f"(content digest {str(info.get('content_digest'))[:12]}, expected {content[:12]}); "
            f"every worker needs the same prepared dataset under the same path or URL"
        )
    return PreparedDataset(root, info, ())


@dataclass(frozen=True)
class Target:
    """The samples of one split or fold, with what a signature says of them.

    Attributes:
        digest: The split's content digest; "" where it is found while scoring (bare references).
        words: What the command line says of how bare references are read.
        own_colours: The classes' colours are a card's, and can decide how predictions are read.
    """

    name: str
    version: str
    split: str
    fold: int | None
    digest: str
    classes: tuple[LabelClass, ...]
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    own_colours: bool = True
    words: tuple[str, ...] = ()

    @property
    def selection(self) -> str:
        """The split or fold as a signature names it."""
        return selection_name(self.split, self.fold)


class _Columns(Mapping[str, object]):
    """A row of samples.csv by column."""

    __slots__ = ("_row",)
    _OWN = ("split", "fold", "group", "width", "height")

    def __init__(self, row: Row) -> None:
        self._row = row

    def __getitem__(self, key: str) -> object:
        return getattr(self._row, key) if key in self._OWN else self._row.fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._OWN, *(key for key in self._row.fields if key not in self._OWN)))

    def __len__(self) -> int:
        return len(tuple(iter(self)))


def prepared_target(dataset: PreparedDataset, *, split: str, fold: int | None) -> Target:
    """A split of a prepared dataset, or the fold that is tested."""
    rows = dataset.select(split, fold=fold)
    digest = dataset.digest(split, fold=fold)
    read_mask, read_image = mask_reader(dataset, rows, digest), dataset.read_image
    items = tuple(PreparedItem(row, i, read_mask, read_image) for i, row in enumerate(rows))
    return Target(
        name=dataset.name,
        version=dataset.version,
        split=split,
        fold=fold,
        digest=digest,
        classes=dataset.classes,
        items=items,
    )


def find_prepared(submission: Submission, data: Place) -> PreparedDataset:
    """The prepared dataset whose ids the predictions carry.

    Raises:
        SegbenchError: None has them, or several have.
    """
    there = prepared_datasets(data)
    shared = {d.name: len(submission.ids & {row.id for row in d.rows}) for d in there}
    whole = [d for d in there if shared[d.name] == len(submission.ids)]
    some = [d for d in there if shared[d.name]]
    matching = whole or some
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(d.name for d in matching)
        raise SegbenchError(
            f"{submission.origin}: the ids fit several prepared datasets: {names}; say which with "
            f"--dataset"
        )
    first = ", ".join(sorted(submission.ids)[:3])
    known = ", ".join(f"{d.name} ({d.rows[0].id}, ...)" for d in there) or "none"
    raise SegbenchError(
        f"{submission.origin}: no prepared dataset in {data} has the ids {first}, ...; prepared "
        f"there: {known}; prepare the dataset, map the names with --suffix, or give the "
        f"references with --references"
    )
