"""The best threshold of foreground probabilities: chosen on one split, applied to another.

A threshold that is chosen on the samples that are then scored flatters the score. So what was
chosen carries the samples it was chosen on, the test split is refused here, and `check_unseen`
refuses to apply it to any of those samples.

All thresholds k / steps are tried exactly: the cells of a measured image (`segbench.soft`) hold how
many of its pixels lie above each. Of thresholds that are equally good the nearest to 0.5 is taken,
of two as near the lower.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segbench._version import __version__
from segbench.catalog.faults import all_words
from segbench.confusion import Counts
from segbench.errors import SegbenchError
from segbench.masks.json_files import read_json
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.prepared import selection_name
from segbench.masks.submission import Submission
from segbench.measures import Measure, definition_of, values
from segbench.scoring.scores import Table
from segbench.scoring.soft import SoftMeasures
from segbench.scoring.tally import Policy, Progress, tally
from segbench.scoring.target import Target
from segbench.statistics.bootstrap import ROUNDING, percentile_interval, replicate

Floats = NDArray[np.float64]
Averages = Literal["images", "dataset"]

STEPS = 100
MAX_BYTES = 2**24
_AGAIN = "make it again with `segbench threshold --out`"

Fraction = Annotated[float, Field(ge=0, le=1)]


class Chosen(BaseModel):
    """A threshold and where it comes from; as JSON, what `segbench threshold` writes.

    Attributes:
        threshold: Foreground is where the probability is greater.
        ci95: Of the threshold, bootstrap over groups; None where there is one group only.
        measure: What was best there, with its average.
        value: The measure at the threshold.
        value_at_half: The measure at 0.5.
        steps: Thresholds k / steps were tried.
        dataset: Where it was chosen, with version, split or fold and content digest.
        samples: The ids it was chosen on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    threshold: Fraction
    ci95: tuple[Fraction, Fraction] | None
    measure: str
    value: float
    value_at_half: float | None
    steps: int
    dataset: str
    dataset_version: str
    split: str
    fold: int | None
    split_digest: str
    n_groups: int
    segbench_version: str
    samples: tuple[str, ...]
    curve: tuple[tuple[Fraction, float | None], ...]

    @property
    def where(self) -> str:
        """What it was chosen by and on, as a signature says it."""
        key, over = (part.rpartition(":")[2] for part in self.measure.split("|")[:3:2])
        selection = selection_name(self.split, self.fold)
        return (
            f"{key}/{over}@{self.dataset}@{self.dataset_version}/{selection}#"
            f"{self.split_digest[:6]}"
        )


def check_choosable(target: Target, key: str) -> None:
    """Refuse what no threshold may or can be chosen for, before the work.

    Raises:
        SegbenchError: It is the test split, there are several objects, or the measure has no value
            for single images from counts.
    """
    if target.split == "test":
        raise SegbenchError(
            f"{target.name} {target.selection}: a threshold chosen on the samples that are scored "
            f"flatters the score; choose it on --split val (for folds: --split val --fold K, the "
            f"part that validates when fold K is tested), and apply it with `segbench evaluate "
            f"--threshold FILE`"
        )
    check_binary(target)
    if definition_of(key).per_class is None:
        raise SegbenchError(
            f"--measure {key}: a threshold is chosen by a measure of one class from counts, such "
            f"as dice, iou, mcc or balanced_accuracy"
        )


def check_binary(target: Target) -> LabelClass:
    """The one foreground class of two.

    Raises:
        SegbenchError: There are other classes.
    """
    objects = foreground(target.classes)
    if len(target.classes) != 2 or len(objects) != 1:  # noqa: PLR2004
        names = ", ".join(label.name for label in target.classes)
        raise SegbenchError(
            f"{target.name} has {len(target.classes)} classes ({names}): a threshold cuts the "
            f"probability of one object against its background; maps of several classes are read "
            f"by the greatest probability and have no threshold"
        )
    return objects[0]


