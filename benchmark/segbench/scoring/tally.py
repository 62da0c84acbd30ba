"""Predictions x references -> counts: read, check, count; everything wrong is listed once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from segbench._version import __version__
from segbench.confusion import Counts, worst_counts, worst_map
from segbench.errors import Problems, SegbenchError
from segbench.kernels import joint_pairs, joint_pairs_of_runs
from segbench.kernels.native import INTERFACE
from segbench.masks.decode import palette_of, swatches
from segbench.masks.decoded import IDENTITY, Decoded, Kind, MaskFileError, Size, Value
from segbench.masks.digests import content_line, digest
from segbench.masks.forms import FORM_FLAGS, Form, Reading, Seen, decide
from segbench.masks.grey import read_as
from segbench.masks.labels import IGNORE_ID
from segbench.masks.naming import words
from segbench.masks.runs import Runs, as_mask
from segbench.masks.submission import Submission
from segbench.masks.tables import RleOrder, TableOptions
from segbench.masks.value_map import ValueMap, map_text
from segbench.scoring.engine import Engine, Threads
from segbench.scoring.ids_check import check_ids
from segbench.scoring.journal import packed, unpacked
from segbench.scoring.shapes import ShapeMeasures
from segbench.scoring.soft import SoftImage, SoftMeasures, SoftTable
from segbench.scoring.target import Item, Target

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
Number = TypeVar("Number", bound=np.generic)

_AT_ONCE = 4096
"""Samples whose pairs are put into matrices together."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is accepted that is refused by default, and how soft predictions are cut.

    `map` gives the class ids of values before they are read, as `{254: 0, (255, 0, 0): 1}` or
    `"254=0,#ff0000=1"`.
    `min_score` is the cut of detections; `rle_order` how the runs of a .csv number pixels.
    """

    form: Form | None = None
    map: ValueMap | str = ""
    missing: Literal["error", "worst"] = "error"
    extra: Literal["error", "ignore"] = "error"
    resize: Literal["error", "nearest"] = "error"
    threshold: float = 0.5
    min_score: float | None = None
    rle_order: RleOrder = "columns"
    chosen: str = ""  # by what and on what the threshold was chosen, as a signature says it

    @property
    def table(self) -> TableOptions:
        """How tables of run lengths are read."""
        return TableOptions(min_score=self.min_score, rle_order=self.rle_order)

    @property
    def words(self) -> list[str]:
        """What the command line says of it, but for what a signature says too."""
        flag = next((flag for flag, form in FORM_FLAGS.items() if form is self.form), "")
        return [
            *(words("--form", flag) if flag else []),
            *(words("--map", map_text(self.map)) if self.map else []),
            *(words("--extra", self.extra) if self.extra != "error" else []),
            *(words("--min-score", repr(self.min_score)) if self.min_score is not None else []),
            *(words("--rle-order", self.rle_order) if self.rle_order != "columns" else []),
        ]


@dataclass(frozen=True)
class Tally:
    """The counts of every sample of a target, in its order.

    Attributes:
        counts: (n, K) int64, class against rest.
        map_counts: The same, but for missing predictions those of one label map.
        missing: (n,) bool.
        reading: How the values were read.
        n_resized: How many predictions were resized.
        digest: The content digest of the samples.
        shapes: By key of a measure of shapes its values (n, K).
        soft: What was measured of probabilities; None where that was not asked for.
        notes: What a person should know about how the files were read.
    """

    counts: Counts
    map_counts: Counts
    missing: NDArray[np.bool_]
    reading: Reading
    n_resized: int
    digest: str
    shapes: Mapping[str, Floats]
    soft: SoftTable | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Joint:
    """One sample's pairs (reference value, prediction code) with their pixels.

    `pairs` is (2, P): the pairs over their pixels, one array to spare memory. `shapes` are the raw
    values (M, K) of shapes if the file's own form is the submission's: if the values of its
    codes stand for the classes `assumed`.
    """

    pairs: NDArray[np.int64]
    kind: Kind
    values: tuple[Value, ...]
    resized: bool
    line: str
    assumed: tuple[int | None, ...] = ()
    shapes: Floats | None = None
    soft: SoftImage | None = None
    note: str = ""

    def show(self, seen: Seen, identifier: str) -> None:
        """Tell which values occur, at valid pixels and at ignored ones."""
        valid = (self.pairs[0] >> 8 != IGNORE_ID).tolist()
        at = [self.values[code] for code in (self.pairs[0] & 255).tolist()]
        seen.add(
            identifier,
            self.kind,
            valid=[value for value, ok in zip(at, valid, strict=True) if ok],
            ignored=[value for value, ok in zip(at, valid, strict=True) if not ok],
            n_channels=len(self.values),
        )

    @property
    def codes(self) -> list[int]:
        """The prediction's codes that occur."""
        return sorted({int(pair) & 255 for pair in self.pairs[0]})

    def classes(self, reading: Reading) -> tuple[int | None, ...]:
        """The class that each of the codes stands for; None: none of them."""
        return tuple(reading.class_of.get(self.values[code]) for code in self.codes)


