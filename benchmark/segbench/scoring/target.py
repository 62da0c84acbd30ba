"""What predictions are scored against: a prepared dataset's split, a folder, or arrays."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segbench.errors import Problems, SegbenchError
from segbench.masks.cache import MaskReader, mask_reader
from segbench.masks.decode import Kind, MaskFileError, Size, Value
from segbench.masks.forms import Form, Seen, number_of
from segbench.masks.labels import IGNORE_ID, LabelClass, class_name_problem
from segbench.masks.places import Place, absolute
from segbench.masks.prepared import (
    PreparedDataset,
    Row,
    prepared_datasets,
    read_info,
    selection_name,
)
from segbench.masks.references import Means255, decide_references
from segbench.masks.runs import Runs
from segbench.masks.submission import Arrays, Files, Submission, open_submission

Mask = NDArray[np.uint8]

BINARY_NAMES = ("background", "object")
_BACKGROUNDS = frozenset({"background", "bg", "back", "backgrnd"})
_COLOURS = ((0, 0, 0), (255, 255, 255), (230, 159, 0), (86, 180, 233), (0, 158, 115))


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


@dataclass(frozen=True, kw_only=True)
class ReferencePolicy:
    """How bare references are read, where that is not plain.

    Attributes:
        suffix: What their file names carry behind the id.
        ending: Only files with this ending are references.
        means_255: Whether 255 is the object or ignored, where both are possible.
    """

    suffix: str = ""
    ending: str = ""
    means_255: Means255 | None = None


def reference_target(
    references: Place | Mapping[str, NDArray[np.generic]],
    *,
    class_names: Sequence[str] = (),
    policy: ReferencePolicy | None = None,
    jobs: int = 1,
) -> Target:
    """Bare reference masks, without a card: classes are found in the masks.

    What their values mean is decided over all of them; see `segbench.masks.references`.

    Args:
        references: A folder or archive of mask files, or arrays by id (HxW integers).
        class_names: Names of the classes 0, 1, ...; needed where a class never occurs.
        policy: How they are read.
        jobs: Threads.

    Raises:
        SegbenchError: A reference is unreadable or coded in colours or probabilities, its values
            can mean several things, or a class cannot be called so.
    """
    policy = policy or ReferencePolicy()
    if isinstance(references, Place):
        source: Submission = open_submission(references, suffix=policy.suffix, ending=policy.ending)
        resolved = references.resolve() if isinstance(references, Path) else references
        name = resolved.name.partition(".")[0]
        if not isinstance(source, Files):
            raise SegbenchError(f"{references}: expected reference masks, one file a sample")
    else:
        source, name = Arrays(references, origin="references in memory"), "arrays"
    seen, sizes, at_255 = _look_at(source, jobs)
    try:
        reading = decide_references(
            seen, several_objects=len(class_names) > len(BINARY_NAMES), means_255=policy.means_255
        )
    except SegbenchError as error:
        raise SegbenchError(f"{source.origin}: {error}") from error
    classes, notes = _classes(reading.ids, class_names)
    if reading.note:
        notes = (*notes, f"references: {reading.note}")
    if at_255 and reading.form is Form.CLASS_IDS:
        notes = (*notes, f"references: 255 is ignored: {at_255:,} pixels are not scored")
    items = tuple(
        BareItem(
            id=identifier,
            group=identifier,
            columns={"width": size[1], "height": size[0]},
            size=size,
            read=_Reference(source, identifier, size, reading.class_of),
        )
        for identifier, size in sizes.items()
    )
    return Target(name, "0", "all", None, "", classes, items, notes, own_colours=False)


def _look_at(source: Submission, jobs: int) -> tuple[Seen, dict[str, Size], int]:
    """The values and sizes of all references, and how many pixels hold 255."""

    def look(identifier: str) -> tuple[Size, Kind, dict[Value, int], int]:
        decoded = source.decode(identifier, (0, 0), any_size=True, threshold=0.5)
        pixels = np.bincount(decoded.codes.ravel()).tolist()
        there = {v: n for v, n in zip(decoded.values, pixels, strict=False) if n}
        return decoded.size, decoded.kind, there, len(decoded.values)

    seen = Seen()
    problems = Problems()
    sizes: dict[str, Size] = {}
    at_255 = 0
    with ThreadPoolExecutor(jobs) as pool:
        futures = {identifier: pool.submit(look, identifier) for identifier in sorted(source.ids)}
        for identifier, future in futures.items():
            try:
                sizes[identifier], kind, there, n_values = future.result()
            except MaskFileError as error:
                problems.add(error.kind, f"{identifier} ({error.detail})", hint=error.hint)
                continue
            seen.add(identifier, kind, valid=there, n_channels=n_values)
            at_255 += sum(n for value, n in there.items() if number_of(value) == IGNORE_ID)
    problems.raise_if_any(f"{source.origin}: the references cannot be read")
    return seen, sizes, at_255


@dataclass(frozen=True, slots=True)
class _Reference:
    """Reads one of the bare references."""

    source: Submission
    identifier: str
    size: tuple[int, int]
    class_of: Mapping[Value, int]

    def __call__(self) -> Mask:
        decoded = self.source.decode(self.identifier, self.size, any_size=False, threshold=0.5)
        ids = [self.class_of.get(value, IGNORE_ID) for value in decoded.values]
        return np.array(ids, dtype=np.uint8)[decoded.codes]

    def __reduce__(self) -> tuple[type[_Reference], tuple[object, ...]]:
        alone = self.source.part([self.identifier])
        return _Reference, (alone, self.identifier, self.size, self.class_of)


def _classes(
    found: Collection[int], names: Sequence[str]
) -> tuple[tuple[LabelClass, ...], tuple[str, ...]]:
    """The classes of references that hold these ids, and what to say of their names."""
    for i, name in enumerate(names):
        problem = "given twice" if name in names[:i] else class_name_problem(i, name)
        if problem:
            raise SegbenchError(f"--classes: the name of class {i}, {name!r}: {problem}")
    ids = {*found, 0}
    if ids == {0}:
        ids = {0, 1}
    notes: tuple[str, ...] = ()
    if names:
        ids |= set(range(len(names)))
        if unknown := sorted(i for i in ids if i >= len(names)):
            raise SegbenchError(
                f"references hold the class ids {', '.join(map(str, unknown[:5]))}; --classes "
                f"names {len(names)}, 0 to {len(names) - 1}"
            )
    else:
        names = [f"class {i}" for i in range(max(ids) + 1)]
        names[0] = BINARY_NAMES[0]
        if ids == {0, 1}:
            names[1] = BINARY_NAMES[1]
        else:
            note = (
                "class 0 is taken for the background: it has no surface and is left out of the "
                "mean over the foreground; if it is a class like the others, name them all with "
                "--classes"
            )
            notes = (note,)
    background = len(ids) == len(BINARY_NAMES) or names[0].strip("_").casefold() in _BACKGROUNDS
    classes = tuple(
        LabelClass(
            id=i,
            name=names[i],
            color=_COLOURS[i % len(_COLOURS)],
            background=i == 0 and background,
        )
        for i in sorted(ids)
    )
    return classes, notes
