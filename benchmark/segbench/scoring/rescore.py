"""Scores from kept rows: the counts and boundaries that were measured once, reduced again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.errors import SegbenchError
from segbench.masks.forms import Form, Reading
from segbench.masks.json_files import read_json
from segbench.masks.labels import LabelClass
from segbench.measures import DEFINITIONS, Measure, Options, grid
from segbench.scoring.evaluate import DETECTIONS, Evaluation, reduce_counts
from segbench.scoring.files import ROWS, SCORES
from segbench.scoring.scores import Table
from segbench.scoring.stored import (
    MAX_SCORES_BYTES,
    Stored,
    measure_of,
    read_rows,
    read_scores,
    same_options,
    unsaid,
)
from segbench.scoring.tally import Policy, Tally
from segbench.scoring.target import BareItem, Item, Target

NOT_PROVEN = "not proven"
"""Begins the note on rows of which only their own scores.json says how they were measured."""

_COUNTED = ("id", "class", "tp", "fp", "fn", "tn", "missing")


def evaluate_rows(folder: Path, *, by: Sequence[str] = ()) -> Evaluation:
    """Score the rows in a folder that `segbench evaluate --out` wrote by today's measures.

    Masks are needed for nothing but boundaries that were not measured then: those measures are left
    out, and a note says which. The scores in the folder are not looked at.

    Args:
        folder: Holds rows.parquet and scores.json.
        by: Columns of the rows for subgroups.

    Raises:
        SegbenchError: It is no such folder, or a file is damaged.
    """
    stored = read_scores(folder, check=False)
    head: dict[str, Any] = read_json(folder / SCORES, max_bytes=MAX_SCORES_BYTES)
    table = stored.table
    part, value = stored.selection
    target = Target(
        name=stored.dataset,
        version=stored.dataset_version,
        split="test" if part == "fold" else str(value),
        fold=int(value) if part == "fold" else None,
        digest=stored.digest,
        classes=tuple(
            LabelClass(id=i, name=name, color=(0, 0, 0), background=i == table.background)
            for i, name in enumerate(table.class_names)
        ),
        items=_items(folder, stored),
    )
    options = Options()
    wanted = grid(table.class_names, background=table.background, options=options)
    measured = {**_claimed(head), **stored.measured}  # what a column says of itself counts first
    measures = [m for m in wanted if not m.definition.of_shape or _holds(table, measured, m)]
    absent = sorted({m.key for m in wanted} - {m.key for m in measures})
    others = sorted(set(absent) & table.shapes.keys())
    absent = [key for key in absent if key not in others]
    notes = [f"not measured when the rows were made: {', '.join(absent)}"] if absent else []
    if others:
        notes.append(f"measured with other options, left out: {', '.join(others)}")
    if silent := unsaid(stored):
        notes.append(
            f"{NOT_PROVEN}: the columns {', '.join(silent)} do not say with which options they "
            f"were measured; only scoring the masks again shows it"
        )
    form = str(head.get("form")).partition(DETECTIONS)[0]
    if form not in set(Form):
        raise SegbenchError(f"{folder / SCORES}: form is none of {', '.join(Form)}")
    return reduce_counts(
        target,
        Tally(
            counts=table.counts,
            map_counts=table.map_counts,
            missing=table.missing,
            reading=Reading(Form(form), {}),
            n_resized=0,
            digest=stored.digest,
            shapes=table.shapes,
        ),
        measures,
        origin=str(folder),
        notes=notes,
        policy=Policy(),
        options=options,
        interval="percentile",
        by=by,
    )


def _claimed(head: Mapping[str, Any]) -> dict[str, Measure]:
    """By key the measure that scores.json names."""
    found: dict[str, Measure] = {}
    for score in head.get("scores", ()):
        measure = measure_of(str(score["signature"]))
        if measure.over == "images":
            found.setdefault(measure.key, measure)
    return found


def _holds(table: Table, measured: Mapping[str, Measure], wanted: Measure) -> bool:
    """Whether the rows have a measure of shapes with these options."""
    said = measured.get(wanted.key)
    return wanted.key in table.shapes and said is not None and same_options(said, wanted)


def _items(folder: Path, stored: Stored) -> tuple[Item, ...]:
    """The samples with the dataset's columns as they were stored: texts, numbers and gaps."""
    rows = read_rows(folder / ROWS)
    step = len(stored.table.class_names)
    columns = {
        name: rows[name].to_pylist()[::step]
        for name in stored.columns
        if name not in {*_COUNTED, *DEFINITIONS}
    }
    return tuple(
        BareItem(
            id=identifier,
            group=str(stored.table.groups[i]),
            columns={name: values[i] for name, values in columns.items()},
            size=(0, 0),
            read=_no_mask,
        )
        for i, identifier in enumerate(stored.ids)
    )


def _no_mask() -> Any:  # noqa: ANN401  never returns
    raise AssertionError("rows hold no masks")