def choose(
    target: Target,
    submission: Submission,
    *,
    key: str = "dice",
    over: Averages = "images",
    steps: int = STEPS,
    policy: Policy | None = None,
    jobs: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> Chosen:
    """The best threshold of a submission of probabilities.

    Args:
        target: The samples to choose it on: a split that is not tested.
        submission: The probabilities.
        key: The measure.
        over: Mean over images, or pooled.
        steps: Thresholds k / steps are tried, 0 < k < steps.
        policy: What is accepted that is refused by default.
        jobs: Threads.
        progress: Told of each sample done, and of how many.

    Raises:
        SegbenchError: It may not or cannot be chosen there, the input is refused, or the measure is
            undefined throughout.
    """
    check_choosable(target, key)
    label = check_binary(target).name
    measure = Measure(key=key, label=label, over=over)
    names, ids = ([getattr(c, of) for c in target.classes] for of in ("name", "id"))
    background = next(i for i, name in enumerate(names) if name != label)
    of_bins = Measure(key="ece", label=label, over="images", bins=steps)
    soft = SoftMeasures.of([of_bins], ids, background=background)
    policy = policy or Policy()
    counted = tally(target, submission, policy=policy, jobs=jobs, progress=progress, soft=soft)
    groups = np.array([item.group for item in target.items])
    table = Table(
        tuple(names),
        background,
        counted.counts,
        counted.map_counts,
        counted.missing,
        groups,
        soft=counted.soft,
    )
    at = _AtThresholds.of(table, measure)
    (curve,) = at.curves(np.ones((1, at.n_units)))
    if np.isnan(curve).all():
        raise SegbenchError(f"{submission.origin}: {measure} is undefined at every threshold")
    best = int(at.best(curve[np.newaxis])[0])
    ends: tuple[float, float] | None = None
    if at.n_units > 1:
        drawn = replicate(
            lambda weight: at.thresholds[at.best(at.curves(weight)), None], at.n_units
        )
        low, high = percentile_interval(drawn)
        ends = (float(low[0]), float(high[0]))
    half = np.flatnonzero(at.thresholds == 0.5)  # noqa: PLR2004  exact: a grid of halves has it
    return Chosen(
        threshold=float(at.thresholds[best]),
        ci95=ends,
        measure=str(measure),
        value=float(curve[best]),
        value_at_half=float(curve[half[0]]) if len(half) else None,
        steps=at.steps,
        dataset=target.name,
        dataset_version=target.version,
        split=target.split,
        fold=target.fold,
        split_digest=counted.digest,
        n_groups=table.n_groups,
        segbench_version=__version__,
        samples=tuple(item.id for item in target.items),
        curve=tuple(
            (float(t), None if math.isnan(value) else float(value))
            for t, value in zip(at.thresholds, curve, strict=True)
        ),
    )


@dataclass(frozen=True)
class _AtThresholds:
    """A measure at every threshold, as a function of the groups' weights."""

    measure: Measure
    steps: int
    sums: Floats  # over images: (units, T) sums of the images' values; else unused
    defined: Floats  # (units, T) how many images have a value
    counts: Counts  # (units, T)

    @classmethod
    def of(cls, table: Table, measure: Measure) -> _AtThresholds:
        column = table.class_names.index(measure.label)
        _, unit = np.unique(table.groups, return_inverse=True)
        n, n_units = len(table), int(unit.max()) + 1
        images = table.of_soft.binned(column, np.arange(n), n)
        counts = _above(images.negatives, images.positives)
        one_class = Counts(*(part[..., np.newaxis] for part in counts))
        value = values(replace(measure, over="images"), one_class)[..., 0]
        has_pixels = (counts.total[:, :1] > 0) & table.missing[:, np.newaxis]
        value = np.where(has_pixels, measure.definition.worst, value)

        def by_unit(part: NDArray[np.number]) -> Floats:
            sums = np.zeros((n_units, part.shape[1]))
            np.add.at(sums, unit, part)
            return sums

        return cls(
            measure,
            table.of_soft.bins,
            by_unit(np.nan_to_num(value)),
            by_unit(~np.isnan(value)),
            Counts(*(by_unit(part) for part in counts)),
        )

    @property
    def n_units(self) -> int:
        return len(self.sums)

    @property
    def thresholds(self) -> Floats:
        return np.arange(1, self.steps) / self.steps

    def curves(self, weight: Floats) -> Floats:
        """Values (b, T) for weights (b, units)."""
        if self.measure.over == "images":
            sums, n = weight @ self.sums, weight @ self.defined
            return np.divide(sums, n, out=np.full(sums.shape, np.nan), where=n > 0)
        pooled = Counts(*((weight @ part)[..., np.newaxis] for part in self.counts))
        return values(self.measure, pooled)[..., 0]

    def best(self, curves: Floats) -> NDArray[np.intp]:
        """The index (b,) of the best threshold of each curve; see the module for ties."""
        gain = curves if self.measure.definition.higher_is_better else -curves
        gain = np.where(np.isnan(gain), -np.inf, gain)
        top = gain.max(axis=1, keepdims=True)
        finite = np.where(np.isfinite(top), top, 0.0)
        tied = gain >= top - ROUNDING * np.abs(finite)
        k = np.arange(1, self.steps)
        order = np.lexsort((k, np.abs(2 * k - self.steps)))
        return order[tied[:, order].argmax(axis=1)]


def _above(negatives: Floats, positives: Floats) -> Counts:
    """Counts (n, T) of pixels by bin (n, M), T = M - 1, cut at the bins' inner edges."""
    tp, fp = (np.cumsum(part[:, ::-1], axis=1)[:, ::-1][:, 1:] for part in (positives, negatives))
    inside, outside = (part.sum(axis=1, keepdims=True) for part in (positives, negatives))
    return Counts(tp, fp, inside - tp, outside - fp)


def write_chosen(chosen: Chosen, path: Path) -> None:
    """Write a threshold as JSON.

    Raises:
        SegbenchError: It cannot be written.
    """
    text = json.dumps(chosen.model_dump(mode="json"), ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SegbenchError(f"{path}: cannot be written ({error.strerror})") from error


def refuse_foreign_threshold(path: Path) -> None:
    """Refuse a place where something other than an earlier threshold stands.

    Raises:
        SegbenchError: It does.
    """
    if path.is_dir():
        raise SegbenchError(
            f"{path}: is a folder; expected a file to write, such as {path / 'threshold.json'}"
        )
    if path.exists():
        read_chosen(path)


def read_chosen(path: Path) -> Chosen:
    """Read what `segbench threshold --out` wrote.

    Raises:
        SegbenchError: It is not there, or is no such file, or was made for the test split.
    """
    if not path.is_file():
        raise SegbenchError(
            f"--threshold {path}: neither a number from 0 to 1 nor a file that `segbench threshold "
            f"--out` wrote"
        )
    try:
        chosen = Chosen.model_validate(read_json(path, max_bytes=MAX_BYTES))
    except ValidationError as error:
        raise SegbenchError(
            f"{path}: is not what `segbench threshold` writes ({all_words(error)}); {_AGAIN}"
        ) from error
    if chosen.split == "test":
        raise SegbenchError(f"{path}: chosen on {chosen.where}: a test split; {_AGAIN} on val")
    return chosen


def check_unseen(chosen: Chosen, target: Target) -> None:
    """Refuse to score samples on which the threshold was chosen, and maps that have none.

    Raises:
        SegbenchError: A sample was seen, or there are several classes.
    """
    check_binary(target)
    bare = target.version == "0"
    seen = {*chosen.samples} & {item.id for item in target.items}
    if seen and (bare or target.name == chosen.dataset):
        shown = ", ".join(sorted(seen)[:3])
        raise SegbenchError(
            f"the threshold {chosen.threshold:g} was chosen on {chosen.where}, which holds "
            f"{len(seen)} of the {len(target.items)} samples to be scored ({shown}"
            f"{', ...' * (len(seen) > 3)}): the score would be flattered; score another split, or "  # noqa: PLR2004
            f"give a number with --threshold"
        )