def tally(
    target: Target,
    submission: Submission,
    *,
    policy: Policy,
    jobs: int,
    progress: Progress,
    shapes: ShapeMeasures | None = None,
    soft: SoftMeasures | None = None,
    engine: Engine | None = None,
) -> Tally:
    """Count every sample of a target, and measure its boundaries and probabilities.

    By `jobs` threads, or by an engine.

    Raises:
        SegbenchError: Predictions are missing, extra, unreadable, of the wrong size or in no form
            that is known; one error lists all of it.
    """
    submission = read_as(submission, policy.form, target.classes, policy.map)
    problems = Problems()
    check_ids(target, submission, missing=policy.missing, extra=policy.extra, problems=problems)
    predicted = submission.ids
    present = [item for item in target.items if item.id in predicted]
    counting = _Counting(target, submission, policy, shapes, soft)
    engine = engine or Threads(jobs)
    joints, seen = _count_all(counting, present, engine, progress, problems)
    try:
        reading = counting.decide(seen)
    except SegbenchError as error:
        if not problems:
            raise SegbenchError(f"{submission.origin}: {error}") from error
        if seen.kinds:
            problems.add("values in no known form", str(error))
        raise problems.error(f"{submission.origin}: the predictions were not scored") from error
    problems.raise_if_any(f"{submission.origin}: the predictions were not scored")
    n_classes = len(target.classes)
    matrices = _matrices(target, joints, reading)
    missing = np.array([item.id not in joints for item in target.items])
    lines: list[str] = []
    for i, item in enumerate(target.items):
        if missing[i]:
            reference = item.read()
            pixels = np.bincount(reference.ravel(), minlength=IGNORE_ID + 1)
            matrices[i, :, 0] = [pixels[label.id] for label in target.classes]
            lines.append(content_line(item.id, None, reference) if not target.digest else "")
        else:
            lines.append(joints[item.id].line)
    of_shapes: Mapping[str, Floats] = {}
    if shapes is not None:
        raw = np.full((len(target.items), len(shapes.measures), n_classes), np.nan)
        for i, values in _values_of_shapes(counting, joints, reading, engine):
            raw[i] = values
        of_shapes = shapes.settled(
            raw,
            [item.size for item in target.items],
            missing=missing,
            has_pixels=matrices.sum(axis=(1, 2)) > 0,
        )
    counts = _with_missing(matrices, missing, worst_counts)
    return Tally(
        counts=counts,
        map_counts=_with_missing(matrices, missing, worst_map) if missing.any() else counts,
        missing=missing,
        reading=reading,
        n_resized=sum(joint.resized for joint in joints.values()),
        digest=target.digest or digest(lines),
        shapes=of_shapes,
        soft=None
        if soft is None
        else soft.table(
            [joints[item.id].soft if item.id in joints else None for item in target.items],
            reference=matrices.sum(axis=2),
            origin=submission.origin,
            form=str(reading.form),
        ),
        notes=(
            *([f"values mapped: {map_text(policy.map)}"] if policy.map else []),
            *_notes(joints),
        ),
    )


def _notes(joints: Mapping[str, _Joint]) -> tuple[str, ...]:
    """What was noted of files, each once with their number."""
    found = Counter(joint.note for joint in joints.values() if joint.note)
    return tuple(f"{n} files: {note}" for note, n in found.items())


def _matrices(target: Target, joints: Mapping[str, _Joint], reading: Reading) -> NDArray[np.int64]:
    """Pixels (n, K, K) by the reference's class and the predicted one; zeros where none is."""
    n_classes = len(target.classes)
    index = {label.id: i for i, label in enumerate(target.classes)}
    row = np.full(IGNORE_ID + 1, -1)
    row[list(index)] = list(index.values())

    @cache
    def columns(values: tuple[Value, ...]) -> NDArray[np.int64]:
        """The class (K,) that each code of a file stands for; -1: none."""
        return np.array([index.get(reading.class_of.get(value, -1), -1) for value in values])

    matrices = np.zeros((len(target.items), n_classes, n_classes), dtype=np.int64)
    for first in range(0, len(target.items), _AT_ONCE):
        found = [
            (i, joints[item.id])
            for i, item in enumerate(target.items[first : first + _AT_ONCE], first)
            if item.id in joints
        ]
        if not found:
            continue
        lengths = [joint.pairs.shape[1] for _, joint in found]
        sample = np.repeat([i for i, _ in found], lengths)
        pair, pixels = np.concatenate([joint.pairs for _, joint in found], axis=1)
        values = {id(joint.values): joint.values for _, joint in found}
        if len(values) == 1:  # nearly always: grey, or one palette
            column = columns(*values.values())[pair & IGNORE_ID]
        else:
            codes = np.split(pair & IGNORE_ID, np.cumsum(lengths)[:-1])
            tables = {key: columns(own) for key, own in values.items()}
            of_each = [tables[id(joint.values)] for _, joint in found]
            column = np.concatenate([t[c] for t, c in zip(of_each, codes, strict=True)])
        scored = pair >> 8 != IGNORE_ID
        at = sample[scored], row[pair[scored] >> 8], column[scored]
        if min(at[1].min(initial=0), at[2].min(initial=0)) < 0:
            raise AssertionError("values of no class were refused before")
        np.add.at(matrices, at, pixels[scored])
    return matrices


