"""Write an evaluation: scores.json and rows.parquet, as the contract says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from segbench._version import __version__
from segbench.errors import SegbenchError
from segbench.folders import place_folder, refuse_current
from segbench.masks.labels import BACKGROUND
from segbench.scoring.evaluate import Evaluation
from segbench.scoring.journal import JOURNAL
from segbench.scoring.scores import Score, Table
from segbench.scoring.soft_files import PROBABILITIES, write_cells
from segbench.statistics.bootstrap import LEVEL, SEED, Method, n_resamples_of

SCORES, ROWS, REPORT = "scores.json", "rows.parquet", "report.html"
MEASURE = "segbench.measure"
"""In the metadata of a column of rows.parquet: the measure, as a signature begins."""
OURS = frozenset({SCORES, ROWS, REPORT, PROBABILITIES, JOURNAL})


def scores_json(evaluation: Evaluation) -> dict[str, object]:
    """What scores.json holds (schema_version 1): fractions, NaN as null."""
    target = evaluation.target
    selection = {"split": target.split} if target.fold is None else {"fold": target.fold}
    return {
        "schema_version": 1,
        "dataset": target.name,
        "dataset_version": target.version,
        "split_digest": evaluation.digest,
        **selection,
        "n_samples": len(evaluation.table),
        "n_groups": evaluation.table.n_groups,
        "n_missing": evaluation.n_missing,
        "form": evaluation.form,
        **_background(evaluation),
        "notes": list(evaluation.notes),
        "interval": interval_json(evaluation.table, evaluation.interval),
        "segbench_version": __version__,
        "scores": _listed(evaluation.scores),
        "subgroups": {
            column: {value: _listed(scores) for value, scores in groups.items()}
            for column, groups in evaluation.subgroups.items()
        },
    }


def _background(evaluation: Evaluation) -> dict[str, str]:
    """The class that is no object, where its name does not say so."""
    column = evaluation.table.background
    name = BACKGROUND if column is None else evaluation.table.class_names[column]
    return {} if name == BACKGROUND else {"background": name}


def interval_json(table: Table, method: Method) -> dict[str, object]:
    """How intervals were formed, with all that is needed to form them again."""
    return {
        "method": method,
        "unit": table.unit,
        "resamples": n_resamples_of(table.n_groups),
        "seed": SEED,
        "level": LEVEL,
    }


def _listed(scores: Sequence[Score]) -> list[dict[str, object]]:
    return [
        {
            "measure": score.measure.key,
            "class": score.measure.label,
            "over": score.measure.over,
            "value": json_number(score.value),
            "ci95": [json_number(end) for end in score.ci95],
            "n": score.n,
            "signature": score.signature,
            **({"exact": score.exact} if score.exact else {}),
        }
        for score in scores
    ]


def json_number(value: float) -> float | str | None:
    """NaN as null; JSON has no infinity: with `empty:inf` it is the string "inf" or "-inf"."""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return None if math.isnan(value) else value


def write_evaluation(
    evaluation: Evaluation, folder: Path, *, extra: Callable[[Path], None] = lambda _: None
) -> None:
    """Write an evaluation into a folder, whole or not at all; a folder of ours is replaced.

    Args:
        evaluation: What to write.
        folder: The folder to make.
        extra: Writes more files (the report) into the folder being made.

    Raises:
        SegbenchError: The folder holds anything that is not ours, or cannot be written.
    """
    refuse_foreign(folder)

    def fill(made: Path) -> None:
        text = json.dumps(scores_json(evaluation), indent=1, ensure_ascii=False, allow_nan=False)
        (made / SCORES).write_text(text + "\n", encoding="utf-8")
        write_rows(evaluation, made / ROWS)
        if evaluation.table.soft is not None:
            write_cells(evaluation.table.soft, made / PROBABILITIES)
        extra(made)

    place_folder(folder, fill, replace=True)


def write_rows(evaluation: Evaluation, path: Path) -> None:
    """Write rows.parquet: each column of values says with which options it was measured."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = pa.Table.from_pandas(evaluation.rows(), preserve_index=False)
    measured = evaluation.measured()
    fields = [
        field.with_metadata({MEASURE: str(measured[field.name])})
        if field.name in measured
        else field
        for field in rows.schema
    ]
    pq.write_table(rows.cast(pa.schema(fields, metadata=rows.schema.metadata)), path)


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier evaluation.

    Raises:
        SegbenchError: It does, or is the one that the process is in.
    """
    refuse_current(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SegbenchError(f"{folder}: is a file; expected a folder to write to")
    foreign = sorted({path.name for path in folder.iterdir()} - OURS)
    if foreign:
        raise SegbenchError(
            f"{folder}: holds {', '.join(foreign[:3])}{', ...' * (len(foreign) > 3)}, which an "  # noqa: PLR2004
            f"evaluation did not write; choose a new folder with --out"
        )
