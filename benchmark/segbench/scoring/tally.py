"""Predictions x references -> counts: read, check, count; everything wrong is listed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts, worst_counts, worst_map
from segbench.errors import Problems, SegbenchError
from segbench.kernels import joint_pairs
from segbench.masks.decode import Kind, MaskFileError, Size, Value
from segbench.masks.digests import content_line, digest
from segbench.masks.forms import Form, Reading, Seen, decide
from segbench.masks.labels import IGNORE_ID
from segbench.masks.submission import Submission
from segbench.scoring.target import Item, Target
from segbench.scoring.threads import in_order

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is accepted that is refused by default, and how soft predictions are cut."""

    form: Form | None = None
    missing: Literal["error", "worst"] = "error"
    extra: Literal["error", "ignore"] = "error"
    resize: Literal["error", "nearest"] = "error"
    threshold: float = 0.5


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
    """

    counts: Counts
    map_counts: Counts
    missing: NDArray[np.bool_]
    reading: Reading
    n_resized: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Joint:
    """One sample's pairs (reference value, prediction code) with their pixels."""

    pairs: NDArray[np.intp]
    pixels: NDArray[np.int64]
    kind: Kind
    values: tuple[Value, ...]
    resized: bool
    line: str

    def show(self, seen: Seen, identifier: str) -> None:
        """Tell which values occur, at valid pixels and at ignored ones."""
        valid = (self.pairs >> 8 != IGNORE_ID).tolist()
        at = [self.values[code] for code in (self.pairs & 255).tolist()]
        seen.add(
            identifier,
            self.kind,
            valid=[value for value, ok in zip(at, valid, strict=True) if ok],
            ignored=[value for value, ok in zip(at, valid, strict=True) if not ok],
            n_channels=len(self.values),
        )


def tally(
    target: Target,
    submission: Submission,
    *,
    policy: Policy,
    jobs: int,
    progress: Progress,
) -> Tally:
    """Count every sample of a target.

    Raises:
        SegbenchError: Predictions are missing, extra, unreadable, of the wrong size or in no form
            that is known; one error lists all of it.
    """
    problems = Problems()
    _check_ids(target, submission, policy, problems)
    predicted = submission.ids
    present = [item for item in target.items if item.id in predicted]
    joints, seen = _count_all(target, present, submission, policy, jobs, progress, problems)
    try:
        reading = decide(seen, target.classes, asked=policy.form)
    except SegbenchError as error:
        if not problems:
            raise SegbenchError(f"{submission.origin}: {error}") from error
        if seen.kinds:
            problems.add("values in no known form", str(error))
        raise problems.error(f"{submission.origin}: the predictions were not scored") from error
    problems.raise_if_any(f"{submission.origin}: the predictions were not scored")
    class_index = {label.id: i for i, label in enumerate(target.classes)}
    column = {value: class_index[c] for value, c in reading.class_of.items() if c in class_index}
    n_classes = len(target.classes)
    matrices = np.zeros((len(target.items), n_classes, n_classes), dtype=np.int64)
    missing = np.array([item.id not in joints for item in target.items])
    lines: list[str] = []
    for i, item in enumerate(target.items):
        if missing[i]:
            reference = item.read()
            pixels = np.bincount(reference.ravel(), minlength=IGNORE_ID + 1)
            matrices[i, :, 0] = [pixels[label.id] for label in target.classes]
            lines.append(content_line(item.id, None, reference) if not target.digest else "")
            continue
        joint = joints[item.id]
        lines.append(joint.line)
        for pair, pixels in zip(joint.pairs, joint.pixels, strict=True):
            row, code = divmod(int(pair), IGNORE_ID + 1)
            if row != IGNORE_ID:
                matrices[i, class_index[row], column[joint.values[code]]] += pixels
    return Tally(
        counts=_with_missing(matrices, missing, worst_counts),
        map_counts=_with_missing(matrices, missing, worst_map),
        missing=missing,
        reading=reading,
        n_resized=sum(joint.resized for joint in joints.values()),
        digest=target.digest or digest(lines),
    )