def _with_missing(
    matrices: NDArray[np.int64],
    missing: NDArray[np.bool_],
    worst: Callable[[NDArray[np.int64]], Counts],
) -> Counts:
    counts = Counts.of(matrices)
    if not missing.any():
        return counts
    replaced = worst(matrices.sum(axis=2))
    chosen = missing[:, np.newaxis]
    return Counts(*(np.where(chosen, w, c) for w, c in zip(replaced, counts, strict=True)))


@dataclass(frozen=True)
class _Counting:
    """What one sample is counted with; a method call is the work of one thread."""

    target: Target
    submission: Submission
    policy: Policy
    shapes: ShapeMeasures | None
    soft: SoftMeasures | None = None

    def __call__(self, item: Item) -> _Joint:
        known = {label.id for label in self.target.classes} | {IGNORE_ID}
        decoded = self.decode(item)
        codes = resize_nearest(decoded.codes, item.size)
        reference = item.runs() or item.read()
        if isinstance(reference, Runs):
            pairs = joint_pairs_of_runs(reference.values, reference.ends, codes)
        else:
            pairs = joint_pairs(reference, codes)
        if unknown := {pair >> 8 for pair in pairs[0].tolist()} - known:
            raise SegbenchError(
                f"{item.id}: the reference holds {', '.join(map(str, sorted(unknown)[:5]))}, which "
                f"is no class of {self.target.name}; check it with `segbench check`"
            )
        line = "" if self.target.digest else content_line(item.id, None, as_mask(reference))
        resized = decoded.size != item.size
        soft = None
        if self.soft is not None and decoded.probabilities is not None:
            probabilities = resize_nearest(decoded.probabilities, item.size)
            soft = self.soft.of_image(as_mask(reference), probabilities)
        joint = _Joint(
            pairs, decoded.kind, decoded.values, resized, line, soft=soft, note=decoded.note
        )
        reading = self._reading_of(joint, item.id) if self.shapes is not None else None
        if reading is None:
            return joint
        assumed = joint.classes(reading)
        values = self._shape_values(as_mask(reference), codes, joint.codes, assumed)
        return replace(joint, assumed=assumed, shapes=values)

    def decode(self, item: Item) -> Decoded:
        any_size = self.policy.resize == "nearest"
        return self.submission.decode(
            item.id, item.size, any_size=any_size, threshold=self.policy.threshold
        )

    def part(self, items: Sequence[Item]) -> _Counting:
        ids = [item.id for item in items]
        target = replace(self.target, items=(), notes=())
        return replace(self, target=target, submission=self.submission.part(ids))

    @property
    def signature(self) -> str:
        """Of everything but the samples; see `Lasting`."""
        names = [f.name for f in fields(_Joint)]
        target = replace(self.target, items=(), notes=())
        with_ = [getattr(self, f.name) for f in fields(self)[2:]]  # not target and submission
        what = (__version__, INTERFACE, names, target, with_)
        return hashlib.sha256(repr(what).encode()).hexdigest()

    def key(self, item: Item) -> str:
        return item.id

    def stamp(self, item: Item) -> str:
        return f"{self.submission.stamp(item.id)} {item.stamp()}"

    def record(self, result: _Joint) -> object:
        """A joint as JSON; the identity and palettes, which nearly all have, in short."""
        plain = {f.name: getattr(result, f.name) for f in fields(result)}
        if result.values == IDENTITY:
            plain["values"] = None
        elif palette := palette_of(result.values):
            plain["values"] = palette.hex()
        if result.soft is not None:
            plain["soft"] = result.soft.record()
        return {name: packed(value) for name, value in plain.items()}

    def recall(self, record: object) -> _Joint:
        packed_ = cast("dict[str, object]", record)
        found: dict[str, Any] = {name: unpacked(value) for name, value in packed_.items()}
        found["kind"] = Kind(found["kind"])
        if isinstance(found["values"], str):
            found["values"] = swatches(bytes.fromhex(found["values"]))
        found["values"] = found["values"] or IDENTITY
        if found["soft"] is not None:
            found["soft"] = SoftImage.recall(found["soft"])
        return _Joint(**found)

    def _reading_of(self, joint: _Joint, identifier: str) -> Reading | None:
        """How this file would be read alone; nearly always that is how all are read."""
        own = Seen()
        joint.show(own, identifier)
        try:
            return self.decide(own)
        except SegbenchError:
            return None

    def decide(self, seen: Seen) -> Reading:
        """How files with these values are read."""
        target = self.target
        return decide(seen, target.classes, asked=self.policy.form, own_colours=target.own_colours)

    def again(self, item: Item, joint: _Joint, reading: Reading) -> Floats:
        """The raw values of shapes of a sample whose own form was not that of all."""
        codes = resize_nearest(self.decode(item).codes, item.size)
        return self._shape_values(item.read(), codes, joint.codes, joint.classes(reading))

    def _shape_values(
        self,
        reference: NDArray[np.uint8],
        codes: NDArray[np.uint8],
        present: list[int],
        classes: tuple[int | None, ...],
    ) -> Floats:
        if self.shapes is None:
            raise AssertionError("no shapes are measured")
        codes_of: dict[int, list[int]] = {}
        for code, class_id in zip(present, classes, strict=True):
            if class_id is not None:
                codes_of.setdefault(class_id, []).append(code)
        return self.shapes.values(reference, codes, codes_of)


