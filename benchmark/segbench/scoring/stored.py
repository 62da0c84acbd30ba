"""Read a scores folder back: rows.parquet as a table, checked against scores.json.

Nothing of the folder is believed that the other file can refute: the rows must be the full grid of
samples and classes, and every score must come out of them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segbench.catalog.faults import fault_words
from segbench.confusion import Counts, worst_map
from segbench.errors import Problems, SegbenchError
from segbench.masks.json_files import read_json, read_regular
from segbench.masks.labels import BACKGROUND
from segbench.measures import ALL, DEFINITIONS, FOREGROUND, Measure, definition_of, parse
from segbench.scoring.evaluate import SIZE, dataset_column, label_of, sizes
from segbench.scoring.files import MEASURE, ROWS, SCORES
from segbench.scoring.scores import Score, Table, point_values
from segbench.scoring.soft import SoftTable
from segbench.scoring.soft_files import PROBABILITIES, read_cells
from segbench.soft import BINS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

TOLERANCE = 1e-9
"""Of a score recomputed from the rows; sums in another order differ by less."""

MAX_SCORES_BYTES, MAX_SCORES = 2**26, 50_000
MAX_ROWS_BYTES, MAX_ROWS, MAX_COLUMNS = 2**28, 4_000_000, 500
MAX_INFLATED_BYTES = 2**30
MAX_TEXT_BYTES = 2**28
"""Of all texts, each as often as it occurs: a stranger's table may name a long one in every row."""
MAX_VALUES = 2 * 10**8
"""Of the images under all scores together, which are computed again at once."""
MAX_COUNT = 2**40
"""Of pixels in an image; sums of more would overflow."""

_COUNTS = ("tp", "fp", "fn", "tn")
_OURS = ("id", "class", *_COUNTS, "missing")
_AGAIN = "run `segbench evaluate --out` again"


@dataclass(frozen=True)
class Stored:
    """One submission's scores as `segbench evaluate --out` wrote them.

    Attributes:
        folder: Where they were read.
        dataset: What was scored against, with its version.
        selection: `("split", "test")` or `("fold", 0)`.
        digest: The content digest of the samples.
        version: The segbench that wrote them.
        ids: The n samples, in the order of the table.
        table: The counts of every sample and class.
        columns: The dataset's columns, a label for each sample.
        measured: By key the measure that a column of values says it holds; a column that an earlier
            version wrote says nothing.
        scores: Every stored score.
        subgroups: By column and value, the stored scores of a part of the samples.
    """

    folder: Path
    dataset: str
    dataset_version: str
    selection: tuple[str, str | int]
    digest: str
    version: str
    ids: tuple[str, ...]
    table: Table
    columns: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, Measure]
    scores: tuple[Score, ...]
    subgroups: Mapping[str, Mapping[str, tuple[Score, ...]]] = field(
        default_factory=dict[str, Mapping[str, tuple[Score, ...]]]
    )

    @property
    def main_label(self) -> str:
        """The only foreground class, `foreground` where there are several, or `all`."""
        objects = [i for i in range(len(self.table.class_names)) if i != self.table.background]
        if len(objects) == 1:
            return self.table.class_names[objects[0]]
        return "all" if self.table.background is None else "foreground"


class _ScoreRow(BaseModel):
    model_config = ConfigDict(frozen=True)

    measure: str
    label: str = Field(alias="class")
    over: str
    value: float | None
    ci95: tuple[float | None, float | None]
    n: int
    signature: str
    exact: str = ""


_OfSubgroup = Annotated[tuple[_ScoreRow, ...], Field(max_length=MAX_SCORES)]


