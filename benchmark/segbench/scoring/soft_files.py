"""probabilities.parquet: the cells of every image, from which pooled scores come out again."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.errors import SegbenchError
from segbench.masks.json_files import read_regular
from segbench.scoring.soft import SoftTable
from segbench.soft import LEVELS, Histogram

PROBABILITIES = "probabilities.parquet"

MAX_BYTES, MAX_CELLS, MAX_INFLATED_BYTES = 2**30, 10**8, 2**32
_INTEGERS = ("image", "class", "level", "bin", "negatives", "positives")
_MASS = "probability_sum"
_AGAIN = "run `segbench evaluate --out` again"
_ROUNDING = 1e-9


def write_cells(table: SoftTable, path: Path) -> None:
    """Write the cells; `image` and `class` count the samples and classes of rows.parquet."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    counts = table.counts
    columns = {
        "image": table.image.astype(np.int32),
        "class": table.column.astype(np.int16),
        "level": table.level.astype(np.int16),
        "bin": table.bin.astype(np.int16),
        "negatives": counts.negatives,
        "positives": counts.positives,
        _MASS: counts.mass,
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def read_cells(
    path: Path, values: Mapping[str, NDArray[np.float64]], counts: Counts, *, bins: int
) -> SoftTable:
    """Read the cells back, and hold them against the counts of the rows.

    Args:
        path: The file.
        values: By key of a measure its values (n, K).
        counts: (n, K) of the rows.
        bins: Of equal width.

    Raises:
        SegbenchError: It is unreadable or does not go with the rows.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        data = io.BytesIO(read_regular(path, max_bytes=MAX_BYTES))
        stored = pq.ParquetFile(data)
        about = stored.metadata
        groups = [about.row_group(i) for i in range(about.num_row_groups)]
        inflated = sum(
            g.column(i).total_uncompressed_size for g in groups for i in range(g.num_columns)
        )
        if not 0 <= about.num_rows <= MAX_CELLS or not 0 <= inflated <= MAX_INFLATED_BYTES:
            raise SegbenchError(
                f"{path}: {about.num_rows:,} cells in {inflated:,} bytes, expected at most "
                f"{MAX_CELLS:,} in {MAX_INFLATED_BYTES:,}; {_AGAIN}"
            )
        rows = stored.read(columns=[*_INTEGERS, _MASS], use_threads=False)
        rows.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise SegbenchError(f"{path}: not readable as Parquet ({error}); {_AGAIN}") from error
    kinds = dict.fromkeys(_INTEGERS, pa.types.is_integer) | {_MASS: pa.types.is_floating}
    for name, is_kind in kinds.items():
        if name not in rows.column_names or not is_kind(rows.schema.field(name).type):
            raise SegbenchError(f"{path}: has no column of numbers {name}; {_AGAIN}")
        if rows[name].null_count:
            raise SegbenchError(f"{path}: column {name} has gaps; {_AGAIN}")
    whole = {name: rows[name].to_numpy().astype(np.int64) for name in _INTEGERS}
    mass = rows[_MASS].to_numpy().astype(np.float64)
    table = SoftTable(
        values,
        bins,
        whole["image"],
        whole["class"],
        whole["level"],
        whole["bin"],
        Histogram(whole["negatives"], whole["positives"], mass),
    )
    _check(path, table, counts)
    return table


def _check(path: Path, table: SoftTable, counts: Counts) -> None:
    n, k = counts.tp.shape
    cells = table.counts
    limits: Sequence[tuple[str, NDArray[np.int64], int]] = (
        ("image", table.image, n),
        ("class", table.column, k),
        ("level", table.level, LEVELS),
        ("bin", table.bin, table.bins),
        ("negatives", cells.negatives, 2**40),
        ("positives", cells.positives, 2**40),
    )
    for name, found, limit in limits:
        if len(found) and not (found.min() >= 0 and found.max() < limit):
            raise SegbenchError(
                f"{path}: {name} from {found.min()} to {found.max()}, expected 0 to {limit - 1}; "
                f"{_AGAIN}"
            )
    most = cells.pixels * (1 + _ROUNDING)
    if not (np.isfinite(cells.mass).all() and ((cells.mass >= 0) & (cells.mass <= most)).all()):
        raise SegbenchError(f"{path}: sums of probabilities beyond their pixels; {_AGAIN}")
    at = table.image * k + table.column
    there = np.unique(table.column)
    for name, found, expected in (
        ("positives", cells.positives, counts.reference),
        ("pixels", cells.pixels, counts.total),
    ):
        sums = np.bincount(at, found, n * k).reshape(n, k)
        if (sums != expected)[:, there].any():
            raise SegbenchError(f"{path}: {name} differ from the counts of the rows; {_AGAIN}")
