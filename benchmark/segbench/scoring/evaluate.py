"""The evaluation of one submission: computed here, written and shown elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from segbench._version import __version__
from segbench.errors import SegbenchError
from segbench.masks.forms import Form, Reading
from segbench.masks.labels import IGNORE_ID, is_background
from segbench.masks.places import Place, is_url, place_of
from segbench.masks.prepared import FIXED_COLUMNS, data_place, open_prepared
from segbench.masks.submission import Arrays, Files, Submission, open_submission
from segbench.measures import ALL, FOREGROUND, Measure, Options, grid, meant
from segbench.scoring.engine import Engine, n_threads
from segbench.scoring.inverted import inverted_note
from segbench.scoring.references import ReferencePolicy, reference_target
from segbench.scoring.scores import Score, Table, score_table
from segbench.scoring.shapes import ShapeMeasures
from segbench.scoring.soft import SoftMeasures
from segbench.scoring.tally import Policy, Progress, Tally, tally
from segbench.scoring.target import Target, find_prepared, prepared_target
from segbench.statistics.bootstrap import Method, check_method

if TYPE_CHECKING:
    import pandas as pd

ArrayLike = NDArray[np.generic]
Masks = str | Place | Mapping[str, ArrayLike] | Iterable[ArrayLike]

SIZE = "size"
"""The subgroup by size of the object in the reference."""

DETECTIONS = " of detections with a score from "
"""Joins the form and the cut of detections."""

NO_LABEL = "(none)"
"""The subgroup of samples of which a column says nothing."""

_DATASET = "dataset_"


@dataclass(frozen=True)
class Evaluation:
    """What one submission scores, with the rows that every score was reduced from.

    Attributes:
        target: What it was scored against.
        origin: Where the predictions came from.
        reading: How their values were read.
        table: Counts of every sample and class.
        digest: The content digest of the samples scored.
        scores: One per (measure, class, over).
        subgroups: The same for subgroups of the samples: column -> value -> scores.
        notes: What a person should know about how the input was read.
        n_resized: How many predictions were resized (only on request).
        options: Of the measures.
        interval: How the intervals were formed from the resamples.
        min_score: The score from which on detections were taken.
        words: What the command line says of how predictions and references are read.
    """

    target: Target
    origin: str
    reading: Reading
    table: Table
    digest: str
    scores: tuple[Score, ...]
    subgroups: Mapping[str, Mapping[str, tuple[Score, ...]]]
    notes: tuple[str, ...]
    n_resized: int
    options: Options
    interval: Method = "percentile"
    min_score: float | None = None
    words: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """How the predictions' values were read, in words."""
        cut = "" if self.min_score is None else f"{DETECTIONS}{self.min_score:g}"
        return f"{self.reading.form}{cut}"

    @property
    def n_missing(self) -> int:
        """Samples without a prediction, scored as the worst value."""
        return int(self.table.missing.sum())

    def score(self, key: str, label: str | None = None, over: str | None = None) -> Score:
        """One score by measure, class and average.

        Args:
            key: The measure, such as `"dice"`.
            label: The class; by default the only foreground class, or `all` for the whole map.
            over: `"images"`, `"dataset"` or `"classes"`; by default `"classes"` for a measure of
                single classes where there are several, else `"images"`.

        Raises:
            SegbenchError: There is no such score.
        """
        wanted = label or self.main_label
        averages = (over,) if over else ("images", "classes")
        for average in averages:
            for score in self.scores:
                measure = score.measure
                if measure.key == key and measure.over == average and measure.label == wanted:
                    return score
        known = dict.fromkeys(score.measure.key for score in self.scores)
        if key not in known:
            found = ", ".join(known)
            raise SegbenchError(f"no score {key!r}{meant(key, known)}; there are {found}")
        raise SegbenchError(f"no score {key} for class {wanted!r} over {' or '.join(averages)}")

    @property
    def main_label(self) -> str:
        """The only foreground class; of several `foreground`, or `all` without a background."""
        names = [c.name for c in self.target.classes if not is_background(c)]
        if len(names) == 1:
            return names[0]
        return FOREGROUND if self.table.background is not None else ALL

    def measured(self) -> dict[str, Measure]:
        """By column of the rows the measure behind its values, with all its options."""
        names = self.table.class_names
        found: dict[str, Measure] = {}
        for measure in (score.measure for score in self.scores):
            if measure.over == "images" and measure.label in names:
                found.setdefault(measure.key, measure)
        return found

    def rows(self) -> pd.DataFrame:
        """One row per sample and class: counts, per-image measures, the dataset's columns."""
        import pandas as pd  # noqa: PLC0415

        items, names = self.target.items, self.table.class_names
        n, k = len(items), len(names)
        columns: dict[str, object] = {
            "id": np.repeat([item.id for item in items], k),
            "class": np.tile(names, n),
        }
        counts = self.table.counts
        for key, array in zip(("tp", "fp", "fn", "tn"), counts, strict=True):
            columns[key] = array.ravel()
        columns["missing"] = np.repeat(self.table.missing, k)
        of_class: dict[str, dict[str, Measure]] = {}
        for measure in (score.measure for score in self.scores):
            if measure.over == "images" and measure.label in names:
                of_class.setdefault(measure.key, {})[measure.label] = measure
        for key, measures in of_class.items():
            values = self.table.per_class(next(iter(measures.values())))
            measured = [name in measures for name in names]  # the background has no boundary
            columns[key] = np.where(measured, values, np.nan).ravel()
        taken = {*columns, *(score.measure.key for score in self.scores)}
        for key in dict.fromkeys(key for item in items for key in item.columns):
            column = pd.array([item.columns.get(key) for item in items])
            columns[row_column(key, taken)] = column.repeat(k)
        return pd.DataFrame(columns)


