"""Bare references: masks without a card, whose classes are found in the masks themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.errors import Problems, SegbenchError
from segbench.masks.decoded import Kind, MaskFileError, Size, Value
from segbench.masks.forms import FORM_FLAGS, Form, Seen, number_of
from segbench.masks.labels import BACKGROUND, IGNORE_ID, LabelClass, class_name_problem
from segbench.masks.naming import Naming, words
from segbench.masks.places import Place
from segbench.masks.references import Means255, decide_references
from segbench.masks.submission import Arrays, Files, Submission, open_submission
from segbench.masks.value_map import Mapped, ValueMap, as_map, map_text
from segbench.scoring.target import BareItem, Target

BINARY_NAMES = (BACKGROUND, "object")
_COLOURS = ((0, 0, 0), (255, 255, 255), (230, 159, 0), (86, 180, 233), (0, 158, 115))


@dataclass(frozen=True, kw_only=True)
class ReferencePolicy:
    """How bare references are read, where that is not plain.

    Attributes:
        suffix: What their file names carry behind the id.
        ending: Only files with this ending are references.
        ids: A regular expression that finds the id in a file's path; see `Naming`.
        map: The class ids of values before they are read; 255 is ignored.
        form: Class ids or binary, where values could be both.
        means_255: Whether 255 is the object or ignored, where both are possible.
        background: Whether class 0 is the background, which is no object; None: where it is called
            so, where the classes have no names, and where there are two.
    """

    suffix: str = ""
    ending: str = ""
    ids: str = ""
    map: ValueMap | str = ""
    form: Form | None = None
    means_255: Means255 | None = None
    background: bool | None = None

    @property
    def naming(self) -> Naming:
        """What is said of the names of their files."""
        return Naming(suffix=self.suffix, ending=self.ending, ids=self.ids, of="references-")

    @property
    def words(self) -> list[str]:
        """What the command line says of it."""
        flag = next((flag for flag, form in FORM_FLAGS.items() if form is self.form), "")
        background = {None: [], True: ["--background"], False: ["--no-background"]}
        return [
            *self.naming.words,
            *(words("--references-form", flag) if flag else []),
            *(words("--references-map", map_text(self.map)) if self.map else []),
            *(words("--references-255", self.means_255) if self.means_255 else []),
            *background[self.background],
        ]


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
    _check_names(class_names, policy)
    if isinstance(references, Place):
        source: Submission = open_submission(
            references,
            suffix=policy.suffix,
            ending=policy.ending,
            ids=policy.ids,
            of="references-",
        )
        resolved = references.resolve() if isinstance(references, Path) else references
        name = resolved.name.partition(".")[0]
        if not isinstance(source, Files):
            raise SegbenchError(f"{references}: expected reference masks, one file a sample")
    else:
        source, name = Arrays(references, origin="references in memory"), "arrays"
    if policy.map:
        source = Mapped(source, as_map(policy.map))
    seen, sizes, at_255 = _look_at(source, jobs)
    try:
        reading = decide_references(
            seen,
            several_objects=len(class_names) > len(BINARY_NAMES),
            means_255=policy.means_255
            or ("ignore" if IGNORE_ID in as_map(policy.map).values() else None),
            asked=policy.form,
        )
    except SegbenchError as error:
        raise SegbenchError(f"{source.origin}: {error}") from error
    classes, notes = _classes(reading.ids, class_names, background=policy.background)
    notes = (*notes, *(f"references: {note}" for note in source.notes))
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
    named = words("--classes", ",".join(class_names)) if class_names else []
    asked = (*named, *policy.words)
    return Target(name, "0", "all", None, "", classes, items, notes, own_colours=False, words=asked)


def _look_at(source: Submission, jobs: int) -> tuple[Seen, dict[str, Size], int]:
    """The values and sizes of all references, and how many pixels hold 255."""

    def look(identifier: str) -> tuple[Size, Kind, dict[Value, int], int]:
        decoded = source.decode(identifier, (0, 0), any_size=True, threshold=0.5)
        pixels = np.bincount(decoded.codes.ravel()).tolist()
        there: dict[Value, int] = {}  # two codes may stand for one value
        for value, n in zip(decoded.values, pixels, strict=False):
            if n:
                there[value] = there.get(value, 0) + n
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

    def __call__(self) -> NDArray[np.uint8]:
        decoded = self.source.decode(self.identifier, self.size, any_size=False, threshold=0.5)
        ids = [self.class_of.get(value, IGNORE_ID) for value in decoded.values]
        return np.array(ids, dtype=np.uint8)[decoded.codes]

    def __reduce__(self) -> tuple[type[_Reference], tuple[object, ...]]:
        alone = self.source.part([self.identifier])
        return _Reference, (alone, self.identifier, self.size, self.class_of)


def _check_names(names: Sequence[str], policy: ReferencePolicy) -> None:
    for i, name in enumerate(names):
        problem = "given twice" if name in names[:i] else class_name_problem(i, name)
        if problem:
            raise SegbenchError(f"--classes: the name of class {i}, {name!r}: {problem}")
    if policy.background is False and names and names[0] == BACKGROUND:
        raise SegbenchError(
            f"--no-background: class 0 is called {BACKGROUND!r}; give it another name"
        )


def _classes(
    found: Collection[int], names: Sequence[str], *, background: bool | None
) -> tuple[tuple[LabelClass, ...], tuple[str, ...]]:
    """The classes of references that hold these ids, and what to say of their names."""
    ids = {*found, 0}
    if ids == {0}:
        ids = {0, 1}
    if names:
        ids |= set(range(len(names)))
    if unknown := sorted(i for i in ids if names and i >= len(names)):
        raise SegbenchError(
            f"the references hold the class ids {', '.join(map(str, unknown[:5]))}; --classes "
            f"names {len(names)}, 0 to {len(names) - 1}"
        )
    two = len(ids) == len(BINARY_NAMES)
    notes: tuple[str, ...] = ()
    if background is None:
        background = two or not names or names[0] == BACKGROUND
        if background and (names[0] != BACKGROUND if names else not two):
            called = f" ({names[0]})" if names else ""
            note = (
                f"class 0{called} is taken for the background: it has no surface and is left out "
                f"of the mean over the foreground; if it is a class like the others say "
                f"--no-background"
            )
            notes = (note,)
    if not names:
        names = [f"class {i}" for i in range(max(ids) + 1)]
        if background:
            names[: 2 if two else 1] = BINARY_NAMES[: 2 if two else 1]
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