class _Scores(BaseModel):
    """What is read of scores.json; keys that a later version adds are left alone."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1]
    dataset: str
    dataset_version: str
    split_digest: str
    split: str | None = None
    fold: int | None = None
    n_samples: int
    n_groups: int
    n_missing: int
    background: str = BACKGROUND
    segbench_version: str
    scores: tuple[_ScoreRow, ...] = Field(max_length=MAX_SCORES)
    subgroups: dict[str, dict[str, _OfSubgroup]] = Field(default_factory=dict)


def read_scores(folder: str | Path, *, check: bool = True) -> Stored:
    """Read and check a folder that `segbench evaluate --out` wrote.

    Args:
        folder: The folder.
        check: Hold scores against rows. Without it the scores are not read, and the rows are only
            checked by themselves: for scores of an earlier version, which are made again.

    Raises:
        SegbenchError: It is no such folder, a file is damaged, or rows and scores do not agree.
    """
    folder = Path(folder)
    _check_files(folder)
    head = _read_json(folder / SCORES)
    rows = read_rows(folder / ROWS)
    names, ids = _grid(folder / ROWS, rows)
    table, columns = _table(folder / ROWS, rows, names, ids, head)
    scores = tuple(_score(folder / SCORES, row, names) for row in head.scores) if check else ()
    stored = Stored(
        folder=folder,
        dataset=head.dataset,
        dataset_version=head.dataset_version,
        selection=("split", head.split) if head.split is not None else ("fold", head.fold or 0),
        digest=head.split_digest,
        version=head.segbench_version,
        ids=ids,
        table=table,
        columns=columns,
        measured=_measured(folder / ROWS, rows),
        scores=scores,
        subgroups={
            column: {
                value: tuple(_score(folder / SCORES, row, names) for row in of_value)
                for value, of_value in groups.items()
            }
            for column, groups in (head.subgroups.items() if check else ())
        },
    )
    if check:
        _check(stored, head, rows)
    return stored


def _measured(path: Path, rows: pa.Table) -> dict[str, Measure]:
    """What the columns of values say that they hold."""
    found: dict[str, Measure] = {}
    for column in rows.schema:
        said = (column.metadata or {}).get(MEASURE.encode())
        if said is None:
            continue
        try:
            measure = parse(said.decode("utf-8", "replace"))
        except SegbenchError as error:
            raise SegbenchError(f"{path}: column {column.name!r}: {error}; {_AGAIN}") from error
        if measure.key != column.name:
            raise SegbenchError(
                f"{path}: column {column.name!r} says that it holds {measure.key}; {_AGAIN}"
            )
        found[column.name] = measure
    return found


def same_options(a: Measure, b: Measure) -> bool:
    """Whether two measures are one but for class and average."""
    return replace(a, label=b.label, over=b.over) == b


def unsaid(stored: Stored) -> list[str]:
    """The columns of shapes that do not say with which options they were measured."""
    return sorted(stored.table.shapes.keys() - stored.measured.keys())


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "there is no such folder"
        raise SegbenchError(
            f"{folder}: {found}; expected a folder that `segbench evaluate --out` wrote"
        )
    absent = [name for name in (SCORES, ROWS) if not (folder / name).is_file()]
    if absent:
        raise SegbenchError(
            f"{folder}: is not a scores folder, it holds no {' and no '.join(absent)}; "
            f"`segbench evaluate --out {folder}` writes both"
        )


def _read_json(path: Path) -> _Scores:
    try:
        head = _Scores.model_validate(read_json(path, max_bytes=MAX_SCORES_BYTES))
    except ValidationError as error:
        problems = Problems()
        for fault in error.errors():
            problems.add("wrong or missing value", fault_words(fault))
        headline = f"{path}: is not what segbench writes; {_AGAIN}"
        raise problems.error(headline) from error
    if (head.split is None) == (head.fold is None):
        raise SegbenchError(f"{path}: expected either split or fold; {_AGAIN}")
    return head


def read_rows(path: Path) -> pa.Table:
    """rows.parquet as it is: a stranger's is bounded in bytes, rows, columns and texts.

    Raises:
        SegbenchError: It is unreadable, too large, or lacks a column that every evaluation has.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    data = pa.BufferReader(read_regular(path, max_bytes=MAX_ROWS_BYTES))
    try:
        about = pq.ParquetFile(data).metadata
        _limit(path, about)
        texts = [
            column.path
            for column in map(about.schema.column, range(about.num_columns))
            if column.physical_type == "BYTE_ARRAY"
        ]
        data.seek(0)
        rows = pq.ParquetFile(data, read_dictionary=texts).read(use_threads=False)
        rows.validate(full=True)
        rows = _plain(path, rows)
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise SegbenchError(f"{path}: not readable as Parquet ({error}); {_AGAIN}") from error
    absent = [name for name in _OURS if name not in rows.column_names]
    if absent:
        raise SegbenchError(f"{path}: has no column {', '.join(absent)}; {_AGAIN}")
    for name in _OURS:
        kind = rows.schema.field(name).type
        right = {"id": _is_text, "class": _is_text, "missing": pa.types.is_boolean}
        if not right.get(name, pa.types.is_integer)(kind) or rows[name].null_count:
            raise SegbenchError(f"{path}: column {name} is {kind} or has gaps; {_AGAIN}")
    return rows