def _count_all(
    counting: _Counting,
    present: list[Item],
    engine: Engine,
    progress: Progress,
    problems: Problems,
) -> tuple[dict[str, _Joint], Seen]:
    seen = Seen()
    joints: dict[str, _Joint] = {}
    counted = engine.run(counting, present, expected=MaskFileError)
    for done, (item, joint) in enumerate(counted, 1):
        if isinstance(joint, _Joint):
            joints[item.id] = joint
            joint.show(seen, item.id)
        elif isinstance(joint, MaskFileError):
            problems.add(joint.kind, f"{item.id} ({joint.detail})", hint=joint.hint)
        progress(done, len(present))
    return joints, seen


def _values_of_shapes(
    counting: _Counting, joints: Mapping[str, _Joint], reading: Reading, engine: Engine
) -> Iterator[tuple[int, Floats]]:
    """Each sample's index and raw values; those measured under another form are measured again."""
    redone: list[tuple[int, Item, _Joint]] = []
    for i, item in enumerate(counting.target.items):
        joint = joints.get(item.id)
        if joint is None:
            continue
        if joint.shapes is not None and joint.assumed == joint.classes(reading):
            yield i, joint.shapes
        else:
            redone.append((i, item, joint))

    again = _Again(counting, reading)
    for (i, _, _), values in engine.run(again, redone, expected=MaskFileError):
        if isinstance(values, Exception):
            raise values
        yield i, values


@dataclass(frozen=True)
class _Again:
    """Measures the shapes of a sample whose own form was not that of all."""

    counting: _Counting
    reading: Reading

    def __call__(self, work: tuple[int, Item, _Joint]) -> Floats:
        _, item, joint = work
        return self.counting.again(item, joint, self.reading)

    def part(self, work: Sequence[tuple[int, Item, _Joint]]) -> _Again:
        return replace(self, counting=self.counting.part([item for _, item, _ in work]))


def resize_nearest(array: NDArray[Number], size: Size) -> NDArray[Number]:
    """Nearest-neighbour resize of (..., H, W): each pixel centre takes the value it falls on."""
    if array.shape[-2:] == size:
        return array
    height, width = size
    rows = ((np.arange(height) + 0.5) * array.shape[-2] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * array.shape[-1] / width).astype(np.intp)
    return array[..., rows[:, np.newaxis], columns]


def label_maps(
    target: Target, submission: Submission, reading: Reading, *, policy: Policy
) -> Callable[[str], NDArray[np.uint8] | None]:
    """A function that reads one sample's prediction again, as class ids at the reference's size.

    It returns HxW uint8, or None for a sample without a prediction.
    """
    submission = read_as(submission, policy.form, target.classes, policy.map)
    sizes = {item.id: item.size for item in target.items}
    predicted = submission.ids

    def label_map(identifier: str) -> NDArray[np.uint8] | None:
        if identifier not in predicted:
            return None
        size = sizes[identifier]
        decoded = submission.decode(
            identifier, size, any_size=policy.resize == "nearest", threshold=policy.threshold
        )
        lookup = [reading.class_of.get(value, IGNORE_ID) for value in decoded.values]
        ids = np.array(lookup, dtype=np.uint8)[decoded.codes]
        return resize_nearest(ids, size)

    return label_map