def _with_missing(
    matrices: NDArray[np.int64],
    missing: NDArray[np.bool_],
    worst: Callable[[NDArray[np.int64]], Counts],
) -> Counts:
    counts = Counts.of(matrices)
    replaced = worst(matrices.sum(axis=2))
    chosen = missing[:, np.newaxis]
    return Counts(*(np.where(chosen, w, c) for w, c in zip(replaced, counts, strict=True)))


def _check_ids(target: Target, submission: Submission, policy: Policy, problems: Problems) -> None:
    wanted = [item.id for item in target.items]
    predicted = submission.ids
    absent = [identifier for identifier in wanted if identifier not in predicted]
    extra = sorted(predicted - set(wanted))
    if len(absent) == len(wanted):
        raise SegbenchError(
            f"{submission.origin}: no prediction for any of the {len(wanted)} samples of "
            f"{target.name} {target.selection}; found {', '.join(extra[:3])}, expected "
            f"{', '.join(wanted[:3])}{_suffix_advice(extra, set(wanted))}"
        )
    if policy.missing == "error":
        for identifier in absent:
            problems.add(
                f"missing predictions, of {len(wanted)} samples",
                identifier,
                hint="predict them too, or let each score the worst value with --missing worst",
            )
    if policy.extra == "error":
        for identifier in extra:
            problems.add(
                f"ids that {target.name} {target.selection} does not have",
                identifier,
                hint="is it the right split? leave them out with --extra ignore",
            )


def _suffix_advice(found: list[str], wanted: set[str]) -> str:
    """The --suffix that would map a file's name to an id, where there is one."""
    for name in found[:20]:
        for end in range(len(name) - 1, 0, -1):
            if name[:end] in wanted:
                return f"; do you mean --suffix {name[end:]} ?"
    return ""


def _count_all(  # noqa: PLR0917  all of `tally`'s arguments, for one step of it
    target: Target,
    present: list[Item],
    submission: Submission,
    policy: Policy,
    jobs: int,
    progress: Progress,
    problems: Problems,
) -> tuple[dict[str, _Joint], Seen]:
    known = {label.id for label in target.classes} | {IGNORE_ID}
    seen = Seen()
    joints: dict[str, _Joint] = {}

    def one(item: Item) -> _Joint:
        reference = item.read()
        decoded = submission.decode(
            item.id, item.size, any_size=policy.resize == "nearest", threshold=policy.threshold
        )
        pairs, pixels = joint_pairs(reference, resize_nearest(decoded.codes, item.size))
        if unknown := {pair >> 8 for pair in pairs.tolist()} - known:
            raise SegbenchError(
                f"{item.id}: the reference holds {', '.join(map(str, sorted(unknown)[:5]))}, which "
                f"is no class of {target.name}; check it with `segbench check`"
            )
        line = "" if target.digest else content_line(item.id, None, reference)
        resized = decoded.size != item.size
        return _Joint(pairs, pixels, decoded.kind, decoded.values, resized, line)

    counted = in_order(one, present, jobs=jobs, expected=MaskFileError)
    for done, (item, joint) in enumerate(counted, 1):
        if isinstance(joint, _Joint):
            joints[item.id] = joint
            joint.show(seen, item.id)
        elif isinstance(joint, MaskFileError):
            problems.add(joint.kind, f"{item.id} ({joint.detail})", hint=joint.hint)
        progress(done, len(present))
    return joints, seen


def resize_nearest(codes: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Nearest-neighbour resize of HxW codes: each pixel centre takes the value it falls on."""
    if codes.shape == size:
        return codes
    height, width = size
    rows = ((np.arange(height) + 0.5) * codes.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * codes.shape[1] / width).astype(np.intp)
    return codes[rows[:, np.newaxis], columns]


def label_maps(
    target: Target, submission: Submission, reading: Reading, *, policy: Policy
) -> Callable[[str], NDArray[np.uint8] | None]:
    """A function that reads one sample's prediction again, as class ids at the reference's size.

    It returns HxW uint8, or None for a sample without a prediction.
    """
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