def _limit(path: Path, about: pq.FileMetaData) -> None:
    """Refuse by what the file says of itself, before anything is inflated."""
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    inflated = sum(column.total_uncompressed_size for column in columns)
    for what, found, limit in (
        ("rows", about.num_rows, MAX_ROWS),
        ("columns", about.num_columns, MAX_COLUMNS),
        ("bytes when inflated", inflated, MAX_INFLATED_BYTES),
    ):
        if not 0 <= found <= limit:
            raise SegbenchError(f"{path}: {found:,} {what}, expected at most {limit:,}; {_AGAIN}")


def _plain(path: Path, rows: pa.Table) -> pa.Table:
    """Texts as texts, numbers as numbers; any other column is refused."""
    import pyarrow as pa  # noqa: PLC0415

    if len(set(rows.column_names)) != len(rows.column_names):
        raise SegbenchError(f"{path}: two columns have one name; {_AGAIN}")
    columns: list[pa.ChunkedArray] = []
    texts = 0
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        kind = column.type
        if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
            texts += sum(_text_bytes(chunk) for chunk in column.chunks)
            if texts > MAX_TEXT_BYTES:
                raise SegbenchError(
                    f"{path}: {texts:,} bytes of text up to column {name!r}, expected at most "
                    f"{MAX_TEXT_BYTES:,}; {_AGAIN}"
                )
            column = column.cast(kind.value_type)  # noqa: PLW2901  the same column, plain
        elif not any(
            is_kind(kind)
            for is_kind in (
                pa.types.is_boolean,
                pa.types.is_integer,
                pa.types.is_floating,
                pa.types.is_null,
            )
        ):
            raise SegbenchError(f"{path}: column {name!r} is {kind}; {_AGAIN}")
        columns.append(column)
    fields = [
        pa.field(field.name, column.type, metadata=field.metadata)
        for field, column in zip(rows.schema, columns, strict=True)
    ]
    return pa.table(columns, schema=pa.schema(fields))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _grid(path: Path, rows: pa.Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes and the samples, of which the rows must be every pair once, in order."""
    ids, classes = rows["id"].to_pylist(), rows["class"].to_pylist()
    names = tuple(dict.fromkeys(classes))
    samples = tuple(dict.fromkeys(ids))
    if ids != [i for i in samples for _ in names] or classes != list(names) * len(samples):
        raise SegbenchError(
            f"{path}: {len(ids)} rows are not every one of {len(samples)} samples with every one "
            f"of {len(names)} classes, in order; {_AGAIN}"
        )
    return names, samples


def _table(
    path: Path, rows: pa.Table, names: tuple[str, ...], ids: tuple[str, ...], head: _Scores
) -> tuple[Table, dict[str, tuple[str, ...]]]:
    shape = (len(ids), len(names))
    if not ids or any(not 0 <= x <= MAX_COUNT for name in _COUNTS for x in _ends(rows[name])):
        raise SegbenchError(f"{path}: no rows, or counts negative or of no image; {_AGAIN}")
    counts = Counts(*(rows[name].to_numpy().astype(np.int64).reshape(shape) for name in _COUNTS))
    missing = rows["missing"].to_numpy().reshape(shape)
    if (counts.total != counts.total[:, :1]).any():
        raise SegbenchError(f"{path}: counts do not sum to the image; {_AGAIN}")
    if (missing != missing[:, :1]).any():
        raise SegbenchError(f"{path}: samples are missing for some classes only; {_AGAIN}")
    absent = missing[:, 0].astype(bool)
    measured = {row.measure for row in head.scores}
    shapes = {key for key in measured if _of_shape(key)}
    taken = {*_OURS, *measured}
    columns = {
        dataset_column(name, taken): tuple(
            label_of(value) for value in rows[name].to_pylist()[:: len(names)]
        )
        for name in rows.column_names
        if name not in taken
    }
    return (
        Table(
            names,
            0 if head.background == names[0] else None,
            counts,
            _map_counts(counts, absent),
            absent,
            np.array(columns.get("group", ids)),
            {key: _in_rows(path, rows, key, len(names)) for key in sorted(shapes)},
            _soft(path, rows, head, counts),
        ),
        columns,
    )


def _ends(column: pa.ChunkedArray) -> tuple[int, int]:
    """The least and the greatest of a column of integers."""
    import pyarrow.compute as pc  # noqa: PLC0415

    found = pc.call_function("min_max", [column]).as_py()
    return found["min"], found["max"]


def _text_bytes(texts: pa.DictionaryArray) -> int:
    """The bytes of all texts, each as often as it occurs."""
    import pyarrow.compute as pc  # noqa: PLC0415

    lengths = pc.call_function("binary_length", [texts.dictionary])
    return pc.call_function("sum", [lengths.cast("int64").take(texts.indices)]).as_py() or 0


def _of_shape(key: str) -> bool:
    """Whether a measure that we know is of shapes."""
    try:
        return definition_of(key).of_shape
    except SegbenchError:
        return False


def _soft(path: Path, rows: pa.Table, head: _Scores, counts: Counts) -> SoftTable | None:
    """What was measured of probabilities: its columns, and the cells beside the rows."""
    measures = [measure_of(row.signature) for row in head.scores if row.measure in _SOFT]
    if not measures:
        return None
    keys = sorted({measure.key for measure in measures})
    values = {key: _in_rows(path, rows, key, counts.tp.shape[1]) for key in keys}
    bins = next((measure.bins for measure in measures if measure.bins), BINS)
    return read_cells(path.parent / PROBABILITIES, values, counts, bins=bins)


_SOFT = frozenset(key for key, row in DEFINITIONS.items() if row.of_probabilities)


def _in_rows(path: Path, rows: pa.Table, key: str, n_classes: int) -> NDArray[np.float64]:
    """The values (n, K) of a measure that only its column holds: not from counts."""
    if key not in rows.column_names or not _is_floating(rows, key):
        raise SegbenchError(f"{path}: has no column of numbers {key}; {_AGAIN}")
    return rows[key].to_numpy().reshape(-1, n_classes)


def _is_floating(rows: pa.Table, name: str) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return pa.types.is_floating(rows.schema.field(name).type)


def _map_counts(counts: Counts, missing: NDArray[np.bool_]) -> Counts:
    """The rows' counts, with those of one label map where a prediction is missing."""
    chosen = missing[:, np.newaxis]
    worst = worst_map(counts.reference)
    return Counts(*(np.where(chosen, w, c) for w, c in zip(worst, counts, strict=True)))


def _score(path: Path, row: _ScoreRow, names: tuple[str, ...]) -> Score:
    measure = measure_of(row.signature)
    if measure.label not in {*names, ALL, FOREGROUND}:
        raise SegbenchError(f"{path}: no rows of class {measure.label!r}; {_AGAIN}")
    if (measure.key, measure.label, measure.over) != (row.measure, row.label, row.over):
        raise SegbenchError(
            f"{path}: {row.measure}, class {row.label}, over {row.over} has the signature "
            f"{row.signature}; {_AGAIN}"
        )
    value, *ends = (np.nan if x is None else x for x in (row.value, *row.ci95))
    return Score(
        measure=measure,
        value=value,
        ci95=(ends[0], ends[1]),
        n=row.n,
        signature=row.signature,
        exact=row.exact,
    )


def measure_of(signature: str) -> Measure:
    """The measure that a signature begins with."""
    return _parsed(signature.partition("|ignore:")[0])


_parsed = lru_cache(maxsize=1024)(parse)  # entries of a board have the same few measures


def _check(stored: Stored, head: _Scores, rows: pa.Table) -> None:
    """Everything in which scores.json and rows.parquet disagree."""
    problems, table = Problems(), stored.table
    for name, stated, found in (
        ("samples", head.n_samples, len(table)),
        ("groups", head.n_groups, table.n_groups),
        ("missing predictions", head.n_missing, int(table.missing.sum())),
    ):
        if stated != found:
            problems.add("different number", f"{name}: {stated} in {SCORES}, {found} in {ROWS}")
    measures = [score.measure for score in stored.scores]
    for measure, times in Counter(measures).items():
        if times > 1:
            problems.add("score stored twice", f"{measure}")
    _check_scores(problems, stored, table, stored.scores, "")
    of_class = {m for m in measures if m.over == "images" and m.label in table.class_names}
    for measure in sorted(of_class, key=str):
        if not same_options(said := stored.measured.get(measure.key, measure), measure):
            problems.add(
                "column measured with other options",
                f"{measure.key}: {said} in {ROWS}, {measure} in {SCORES}",
            )
    first = table.class_names[0]
    per_class = cache(table.per_class)  # once for all classes
    for measure in sorted(of_class, key=str):
        column = _column(rows, measure, table)
        values = per_class(replace(measure, label=first))[:, table.class_names.index(measure.label)]
        if column is None or not _same(column, values):
            problems.add("column that does not follow from the counts", f"{measure}")
    for column, groups in stored.subgroups.items():
        _check_subgroups(problems, stored, column, groups)
    problems.raise_if_any(f"{stored.folder}: scores and rows do not agree; {_AGAIN}")


def _check_subgroups(
    problems: Problems, stored: Stored, column: str, groups: Mapping[str, tuple[Score, ...]]
) -> None:
    """Scores of subgroups that do not follow from the rows."""
    found = sizes(stored.table)[0] if column == SIZE else stored.columns.get(column)
    if found is None or set(found) != set(groups):
        problems.add("subgroups that the rows do not have", column)
        return
    labels = np.array(found)
    for value, scores in groups.items():
        part = stored.table.take(labels == value)
        _check_scores(problems, stored, part, scores, f"{column} {value}, ")


def _check_scores(
    problems: Problems, stored_in: Stored, table: Table, scores: tuple[Score, ...], where: str
) -> None:
    """Scores that do not follow from the rows of a table."""
    if len(scores) * len(table) > MAX_VALUES:
        raise SegbenchError(f"{stored_in.folder}: {len(scores):,} scores of {len(table):,} images")
    stored = np.array([score.value for score in scores])
    again = point_values(table, [score.measure for score in scores])
    same = np.isclose(stored, again, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    for i in np.flatnonzero(~same):
        problems.add(
            "score that does not follow from the rows",
            f"{where}{scores[i].measure}: {stored[i]:.6f} stored, {again[i]:.6f} from the rows",
        )


def _column(rows: pa.Table, measure: Measure, table: Table) -> NDArray[np.float64] | None:
    """The images' stored values of one class; None where there is no such column of numbers."""
    values = _numbers(rows, measure.key)
    if values is None:
        return None
    return values[table.class_names.index(measure.label) :: len(table.class_names)]


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64] | None:
    if name not in rows.column_names:
        return None
    try:
        return rows[name].to_numpy().astype(np.float64)
    except (TypeError, ValueError):
        return None


def _same(a: object, b: object) -> bool:
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))  # type: ignore[arg-type]  numbers or arrays