def row_column(name: str, taken: Collection[str]) -> str:
    """What a column of the dataset is called in the rows, where some names are ours."""
    return f"{_DATASET}{name}" if _bare(name) in taken else name


def dataset_column(name: str, taken: Collection[str]) -> str:
    """The dataset's own name of a column of the rows, the inverse of `row_column`."""
    return name.removeprefix(_DATASET) if _bare(name) in taken else name


def _bare(name: str) -> str:
    while name.startswith(_DATASET):
        name = name.removeprefix(_DATASET)
    return name


def evaluate(
    predictions: Masks | Submission,
    *,
    dataset: str | None = None,
    split: str = "test",
    fold: int | None = None,
    data: str | Place | None = None,
    references: Masks | None = None,
    class_names: Sequence[str] = (),
    reference_policy: ReferencePolicy | None = None,
    by: Sequence[str] = (),
    policy: Policy | None = None,
    options: Options | None = None,
    suffix: str = "",
    ending: str = "",
    ids: str = "",
    interval: Method = "percentile",
    jobs: int | None = None,
    engine: Engine | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Evaluation:
    """Score predictions against a prepared dataset, a folder of references, or arrays.

    >>> import numpy as np, segbench
    >>> truth = [np.array([[0, 1], [1, 1]])]
    >>> guess = [np.array([[0, 1], [0, 1]])]
    >>> segbench.evaluate(guess, references=truth).score("dice").value
    0.8

    Args:
        predictions: A folder, archive or RLE table, by its path or URL; or arrays or tensors (HxW
            ids, 0/255, or probabilities), by sample id or in the order of `references`: a batch
            NxHxW, a list or a generator.
        dataset: The prepared dataset; found by the ids where it is not given.
        split: The split to score.
        fold: The fold to score instead of a split.
        data: Where prepared datasets live, a folder or URL, if not the default place.
        references: Reference masks to score against, without a card; as `predictions`.
        class_names: With references: names of the classes 0, 1, ...
        reference_policy: With references: how their files are named and read.
        by: Columns of the dataset for subgroups; `size` is always there.
        policy: What is accepted that is refused by default.
        options: Of the measures: empty rules, boundaries, spacing, tolerance, percentile.
        suffix: What the predictions' file names carry behind the id.
        ending: Only files with this ending are predictions.
        ids: A regular expression that finds the id in the path of a prediction's file: its group
            `id`, else its first group, else all of what it matches.
        interval: `"percentile"` or `"bca"`, of the bootstrap over groups.
        jobs: Threads; None for one a core, and more where files are read from a URL.
        engine: What counts instead of threads: `segbench.scoring.cluster.Dask`, or either with a
            journal (`segbench.scoring.journal.Journaled`).
        progress: Told of each sample done, and of how many.

    Raises:
        SegbenchError: The input is refused; the message lists everything that is wrong with it.
    """
    check_method(interval)
    policy = policy or Policy()
    if references is not None:
        if dataset is not None:
            raise SegbenchError("give a dataset or references, not both")
        jobs = n_threads(jobs, remote=is_url(references) or is_url(predictions))
        named = place_of(references) if isinstance(references, Place | str) else _by_id(references)
        target = reference_target(
            named, class_names=class_names, policy=reference_policy, jobs=jobs
        )
        submission = _submission(predictions, suffix, ending, ids, policy)
    else:
        submission = _submission(predictions, suffix, ending, ids, policy)
        where = data_place(data)
        jobs = n_threads(jobs, remote=is_url(where) or is_url(predictions))
        found = open_prepared(dataset, data=where) if dataset else find_prepared(submission, where)
        target = prepared_target(found, split=split, fold=fold)
    return score_target(
        target,
        submission,
        policy=policy,
        options=options or Options(),
        by=by,
        interval=interval,
        jobs=jobs,
        engine=engine,
        progress=progress,
    )


def score_target(
    target: Target,
    submission: Submission,
    *,
    policy: Policy,
    options: Options,
    by: Sequence[str] = (),
    interval: Method = "percentile",
    jobs: int = 1,
    engine: Engine | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Evaluation:
    """Score a submission against the samples of a target; see `evaluate`."""
    names = [label.name for label in target.classes]
    ids = [label.id for label in target.classes]
    background = _background(target)
    measures = grid(names, background=background, options=options)
    shapes = ShapeMeasures.of(measures, ids, background=background)
    counted = tally(
        target,
        submission,
        policy=policy,
        jobs=jobs,
        progress=progress,
        shapes=shapes if shapes.measures else None,
        soft=SoftMeasures.of(measures, ids, background=background),
        engine=engine,
    )
    result = reduce_counts(
        target,
        counted,
        measures,
        origin=submission.origin,
        notes=submission.notes,
        policy=policy,
        options=options,
        by=by,
        interval=interval,
    )
    named = submission.naming.words if isinstance(submission, Files) else []
    return replace(result, words=(*target.words, *named, *policy.words))


def _background(target: Target) -> int | None:
    return next((i for i, c in enumerate(target.classes) if is_background(c)), None)


def reduce_counts(
    target: Target,
    counted: Tally,
    measures: Sequence[Measure],
    *,
    origin: str,
    notes: Sequence[str],
    policy: Policy,
    options: Options,
    by: Sequence[str],
    interval: Method,
) -> Evaluation:
    """Scores and subgroups of counted predictions."""
    names = tuple(label.name for label in target.classes)
    table = Table(
        names,
        _background(target),
        counted.counts,
        counted.map_counts,
        counted.missing,
        np.array([item.group for item in target.items]),
        counted.shapes,
        counted.soft,
    )

    def scored(part: Table, where: str) -> tuple[Score, ...]:
        tail = signature_tail(target, counted, policy, part, where)
        return score_table(part, measures, {m: f"{m}{tail}" for m in measures}, method=interval)

    asked = inverted_note(table)
    subgroups: dict[str, dict[str, tuple[Score, ...]]] = {}
    for column, labels, described in _subgroup_columns(target, table, by):
        values = sorted(set(labels), key=size_order if column == SIZE else str)
        subgroups[column] = {
            value: scored(
                table.take(np.array([label == value for label in labels])),
                f"|where:{column}={described.get(value, value)}",
            )
            for value in values
        }
    return Evaluation(
        target=target,
        origin=origin,
        reading=counted.reading,
        table=table,
        digest=counted.digest,
        scores=scored(table, ""),
        subgroups=subgroups,
        notes=(*target.notes, *notes, *counted.notes, *([asked] if asked else [])),
        n_resized=counted.n_resized,
        options=options,
        interval=interval,
        min_score=policy.min_score,
    )


def signature_tail(
    target: Target, counted: Tally, policy: Policy, part: Table, where: str = ""
) -> str:
    """What follows a measure in a signature; options stand there only where they had an effect."""
    parts = [f"|ignore:{IGNORE_ID}"]
    parts.append(f"|data:{target.name}@{target.version}/{target.selection}#{counted.digest[:6]}")
    parts.append(where)
    if part.missing.any():
        parts.append("|missing:worst")
    if counted.n_resized:
        parts.append("|resize:nearest")
    if policy.min_score is not None:
        parts.append(f"|min_score:{policy.min_score!r}")
    if counted.reading.form is Form.PROBABILITIES:
        if policy.threshold != 0.5 or policy.chosen:  # noqa: PLR2004
            parts.append(f"|cut:{policy.threshold!r}")
        if policy.chosen:
            parts.append(f"|chosen:{policy.chosen}")
    return "".join(parts) + f"|v:{__version__}"


def _subgroup_columns(
    target: Target, table: Table, by: Sequence[str]
) -> list[tuple[str, list[str], dict[str, str]]]:
    """Each subgroup column: its name, every sample's value, and how a signature puts a value."""
    found: list[tuple[str, list[str], dict[str, str]]] = []
    for column in dict.fromkeys(by):
        if column == SIZE:
            continue
        known = list(dict.fromkeys(key for item in target.items for key in item.columns))
        if column not in known:
            raise SegbenchError(
                f"--by {column}: {target.name} has no such column; there are "
                f"{', '.join([*known, SIZE])}"
            )
        labels = [label_of(item.columns.get(column)) for item in target.items]
        joined = column not in FIXED_COLUMNS  # those of the mask format may be empty, as a fold is
        if joined and labels and set(labels) == {NO_LABEL}:
            raise SegbenchError(
                f"--by {column}: the column is empty for all {len(labels):,} samples of "
                f"{target.name} {target.selection}; was the table of its values found?"
            )
        found.append((column, labels, {}))
    found.append((SIZE, *sizes(table)))
    return found


def label_of(value: object) -> str:
    """What a value of the dataset's columns is called as a subgroup."""
    return NO_LABEL if value is None else str(value) or NO_LABEL


def sizes(table: Table) -> tuple[list[str], dict[str, str]]:
    """Small, medium and large thirds by the objects' share of the image; empty ones apart."""
    reference = table.counts.reference.copy()
    if table.background is not None:
        reference[:, table.background] = 0
    total = np.maximum(table.counts.total[:, 0], 1)
    share = reference.sum(axis=1) / total
    present = share[share > 0]
    edges = np.quantile(present, (1 / 3, 2 / 3)) if len(present) else np.zeros(2)
    names = np.array(["small", "medium", "large"])
    third = names[np.searchsorted(edges, share, side="left")]
    labels = np.where(share > 0, third, "empty").tolist()
    low, high = (f"{edge:.4f}" for edge in edges)
    ranges = {"small": f"(0,{low}]", "medium": f"({low},{high}]", "large": f"({high},1]"}
    return labels, {name: f"{name}{range_}" for name, range_ in ranges.items()}


def size_order(value: str) -> int:
    """From empty to large."""
    return ["empty", "small", "medium", "large"].index(value)


def _submission(
    predictions: Masks | Submission, suffix: str, ending: str, ids: str, policy: Policy
) -> Submission:
    if isinstance(predictions, str | Place):
        place = place_of(predictions)
        return open_submission(place, suffix=suffix, ending=ending, ids=ids, table=policy.table)
    if hasattr(predictions, "decode"):
        return cast("Submission", predictions)
    return Arrays(_by_id(cast("Mapping[str, ArrayLike] | Iterable[ArrayLike]", predictions)))


def _by_id(arrays: Mapping[str, ArrayLike] | Iterable[ArrayLike]) -> Mapping[str, ArrayLike]:
    """Arrays by id; those that come without ids are numbered.

    Raises:
        SegbenchError: It is one mask, or no masks at all.
    """
    if isinstance(arrays, Mapping):
        return cast("Mapping[str, ArrayLike]", arrays)
    shape = getattr(arrays, "shape", None)
    if shape is not None and len(shape) < 3:  # noqa: PLR2004  a batch
        raise SegbenchError(
            f"one array {tuple(shape)}; expected a batch NxHxW, or a list of HxW arrays: give "
            f"[mask] for a single one"
        )
    try:
        return {f"{i:06d}": array for i, array in enumerate(arrays)}
    except TypeError as error:
        raise SegbenchError(
            f"{type(arrays).__name__}; expected a path, arrays by id, a batch NxHxW, or a list"
        ) from error
